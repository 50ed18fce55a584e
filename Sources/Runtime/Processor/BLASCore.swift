internal import COpenBLAS

/// The processor family whose kernels OpenBLAS uses.
///
/// OpenBLAS chooses once, when it is loaded. A release that is older than the processor may take it for
/// a much older one: 0.3.21 runs its AVX2 kernels on AVX-512 processors of 2023 and later, at about half
/// the speed. The environment variable `OPENBLAS_CORETYPE`, set before the process starts, overrides
/// that.
package enum BLASCore {
  /// The environment variable that OpenBLAS reads.
  package static let variable = "OPENBLAS_CORETYPE"

  /// The name of the family in use.
  package static var name: String {
    unsafe openblas_get_corename().map { unsafe String(cString: $0) } ?? "unknown"
  }

  /// The family to ask for instead, or nil when the one in use is right.
  package static var better: String? {
    better(than: name, hasAVX512: KernelSet(named: "avx512vnni") != nil)
  }

  /// The family to ask for instead of `name`, or nil when `name` is right.
  ///
  /// SkylakeX is the oldest family with AVX-512 kernels; all processors with AVX-512 VNNI run them.
  package static func better(than name: String, hasAVX512: Bool) -> String? {
    // The names of all families of OpenBLAS up to 0.3.30 whose kernels use AVX-512.
    let wide = ["skylakex", "cooperlake", "sapphirerapids"]
    return hasAVX512 && !wide.contains(name.lowercased()) ? "SkylakeX" : nil
  }
}
