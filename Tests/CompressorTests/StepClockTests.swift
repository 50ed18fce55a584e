import DuetCompressor
import DuetSystem
import TestSupport
import Testing

@Suite("Times of steps")
struct StepClockTests {
  @Test("a step inside another one counts as itself only, and the steps add up to the whole")
  func nestedSteps() {
    let clock = ContinuousClock()
    let start = clock.now
    let steps = StepClock()
    func spin(_ milliseconds: Int) {
      let end = clock.now + .milliseconds(milliseconds)
      while clock.now < end {}
    }
    steps.measure(.metric) {
      spin(20)
      steps.measure(.rounding) { spin(40) }
      steps.begin(.rounding)
      spin(10)
      steps.end()
    }
    let whole = start.duration(to: clock.now) / .seconds(1)
    let times = steps.times
    #expect(times.map(\.step) == [.metric, .rounding])
    // The clock may be slow, but never fast.
    #expect(times[0].seconds >= 0.02 && times[1].seconds >= 0.05)
    let sum = times[0].seconds + times[1].seconds
    #expect(sum <= whole && times[0].seconds <= whole - 0.05)
  }

  @Test("a run tells its steps, which add up to its time, and writes them beside the model")
  func runTellsItsSteps() throws {
    var fixture = try CompressionFixture(layerCount: 2)
    fixture.plan.propagation = .corrected
    let folder = try TemporaryFolder()
    let summary = try fixture.run(to: "\(folder.path)/model")
    let names = Set(summary.steps.map(\.step))
    #expect(
      names.isSuperset(of: [
        .source, .originalForward, .compressedForward, .hessians, .crossMoments, .correction,
        .metric,
        .rounding, .packing, .journal, .states, .figures, .writing,
      ]))
    let sum = summary.steps.reduce(0) { $0 + $1.seconds }
    #expect(sum <= summary.seconds && sum > 0.9 * summary.seconds)
    let text = String(
      decoding: try readFile("\(folder.path)/model/compression_timings.json", limit: 1 << 20),
      as: UTF8.self)
    #expect(text.contains("\"steps\"") && text.contains("\"forward_original\""))
  }
}
