internal import DuetSystem
internal import Kernels

/// The rows of one part of a packed product, of Q, L and outlier columns, and their place in the output.
///
/// Made once, when a layer is loaded. It holds addresses of the matrices, which its owner must keep
/// alive, and says which activations each matrix multiplies. The addresses of the activations are given
/// with each token.
@safe
struct PackedRows: @unchecked Sendable {
  /// The activations that a matrix multiplies.
  enum Operand { case inputs, factors, outliers }

  /// A matrix and the first group of the vector that it multiplies.
  @safe
  private struct Term {
    let weight: kernels_packed
    let operand: Operand
    let firstGroup: Int
  }

  /// The products whose sum is a row; the first `termCount` of them are used, one to three.
  private var terms: InlineArray<3, Term?> = [nil, nil, nil]
  private var termCount = 0
  /// The number of rows.
  let rowCount: Int
  /// The row of the output where these rows begin.
  let outputRow: Int
  /// The bytes of the codes of 16 rows, of all terms.
  private(set) var panelByteCount = 0
  /// The number of panels that must be computed together: those of a tile of a trellis code.
  private(set) var panelStep = 1

  /// Rows without a matrix; `add` adds one.
  init(outputRow: Int, rowCount: Int) {
    self.rowCount = rowCount
    self.outputRow = outputRow
  }

  /// Adds the rows of a matrix times the vector of `operand` that begins at `firstGroup`.
  mutating func add(_ matrix: PackedMatrix, _ operand: Operand, firstGroup: Int = 0) {
    terms[termCount] = unsafe Term(
      weight: matrix.kernelsPacked, operand: operand, firstGroup: firstGroup)
    termCount += 1
    panelByteCount += matrix.layout.panelByteCount
    panelStep = max(panelStep, matrix.format.tileRows / PackedLayout.panelRows)
  }

  /// The number of panels of 16 rows.
  var panelCount: Int { (rowCount + PackedLayout.panelRows - 1) / PackedLayout.panelRows }

  /// Computes some rows of some tokens.
  ///
  /// `rows` begins at a multiple of `panelStep` panels. `y` is the output of the first row of the first token; tokens are `stride` numbers apart.
  func multiply(
    _ operands: PackedOperands, rows: Range<Int>, tokens: Range<Int>,
    _ y: UnsafeMutablePointer<Float>, stride: Int, _ table: UnsafePointer<kernels_set>
  ) {
    let kernelsTerms = unsafe InlineArray<3, kernels_term> { index in
      guard let term = terms[index] ?? terms[0] else {
        preconditionFailure("rows without a matrix")
      }
      return unsafe operands.term(term.weight, term.operand, firstGroup: term.firstGroup)
    }
    unsafe kernelsTerms.span.withUnsafeBufferPointer { terms in
      guard let base = terms.baseAddress else { return }
      unsafe kernels_packed_product(
        table, base, termCount, rows.lowerBound, rows.count, tokens.lowerBound, tokens.count, y,
        stride)
    }
  }
}

/// The activations that the terms of packed products multiply.
@unsafe
struct PackedOperands {
  let inputs: ActivationMemory
  let factors: ActivationMemory
  let outliers: ActivationMemory

  fileprivate func term(
    _ weight: kernels_packed, _ operand: PackedRows.Operand, firstGroup: Int
  ) -> kernels_term {
    let memory =
      switch operand {
      case .inputs: unsafe inputs
      case .factors: unsafe factors
      case .outliers: unsafe outliers
      }
    return unsafe kernels_term(
      weight: weight,
      activations: memory.kernelsActivations(
        firstGroup: firstGroup, for: weight.format))
  }
}

/// The cut of a job of packed products into blocks of tokens, and of each block into runs of panels.
///
/// A piece is a few panels of one product and the tokens of one block. The result does not depend on the
/// cut; the speed does. One token takes the time of reading the weights from memory, so a piece is a run
/// of bytes long enough for the hardware prefetcher. Many tokens take the time of computing, so a piece
/// has only as many panels as share one expansion in the first-level cache.
struct PackedPieces {
  /// The number of pieces.
  let count: Int
  private let tokenCount: Int
  private let tokensPerBlock: Int
  private let products: [PackedRows]
  /// The most panels of a piece, so that every thread has several pieces.
  private let share: Int
  private let piecesPerBlock: Int

  /// The bytes of codes of a piece with one token; fewer when threads would have no work.
  ///
  /// Measured with `bench`; see docs/performance.md.
  private static let byteCount = 1 << 20
  /// The number of panels of a piece with many tokens.
  private static let panelCount = 4
  /// The number of pieces per thread, so that the others can take over pieces of a delayed thread.
  private static let piecesPerThread = 4

  init(_ products: [PackedRows], tokenCount: Int, threadCount: Int) {
    self.products = products
    self.tokenCount = tokenCount
    // Blocks of equal length, in whole tiles of 6 tokens.
    let blocks = (tokenCount + Int(KERNELS_TOKEN_BLOCK) - 1) / Int(KERNELS_TOKEN_BLOCK)
    let even = (tokenCount + blocks - 1) / blocks
    tokensPerBlock = tokenCount == 1 ? 1 : min((even + 5) / 6 * 6, Int(KERNELS_TOKEN_BLOCK))
    let panelCount = products.reduce(0) { $0 + $1.panelCount }
    let share = max(1, panelCount / (threadCount * Self.piecesPerThread))
    self.share = share
    piecesPerBlock = products.reduce(0) {
      $0 + Self.pieceCount($1, tokenCount: tokenCount, share: share)
    }
    count = piecesPerBlock * ((tokenCount + tokensPerBlock - 1) / tokensPerBlock)
  }

  private static func panelsPerPiece(_ product: PackedRows, tokenCount: Int, share: Int) -> Int {
    if tokenCount > 1 { return panelCount }
    let run = byteCount / max(product.panelByteCount, 1)
    let step = product.panelStep
    return max(1, min(share, run) / step) * step
  }

  private static func pieceCount(_ product: PackedRows, tokenCount: Int, share: Int) -> Int {
    let panels = panelsPerPiece(product, tokenCount: tokenCount, share: share)
    return (product.panelCount + panels - 1) / panels
  }

  /// The product of piece `index`, and its rows and tokens.
  ///
  /// - Complexity: O(products), of which there are at most three; no allocation.
  func piece(_ index: Int) -> (product: PackedRows, rows: Range<Int>, tokens: Range<Int>) {
    var (block, within) = index.quotientAndRemainder(dividingBy: piecesPerBlock)
    var product = 0
    while true {
      let count = Self.pieceCount(products[product], tokenCount: tokenCount, share: share)
      if within < count { break }
      within -= count
      product += 1
    }
    let rowsPerPiece =
      Self.panelsPerPiece(products[product], tokenCount: tokenCount, share: share)
      * PackedLayout.panelRows
    let row = within * rowsPerPiece
    block *= tokensPerBlock
    return (
      products[product], row..<min(row + rowsPerPiece, products[product].rowCount),
      block..<min(block + tokensPerBlock, tokenCount)
    )
  }
}
