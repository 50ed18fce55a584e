import DuetCompressor
import DuetRuntime
import Testing

@Suite("SceneGolden")
struct SceneGoldenTests {
  @Test("the scenes load, and their numbers are those of a problem", arguments: SceneGolden.names)
  func loads(name: String) throws {
    let scene = try SceneGolden(name)
    #expect(scene.weight.rowCount == 192 && scene.weight.columnCount == 256)
    #expect(scene.hessian.rowCount == 256 && scene.hessian.columnCount == 256)
    for row in 0..<256 {
      #expect(scene.hessian[row, row] > 0)
      for column in 0..<row { #expect(scene.hessian[row, column] == scene.hessian[column, row]) }
    }
    #expect(scene.outliers.count == (name == "S4" ? 2 : 8))
    #expect(scene.errors.count == 36)
    let nearest = try scene.error("rtn 2 rotated")
    let feedback = try scene.error("ldlq 2 rotated")
    let decomposed = try scene.error("zero 2 lr4 feedback refine3")
    #expect(nearest.mean > feedback.mean && feedback.mean > decomposed.mean)
    #expect(nearest.standardError > 0 && decomposed.mean > 0)
    #expect(nearest.rotationCount == 64 && decomposed.rotationCount == 16)
    let plain = try scene.error("rtn 2")
    #expect(plain.standardError == 0 && plain.rotationCount == 1)
  }

  @Test("outlier channels have the largest activations")
  func outliers() throws {
    let scene = try SceneGolden("S1")
    let order = (0..<256).sorted { scene.hessian[$0, $0] > scene.hessian[$1, $1] }
    #expect(order.prefix(8).sorted() == scene.outliers)
  }
}
