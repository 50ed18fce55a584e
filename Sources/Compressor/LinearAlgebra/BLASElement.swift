internal import COpenBLAS

/// A floating-point type that OpenBLAS computes with.
package protocol BLASElement: BinaryFloatingPoint, BitwiseCopyable, Sendable {
  /// Computes c = scale * op(a) op(b) + old * c, all row major; op transposes if its flag is set.
  @unsafe
  static func multiply(
    _ transposesLeft: Bool, _ transposesRight: Bool, _ m: Int, _ n: Int, _ k: Int, _ scale: Self,
    _ a: UnsafePointer<Self>, _ aStride: Int, _ b: UnsafePointer<Self>, _ bStride: Int,
    _ old: Self, _ c: UnsafeMutablePointer<Self>, _ cStride: Int)

  /// Replaces B (n, columns) by op(C)^-1 B for an upper triangle C (n, n), both row major.
  @unsafe
  static func solveUpper(
    _ transposes: Bool, _ n: Int, _ columns: Int, _ c: UnsafePointer<Self>, _ cStride: Int,
    _ b: UnsafeMutablePointer<Self>, _ bStride: Int)
}

private func operation(_ transposes: Bool) -> CBLAS_TRANSPOSE {
  transposes ? CblasTrans : CblasNoTrans
}

extension Float: BLASElement {
  package static func multiply(
    _ transposesLeft: Bool, _ transposesRight: Bool, _ m: Int, _ n: Int, _ k: Int, _ scale: Float,
    _ a: UnsafePointer<Float>, _ aStride: Int, _ b: UnsafePointer<Float>, _ bStride: Int,
    _ old: Float, _ c: UnsafeMutablePointer<Float>, _ cStride: Int
  ) {
    BLASClock.count {
      unsafe cblas_sgemm(
        CblasRowMajor, operation(transposesLeft), operation(transposesRight), blasint(m),
        blasint(n),
        blasint(k), scale, a, blasint(aStride), b, blasint(bStride), old, c, blasint(cStride))
    }
  }

  package static func solveUpper(
    _ transposes: Bool, _ n: Int, _ columns: Int, _ c: UnsafePointer<Float>, _ cStride: Int,
    _ b: UnsafeMutablePointer<Float>, _ bStride: Int
  ) {
    BLASClock.count {
      unsafe cblas_strsm(
        CblasRowMajor, CblasLeft, CblasUpper, operation(transposes), CblasNonUnit, blasint(n),
        blasint(columns), 1, c, blasint(cStride), b, blasint(bStride))
    }
  }
}

extension Float {
  /// Replaces A (m, n) by A U for an upper triangle U (n, n) with ones on its diagonal, both row major.
  ///
  /// Only the elements of U above its diagonal are read.
  @unsafe
  static func multiplyByUnitUpper(
    _ m: Int, _ n: Int, _ a: UnsafeMutablePointer<Float>, _ aStride: Int,
    _ upper: UnsafePointer<Float>, _ upperStride: Int
  ) {
    BLASClock.count {
      unsafe cblas_strmm(
        CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasUnit, blasint(m), blasint(n), 1,
        upper, blasint(upperStride), a, blasint(aStride))
    }
  }
}

extension Double: BLASElement {
  package static func multiply(
    _ transposesLeft: Bool, _ transposesRight: Bool, _ m: Int, _ n: Int, _ k: Int, _ scale: Double,
    _ a: UnsafePointer<Double>, _ aStride: Int, _ b: UnsafePointer<Double>, _ bStride: Int,
    _ old: Double, _ c: UnsafeMutablePointer<Double>, _ cStride: Int
  ) {
    BLASClock.count {
      unsafe cblas_dgemm(
        CblasRowMajor, operation(transposesLeft), operation(transposesRight), blasint(m),
        blasint(n),
        blasint(k), scale, a, blasint(aStride), b, blasint(bStride), old, c, blasint(cStride))
    }
  }

  package static func solveUpper(
    _ transposes: Bool, _ n: Int, _ columns: Int, _ c: UnsafePointer<Double>, _ cStride: Int,
    _ b: UnsafeMutablePointer<Double>, _ bStride: Int
  ) {
    BLASClock.count {
      unsafe cblas_dtrsm(
        CblasRowMajor, CblasLeft, CblasUpper, operation(transposes), CblasNonUnit, blasint(n),
        blasint(columns), 1, c, blasint(cStride), b, blasint(bStride))
    }
  }
}
