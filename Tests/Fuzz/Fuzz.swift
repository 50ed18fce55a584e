import Glibc

/// What libFuzzer calls with each input; the environment variable DUET_FUZZ_KIND says what it stands for.
///
/// `Scripts/fuzz` compiles this file together with those of Tests/TestSupport.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  _ = reader.accepts(Array(UnsafeBufferPointer(start: start, count: count)))
  return 0
}

private nonisolated(unsafe) let reader: HostileInput = {
  let name = getenv("DUET_FUZZ_KIND").map { String(cString: $0) } ?? ""
  guard let kind = HostileKind(rawValue: name), let reader = try? HostileInput(kind) else {
    fatalError("DUET_FUZZ_KIND must be one of \(HostileKind.allCases.map(\.rawValue))")
  }
  return reader
}()
