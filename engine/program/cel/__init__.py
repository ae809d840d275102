r"""Conditions in CEL, the Common Expression Language, compiled to Python functions.

`compiler` is the way in, `explain` says why a condition gave what it gave. The way of a condition:
text -> `lexer` -> `parser` (syntax tree) -> `checker` and `functions` (typed tree, `ir`) ->
`emitter` (one Python expression) -> one function, which runs without builtins and calls nothing
but `operations`, `datefields` and a compiled `pattern`. It runs in 0.35 us for five terms.

What there is
- `&& || !`, `== != < <= > >=`, `in`, `+ - * / %`, `test ? a : b`, `[1, 2]`, `{"a": 1}`, `x.field`,
  `x["field"]`, `x[0]`, comments after `//`; integers (also `0x1F`), doubles, texts in either quote,
  threefold or raw (`r"\d"`), `true false null`.
- `has(x.field) size(x) int(x) double(x) string(x) timestamp(x) duration(x)`; on texts `startsWith
  endsWith contains matches lower upper size`; on lists, and on the keys of maps, `exists all
  exists_one filter map`; on timestamps `getFullYear getMonth getDate getDayOfMonth getDayOfYear
  getDayOfWeek getHours getMinutes getSeconds getMilliseconds`, with a time zone if wanted.
- Names: `event.<property>`, `event_name`, `profile.<trait>`, `context.<field>`, `scores.<name>`
  and `now`.
- The customer's past: `count(event, window)`, `sum(event, property, window)`, `last(event)`,
  `since(event)`, `in_segment(name)`, `engagement(channel, status, window)`, `reachable(channel)`;
  names and windows are written out in quotes, because they decide how much of the past is kept.
- Not there: unsigned integers, bytes, messages, types as values, maps with keys that are not texts,
  times inside lists and maps. Each is an error that says so.

What it means. Where CEL gives a result, the result here is the same; tests compare with Google's
implementation. Where CEL gives an error while running, this gives *absent* or false:
- A field that is not there is absent. So is what can't be computed: arithmetic with something
  absent or of the wrong kind, division by zero, an integer beyond 64 bits, an element beyond the
  end, a text that is no number, instant or duration, a list or map with an absent part.
- Comparing with something absent is false, `!=` and `== null` too. So are `in`, `has`, and the
  tests on texts and lists (`startsWith`, `exists`, `all` …) on what is absent or of the wrong kind.
- Values of different kinds are not equal, so `!=` is true; they have no order, so `<` is false.
  `1 == 1.0`, but `true != 1`: a bool is no number. `null` is a value; only `null` equals it.
- Where true or false is wanted (`&& || ! ?:` and macros) only true is true: what is absent, null,
  or no bool counts as not true. Hence `!profile.active` is true where the trait is absent, and
  `false && x` is false, `true || x` is true, on whichever side, as in CEL.
- A whole condition that is absent is false; a whole value that is absent is None.
- Two integers divide to an integer, toward zero, and `%` has the sign of its left side. An integer
  with a double gives a double (an error in CEL): JSON does not tell 10 from 10.0. The two compare
  exactly, where Google's implementation rounds beyond 2**53.
- `x / 0.0` is absent, too (in CEL it is infinite). A double too large is infinite, and None when it
  is handed out.
- Texts are ordered by code point, and `size` counts code points. `false < true`.
- Instants and durations are whole milliseconds, known as such when compiling; a JSON text becomes
  one only by `timestamp()` and `duration()`, which take ISO 8601 texts or seconds since 1970, and
  `ms s m h d w`. An instant without an offset is UTC, and only the years 1900 to 2100 exist.
  Handed out, an instant is ISO 8601 text and a duration is text like `2h`.
- `matches` finds its pattern anywhere, in RE2's syntax and in linear time; the pattern is written
  out in quotes.

What it costs. Length, parts and depth of an expression have limits (`engine.limits`, `CEL_…`).
A macro goes through at most 1,000 elements, one inside another through 100; a longer list is as if
absent, and macros are at most two deep. Joined texts and lists have a limit as well. There are no
other loops, so the work of a condition is bounded by its own size.
"""
