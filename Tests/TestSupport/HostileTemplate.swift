/// A template that tries to do harm.
package struct HostileTemplate: Sendable {
  /// The harm that it tries to do.
  package var name: String
  /// Its text.
  package var source: String
}

private func repeated(_ text: String, _ count: Int) -> String {
  String(repeating: text, count: count)
}

extension HostileTemplate {
  /// An expression in `count` pairs of `open` and `close`.
  package static func nested(_ open: String, _ core: String, _ close: String, _ count: Int)
    -> String
  {
    "{{ " + String(repeating: open, count: count) + core + String(repeating: close, count: count)
      + " }}"
  }

  /// All hostile templates, over 300.
  package static let all: [HostileTemplate] =
    deep + deepBlocks + chains + growth + recursion + wide + forbidden + arithmetic + broken
    + dear

  /// Nesting of every kind, just too deep and far too deep.
  private static let deep: [HostileTemplate] = [65, 1_000, 20_000].flatMap { count in
    [
      HostileTemplate(name: "parentheses \(count)", source: nested("(", "1", ")", count)),
      HostileTemplate(name: "open parentheses \(count)", source: "{{ " + repeated("(", count)),
      HostileTemplate(name: "lists \(count)", source: nested("[", "1", "]", count)),
      HostileTemplate(name: "not \(count)", source: nested("not ", "1", "", count)),
      HostileTemplate(name: "minus \(count)", source: nested("- ", "1", "", count)),
      HostileTemplate(name: "subscripts \(count)", source: nested("x[", "1", "]", count)),
      HostileTemplate(name: "calls \(count)", source: nested("f(", "1", ")", count)),
      HostileTemplate(name: "filters \(count)", source: nested("1|join(", "1", ")", count)),
      HostileTemplate(name: "tests \(count)", source: nested("1 is eq ", "1 is no", "", count)),
      HostileTemplate(name: "else \(count)", source: nested("1 if 0 else ", "1", "", count)),
      HostileTemplate(
        name: "if blocks \(count)",
        source: repeated("{%if 1%}", min(count, 15_000)) + repeated("{%endif%}", min(count, 15_000))
      ),
      HostileTemplate(
        name: "for blocks \(count)", source: repeated("{% for i in m %}", min(count, 15_000))),
      HostileTemplate(
        name: "else blocks \(count)",
        source: repeated("{%if 0%}{%else%}", min(count, 15_000))),
    ]
  }

  /// Nesting of the blocks and literals that are parsed apart, just too deep and far too deep.
  private static let deepBlocks: [HostileTemplate] = [65, 1_000, 15_000].flatMap { count in
    [
      ("macros", "{% macro f() %}"), ("calls", "{% call f() %}"), ("set blocks", "{% set x %}"),
      ("filter blocks", "{% filter e %}"), ("with blocks", "{% with %}"),
      ("generation", "{% generation %}"), ("targets", "{% set " + repeated("(", 100)),
      ("mappings", "{{ {'a': "), ("tuples", "{{ (1, ("), ("slices", "{{ x[1:"), ("plus", "{{ + + "),
      ("unpacking", "{{ f(*f("),
    ].map { name, opening in
      HostileTemplate(name: "\(name) \(count)", source: repeated(opening, count))
    }
  }

  /// Long chains that would overflow the stack with a recursive tree; each ends in an error.
  private static let chains: [HostileTemplate] = [1_000, 20_000, 50_000].flatMap { count in
    [
      HostileTemplate(name: "sum \(count)", source: "{{ 1" + repeated("+1", count) + "+'' }}"),
      HostileTemplate(
        name: "string sum \(count)", source: "{{ 'a'" + repeated("+'b'", count) + "+ 1 }}"),
      HostileTemplate(
        name: "tildes \(count)", source: "{{ 1" + repeated("~1", count) + "~ (1).a.b }}"),
      HostileTemplate(
        name: "attributes \(count)", source: "{{ messages" + repeated(".a", count) + " }}"),
      HostileTemplate(
        name: "trims \(count)", source: "{{ 'x'" + repeated("|d", count) + "|nothing }}"),
      HostileTemplate(
        name: "and \(count)", source: "{{ 1" + repeated("and 1 ", count) + "and (1).a.b }}"),
      HostileTemplate(
        name: "or \(count)", source: "{{ 0 " + repeated("or 0 ", count) + "or (1).a.b }}"),
      HostileTemplate(
        name: "comparisons \(count)", source: "{{ 1" + repeated("==1", count) + "<'' }}"),
      HostileTemplate(
        name: "elif \(count)",
        source: "{%if 0%}" + repeated("{%elif 0%}", min(count, 25_000))
          + "{%else%}{{ 1 + '' }}{%endif%}"),
      HostileTemplate(
        name: "list \(count)", source: "{{ [" + repeated("1,", count) + "] + 1 }}"),
      HostileTemplate(
        name: "arguments \(count)", source: "{{ range(" + repeated("1,", count) + ") }}"),
      HostileTemplate(
        name: "comments \(count)", source: repeated("{##}", count) + "{#"),
      HostileTemplate(
        name: "strings \(count)", source: "{{ " + repeated("'a'", count) + " + 1 }}"),
      HostileTemplate(
        name: "blanks \(count)", source: repeated(" ", count) + "{{" + repeated(" ", count)),
      HostileTemplate(
        name: "lines \(count)",
        source: repeated("\n  {{-'a'-}}  ", min(count, 18_000))
          + "{{ 1 + '' }}"
      ),
    ]
  }

  /// Small programs whose values, texts or running times grow without bounds.
  private static let growth: [HostileTemplate] =
    [
      "{% for i in range(1000000000) %}{% endfor %}",
      "{% for i in range(0, 9223372036854775807, 1) %}{% endfor %}",
      "{{ range(-9223372036854775807, 9223372036854775807) }}",
      "{{ range(5, -9223372036854775807, -1) }}",
      "{{ range(1, 2, 0) }}",
      repeated("{% for i in range(100) %}", 20) + "x" + repeated("{% endfor %}", 20),
      "{% for i in range(100000) %}{% for i in range(100000) %}{% endfor %}{% endfor %}",
      "{% for i in range(100000) %}{{ range(100000) | length }}{% endfor %}",
      "{% for i in range(1000) %}{{ range(100000) | list | length }}{% endfor %}",
      doubling("n.x + n.x", times: 60), doubling("n.x ~ n.x", times: 60),
      doubling("[n.x, n.x] | join", times: 60), doubling("n.x.replace('a', n.x)", times: 60),
      doubling("n.x.replace('a', 'aa')", times: 60), doubling("n.x | tojson", times: 60),
      doubling("n.x.split('a') | join(n.x)", times: 60),
      doubling("n.x | list | join('aaaa')", times: 60),
      doubling("[n.x, n.x]", times: 60) + "{{ n.x | tojson }}",
      doubling("[n.x, n.x]", times: 60)
        + "{% set a = n.x %}{{ [a] == [a] and a == n.x }}{{ 1 + '' }}",
      doubling("[n.x]", times: 100), doubling("[n.x]", times: 90_000),
      doubling("n.x + n.x", start: "[1]", times: 60),
      doubling("n.x + [n.x]", start: "[1]", times: 70),
      doubling("n.x + range(1000) | list", start: "[1]", times: 10_000),
      doubling("n.x + 'aaaaaaaaaaaaaaaa'", times: 100_000),
      doubling("n.x + messages[0].content", times: 100_000),
      doubling("messages[0].content ~ n.x", times: 100_000),
      doubling("namespace(a=n.x)", times: 100_000) + overrun,
      long(21, "n.x.title()"), long(21, "n.x.strip('ba')"), long(21, "n.x | trim"),
      long(21, "n.x[5]"), long(21, "n.x[-5]"), long(21, "n.x[1:-1]"), long(21, "n.x | length"),
      long(21, "n.x | tojson"), long(21, "n.x.split('a')"), long(21, "n.x.split()"),
      long(21, "n.x | list"), long(21, "n.x.replace('a', 'bbbbbbbb')"),
      long(21, "n.x + 'a' in n.x"),
      long(21, "n.x[1:] + 'b' in n.x"), long(21, "n.x == n.x + ''"), long(21, "n.x < n.x + 'a'"),
      long(21, "n.x in [n.x + 'a', n.x + 'b']"), long(21, "n.x.startswith('b')"),
      long(21, "n.x.endswith('b')"), long(21, "strftime_now(n.x)"),
      long(21, "messages[0][n.x]"), long(21, "raise_exception(n.x)"),
      long(24, "n.x"), long(28, "n.x"), long(16, "n.x.replace('a', n.x)"),
      long(21, "[n.x, n.x, n.x, n.x] | join(n.x)"),
      "{% for i in range(100000) %}{{ messages[0].content }}{% endfor %}",
      "{% for i in range(100000) %}{{ messages | tojson }}{% endfor %}",
      "{% for i in range(100000) %}{{ messages[0].content[i] }}{% endfor %}",
      "{% for i in range(100000) %}{{ messages[0].content.title() | length }}{% endfor %}",
      "{% for i in range(100000) %}{% set x = messages[0].content.split('a') %}{% endfor %}",
      "{% for i in range(100000) %}{% set x = messages | tojson(indent=16) %}{% endfor %}",
      "{% for i in range(100000) %}{{ messages == messages }}{% endfor %}",
      "{{ messages | tojson(indent=1000000000) }}", "{{ messages | tojson(indent=17) }}",
      "{% for i in range(1000) %}" + repeated("{% set x = namespace() %}", 5_000) + "{% endfor %}",
      "{% set n = namespace() %}{% set n.n = n %}{{ n | tojson }}",
      "{% set n = namespace() %}{% set n.n = [n] %}{{ n.n | join }}",
    ].enumerated().map { HostileTemplate(name: "growth \($0) \($1.prefix(60))", source: $1) }

  /// Macros and loops that call themselves.
  private static let recursion: [HostileTemplate] =
    [
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
      "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
      "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{{ caller }}{% endmacro %}{{ f() }}",
      "{% macro f() %}{% for i in [1] %}{% if 1 %}{{ [f()] | join }}{% endif %}{% endfor %}"
        + "{% endmacro %}{{ f() }}",
      "{% macro f(x=f()) %}{% endmacro %}{{ f() }}",
      "{% macro f() %}{% set x %}{{ f() }}{% endset %}{% endmacro %}{{ f() }}",
      "{% macro f() %}{% filter upper %}{{ f() }}{% endfilter %}{% endmacro %}{{ f() }}",
      "{% macro f() %}" + repeated("(", 50) + "{{ " + repeated("-", 40)
        + "f() | int }}{% endmacro %}"
        + "{{ f() }}",
      "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{% for x in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
      "{% set n = namespace() %}{% macro f() %}{{ n.f() }}{% endmacro %}{% set n.f = f %}{{ f() }}",
      "{% for i in range(100000) %}{% macro f() %}{% endmacro %}{% endfor %}" + overrun,
      "{% for i in range(100000) %}{% set x = cycler(1) %}{% endfor %}" + overrun,
    ].enumerated().map { HostileTemplate(name: "recursion \($0) \($1.prefix(60))", source: $1) }

  /// Results that are far larger than what they are made of.
  private static let wide: [HostileTemplate] =
    [
      "'a' * 1000000000", "1000000000 * 'ab'", "[1] * 1000000000", "(1, 2) * 9223372036854775807",
      "'a' * 9223372036854775807", "2 ** 1000000", "2 ** 9223372036854775807", "2.0 ** 100000",
      "'%1000000000d' % 1", "'%.1000000000f' % 1", "'%*d' % (1000000000, 1)",
      "'{:1000000000}'.format(1)", "'{:.1000000000f}'.format(1.0)", "'a'.center(1000000000)",
      "'a'.ljust(1000000000, '-')", "'a'.zfill(9223372036854775807)",
      "'\t'.expandtabs(1000000000)", "'a' | indent(1000000000)", "'a' | center(1000000000)",
      "[1] | batch(1000000000, 'x') | list", "[1] | slice(1000000000) | list",
      "range(100000) | map('string') | list | sort | unique | list | batch(1) | list | groupby(0)",
      "(range(100000) | list) * 100", "range(100000) | sort(reverse=true) | sort | sort | sort",
      "range(100000) | join(messages[0].content)",
      "messages[0].content.replace('', messages[0].content)",
      "messages[0].content | replace('a', messages[0].content) | replace('a', messages[0].content)",
      "range(100000) | map('center', 1000) | map('center', 2000) | list",
      "(range(3000) | batch(2) | list | sort).x.y", "1e308 * 10 // 0", "1e400 | int",
      "('9' * 400 | float) | int",
      "dict(range(100000) | batch(2)) | dictsort | dictsort", "1.5 % 0", "1.5 / 0", "0 ** -1",
      "{[1]: 2}", "{{}: 2}", "[[1]] | unique | list", "('%s' * 1000000) % (1,)",
      "messages[0].content.split('a') | map('upper') | map('list') | map('sort') | list | sum",
    ].map { HostileTemplate(name: "wide \($0.prefix(80))", source: "{{ \($0) }}") }
    + [
      doubling("n.x * 2", times: 60), doubling("n.x * 2", start: "[1]", times: 60),
      doubling("{'a': n.x}", times: 100), doubling("(n.x, n.x)", times: 60) + "{{ n.x ~ '' }}",
      doubling("dict(n.x, a=n.x)", start: "{}", times: 100),
      doubling("'%s%s' % (n.x, n.x)", times: 60),
      doubling("'{0}{0}'.format(n.x)", times: 60),
      doubling("n.x | e | replace('a', '&&')", times: 60),
      doubling("n.x | string | tojson | tojson", times: 60),
      doubling("[n.x, n.x] | string", times: 60),
      "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}"
        + "{% endfor %}",
      "{% macro f(x) %}{{ x }}{{ x }}{% endmacro %}" + doubling("f(n.x)", times: 60),
      long(21, "n.x.upper()"), long(21, "n.x | title"), long(21, "n.x[::-1]"),
      long(21, "n.x.splitlines()"), long(21, "n.x.rsplit('a', 2)"), long(21, "n.x.count('aa')"),
      long(21, "n.x.rfind('b')"), long(21, "'{}'.format(n.x)"), long(21, "n.x | wordcount"),
      long(21, "n.x | indent"), long(21, "[n.x] ~ ''"), long(21, "{n.x: 1}"), long(21, "n.x | int"),
      long(21, "n.x is lower"), long(21, "n.x.isalpha()"), long(21, "n.x | truncate(9)"),
    ].enumerated().map { HostileTemplate(name: "wide \($0) \($1.prefix(60))", source: $1) }

  /// A loop that needs more steps than are allowed.
  private static let overrun =
    "{% for i in range(100000) %}{% for i in range(100) %}{% endfor %}{% endfor %}"

  /// Sets `n.x` again and again, then uses the result.
  private static func doubling(_ step: String, start: String = "'a'", times: Int) -> String {
    "{% set n = namespace(x=\(start)) %}{% for i in range(\(times)) %}{% set n.x = \(step) %}"
      + "{% endfor %}{{ [n.x] + '' }}"
  }

  /// Makes a text of 2^`bits` bytes and computes something from it again and again.
  private static func long(_ bits: Int, _ work: String) -> String {
    "{% set n = namespace(x='a') %}{% for i in range(\(bits)) %}{% set n.x = n.x + n.x %}"
      + "{% endfor %}{% for i in range(100000) %}{% set y = \(work) %}{% endfor %}" + overrun
  }

  /// Known attempts to escape from the language, and the parts of Jinja that are not supported.
  private static let forbidden: [HostileTemplate] =
    [
      "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ messages.__class__.__init__ }}",
      "{{ raise_exception.__globals__['os'].popen('id').read() }}",
      "{{ lipsum.__globals__ }}", "{{ cycler.__init__.__globals__.os }}",
      "{{ self.__init__.__globals__ }}", "{{ config.items() }}", "{{ request.application }}",
      "{{ messages.append(1) }}", "{{ messages[0].update(a=1) }}", "{{ messages[0].pop('role') }}",
      "{{ [].extend([1]) }}", "{{ {}.setdefault('a', 1) }}", "{{ [1].clear() }}",
      "{{ '{0.__class__.__init__.__globals__}'.format(messages) + 1 }}",
      "{{ ('a' | attr('__class__')).x }}", "{{ messages | map(attribute='__class__.x') | list }}",
      "{{ messages | map('nothing') | list }}", "{{ messages | select('nothing') | list }}",
      "{{ messages | sort }}", "{{ messages | random }}", "{{ open('/etc/passwd') }}",
      "{{ exec('x') }}", "{{ 'a'.encode() }}", "{{ 'a'.translate({}) }}", "{{ joiner()(1) }}",
      "{% for m in messages %}{{ loop(m) }}{% endfor %}", "{% include '/etc/passwd' %}",
      "{% import 'os' as os %}", "{% from 'os' import system %}", "{% extends 'x' %}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{% call f() %}{% endcall %}",
      "{% autoescape true %}{% endautoescape %}", "{% do messages.append(1) %}",
      "{% trans %}{% endtrans %}", "{% debug %}", "{% break %}", "{% continue %}",
      "{% for m in messages %}{% macro f() %}{% break %}{% endmacro %}{% endfor %}",
      "{{ range(*messages) }}", "{{ range(**messages) }}", "{{ '\\N{DIGIT ONE}' }}",
      "{{ strftime_now('%c') }}", "{{ strftime_now('%') }}",
      "{{ messages | selectattr('a.b') | list }}", "{{ namespace }}", "{{ messages | map }}",
      "{{ messages[0].items }}", "{{ range(3) }}",
    ].enumerated().map { HostileTemplate(name: "forbidden \($0) \($1.prefix(60))", source: $1) }

  /// Integers at the limits of their range, and operations on unsuitable values.
  private static let arithmetic: [HostileTemplate] =
    [
      "9223372036854775807 + 1", "-9223372036854775807 - 2", "9223372036854775807 * 2",
      "99999999999999999999999", "(-9223372036854775807 - 1) // -1",
      "-(-9223372036854775807 - 1)", "1 // 0", "1 % 0", "1 // false", "'a' * 1000000000",
      "[1] * 1000000000", "1 % 'a'", "none + 1", "[] - []", "1 < none", "1 in 1", "-'a'",
      "range('a')", "range()", "range(none)", "'a'[:'b']", "'a'.split('')",
      "1 | length", "none | list", "1 | items", "namespace(1)", "raise_exception()", "'a'.strip(1)",
    ].map { HostileTemplate(name: "arithmetic \($0)", source: "{{ \($0) }}") }

  /// Few steps, each of which reads much.
  private static let dear: [HostileTemplate] = [
    ("long names", "{% set \(repeated("a", 200_000)) = 1 %}"),
    (
      "long prefixes",
      "{% set t = ('a' * 100000 ~ 'c',) * 100000 %}{{ ('a' * 100000 ~ 'b').startswith(t) }}"
    ),
    (
      "long suffixes",
      "{% set t = ('c' ~ 'a' * 100000,) * 100000 %}{{ ('b' ~ 'a' * 100000).endswith(t) }}"
    ),
    (
      "texts in tuples as keys",
      "{% set t = (('a' * 100000,),) %}{% set d = {1: 1} %}"
        + "{% for i in range(100000) %}{{ d[t] }}{% endfor %}"
    ),
    (
      "many named values",
      "{% set k = dict(range(80000) | map('string') | batch(2)) %}"
        + "{{ ('{a}' * 200000).format(a=1, **k) }}"
    ),
    (
      "the rest of an iterator",
      "{% set it = range(100000) | map('int') %}"
        + "{% for i in range(90000) %}{% for c in it %}{% break %}{% endfor %}{% endfor %}"
    ),
    (
      "long names of attributes",
      "{% set ns = namespace() %}{% set x = 'a' * 100000 %}"
        + "{% for i in range(100000) %}{{ ns | attr(x) }}{% endfor %}"
    ),
  ].map { name, source in HostileTemplate(name: name, source: source) }

  /// Sources that are cut off or garbled.
  private static let broken: [HostileTemplate] =
    [
      "{{", "{%", "{#", "{{ '", "{{ \"\\", "{{ '\\x", "{{ '\\x4", "{{ '\\ud800' }}", "{{ 1 ",
      "{{ a. }}", "{{ a[ }}", "{{ a[1 }}", "{{ a( }}", "{{ a | }}", "{{ a is }}", "{{ not }}",
      "{{ 1 if }}", "{{ }}", "{% %}", "{% if %}{% endif %}", "{% if 1 %}", "{% endif %}",
      "{% for %}", "{% for x %}", "{% for x in %}", "{% for x in y %}",
      "{% for 1 in y %}{% endfor %}",
      "{% else %}", "{% elif 1 %}", "{% set %}", "{% set x %}", "{% set x = %}", "{% set 1 = 2 %}",
      "{% set x.y = 1 %}", "{% if 1 %}{% endfor %}", "{% if 1 %}{% else %}{% elif 1 %}{% endif %}",
      "{{ é }}", "{{ \u{1F999} }}", "{{ \u{0} }}", "{{ a $ b }}", "{{ a b }}", "{{ 1 == }}",
      "{{ 'a' 1 }}", "{{ f(a=1, 2) }}", "{{ f(1=2) }}", "{{ a } }", "{% if 1 }}x{% endif %}",
    ].map { HostileTemplate(name: "broken \($0)", source: $0) }
}
