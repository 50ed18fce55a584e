internal import Kernels

/// The rows of one part of a packed product: Q, with L and outlier columns if there are any, and where they
/// go.
@safe
struct PackedRows {
  /// The products whose sum a row is; one to three of them count.
  private(set) var terms: InlineArray<3, kernels_term>
  private(set) var termCount = 1
  /// The number of rows.
  let rowCount: Int
  /// The row of the output that the first one is.
  let outputRow: Int
  /// The codes of 16 rows of all terms.
  private(set) var panelByteCount: Int

  /// Rows of `matrix` times a vector of `activations`.
  init(outputRow: Int, _ matrix: PackedMatrix, _ activations: kernels_activations) {
    let term = unsafe kernels_term(weight: matrix.kernelsPacked, activations: activations)
    unsafe terms = [term, term, term]
    rowCount = matrix.outputSize
    self.outputRow = outputRow
    panelByteCount = matrix.layout.panelByteCount
  }

  /// Adds the rows of another matrix times another vector.
  mutating func add(_ matrix: PackedMatrix, _ activations: kernels_activations) {
    unsafe terms[termCount] = kernels_term(
      weight: matrix.kernelsPacked, activations: activations)
    termCount += 1
    panelByteCount += matrix.layout.panelByteCount
  }
}

/// How a job of packed products is cut: by blocks of tokens, and within them by runs of panels.
///
/// A piece is a few panels of one product and the tokens of one block. The result does not depend on
/// the cut; the speed does. One token reads its weights from memory, so a piece is a run of bytes long
/// enough for the memory's read-ahead; many tokens compute, so a piece is only as many panels as share
/// one expansion in the first cache.
struct PackedPieces {
  /// The number of pieces.
  let count: Int
  private let tokenCount: Int
  private let tokensPerBlock: Int
  private let products: [PackedRows]
  private let panelsPerPiece: [Int]
  /// The first piece of each product within a block, and behind the last their number.
  private let firstPieces: [Int]

  /// The bytes of codes that a piece of one token has, unless threads would lack work.
  ///
  /// bench: docs/performance.md.
  private static let byteCount = 1 << 20
  /// The panels of a piece of many tokens.
  private static let panelCount = 4
  /// Pieces per thread, so that a thread that is held up leaves its share to the others.
  private static let piecesPerThread = 4

  init(_ products: [PackedRows], tokenCount: Int, threadCount: Int) {
    self.products = products
    self.tokenCount = tokenCount
    // Blocks of equal length, in whole tiles of 6 tokens.
    let blocks = (tokenCount + Int(KERNELS_TOKEN_BLOCK) - 1) / Int(KERNELS_TOKEN_BLOCK)
    let even = (tokenCount + blocks - 1) / blocks
    tokensPerBlock = tokenCount == 1 ? 1 : min((even + 5) / 6 * 6, Int(KERNELS_TOKEN_BLOCK))
    let panels = products.map { ($0.rowCount + 15) / 16 }
    let share = max(1, panels.reduce(0, +) / (threadCount * Self.piecesPerThread))
    panelsPerPiece = products.map { product in
      let run = Self.byteCount / max(product.panelByteCount, 1)
      return tokenCount > 1 ? Self.panelCount : max(1, min(share, run))
    }
    firstPieces = zip(panels, panelsPerPiece).reduce(into: [0]) { first, product in
      first.append(first[first.count - 1] + (product.0 + product.1 - 1) / product.1)
    }
    count = firstPieces[products.count] * ((tokenCount + tokensPerBlock - 1) / tokensPerBlock)
  }

  /// The product of piece `index`, and its rows and tokens.
  func piece(_ index: Int) -> (product: PackedRows, rows: Range<Int>, tokens: Range<Int>) {
    let (block, within) = index.quotientAndRemainder(dividingBy: firstPieces[products.count])
    var product = 0
    while within >= firstPieces[product + 1] { product += 1 }
    let rowsPerPiece = panelsPerPiece[product] * PackedLayout.panelRows
    let row = (within - firstPieces[product]) * rowsPerPiece
    let token = block * tokensPerBlock
    return (
      products[product], row..<min(row + rowsPerPiece, products[product].rowCount),
      token..<min(token + tokensPerBlock, tokenCount)
    )
  }
}
