"""From a checked condition to the text of one Python expression.

Called by `compiler`, which compiles the text once. Only numbers, quoted texts and names made here
are ever written into it, never a word of the condition itself.

What it aims at is what a person would write by hand: `event.get("price", ...)` bound to a local by
`:=` where it is needed twice, a type test only where the kind is not known, and no call where an
operator does. Closures were rejected: four times slower, as a call costs more than most terms.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import msgspec

from engine.program.cel import datefields, operations
from engine.program.cel.ir import (
    NUMBERS,
    TIMES,
    Constant,
    Field,
    Kind,
    Loop,
    Match,
    Name,
    Operation,
    Root,
    Trait,
    Typed,
)

_TUPLE_MAX = 8  # up to here, going through a tuple is quicker than hashing
_PYTHON_TESTS = {"startsWith": "startswith", "endsWith": "endswith"}
_HELPER_ORDER = {
    "<": "less({0}, {1})",
    "<=": "less_equal({0}, {1})",
    ">": "less({1}, {0})",
    ">=": "less_equal({1}, {0})",
}
_EXPORTS = {Kind.TIMESTAMP: "export_instant", Kind.DURATION: "export_duration"}
_HISTORY = frozenset({"count", "sum", "in_segment", "engagement", "reachable"})
_HISTORY_OPTIONAL = frozenset({"last", "since"})

# Everything a compiled condition may call; there are no builtins beside it.
NAMESPACE: dict[str, object] = {
    "__builtins__": {},
    **{one.__name__: one for one in (type, len, any, all, str, int, float, list, dict)},
    **{
        one.__name__: one
        for one in (
            operations.add,
            operations.between,
            operations.differ,
            operations.divide,
            operations.equal,
            operations.export,
            operations.export_duration,
            operations.export_instant,
            operations.floor,
            operations.less,
            operations.less_equal,
            operations.lower,
            operations.mapping,
            operations.modulo,
            operations.multiply,
            operations.negate,
            operations.pick,
            operations.pick_root,
            operations.present,
            operations.shift,
            operations.size,
            operations.span,
            operations.subtract,
            operations.to_double,
            operations.to_duration,
            operations.to_instant,
            operations.to_int,
            operations.to_string,
            operations.unshift,
            operations.unspan,
            operations.upper,
            operations.within,
            operations.write_duration,
            operations.write_instant,
            datefields.date_part,
            datefields.duration_part,
        )
    },
}

TypedT = TypeVar("TypedT", bound=Typed)


class Written(msgspec.Struct, frozen=True):
    """A Python expression over a scope `s`: its text, the roots and the objects it names."""

    text: str
    roots: tuple[str, ...]
    objects: dict[str, object]


def write_value(node: Typed) -> Written:
    """Write the value of a checked expression; `...` is absent."""
    emitter = _Emitter()
    return emitter.written(emitter.value(node))


def write_truth(node: Typed) -> Written:
    """Write whether a checked expression is true."""
    emitter = _Emitter()
    return emitter.written(emitter.truth(node))


def write_export(node: Typed) -> Written:
    """Write the value of a checked expression as JSON; None is absent."""
    emitter = _Emitter()
    text = emitter.value(node)
    if node.kind is Kind.BOOL:
        return emitter.written(text)
    return emitter.written(f"{_EXPORTS.get(node.kind, 'export')}({text})")


class _Emitter:
    """Writes one expression; collects which roots and which objects it needs."""

    def __init__(self) -> None:
        self.roots: list[str] = []
        self.objects: dict[str, object] = {}
        self.local_count = 0

    def written(self, text: str) -> Written:
        return Written(text, tuple(self.roots), self.objects)

    def value(self, node: Typed) -> str:
        """Write the value of a node; `...` is absent."""
        return _WRITERS[type(node)](self, node)

    def truth(self, node: Typed) -> str:
        """Write whether a node is true: nothing but true is."""
        if node.kind is Kind.BOOL:
            return self.value(node)
        return f"({self.value(node)} is True)" if node.kind is Kind.DYNAMIC else "False"

    def bind(self, node: Typed) -> tuple[str, str]:
        """Write a node that is needed twice: what to write first, and what again."""
        text = self.value(node)
        if isinstance(node, Constant | Name | Root):
            return text, text
        local = self.local()
        return f"({local} := {text})", local

    def local(self) -> str:
        self.local_count += 1
        return f"t{self.local_count}"

    def constant(self, node: Constant) -> str:
        return f"({node.value!r})" if isinstance(node.value, int | float) else repr(node.value)

    def name(self, node: Name) -> str:
        return node.code

    def root(self, node: Root) -> str:
        return self.need(node.root)

    def need(self, root: str) -> str:
        if root not in self.roots:
            self.roots.append(root)
        return root

    def trait(self, node: Trait) -> str:
        if node.is_computed:
            return f"s.trait({node.key!r})"
        return f"{self.need(node.root)}.get({node.key!r}, ...)"

    def field(self, node: Field) -> str:
        first, again = self.bind(node.target)
        return f"({again}.get({node.key!r}, ...) if type({first}) is dict else ...)"

    def match(self, node: Match) -> str:
        search = f"search{len(self.objects)}"
        self.objects[search] = node.pattern.search
        guard, text = self.guard(node.target, Kind.STRING)
        return _all_of(guard, f"{search}({text})")

    def guard(self, node: Typed, kind: Kind) -> tuple[str, str]:
        """Write the test that a node is there and of a kind, and how to name it after that."""
        if node.kind is not Kind.DYNAMIC and not node.partial:
            return "", self.value(node)
        first, again = self.bind(node)
        if node.kind is not Kind.DYNAMIC:
            return f"{first} is not ...", again
        if kind is Kind.STRING:
            return f"type({first}) is str", again
        return f"(type({first}) is float or type({again}) is int)", again

    def operation(self, node: Operation) -> str:
        writer = _OPERATIONS.get(node.name)
        if writer is not None:
            return writer(self, node)
        args = ", ".join(map(self.value, node.args))
        return f"{node.name}({args})"

    def chain(self, node: Operation) -> str:
        word = " and " if node.name == "&&" else " or "
        return f"({word.join(map(self.truth, node.args))})"

    def negation(self, node: Operation) -> str:
        (operand,) = node.args
        if operand.kind is Kind.BOOL:
            return f"(not {self.value(operand)})"
        return f"({self.value(operand)} is not True)"

    def ternary(self, node: Operation) -> str:
        test, then, other = node.args
        return f"({self.value(then)} if {self.truth(test)} else {self.value(other)})"

    def list_of(self, node: Operation) -> str:
        items = f"[{', '.join(map(self.value, node.args))}]"
        return f"present({items})" if node.partial else items

    def map_of(self, node: Operation) -> str:
        half = len(node.args) // 2
        texts = [self.value(arg) for arg in node.args]
        if node.partial:
            return f"mapping([{', '.join(texts[:half])}], [{', '.join(texts[half:])}])"
        pairs = (f"{key}: {value}" for key, value in zip(texts[:half], texts[half:], strict=True))
        return f"{{{', '.join(pairs)}}}"

    def is_there(self, node: Operation) -> str:
        return f"({self.value(node.args[0])} is not ...)"

    def has(self, node: Operation) -> str:
        target, key = node.args
        if isinstance(target, Root):
            return f"({self.value(key)} in {self.value(target)})"
        first, again = self.bind(target)
        return f"(type({first}) is dict and {self.value(key)} in {again})"

    def history(self, node: Operation) -> str:
        return f"s.{node.name}({', '.join(map(self.value, node.args))})"

    def history_optional(self, node: Operation) -> str:
        local = self.local()
        return f"(... if ({local} := {self.history(node)}) is None else {local})"

    def between(self, node: Operation) -> str:
        left, right = map(self.value, node.args)
        return f"between({left}, {right})" if node.partial else f"({left} - {right})"

    def text_test(self, node: Operation) -> str:
        one, text = self.guard(node.args[0], Kind.STRING)
        two, part = self.guard(node.args[1], Kind.STRING)
        if node.name == "contains":
            return _all_of(one, two, f"{part} in {text}")
        if not one:
            text = f"({text})"
        return _all_of(one, two, f"{text}.{_PYTHON_TESTS[node.name]}({part})")

    def equality(self, node: Operation) -> str:
        left, right = node.args
        if _is_single(left):
            left, right = right, left
        if _is_single(right):
            return f"({self.value(left)} is {self.value(right)})"
        if _is_plain(left, right):
            return f"({self.value(left)} == {self.value(right)})"
        return f"equal({self.value(left)}, {self.value(right)})"

    def inequality(self, node: Operation) -> str:
        left, right = node.args
        is_single = _is_single(left) or _is_single(right)
        if not is_single and not _is_plain(left, right):
            return f"differ({self.value(left)}, {self.value(right)})"
        if not left.partial:
            left, right = right, left
        sign = "is not" if is_single else "!="
        if not left.partial:
            return f"({self.value(left)} {sign} {self.value(right)})"
        first, again = self.bind(left)
        return f"({first} is not ... and {again} {sign} {self.value(right)})"

    def ordering(self, node: Operation) -> str:
        left, right = node.args
        left, right = _told(left, right), _told(right, left)
        known = left.kind if left.kind is not Kind.DYNAMIC else right.kind
        if known in (Kind.BOOL, Kind.DYNAMIC):
            return _HELPER_ORDER[node.name].format(self.value(left), self.value(right))
        one, low = self.guard(left, known)
        two, high = self.guard(right, known)
        return _all_of(one, two, f"{low} {node.name} {high}")

    def membership(self, node: Operation) -> str:
        member, container = node.args
        if isinstance(member, Constant) and isinstance(member.value, str):
            return self.membership_text(member, container)
        constants = _constants(container)
        if constants and all(isinstance(one, str) for one in constants):
            return self.membership_fixed(member, constants)
        if constants and all(type(one) is int or type(one) is float for one in constants):
            guard, number = self.guard(member, Kind.NUMBER) if member.kind in _NUMERIC else ("", "")
            return _all_of(guard, f"{number} in {constants!r}") if number else "False"
        if isinstance(container, Root):
            guard, text = self.guard(member, Kind.STRING) if member.kind in _TEXTUAL else ("", "")
            return _all_of(guard, f"{text} in {self.value(container)}") if text else "False"
        return f"within({self.value(member)}, {self.value(container)})"

    def membership_text(self, member: Constant, container: Typed) -> str:
        """Write the test for a text known in advance: it equals only texts, as Python has it."""
        if isinstance(container, Root):
            return f"({self.value(member)} in {self.value(container)})"
        first, again = self.bind(container)
        guard = f"(type({first}) is list or type({again}) is dict)"
        return f"({guard} and {self.value(member)} in {again})"

    def membership_fixed(self, member: Typed, constants: tuple[object, ...]) -> str:
        """Write the test against texts known in advance."""
        if member.kind not in _TEXTUAL:
            return "False"
        if len(constants) <= _TUPLE_MAX:
            return f"({self.value(member)} in {constants!r})"
        choices = f"choices{len(self.objects)}"
        self.objects[choices] = frozenset(constants)
        guard, text = self.guard(member, Kind.STRING)
        return _all_of(guard, f"{text} in {choices}")

    def loop(self, node: Loop) -> str:
        first, source = self.bind(node.source)
        guards = [f"(type({first}) is list or type({source}) is dict)"]
        if isinstance(node.source, Root):
            guards = []
        guards.append(f"len({source}) <= {node.count_max}")
        ready, each = " and ".join(guards), f"for {node.variable} in {source}"
        body = self.truth(node.body)
        if node.macro in ("exists", "all"):
            word = "any" if node.macro == "exists" else "all"
            return f"({ready} and {word}({body} {each}))"
        if node.macro == "exists_one":
            return f"({ready} and [{body} {each}].count(True) == 1)"
        test = "" if isinstance(node.body, Constant) and node.body.value is True else f" if {body}"
        if node.transform is None:
            return f"([{node.variable} {each}{test}] if {ready} else ...)"
        made = f"[{self.value(node.transform)} {each}{test}]"
        if not node.transform.partial:
            return f"({made} if {ready} else ...)"
        return f"(present({made}) if {ready} else ...)"


_TEXTUAL = frozenset({Kind.STRING, Kind.DYNAMIC})
_NUMERIC = NUMBERS | {Kind.DYNAMIC}


def _told(side: Typed, other: Typed) -> Typed:
    """Tell `since` what it is compared with, so that it knows when the answer changes."""
    is_since = isinstance(side, Operation) and side.name == "since"
    if is_since and isinstance(side, Operation) and isinstance(other, Constant):
        return msgspec.structs.replace(side, args=(*side.args, other))
    return side


def _all_of(*tests: str) -> str:
    return f"({' and '.join(test for test in tests if test)})"


def _is_single(node: Typed) -> bool:
    """Tell whether equality is identity: there is one None, one True and one False."""
    return node.kind in (Kind.NULL, Kind.BOOL)


def _is_plain(left: Typed, right: Typed) -> bool:
    """Tell whether Python's == means what CEL's does.

    It does where one side is known to be there and to be a text, a time or a number; except that
    Python takes true for 1 and false for 0.
    """
    for one, two in ((left, right), (right, left)):
        if one.partial:
            continue
        if one.kind is Kind.STRING or one.kind in TIMES:
            return True
        is_safe = isinstance(one, Constant) and one.value not in (0, 1)
        if one.kind in NUMBERS and (is_safe or two.kind in NUMBERS):
            return True
    return False


def _constants(node: Typed) -> tuple[object, ...]:
    """Give the values of a list that is known in advance, else nothing."""
    if not isinstance(node, Operation) or node.name != "list":
        return ()
    values = tuple(arg.value for arg in node.args if isinstance(arg, Constant))
    return values if len(values) == len(node.args) else ()


def _by_type(
    node_type: type[TypedT], write: Callable[[_Emitter, TypedT], str]
) -> tuple[type[Typed], Callable[[_Emitter, Typed], str]]:
    return node_type, lambda emitter, node: write(emitter, cast("TypedT", node))


_WRITERS: dict[type[Typed], Callable[[_Emitter, Typed], str]] = dict(
    (
        _by_type(Constant, _Emitter.constant),
        _by_type(Name, _Emitter.name),
        _by_type(Root, _Emitter.root),
        _by_type(Trait, _Emitter.trait),
        _by_type(Field, _Emitter.field),
        _by_type(Match, _Emitter.match),
        _by_type(Operation, _Emitter.operation),
        _by_type(Loop, _Emitter.loop),
    )
)
_OPERATIONS: dict[str, Callable[[_Emitter, Operation], str]] = {
    "&&": _Emitter.chain,
    "||": _Emitter.chain,
    "!": _Emitter.negation,
    "?:": _Emitter.ternary,
    "list": _Emitter.list_of,
    "map": _Emitter.map_of,
    "has": _Emitter.has,
    "is_there": _Emitter.is_there,
    "in": _Emitter.membership,
    "==": _Emitter.equality,
    "!=": _Emitter.inequality,
    "between": _Emitter.between,
    **dict.fromkeys(("<", "<=", ">", ">="), _Emitter.ordering),
    **dict.fromkeys(("startsWith", "endsWith", "contains"), _Emitter.text_test),
    **dict.fromkeys(_HISTORY, _Emitter.history),
    **dict.fromkeys(_HISTORY_OPTIONAL, _Emitter.history_optional),
}
