import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetText

/// The forecast of a part of a model, or of a share of the states.
struct PlannedPart {
  let number: PartNumber
  /// The layers that are compressed; none for a share of the states.
  let layers: Range<Int>
  let matrixCount: Int
  /// The bytes on disk at most.
  let diskByteCount: Int
  /// The bytes that all shares of the states take together; 0 where states are not shared.
  let stateByteCount: Int
  /// The layers that the samples run through first.
  let runUpLayerCount: Int
  private let forecast: CompressionForecast
  private let parts: [ModelPart]
  private let sharesStates: Bool

  /// The part that the work is, or nil.
  init?(_ work: Work, _ forecast: CompressionForecast) throws(CompressionPlanError) {
    guard let number = work.number else { return nil }
    self.number = number
    self.forecast = forecast
    let isShare = work == .states(number)
    sharesStates = isShare || work == .part(number, sharesStates: true)
    parts = try forecast.parts(number.count, sharesStates: sharesStates)
    let part = parts[number.index - 1]
    layers = isShare ? 0..<0 : part.layers
    matrixCount = forecast.matrices.count { [layers] in layers.contains($0.layer) }
    stateByteCount = sharesStates ? forecast.stateByteCount(parts: number.count) : 0
    if isShare {
      runUpLayerCount = parts.last?.layers.lowerBound ?? 0
      diskByteCount = (number.count + 1) * forecast.hiddenStateByteCount / number.count
    } else {
      runUpLayerCount = sharesStates ? 0 : part.layers.lowerBound
      diskByteCount = forecast.diskByteCount(of: part)
    }
  }

  /// The forecast of time, on machines that compute `rate` operations per second.
  struct Seconds {
    /// Of this part or share.
    let own: Double
    /// Of the part that takes longest.
    let longest: Double
    /// Of all parts together.
    let sum: Double
    /// Of each share of the states, 0 where states are not shared.
    let states: Double
    /// Of the whole model on one machine.
    let whole: Double
  }

  func seconds(rate: Double) throws(CompressionPlanError) -> Seconds {
    let times = parts.map { forecast.seconds(of: $0, sharesStates: sharesStates, rate: rate) }
    let states =
      sharesStates ? try forecast.secondsOfStates(parts: number.count, rate: rate) : 0
    return Seconds(
      own: layers.isEmpty ? states : times[number.index - 1], longest: times.max() ?? 0,
      sum: times.reduce(0, +), states: states, whole: forecast.seconds(rate: rate))
  }

  /// The line of the part: "layers 3 to 5 of 80, 21 matrices, ...".
  func text(rate: Double) throws(CompressionPlanError) -> String {
    let seconds = try seconds(rate: rate)
    let layerCount = forecast.configuration.layerCount
    var text =
      layers.isEmpty
      ? "\(number) of the states: runs its samples through \(runUpLayerCount) of \(layerCount) layers"
      : "\(number): \(layerText) of \(layerCount), \(matrixCount) matrices"
    if !layers.isEmpty, runUpLayerCount > 0 {
      text += ", after running all samples through \(runUpLayerCount)"
    }
    text +=
      "; about \(durationText(seconds.own)), the longest part \(durationText(seconds.longest)), all parts "
      + "together \(durationText(seconds.sum)), one machine alone \(durationText(seconds.whole))"
    if sharesStates {
      text +=
        "; states \(durationText(seconds.states)) on each machine, \(ByteCount(stateByteCount).text)"
    }
    return text
  }

  /// "layer 2" or "layers 3 to 5".
  private var layerText: String {
    layers.count == 1
      ? "layer \(layers.upperBound)" : "layers \(layers.lowerBound + 1) to \(layers.upperBound)"
  }

  /// The object in a JSON document.
  func json(rate: Double) throws(CompressionPlanError) -> JSONOutput {
    let seconds = try seconds(rate: rate)
    return [
      "index": .integer(number.index), "count": .integer(number.count),
      "first_layer": .integer(layers.lowerBound), "layer_count": .integer(layers.count),
      "matrices": .integer(matrixCount), "run_up_layers": .integer(runUpLayerCount),
      "shared_states": .boolean(sharesStates),
      "disk_bytes": .integer(diskByteCount), "state_bytes": .integer(stateByteCount),
      "seconds": .number(seconds.own), "longest_part_seconds": .number(seconds.longest),
      "all_parts_seconds": .number(seconds.sum), "states_seconds": .number(seconds.states),
    ]
  }
}
