r"""Regular expressions for `matches`, compiled to a table.

Called by `checker` for the pattern of each `matches`; hands on a `Pattern`.

Rules
- The syntax and the meaning are RE2's, which CEL prescribes: a match anywhere in the text counts,
  `$` is the very end, `\d \w \s` are ASCII. Left out are `\b`, `\p`, POSIX classes, flags other
  than a leading `(?i)` or `(?s)`, and what RE2 lacks too: backreferences and looking around.
- Every pattern becomes a deterministic automaton before the first customer is seen, so a match
  costs one table look-up a character and nothing that people type can make it slow. Python's `re`
  was rejected for that: refusing nested quantifiers does not stop `.*a.*b.*c` from taking
  seconds. A pattern whose automaton would be too large is an error of the workspace.
"""

from bisect import bisect_right

import msgspec

from engine.limits import CEL_PATTERN_MAX, CEL_PATTERN_STATES_MAX

Ranges = tuple[tuple[int, int], ...]

_LAST = 0x10FFFF
_REPEAT_MAX = 100
_ASCII = 128
_MATCHED, _DEAD = -1, -2
_DIGIT: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = ((9, 10), (12, 13), (32, 32))
_NEWLINE: Ranges = ((10, 10),)
_CLASSES = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "a": 7}
_PUNCTUATION = frozenset(r"\.+*?()|[]{}^$-/!\"#%&',:;<=>@_`~ ")


class PatternError(ValueError):
    """A pattern of `matches` is not one we take; `offset` is the place in it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Pattern(msgspec.Struct, frozen=True):
    """A compiled pattern. `table[state][character class]` is the next state."""

    source: str
    table: tuple[tuple[int, ...], ...]
    ends: tuple[bool, ...]  # by state: is the end of the text a match?
    ascii: tuple[int, ...]  # character classes of the first 128 characters
    bounds: tuple[int, ...]  # where the others' classes begin

    def search(self, text: str) -> bool:
        """Tell whether the pattern occurs in the text, in time proportional to its length."""
        table, ascii_classes, state = self.table, self.ascii, 0
        for character in text:
            code = ord(character)
            found = ascii_classes[code] if code < _ASCII else bisect_right(self.bounds, code)
            state = table[state][found]
            if state < 0:
                return state == _MATCHED
        return self.ends[state]


def compile_pattern(source: str) -> Pattern:
    """Compile a pattern. Raises PatternError."""
    if len(source) > CEL_PATTERN_MAX:
        raise PatternError(f"the pattern is longer than {CEL_PATTERN_MAX} characters", 0)
    automaton = _Automaton()
    start = automaton.build(_Reader(source).whole(), automaton.accept)
    return _determine(source, automaton, start)


class _Part(msgspec.Struct, frozen=True):
    """A part of a pattern."""


class _Chars(_Part, frozen=True):
    ranges: Ranges


class _Edge(_Part, frozen=True):
    is_end: bool


class _Sequence(_Part, frozen=True):
    parts: tuple[_Part, ...]


class _Choice(_Part, frozen=True):
    parts: tuple[_Part, ...]


class _Repeat(_Part, frozen=True):
    part: _Part
    least: int
    most: int | None


class _Reader:
    """Reads a pattern by recursive descent."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.folds = self.take("(?i)")
        self.dot: Ranges = _complement(()) if self.take("(?s)") else _complement(_NEWLINE)

    def whole(self) -> _Part:
        part = self.choice()
        if self.at < len(self.source):
            raise self.fault("this ) has no ( before it")
        return part

    def choice(self) -> _Part:
        parts = [self.sequence()]
        while self.take("|"):
            parts.append(self.sequence())
        return _Choice(tuple(parts)) if len(parts) > 1 else parts[0]

    def sequence(self) -> _Part:
        parts: list[_Part] = []
        while self.at < len(self.source) and self.source[self.at] not in "|)":
            parts.append(self.repeat(self.single()))
        return _Sequence(tuple(parts))

    def repeat(self, part: _Part) -> _Part:
        limits = self.quantifier()
        if limits is None:
            return part
        self.take("?")  # a lazy quantifier finds a match exactly where a greedy one does
        if self.source[self.at : self.at + 1] in ("*", "+", "?"):
            raise self.fault("two quantifiers in a row")
        return _Repeat(part, *limits)

    def quantifier(self) -> tuple[int, int | None] | None:
        for sign, limits in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self.take(sign):
                return limits
        end = self.source.find("}", self.at)
        if self.source[self.at : self.at + 1] != "{" or end < 0:
            return None
        low, comma, high = self.source[self.at + 1 : end].partition(",")
        if not _is_count(low) or not (high == "" or _is_count(high)):
            raise self.fault("write {n}, {n,} or {n,m}; for the character itself write \\{")
        least, most = int(low), int(high) if high else (None if comma else int(low))
        if max(least, most or 0) > _REPEAT_MAX or (most is not None and most < least):
            raise self.fault(f"repetitions go from small to large, up to {_REPEAT_MAX}")
        self.at = end + 1
        return least, most

    def single(self) -> _Part:
        character = self.source[self.at]
        if character in "*+?":
            raise self.fault(f"nothing before {character} to repeat")
        self.at += 1
        if character == "(":
            return self.group()
        if character == "[":
            return _Chars(self.bracket())
        if character == ".":
            return _Chars(self.dot)
        if character in "^$":
            return _Edge(is_end=character == "$")
        if character == "\\":
            return self.escape()
        return _Chars(self.fold(((ord(character), ord(character)),)))

    def group(self) -> _Part:
        start = self.at - 1
        if self.take("?") and not self.take(":"):
            self.at = start
            raise self.fault("only plain groups ( ) and (?: ) are supported")
        part = self.choice()
        if not self.take(")"):
            self.at = start
            raise self.fault("this ( has no ) after it")
        return part

    def escape(self) -> _Part:
        if self.take("A"):
            return _Edge(is_end=False)
        if self.take("z"):
            return _Edge(is_end=True)
        return _Chars(self.fold(self.escaped()))

    def escaped(self) -> Ranges:
        """Read what follows a backslash, as a set of characters."""
        letter = self.source[self.at : self.at + 1]
        self.at += 1
        if letter.lower() in _CLASSES and letter:
            ranges = _CLASSES[letter.lower()]
            return ranges if letter.islower() else _complement(ranges)
        if letter in _CONTROLS:
            return ((_CONTROLS[letter], _CONTROLS[letter]),)
        if letter in _PUNCTUATION and letter:
            return ((ord(letter), ord(letter)),)
        if letter == "x" and _is_hex(self.source[self.at : self.at + 2]):
            code = int(self.source[self.at : self.at + 2], 16)
            self.at += 2
            return ((code, code),)
        self.at -= 1
        raise self.fault(f"\\{letter} is not supported in patterns")

    def bracket(self) -> Ranges:
        start = self.at - 1
        is_negated = self.take("^")
        ranges: list[tuple[int, int]] = []
        while not ranges or self.source[self.at : self.at + 1] != "]":
            if self.at >= len(self.source):
                self.at = start
                raise self.fault("this [ has no ] after it")
            ranges += self.bracket_range()
        self.at += 1
        found = self.fold(_merge(ranges))
        return _complement(found) if is_negated else found

    def bracket_range(self) -> Ranges:
        if self.source.startswith("[:", self.at):
            raise self.fault(
                "classes like [:alpha:] are not supported",
            )
        low = self.bracket_single()
        is_range = self.source[self.at : self.at + 1] == "-" and self.source[
            self.at + 1 : self.at + 2
        ] not in ("]", "")
        if not is_range:
            return low
        self.at += 1
        high = self.bracket_single()
        if not (_is_one(low) and _is_one(high) and low[0][0] <= high[0][0]):
            raise self.fault("this range has no beginning or ends before it begins")
        return ((low[0][0], high[0][0]),)

    def bracket_single(self) -> Ranges:
        character = self.source[self.at]
        self.at += 1
        return self.escaped() if character == "\\" else ((ord(character), ord(character)),)

    def fold(self, ranges: Ranges) -> Ranges:
        """Add the other case of each letter, where (?i) asks for it."""
        if not self.folds:
            return ranges
        found = list(ranges)
        for low, high in ranges:
            for code in range(low, min(high, low + _REPEAT_MAX, _LAST) + 1):
                others = (chr(code).lower(), chr(code).upper())
                found += ((ord(other), ord(other)) for other in others if len(other) == 1)
        return _merge(found)

    def take(self, text: str) -> bool:
        found = self.source.startswith(text, self.at)
        self.at += len(text) * found
        return found

    def fault(self, message: str) -> PatternError:
        return PatternError(message, self.at)


class _State(msgspec.Struct):
    """A state of the undetermined automaton: it reads a character, or is one with others."""

    ranges: Ranges = ()
    target: int = 0
    others: tuple[int, ...] = ()
    edge: _Edge | None = None


class _Automaton:
    """Thompson's construction, from the end of the pattern to its beginning."""

    def __init__(self) -> None:
        self.states: list[_State] = []
        self.accept = self.add(_State())

    def add(self, state: _State) -> int:
        if len(self.states) >= CEL_PATTERN_STATES_MAX * 2:
            raise PatternError("the pattern repeats too much", 0)
        self.states.append(state)
        return len(self.states) - 1

    def build(self, part: _Part, target: int) -> int:
        """Add a part that leads to `target`, and give the state where it begins."""
        if isinstance(part, _Sequence):
            for one in reversed(part.parts):
                target = self.build(one, target)
            return target
        if isinstance(part, _Choice):
            return self.add(_State(others=tuple(self.build(one, target) for one in part.parts)))
        if isinstance(part, _Repeat):
            return self.build_repeat(part, target)
        if isinstance(part, _Edge):
            return self.add(_State(others=(target,), edge=part))
        assert isinstance(part, _Chars)
        return self.add(_State(ranges=part.ranges, target=target))

    def build_repeat(self, part: _Repeat, target: int) -> int:
        after = target
        if part.most is None:
            loop = self.add(_State())
            self.states[loop].others = (self.build(part.part, loop), target)
            target = loop
        for _ in range((part.most or part.least) - part.least):
            target = self.add(_State(others=(self.build(part.part, target), after)))
        for _ in range(part.least):
            target = self.build(part.part, target)
        return target

    def closure(self, seeds: tuple[int, ...], *, at_start: bool, at_end: bool) -> tuple[int, ...]:
        """Follow everything that needs no character."""
        found: dict[int, None] = {}
        stack = list(seeds)
        while stack:
            index = stack.pop()
            if index in found:
                continue
            found[index] = None
            state = self.states[index]
            if state.edge is None or (at_end if state.edge.is_end else at_start):
                stack += state.others
        return tuple(sorted(found))


def _determine(source: str, automaton: _Automaton, start: int) -> Pattern:
    """Turn sets of states into states, one set for each way the search can stand."""
    states = automaton.states
    starts = {low for state in states for low, _ in state.ranges}
    ends = {high + 1 for state in states for _, high in state.ranges}
    bounds = tuple(sorted(starts | ends))
    classes = (0, *bounds)  # the first character of each class stands for all of it
    first = automaton.closure((start,), at_start=True, at_end=False)
    # The first state is not among the numbered: only at the start of the text does ^ match, so
    # no way leads back to it even where the same members come together again.
    numbers: dict[tuple[int, ...], int] = {}
    queue, table, at_ends = [first], list[tuple[int, ...]](), list[bool]()
    for members in queue:
        row: list[int] = []
        for code in classes:
            seeds = tuple(states[one].target for one in members if _has(states[one].ranges, code))
            found = automaton.closure((*seeds, start), at_start=False, at_end=False)
            if found not in numbers and automaton.accept not in found:
                numbers[found] = len(queue)
                queue.append(found)
            row.append(_MATCHED if automaton.accept in found else numbers[found])
        if len(queue) > CEL_PATTERN_STATES_MAX:
            raise PatternError("the pattern is too complicated: it has too many ways to go on", 0)
        table.append(tuple(row))
        final = automaton.closure(members, at_start=len(at_ends) == 0, at_end=True)
        at_ends.append(automaton.accept in final)
    if automaton.accept in first:
        table[0], at_ends[0] = (_MATCHED,) * len(classes), True
    rows = tuple(_shorten(number, row, at_ends[number]) for number, row in enumerate(table))
    characters = tuple(bisect_right(bounds, code) for code in range(_ASCII))
    return Pattern(source, rows, tuple(at_ends), characters, bounds)


def _shorten(number: int, row: tuple[int, ...], is_match: bool) -> tuple[int, ...]:  # noqa: FBT001
    """Let a state that leads only to itself, and to no match, end the search."""
    is_dead = not is_match and all(target == number for target in row)
    return (_DEAD,) * len(row) if is_dead else row


def _has(ranges: Ranges, code: int) -> bool:
    return any(low <= code <= high for low, high in ranges)


def _is_one(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_REPEAT_MAX))


def _is_hex(text: str) -> bool:
    return len(text) == 2 and all(one in "0123456789abcdefABCDEF" for one in text)  # noqa: PLR2004


def _merge(ranges: list[tuple[int, int]]) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def _complement(ranges: Ranges) -> Ranges:
    found: list[tuple[int, int]] = []
    position = 0
    for low, high in ranges:
        if low > position:
            found.append((position, low - 1))
        position = high + 1
    if position <= _LAST:
        found.append((position, _LAST))
    return tuple(found)
