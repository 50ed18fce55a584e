import DuetRuntime
import DuetText
import TestSupport
import Testing

@Suite("Content in chat templates")
struct ChatTemplateProvenanceTests {
  /// Renders with content marked by guillemets, so that expectations can be read.
  private func marked(
    _ source: String, content: String = "ab", dateString: String? = nil
  ) throws -> String {
    try ChatTemplate(source: source).render(
      [ChatMessage(role: .user, content: content)], beginningOfSequence: "<s>",
      endOfSequence: "</s>", date: someDay, dateString: dateString
    ).map { $0.isContent ? "«\($0.text)»" : $0.text }.joined()
  }

  @Test(
    "content stays content through every operation",
    arguments: [
      ("{{ messages[0].content }}", "«ab»"),
      ("{{ messages[0].role }}{{ bos_token }}", "user<s>"),
      ("x{{ messages[0].content }}y", "x«ab»y"),
      ("{{ messages[0].content }}{{ messages[0].content }}", "«abab»"),
      ("{{ 'x' + messages[0].content + 'y' }}", "x«ab»y"),
      ("{{ 'x' ~ messages[0].content ~ 1 }}", "x«ab»1"),
      ("{{ messages[0].content[1:] }}{{ messages[0].content[0] }}", "«ba»"),
      ("{{ ('x' + messages[0].content + 'y')[:-2] }}", "x«a»"),
      ("{{ ('x' + messages[0].content + 'y').strip('xb') }}", "«ab»y"),
      ("{{ ('  ' + messages[0].content + '  ') | trim }}", "«ab»"),
      ("{{ ['-', messages[0].content, '-'] | join(messages[0].content) }}", "-«ababab»-"),
      ("{{ messages[0].content | list | join('-') }}", "«a»-«b»"),
      ("{{ messages[0].content.split('a') | join('|') }}", "|«b»"),
      ("{{ messages[0].content.replace('b', 'c') }}", "«a»c"),
      ("{{ 'xbx'.replace('b', messages[0].content) }}", "x«ab»x"),
      ("{{ ('x' + messages[0].content).title() }}", "X«ab»"),
      ("{{ messages[0] | tojson }}", "{\"role\": \"user\", \"content\": \"«ab»\"}"),
      ("{% set x = messages[0].content %}{{ x }}{% set y = x ~ '.' %}{{ y }}", "«abab»."),
      ("{% set n = namespace(x='') %}{% set n.x = n.x + messages[0].content %}{{ n.x }}", "«ab»"),
      ("{% for c in 'p' + messages[0].content %}{{ c }}{% endfor %}", "p«ab»"),
      ("{{ missing | default(messages[0].content) | string }}", "«ab»"),
      ("{{ messages[0].content == 'ab' }}{{ 'a' in messages[0].content }}", "TrueTrue"),
      ("{{ date_string }}", "«now»"),
      ("{{ strftime_now('%Y') }}", "2025"),
      ("{{ strftime_now('%Y' + messages[0].content) }}", "«2025ab»"),
      (
        "{{ ('x' + messages[0].content) | upper }}{{ messages[0].content | capitalize }}", "X«ABAb»"
      ),
      ("{{ ('x' + messages[0].content).swapcase() }}{{ 'A' | lower }}", "X«AB»a"),
      ("{{ ('x' + messages[0].content)[::-1] }}{{ messages[0].content | reverse }}", "«ba»x«ba»"),
      ("{{ ('x-' ~ messages[0].content ~ '-y').split('-', 1)[1] }}", "«ab»-y"),
      ("{{ ('x ' ~ messages[0].content).rsplit(none, 1) | join('|') }}", "x|«ab»"),
      ("{{ ('x\n' ~ messages[0].content).splitlines()[1] }}", "«ab»"),
      ("{{ (messages[0].content ~ '=x').partition('b') | join('/') }}", "«a»/«b»/=x"),
      ("{{ messages[0].content.removeprefix('a') }}{{ 'xab'.removesuffix('b') }}", "«b»xa"),
      (
        "{{ messages[0].content.center(6, '-') }}{{ 'x'.ljust(3, messages[0].content[0]) }}",
        "--«ab»--x«aa»"
      ),
      ("{{ messages[0].content.zfill(4) }}{{ messages[0].content * 2 }}", "00«ababab»"),
      ("{{ '<%s|%5s>' % (messages[0].content, messages[0].content) }}", "<«ab»|   «ab»>"),
      (
        "{{ '<{}|{!r}|{:-<4}>'.format(messages[0].content, messages[0].content, messages[0].content) }}",
        "<«ab»|'«ab»'|«ab»-->"
      ),
      ("{{ '%c' % 60 }}", "«<»"),
      ("{{ ('{:' ~ messages[0].content[0] ~ '<3}').format('x') }}", "x«aa»"),
      ("{{ (messages[0].content ~ '%%{') % () }}", "«ab%»{"),
      ("{{ messages[0].content | replace('', '-') }}", "-«a»-«b»-"),
      (
        "{{ ('<' ~ messages[0].content) | e }}{{ ('<' | e) + messages[0].content }}",
        "&lt;«ab»&lt;«ab»"
      ),
      ("{{ ('x\n' ~ messages[0].content) | indent(1) }}", "x\n «ab»"),
      ("{{ ('x ' ~ messages[0].content ~ ' abcdefgh') | truncate(8, true, '', 0) }}", "x «ab» abc"),
      ("{{ [messages[0].content] }}{{ {messages[0].content: 1} }}", "['«ab»']{'«ab»': 1}"),
      ("{{ messages | map(attribute='content') | map('upper') | join('+') }}", "«AB»"),
      (
        "{% for g in messages | groupby('content') %}{{ g.grouper }}{{ g[0] }}{% endfor %}",
        "«abab»"
      ),
      ("{{ [messages[0].content, 'aa'] | sort | join('+') }}", "aa+«ab»"),
      (
        "{{ ['x', messages[0].content] | unique | list | last }}{{ ['', messages[0].content] | max }}",
        "«abab»"
      ),
      ("{{ dict([(messages[0].content, 'v')]) | dictsort | first | join('=') }}", "«ab»=v"),
      ("{{ {messages[0].content: 'v'} | tojson(indent=1) }}", "{\n \"«ab»\": \"v\"\n}"),
      (
        "{% macro f(x, y='-') %}<{{ x }}{{ y }}>{% endmacro %}{{ f(messages[0].content) }}",
        "<«ab»->"
      ),
      (
        "{% macro f() %}[{{ caller(messages[0].content) }}]{% endmacro %}"
          + "{% call(x) f() %}{{ x }}.{% endcall %}", "[«ab».]"
      ),
      ("{% set x %}<{{ messages[0].content }}>{% endset %}{{ x | upper }}", "<«AB»>"),
      ("{% filter upper %}x{{ messages[0].content }}{% endfilter %}", "X«AB»"),
      ("{% generation %}{{ messages[0].content }}{% endgeneration %}.", "«ab»."),
      ("{% with x = messages[0].content %}{{ x }}!{% endwith %}", "«ab»!"),
      ("{% set a, b = messages[0].content, 'x' %}{{ a }}{{ b }}", "«ab»x"),
      ("{% set c = cycler(messages[0].content, 'x') %}{{ c.next() }}{{ c.next() }}", "«ab»x"),
      (
        "{{ messages[0].content.join(['x', 'y']) }}{{ ''.join([messages[0].content]) }}",
        "x«ab»y«ab»"
      ),
      ("{{ messages[0].content | batch(1) | map('first') | join('/') }}", "«a»/«b»"),
    ])
  func contentStaysContent(source: String, expected: String) throws {
    #expect(try marked(source, dateString: "now") == expected)
  }

  @Test("escapes inside content are content")
  func escapesInsideContentAreContent() throws {
    #expect(
      try marked("{{ messages[0].content | tojson }}", content: "\"é\n\u{1}")
        == "\"«\\\"é\\n\\u0001»\"")
  }

  /// 200 random programs of string operations: content never becomes template text or the reverse.
  ///
  /// Contents use capital letters only and templates small ones, so the case of every letter tells where
  /// it must have come from.
  @Test(
    "random operations never turn content into template text or the reverse", arguments: 0..<200)
  func randomOperations(seed: Int) throws {
    var generator = RandomGenerator(seed: UInt64(seed))
    func pick(_ options: [String]) -> String {
      options.randomElement(using: &generator) ?? ""
    }
    func expression(_ depth: Int) -> String {
      let leaf = pick(["messages[0].content", "messages[1].content", "'abc'", "'é '", "x"])
      guard depth > 0 else { return leaf }
      let a = expression(depth - 1)
      let b = expression(depth - 1)
      return pick([
        "(\(a) + \(b))", "(\(a) ~ \(b))", "(\(a))[1:]", "(\(a))[:-1]", "(\(a))[2:5]",
        "(\(a)) | trim", "(\(a)).strip('aB')", "[\(a), \(b)] | join(\(leaf))",
        "(\(a)).split('b') | join(\(b))", "(\(a)).replace('A', \(leaf))", "(\(a)).split() | join",
        "(\(a)) | list | join(\(leaf))", "(\(a))[::-1]", "(\(a))[::2]", "(\(a)) | reverse",
        "(\(a)).split('b', 1) | last", "(\(a)).rsplit(none, 1) | join(\(b))", "'%s.' % (\(a),)",
        "'{}{}'.format(\(a), \(b))", "(\(a)).center(9)", "(\(a)) * 2", "(\(a)) | indent",
        "(\(a)).partition('a') | join", "[\(a), \(b)] | sort | join", "{\(a): 1} | list | first",
        "[\(a)] | map('replace', 'c', \(leaf)) | first", "[\(a), \(b)] | max", "m(\(a))",
        "(\(a)).removeprefix('a')", "(\(a)).ljust(5, '-')", "(\(a)) | list | sort | join",
      ]).withParentheses
    }
    let source =
      "{% macro m(v) %}{% set w %}{{ v }}-{% endset %}{{ w }}{% endmacro %}{% set x = '' %}{% set x = \(expression(2)) %}{{ \(expression(4)) }}{{ x }}"
    let contents = ["AB CÉ", " DA  B"]
    let segments = try ChatTemplate(source: source).render(
      contents.map { ChatMessage(role: .user, content: $0) }, beginningOfSequence: "",
      endOfSequence: "", date: someDay)
    for segment in segments {
      let wrong = segment.text.contains { segment.isContent ? $0.isLowercase : $0.isUppercase }
      #expect(!wrong, "\(source): \(segment)")
    }
  }
}

extension String {
  fileprivate var withParentheses: String { "(\(self))" }
}
