import DuetRuntime
import Testing

@Suite("Processor families of OpenBLAS")
struct BLASCoreTests {
  @Test("older kernels are replaced on processors with AVX-512")
  func olderKernelsAreReplacedOnProcessorsWithAVX512() {
    for name in ["Haswell", "Zen", "Prescott", "unknown"] {
      #expect(BLASCore.better(than: name, hasAVX512: true) == "SkylakeX")
      #expect(BLASCore.better(than: name, hasAVX512: false) == nil)
    }
  }

  @Test("kernels for AVX-512 stay")
  func widerKernelsStay() {
    for name in ["SkylakeX", "SKYLAKEX", "Cooperlake", "SapphireRapids"] {
      #expect(BLASCore.better(than: name, hasAVX512: true) == nil)
    }
  }

  @Test("the family in use is known")
  func theFamilyInUseIsKnown() {
    #expect(BLASCore.name != "unknown")
  }
}
