import DuetCommandLine
import DuetCompressor
import DuetRuntime
import DuetSystem
import DuetText

/// The results of an analysis as a table and as JSON.
struct AnalysisReport {
  let folder: String
  let plan: CompressionPlan
  let forecast: CompressionForecast
  let matrices: [MatrixAnalysis]

  /// The values of a matrix that are computed from its spectra.
  struct Figures {
    /// The rank of L R.
    let rank: Int
    /// The share of the outputs' energy in the best L R of this rank.
    let topShare: Double
    /// The expected relative errors, by the start of L R; for L R alone with the bytes of Q and L R.
    let errors: [MatrixAnalysis.Start: Double]
    /// The rank of L R alone that takes the bytes of Q and L R.
    let aloneRank: Int
    /// The method with the smallest of the errors.
    let favoured: String
  }

  /// The smallest share of the error that L R must remove to be worth its bytes.
  private static let smallestGain = 0.05

  /// Computes the values of a matrix from its spectra.
  func figures(_ matrix: MatrixAnalysis) -> Figures {
    let (m, n) = (matrix.outputSize, matrix.inputSize)
    let rank = plan.rank(of: matrix.name, outputSize: m, inputSize: n)
    let aloneRank = aloneRank(matrix, rank)
    var errors: [MatrixAnalysis.Start: Double] = [:]
    for start in MatrixAnalysis.Start.allCases {
      let curve = matrix.expectedErrors(start)
      errors[start] = curve[min(start == .alone ? aloneRank : rank, curve.count - 1)]
    }
    let starts = MatrixAnalysis.Start.byPreference
    let best = starts.min { errors[$0] ?? 1 < errors[$1] ?? 1 } ?? starts[0]
    let gains = (errors[best] ?? 1) < matrix.quantizedError * (1 - Self.smallestGain)
    return Figures(
      rank: rank, topShare: matrix.weightEnergies.prefix(rank).reduce(0, +), errors: errors,
      aloneRank: aloneRank, favoured: gains ? best.methodName : MethodList.withoutLowRank.name)
  }

  /// The largest rank of L R alone that takes no more bytes than Q and L R in the plan's formats.
  private func aloneRank(_ matrix: MatrixAnalysis, _ rank: Int) -> Int {
    let (m, n) = (matrix.outputSize, matrix.inputSize)
    let factors = MatrixAnalysis.Start.aloneStorage(plan.method)
    let layout = plan.compressedFormat.quantizedLayout(outputSize: m, inputSize: n)
    let budget =
      (layout?.byteCount(hasOffsets: plan.compressedFormat.grid == .asymmetric) ?? 0)
      + plan.compressedFormat.factors.byteCount(rank: rank, outputSize: m, inputSize: n)
    var result = 0
    while result < min(m, n),
      factors.byteCount(rank: result + 1, outputSize: m, inputSize: n) <= budget
    { result += 1 }
    return result
  }

  // MARK: - Text

  /// The lines of the table.
  var lines: [String] {
    let rank = figures(matrices[0]).rank
    var rows = [
      [
        "matrix", "rows x columns", "eff.rank", "top \(rank)", "outliers", "top share", "W_O", "Q",
        "Q + LR", "LR alone", "role Q, LR", "favoured",
      ]
    ]
    for matrix in matrices {
      let figures = figures(matrix)
      let roles = matrix.expectedRoles(.lowRank, rank: figures.rank)
      func error(_ start: MatrixAnalysis.Start) -> String {
        decimalText(figures.errors[start] ?? 1, digits: 4)
      }
      rows.append([
        printable(matrix.name), "\(matrix.outputSize) x \(matrix.inputSize)",
        decimalText(matrix.effectiveRank, digits: 1),
        "\(decimalText(100 * figures.topShare, digits: 1)) %", "\(matrix.outlierChannels.count)",
        "\(decimalText(100 * (matrix.largestMoments.first ?? 0), digits: 1)) %",
        "\(decimalText(100 * (1 - matrix.channelNormRemainder), digits: 2)) %",
        decimalText(matrix.quantizedError, digits: 4), error(.lowRank), error(.alone),
        "\(decimalText(roles.quantized, digits: 2)), \(decimalText(roles.lowRank, digits: 2))",
        figures.favoured,
      ])
    }
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      let cells = zip(row, widths).enumerated().map { column, cell in
        let padding = String(repeating: " ", count: cell.1 - cell.0.count)
        // Names are aligned to the left, numbers to the right.
        return column == 0 || column == row.count - 1 ? cell.0 + padding : padding + cell.0
      }
      var line = cells.joined(separator: "  ")
      while line.last == " " { line.removeLast() }
      return line
    }
  }

  // MARK: - JSON

  /// The JSON document.
  var json: JSONOutput {
    [
      "version": .string(duetVersion), "model": .string(folder),
      "format": MethodOptions.format.json(in: plan.method.choices),
      "incoherence": .string(plan.incoherence.rawValue),
      "samples": .integer(plan.sampleCount), "context": .integer(plan.contextLength),
      "matrices": .array(matrices.map(object)),
    ]
  }

  private func object(_ matrix: MatrixAnalysis) -> JSONOutput {
    let figures = figures(matrix)
    func numbers(_ values: [Double]) -> JSONOutput { .array(values.map { .number($0) }) }
    return [
      "name": .string(matrix.name), "output_size": .integer(matrix.outputSize),
      "input_size": .integer(matrix.inputSize), "rank": .integer(figures.rank),
      "effective_rank": .number(matrix.effectiveRank),
      "energy_in_top_rank": .number(figures.topShare),
      "weight_energies": numbers(matrix.weightEnergies),
      "weight_norms": numbers(matrix.weightNorms),
      "error_energies": numbers(matrix.errorEnergies),
      "outlier_channels": .array(matrix.outlierChannels.map { .integer($0) }),
      "largest_moments": numbers(matrix.largestMoments),
      "preserved_channels": .integer(matrix.channelCount),
      "preserved_energy": .number(1 - matrix.channelRemainder),
      "preserved_norm": .number(1 - matrix.channelNormRemainder),
      "dead_inputs": .integer(matrix.deadInputCount),
      "quantized_error": .number(matrix.quantizedError),
      "expected_errors": .object(
        MatrixAnalysis.Start.allCases.map {
          .init($0.rawValue, .number(figures.errors[$0] ?? 1))
        }),
      "expected_roles": .object(
        MatrixAnalysis.Start.allCases.map { start in
          let roles = matrix.expectedRoles(
            start, rank: start == .alone ? figures.aloneRank : figures.rank)
          return .init(
            start.rawValue,
            ["quantized": .number(roles.quantized), "low_rank": .number(roles.lowRank)])
        }),
      "rank_alone": .integer(figures.aloneRank), "favoured": .string(figures.favoured),
    ]
  }
}
