import DuetRuntime
import DuetSystem
import DuetText
import Foundation
import TestSupport

/// The tokenizers that are there: that of models/stories, and those of ../shared.
private func tokenizers() throws -> [(name: String, tokenizer: Tokenizer)] {
  var paths = [SharedData.project("models/stories")]
  for name in ["llama2", "llama3", "mistral-v0.1", "mistral-v0.3"] {
    if let path = SharedData.path("tokenizers/\(name)") { paths.append(path) }
  }
  return try paths.map { path in
    (path.split(separator: "/").last.map(String.init) ?? path, try Tokenizer(contentsOf: path))
  }
}

/// Whether every text comes back: a piece for every byte and nothing added in front.
private func isByteLevel(_ tokenizer: Tokenizer) -> Bool {
  let text = " a  b\u{E9}\n"
  return tokenizer.decode(tokenizer.encode(text, addingSpecialTokens: false)) == text
    && tokenizer.token("\u{2581}") == nil
}

/// Runs of one thing: the time grows in proportion and, at the byte level, the text comes back.
///
/// Ten times the text may take twelve times as long: what is over ten is for the noise of a shared
/// machine and for caches, while quadratic time would be a hundred. Of a million and more the better of
/// two times counts, for the same reason.
///
/// To be run with `MALLOC_MMAP_THRESHOLD_=131072`, which makes all that is large new memory at every size, as
/// it is for a program that encodes one text. Otherwise a million units get again what the run before gave
/// back, while ten million, beyond what the allocator keeps, pay for new pages: eight bytes a token, which
/// is a third of the time where every symbol is a token.
func patterns(_ options: PartOptions) throws -> PartResult {
  var result = PartResult()
  var worst = (ratio: 0.0, name: "")
  for (name, tokenizer) in try tokenizers() {
    for pattern in TextPattern.all {
      var previous: Double?
      var size = 1000
      while size <= options.count {
        let text = pattern.text(size)
        var seconds = Double.infinity
        var ids: [Int] = []
        for _ in 0..<(size == 1_000_000 ? 2 : 1) {
          let before = threadSeconds()
          ids = tokenizer.encode(utf8: text, addingSpecialTokens: false)
          seconds = min(seconds, threadSeconds() - before)
        }
        if isByteLevel(tokenizer), !Array(tokenizer.decode(ids).utf8).elementsEqual(text) {
          result.fail("\(name), \(pattern.name), \(size): the text does not come back")
        }
        if !ids.allSatisfy({ $0 >= 0 && $0 < tokenizer.vocabularySize }) {
          result.fail("\(name), \(pattern.name), \(size): ids out of range")
        }
        // Below a million units the clock and caches say more than the text.
        if let previous, size >= 10_000_000 {
          var ratio = seconds / previous
          if ratio > 12 {
            let before = threadSeconds()
            _ = tokenizer.encode(utf8: text, addingSpecialTokens: false)
            ratio = min(ratio, (threadSeconds() - before) / previous)
          }
          if ratio > worst.ratio { worst = (ratio, "\(name), \(pattern.name)") }
          if ratio > 12 {
            result.fail(
              "\(name), \(pattern.name): ten times the text takes \(decimal(ratio)) times")
          }
        }
        previous = seconds
        result.caseCount += 1
        size *= 10
      }
    }
  }
  if worst.ratio > 0 {
    result.lines.append(
      "ten times the text takes at most \(decimal(worst.ratio)) times (\(worst.name))")
  }
  return result
}

/// Random texts at the byte level: what is encoded and decoded is the same.
func roundTrips(_ options: PartOptions) throws -> PartResult {
  var result = PartResult()
  let all = try tokenizers().filter { isByteLevel($0.tokenizer) }
  result.lines.append("tokenizers: \(all.map(\.name).joined(separator: ", "))")
  var generator = RandomGenerator(seed: options.seed)
  for number in 0..<options.count {
    let text = RandomText.next(using: &generator)
    let tokenizer = all[number % all.count].tokenizer
    let ids = tokenizer.encode(utf8: text, addingSpecialTokens: false)
    var stream = TokenStream(tokenizer, skippingSpecialTokens: false)
    var pieces = ids.map { stream.append($0) }.joined()
    pieces += stream.finish()
    if !Array(tokenizer.decode(ids).utf8).elementsEqual(text) || !pieces.utf8.elementsEqual(text) {
      result.fail("\(all[number % all.count].name): \(text)")
    }
    result.caseCount += 1
  }
  return result
}

/// Every added token typed as content, in all templates: no control token but the template's own.
func injections(_ options: PartOptions) throws -> PartResult {
  var result = PartResult()
  for (name, tokenizer) in try tokenizers() {
    let outcome = try InjectionTrial(tokenizer).run()
    result.caseCount += outcome.caseCount
    for failure in outcome.failures { result.fail("\(name), \(failure)") }
  }
  return result
}
