import DuetRuntime
import Testing

@Suite struct BLASCoreTests {
  @Test func olderKernelsAreReplacedOnProcessorsWithAVX512() {
    for name in ["Haswell", "Zen", "Prescott", "unknown"] {
      #expect(BLASCore.better(than: name, hasAVX512: true) == "SkylakeX")
      #expect(BLASCore.better(than: name, hasAVX512: false) == nil)
    }
  }

  @Test func widerKernelsStay() {
    for name in ["SkylakeX", "SKYLAKEX", "Cooperlake", "SapphireRapids"] {
      #expect(BLASCore.better(than: name, hasAVX512: true) == nil)
    }
  }

  @Test func theFamilyInUseIsKnown() {
    #expect(BLASCore.name != "unknown")
  }
}
