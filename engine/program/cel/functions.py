"""The functions and methods conditions may call: what each takes, and what kind it gives.

Called by `checker` with arguments that are checked already; hands back typed operations. A new
function is one entry in a table here, and its meaning in `operations` or `datefields`.
"""

from collections.abc import Callable
from difflib import get_close_matches

from engine.events import ReceiptStatus
from engine.instants import SECOND_MS, parse_duration
from engine.limits import NAME_LENGTH_MAX
from engine.localtime import zone
from engine.program.cel.datefields import DURATION_FIELDS, FIELDS
from engine.program.cel.ir import NUMBERS, SPOKEN, TIMES, Constant, Kind, Match, Operation, Typed
from engine.program.cel.operations import to_duration, to_instant
from engine.program.cel.pattern import PatternError, compile_pattern
from engine.program.cel.syntax import Call, CelError, fault, quoted

MACROS = ("exists", "all", "exists_one", "filter", "map")
_COUNTABLE = frozenset({Kind.STRING, Kind.LIST, Kind.MAP, Kind.DYNAMIC})
_TEXT = frozenset({Kind.STRING, Kind.DYNAMIC})
_CEL_ONLY = frozenset(
    {
        "join",
        "split",
        "trim",
        "replace",
        "indexOf",
        "lastIndexOf",
        "substring",
        "charAt",
        "format",
        "reverse",
        "quote",
        "bytes",
        "uint",
        "bool",
        "dyn",
        "type",
        "sort",
        "sortBy",
        "first",
        "last",
        "distinct",
        "flatten",
        "slice",
        "range",
    }
)  # known elsewhere, so that the message can say it is not a typing error
_OTHER_WORDS = {
    "len": "size",
    "length": "size",
    "lowerAscii": "lower",
    "upperAscii": "upper",
    "toLowerCase": "lower",
    "toUpperCase": "upper",
    "includes": "contains",
    "any": "exists",
    "some": "exists",
    "every": "all",
    "existsOne": "exists_one",
    "now": "now without ( )",
    "date": "timestamp",
    "float": "double",
    "str": "string",
}


class CallCheck:
    """One call with its checked arguments: what the tables below work on."""

    def __init__(
        self, source: str, call: Call, *, target: Typed | None, args: tuple[Typed, ...]
    ) -> None:
        self.source = source
        self.call = call
        self.target = target
        self.args = args

    def typed(self) -> Typed:
        """Give the typed operation of this call. Raises CelError."""
        table = _FUNCTIONS if self.target is None else _METHODS
        return table[self.call.function](self)

    def unknown(self) -> CelError:
        """Say what is wrong with a name that is not in the table."""
        name = self.call.function
        is_method = self.call.target is not None
        known = [*_METHODS, *MACROS] if is_method else [*_FUNCTIONS, "has"]
        if is_method and name in (*_FUNCTIONS, "has"):
            return self.fault(f"{name} is not a method", f"write {name}(…)")
        if not is_method and name in (*_METHODS, *MACROS):
            return self.fault(f"{name} is a method", f"write value.{name}(…)")
        close = [_OTHER_WORDS[name]] if name in _OTHER_WORDS else get_close_matches(name, known, 1)
        listed = ", ".join(sorted(one for one in known if one not in FIELDS))
        hint = f"did you mean {close[0]}?" if close else f"there are {listed}"
        noun = "method" if is_method else "function"
        if name in _CEL_ONLY:
            return self.fault(f"the {noun} {name} is not supported", hint)
        return self.fault(f"unknown {noun} {quoted(name)}", hint)

    def fault(self, message: str, hint: str = "") -> CelError:
        """Point at the function's name."""
        return fault(self.source, self.call.function_at, message, hint)

    def fault_at(self, node: Typed, message: str, hint: str = "") -> CelError:
        """Point at an argument."""
        return fault(self.source, node.start, message, hint)

    def arity(self, *counts: int, form: str) -> None:
        """Insist on the number of arguments; `form` shows how the call is written."""
        if len(self.args) not in counts:
            wanted = " or ".join(map(str, counts))
            raise self.fault(
                f"{self.call.function} takes {wanted} argument{'s' if counts[-1] != 1 else ''}, "
                f"not {len(self.args)}",
                f"write {form}",
            )

    def insist(self, node: Typed, kinds: frozenset[Kind], wanted: str) -> None:
        """Insist on a kind that an argument can have."""
        if node.kind not in kinds:
            message = f"{self.call.function} needs {wanted}, this is {SPOKEN[node.kind]}"
            raise self.fault_at(node, message)

    def text(self, index: int, what: str) -> Constant:
        """Take an argument that must be written out as a text."""
        node = self.args[index]
        if not isinstance(node, Constant) or not isinstance(node.value, str):
            message = f"{what} must be a text in quotes, so that it is known in advance"
            raise self.fault_at(node, message)
        if not 0 < len(node.value) <= NAME_LENGTH_MAX:
            raise self.fault_at(node, f"{what} must have 1 to {NAME_LENGTH_MAX} characters")
        return node

    def window(self, index: int) -> Constant:
        """Take a window like "30d", as ms."""
        node = self.text(index, "the window")
        try:
            window_ms = parse_duration(str(node.value))
        except (ValueError, OverflowError):
            window_ms = 0
        if window_ms <= 0:
            message = f"{quoted(str(node.value))} is not a window"
            raise self.fault_at(node, message, 'write a number and s, m, h, d or w, like "30d"')
        return Constant(kind=Kind.DURATION, value=window_ms, start=node.start, end=node.end)

    def operation(
        self, name: str, kind: Kind, args: tuple[Typed, ...], *, partial: bool
    ) -> Operation:
        """Make the operation, with the whole call as its place."""
        start, end = self.call.start, self.call.end
        return Operation(name=name, args=args, kind=kind, partial=partial, start=start, end=end)

    def constant(self, kind: Kind, value: float) -> Constant:
        """Make a constant that stands for the whole call."""
        return Constant(kind=kind, value=value, start=self.call.start, end=self.call.end)


def require_known(source: str, call: Call) -> None:
    """Refuse a name that does not exist, before its arguments are looked at. Raises CelError."""
    if call.function not in (_FUNCTIONS if call.target is None else _METHODS):
        raise CallCheck(source, call, target=None, args=()).unknown()


def _size(check: CallCheck) -> Typed:
    if check.target is None:
        check.arity(1, form="size(event.items)")
        subject = check.args[0]
    else:
        check.arity(0, form="event.items.size()")
        subject = check.target
    check.insist(subject, _COUNTABLE, "a text, a list or a map")
    partial = subject.partial or subject.kind is Kind.DYNAMIC
    return check.operation("size", Kind.INT, (subject,), partial=partial)


def _text_test(check: CallCheck) -> Typed:
    name = check.call.function
    check.arity(1, form=f'value.{name}("text")')
    assert check.target is not None
    check.insist(check.target, _TEXT, "a text before the point")
    check.insist(check.args[0], _TEXT, "a text")
    return check.operation(name, Kind.BOOL, (check.target, check.args[0]), partial=False)


def _text_case(check: CallCheck) -> Typed:
    name = check.call.function
    check.arity(0, form=f"value.{name}()")
    assert check.target is not None
    check.insist(check.target, _TEXT, "a text before the point")
    partial = check.target.partial or check.target.kind is Kind.DYNAMIC
    return check.operation(name, Kind.STRING, (check.target,), partial=partial)


def _matches(check: CallCheck) -> Typed:
    subjects = check.args if check.target is None else (check.target, *check.args)
    if len(subjects) != 2:  # noqa: PLR2004 - a text and a pattern
        check.arity(1 if check.target is not None else 2, form='value.matches("^[a-z]+$")')
    text, pattern = subjects
    check.insist(text, _TEXT, "a text")
    if not isinstance(pattern, Constant) or not isinstance(pattern.value, str):
        raise check.fault_at(pattern, "the pattern must be a text in quotes")
    try:
        compiled = compile_pattern(pattern.value)
    except PatternError as error:
        hint = f"at character {error.offset + 1} of the pattern"
        raise check.fault_at(pattern, f"this pattern can't be used: {error}", hint) from None
    call = check.call
    return Match(kind=Kind.BOOL, target=text, pattern=compiled, start=call.start, end=call.end)


def _timestamp(check: CallCheck) -> Typed:
    check.arity(1, form="timestamp(event.starts_at)")
    (text,) = check.args
    if text.kind is Kind.TIMESTAMP:
        return text
    check.insist(text, _TEXT | {Kind.INT, Kind.NUMBER}, "a text or whole seconds since 1970")
    if not isinstance(text, Constant):
        return check.operation("to_instant", Kind.TIMESTAMP, (text,), partial=True)
    at = to_instant(text.value)
    if not isinstance(at, int):
        hint = 'write it like "2026-03-01T09:00:00Z"'
        raise check.fault_at(text, "this is not an instant from 1900 to 2100", hint)
    return check.constant(Kind.TIMESTAMP, at)


def _duration(check: CallCheck) -> Typed:
    check.arity(1, form='duration("30d")')
    (text,) = check.args
    if text.kind is Kind.DURATION:
        return text
    check.insist(text, _TEXT, "a text")
    if not isinstance(text, Constant):
        return check.operation("to_duration", Kind.DURATION, (text,), partial=True)
    duration_ms = to_duration(text.value)
    if not isinstance(duration_ms, int):
        hint = 'write numbers with ms, s, m, h, d or w, like "30d" or "1h30m"'
        raise check.fault_at(text, "this is not a duration of at most 200 years", hint)
    return check.constant(Kind.DURATION, duration_ms)


def _int(check: CallCheck) -> Typed:
    check.arity(1, form="int(event.quantity)")
    (value,) = check.args
    if value.kind is Kind.TIMESTAMP:
        unit = Constant(kind=Kind.INT, value=SECOND_MS)
        return check.operation("floor", Kind.INT, (value, unit), partial=value.partial)
    check.insist(value, _TEXT | NUMBERS, "a number, a text or a timestamp")
    return check.operation("to_int", Kind.INT, (value,), partial=True)


def _double(check: CallCheck) -> Typed:
    check.arity(1, form="double(event.price)")
    check.insist(check.args[0], _TEXT | NUMBERS, "a number or a text")
    return check.operation("to_double", Kind.DOUBLE, check.args, partial=True)


def _string(check: CallCheck) -> Typed:
    check.arity(1, form="string(event.quantity)")
    (value,) = check.args
    check.insist(value, _TEXT | NUMBERS | TIMES | {Kind.BOOL}, "a text, number, bool or time")
    writers = {Kind.TIMESTAMP: "write_instant", Kind.DURATION: "write_duration"}
    name = writers.get(value.kind, "to_string")
    return check.operation(name, Kind.STRING, (value,), partial=value.kind is not Kind.BOOL)


def _date_field(check: CallCheck) -> Typed:
    name, target = check.call.function, check.target
    assert target is not None
    subject = check.source[target.start : target.end]
    if target.kind is Kind.DYNAMIC:
        hint = f"write timestamp({subject[:40]}).{name}()"
        raise check.fault_at(target, f"{name} needs a timestamp, this is a JSON value", hint)
    field = Constant(kind=Kind.STRING, value=name)
    if target.kind is Kind.DURATION and name in DURATION_FIELDS:
        check.arity(0, form=f"duration.{name}()")
        return check.operation("duration_part", Kind.INT, (target, field), partial=target.partial)
    check.insist(target, frozenset({Kind.TIMESTAMP}), "a timestamp")
    check.arity(0, 1, form=f'now.{name}("Africa/Johannesburg")')
    place = Constant(kind=Kind.STRING, value="UTC")
    if check.args:
        place = check.text(0, "the time zone")
        if zone(place.value) is None:
            hint = 'write it like "Africa/Johannesburg"'
            message = f"unknown time zone {quoted(str(place.value))}"
            raise check.fault_at(place, message, hint)
    return check.operation("date_part", Kind.INT, (target, field, place), partial=target.partial)


def _count(check: CallCheck) -> Typed:
    check.arity(2, form='count("Order Completed", "30d")')
    args = (check.text(0, "the event's name"), check.window(1))
    return check.operation("count", Kind.INT, args, partial=False)


def _sum(check: CallCheck) -> Typed:
    check.arity(3, form='sum("Order Completed", "revenue", "90d")')
    name, value = check.text(0, "the event's name"), check.text(1, "the property's name")
    return check.operation("sum", Kind.DOUBLE, (name, value, check.window(2)), partial=False)


def _last(check: CallCheck) -> Typed:
    check.arity(1, form='last("Order Completed")')
    args = (check.text(0, "the event's name"),)
    return check.operation("last", Kind.TIMESTAMP, args, partial=True)


def _since(check: CallCheck) -> Typed:
    check.arity(1, form='since("Order Completed")')
    args = (check.text(0, "the event's name"),)
    return check.operation("since", Kind.DURATION, args, partial=True)


def _in_segment(check: CallCheck) -> Typed:
    check.arity(1, form='in_segment("vip")')
    args = (check.text(0, "the segment's name"),)
    return check.operation("in_segment", Kind.BOOL, args, partial=False)


def _engagement(check: CallCheck) -> Typed:
    check.arity(3, form='engagement("email", "opened", "7d")')
    channel, status = check.text(0, "the channel"), check.text(1, "the status")
    known = [one.value for one in ReceiptStatus]
    if status.value not in known:
        close = get_close_matches(str(status.value), known, 1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        raise check.fault_at(status, f"unknown status {quoted(str(status.value))}", hint)
    args = (channel, status, check.window(2))
    return check.operation("engagement", Kind.INT, args, partial=False)


def _reachable(check: CallCheck) -> Typed:
    check.arity(1, form='reachable("whatsapp")')
    args = (check.text(0, "the channel"),)
    return check.operation("reachable", Kind.BOOL, args, partial=False)


_FUNCTIONS: dict[str, Callable[[CallCheck], Typed]] = {
    "size": _size,
    "matches": _matches,
    "timestamp": _timestamp,
    "duration": _duration,
    "int": _int,
    "double": _double,
    "string": _string,
    "count": _count,
    "sum": _sum,
    "last": _last,
    "since": _since,
    "in_segment": _in_segment,
    "engagement": _engagement,
    "reachable": _reachable,
}
_METHODS: dict[str, Callable[[CallCheck], Typed]] = {
    "size": _size,
    "matches": _matches,
    **dict.fromkeys(("startsWith", "endsWith", "contains"), _text_test),
    **dict.fromkeys(("lower", "upper"), _text_case),
    **dict.fromkeys(FIELDS, _date_field),
}
