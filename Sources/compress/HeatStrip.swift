import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetSystem

/// A picture of an analysis with three panels, each with a strip of matrices per layer.
///
/// The panels are coloured by the error of Q, by the energy in the best L R, and by the share of the
/// largest input.
struct HeatStrip {
  private let report: AnalysisReport

  init(_ report: AnalysisReport) { self.report = report }

  private static let columns = LayerTensors.matrices
  /// The sizes in units of the picture, which are pixels unless it is scaled.
  private static let (cell, gap, left, top) = (34, 28, 64, 64)

  /// One of the three pictures.
  private struct Panel {
    let title: String
    let value: (MatrixAnalysis) -> Double
  }

  private var panels: [Panel] {
    let rank = report.figures(report.matrices[0]).rank
    return [
      Panel(title: "relative error of Q alone") { $0.quantizedError },
      Panel(title: "energy in the best L R of rank \(rank)") { report.figures($0).topShare },
      Panel(title: "share of the largest input") { $0.largestMoments.first ?? 0 },
    ]
  }

  /// The SVG document.
  var text: String {
    let layers = Set(report.forecast.matrices.map(\.layer)).sorted()
    let width = Self.left + panels.count * (Self.columns.count * Self.cell + Self.gap)
    let height = Self.top + layers.count * Self.cell + 24
    var lines = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(width) \(height)\" width=\"\(width)\" "
        + "height=\"\(height)\" font-family=\"sans-serif\" font-size=\"10\">",
      "<rect width=\"\(width)\" height=\"\(height)\" fill=\"white\"/>",
    ]
    for (row, layer) in layers.enumerated() {
      lines.append(
        label("layer \(layer)", x: Self.left - 8, y: rowMiddle(row), anchor: "end"))
    }
    let places = Dictionary(
      report.forecast.matrices.map { ($0.name, $0.layer) }, uniquingKeysWith: { first, _ in first })
    for (index, panel) in panels.enumerated() {
      let x = Self.left + index * (Self.columns.count * Self.cell + Self.gap)
      lines += strips(panel, x: x, layers: layers, places: places)
    }
    return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
  }

  private func strips(
    _ panel: Panel, x: Int, layers: [Int], places: [String: Int]
  ) -> [String] {
    let largest = max(report.matrices.map(panel.value).max() ?? 1, 1e-12)
    var lines = [
      label(
        "\(panel.title), up to \(decimalText(largest, digits: 3))", x: x, y: 18, anchor: "start")
    ]
    for (column, row) in Self.columns.enumerated() {
      lines.append(
        label(
          String(row.shortName.dropLast("_proj".count)), x: x + column * Self.cell + Self.cell / 2,
          y: Self.top - 8, anchor: "middle"))
    }
    for matrix in report.matrices {
      guard let layer = places[matrix.name], let row = layers.firstIndex(of: layer),
        let column = Self.columns.firstIndex(where: { $0.isNamed(matrix.name) })
      else { continue }
      let value = panel.value(matrix)
      let share = min(1, max(0, value / largest))
      let (left, top) = (x + column * Self.cell, Self.top + row * Self.cell)
      lines.append(
        "<rect x=\"\(left)\" y=\"\(top)\" width=\"\(Self.cell - 2)\" height=\"\(Self.cell - 2)\" "
          + "fill=\"\(color(share))\"><title>\(escaped(matrix.name)): "
          + "\(decimalText(value, digits: 4))</title></rect>")
      lines.append(
        label(
          decimalText(value, digits: 2), x: left + Self.cell / 2 - 1, y: rowMiddle(row),
          anchor: "middle", fill: share > 0.55 ? "white" : "black"))
    }
    return lines
  }

  private func rowMiddle(_ row: Int) -> Int { Self.top + row * Self.cell + Self.cell / 2 + 3 }

  /// The colour of a share, from almost white for 0 to dark blue for 1.
  private func color(_ share: Double) -> String {
    func mix(_ low: Double, _ high: Double) -> Int { Int((low + (high - low) * share).rounded()) }
    return "rgb(\(mix(240, 8)),\(mix(244, 48)),\(mix(250, 107)))"
  }

  private func label(
    _ text: String, x: Int, y: Int, anchor: String, fill: String = "black"
  ) -> String {
    "<text x=\"\(x)\" y=\"\(y)\" text-anchor=\"\(anchor)\" fill=\"\(fill)\">\(escaped(text))</text>"
  }

  private func escaped(_ text: String) -> String {
    var result = ""
    for scalar in printable(text).unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
