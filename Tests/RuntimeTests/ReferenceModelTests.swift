import DuetRuntime
import Foundation
import TestSupport
import Testing

/// The small trained models, against what transformers says in their `reference.json`.
@Suite("Continuations of trained models")
struct ReferenceModelTests {
  /// A prompt, what the reference continues with, and the smallest gap between its two best logits.
  struct Continuation {
    let name: String
    let folder: String
    let prompt: [Int]
    let greedy: [Int]
    let margin: Double
  }

  static let sharedNames = ["stories260K", "TinyStories-656K"]

  @Test("models/stories continues as the reference does")
  func storiesContinuesAsTheReferenceDoes() throws {
    let folder = SharedData.project("models/stories")
    let object = try reference(folder)
    let prompts = try #require(object["prompts"] as? [[String: Any]])
    #expect(prompts.count >= 3)
    for prompt in prompts {
      try check(
        Continuation(
          name: "stories", folder: folder, prompt: try #require(prompt["prompt_ids"] as? [Int]),
          greedy: try #require(prompt["greedy_ids"] as? [Int]),
          margin: try #require(prompt["smallest_top1_top2_logit_margin"] as? Double)))
    }
  }

  @Test(
    "shared models continue as the reference does",
    .enabled(if: SharedData.path("models") != nil, "../shared is absent"), arguments: sharedNames)
  func sharedModelsContinueAsTheReferenceDoes(name: String) throws {
    let folder = try #require(SharedData.path("models/\(name)"))
    let object = try reference(folder)
    let prompt = try #require(object["prompt_ids"] as? [Int])
    try check(
      Continuation(
        name: name, folder: folder, prompt: prompt,
        greedy: try #require(object["greedy_ids"] as? [Int]), margin: 1))

    // The eight likeliest tokens after the prompt, with their logits to five decimals.
    var session = try Session(
      Model(contentsOf: folder), options: SessionOptions(contextLength: 512, cacheType: .f32))
    try session.append(prompt)
    let top = try #require(object["last_prompt_position_top8"] as? [[Any]])
    for pair in top {
      let id = try #require(pair[0] as? Int)
      let logit = try #require(pair[1] as? Double)
      // The bar of golden/README.md for single precision, which these larger sums also meet.
      #expect(abs(Double(session.logits[id]) - logit) < 2e-3, "\(name) token \(id)")
    }
  }

  /// Greedy ids are those of the reference up to the first place where the two best logits are closer
  /// than 0.03 (the bar): from there on the continuations may be different stories.
  private func check(_ expected: Continuation) throws {
    for cache in [KVCacheType.f16, .f32] {
      let model = try Model(contentsOf: expected.folder)
      var session = try Session(
        model, options: SessionOptions(contextLength: 512, cacheType: cache))
      try session.append(expected.prompt)
      for (place, id) in expected.greedy.enumerated() {
        var best = (id: 0, logit: -Float.infinity)
        var second = -Float.infinity
        for candidate in session.logits.indices {
          let logit = session.logits[candidate]
          if logit > best.logit {
            second = best.logit
            best = (candidate, logit)
          } else {
            second = max(second, logit)
          }
        }
        if best.id != id {
          #expect(
            expected.margin < 0.03 && best.logit - second < 0.03,
            "\(expected.name) \(cache) at \(place): \(best.id), not \(id)")
          return
        }
        try session.append([id])
      }
    }
  }

  private func reference(_ folder: String) throws -> [String: Any] {
    let data = try Data(contentsOf: URL(fileURLWithPath: folder + "/reference.json"))
    return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
  }
}
