"""From a syntax tree to a checked one: names exist, kinds fit, macros are not too deep.

Called by `compiler`. Everything that could never be true is refused here, with the place and what
to write instead; what depends on a customer's data is left to run time, where it is absent.
"""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeVar, cast

from engine.limits import CEL_DEPTH_MAX, CEL_LIST_INNER_MAX, CEL_LIST_MAX, CEL_MACROS_MAX
from engine.program.cel.functions import MACROS, CallCheck, require_known
from engine.program.cel.ir import (
    NUMBERS,
    SPOKEN,
    TIMES,
    Constant,
    Field,
    Kind,
    Loop,
    Name,
    Operation,
    Root,
    Trait,
    Typed,
)
from engine.program.cel.syntax import (
    Binary,
    Call,
    CelError,
    Chain,
    Ident,
    Index,
    ListOf,
    Literal,
    MapOf,
    Node,
    Select,
    Ternary,
    Unary,
    fault,
    quoted,
)

ROOTS = ("event", "profile", "context", "scores")
STAY_ROOTS = ("entry", "journey")  # what only someone's stay in a journey has
_NAMES = {
    "event_name": Name(kind=Kind.STRING, code="s.event_name"),
    "now": Name(kind=Kind.TIMESTAMP, code="s.present()"),
}
_LITERAL_KINDS: dict[type, Kind] = {
    bool: Kind.BOOL,
    int: Kind.INT,
    float: Kind.DOUBLE,
    str: Kind.STRING,
    type(None): Kind.NULL,
}
_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null", "nil": "null", "NULL": "null"}
_LOGICAL = frozenset({Kind.BOOL, Kind.DYNAMIC})
_NUMERIC = NUMBERS | {Kind.DYNAMIC}
_EQUALITY = ("==", "!=")
_ORDERED = frozenset({Kind.BOOL, Kind.STRING, Kind.DYNAMIC}) | NUMBERS | TIMES
_ARITHMETIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}
_JOINABLE = frozenset({Kind.STRING, Kind.LIST})

# Arithmetic with times: the operation and the kind of what it gives.
_TIMED = {
    ("+", Kind.TIMESTAMP, Kind.DURATION): ("shift", Kind.TIMESTAMP),
    ("-", Kind.TIMESTAMP, Kind.DURATION): ("unshift", Kind.TIMESTAMP),
    ("-", Kind.TIMESTAMP, Kind.TIMESTAMP): ("between", Kind.DURATION),
    ("+", Kind.DURATION, Kind.DURATION): ("span", Kind.DURATION),
    ("-", Kind.DURATION, Kind.DURATION): ("unspan", Kind.DURATION),
}

_NO_TRAITS: Mapping[str, Kind] = {}

NodeT = TypeVar("NodeT", bound=Node)


def check(
    source: str,
    node: Node,
    traits: Mapping[str, Kind] = _NO_TRAITS,
    *,
    in_journey: bool = False,
) -> Typed:
    """Give the typed tree of an expression; `traits` are those worked out. Raises CelError.

    `in_journey` where it is asked of someone's stay in a journey, which has names of its own.
    """
    return _Checker(source, traits, (*ROOTS, *STAY_ROOTS) if in_journey else ROOTS).check(node)


class _Checker:
    """One pass over one expression; `variables` are those of the macros around the node."""

    def __init__(self, source: str, traits: Mapping[str, Kind], roots: tuple[str, ...]) -> None:
        self.source = source
        self.traits = traits
        self.roots = roots
        self.variables: dict[str, Name] = {}
        self.variable_count = 0
        self.macros = 0
        self.depth = 0

    def check(self, node: Node) -> Typed:
        self.depth += 1
        if self.depth > CEL_DEPTH_MAX:
            raise self.fault(node, f"the expression is nested more than {CEL_DEPTH_MAX} deep")
        typed = _CHECKS[type(node)](self, node)
        self.depth -= 1
        return typed

    def fault(self, node: Node | Typed, message: str, hint: str = "") -> CelError:
        return fault(self.source, node.start, message, hint)

    def text(self, node: Node | Typed) -> str:
        return self.source[node.start : node.end][:40]

    def operation(
        self, node: Node, name: str, kind: Kind, args: tuple[Typed, ...], *, partial: bool = False
    ) -> Operation:
        start, end = node.start, node.end
        return Operation(name=name, args=args, kind=kind, partial=partial, start=start, end=end)

    def literal(self, node: Literal) -> Typed:
        kind = _LITERAL_KINDS[type(node.value)]
        return Constant(kind=kind, value=node.value, start=node.start, end=node.end)

    def ident(self, node: Ident) -> Typed:
        found = self.variables.get(node.name) or _NAMES.get(node.name)
        if found is not None:
            return Name(kind=found.kind, code=found.code, start=node.start, end=node.end)
        if node.name in self.roots:
            return Root(kind=Kind.MAP, root=node.name, start=node.start, end=node.end)
        if node.name in STAY_ROOTS:
            hint = "only a journey's steps, its goal and its exits know it"
            raise self.fault(node, f"{quoted(node.name)} is not known here", hint)
        close = get_close_matches(node.name, [*self.variables, *_NAMES, *self.roots], 1, 0.75)
        word = _PYTHON_WORDS.get(node.name) or "".join(close)
        name = node.name[:40]
        hint = f"write event.{name} or profile.{name}, or quotes for a text"
        message = f"unknown name {quoted(node.name)}"
        raise self.fault(node, message, f"did you mean {word}?" if word else hint)

    def root(self, node: Node) -> str:
        """Give the name of the root a node is, or ""."""
        is_root = isinstance(node, Ident) and node.name in self.roots
        return node.name if isinstance(node, Ident) and is_root else ""

    def trait(self, node: Node, root: str, key: str) -> Typed:
        start, end = node.start, node.end
        computed = self.traits.get(key) if root == "profile" else None
        return Trait(
            kind=computed or Kind.DYNAMIC,
            partial=True,
            root=root,
            key=key,
            is_computed=computed is not None,
            start=start,
            end=end,
        )

    def select(self, node: Select) -> Typed:
        root = self.root(node.target)
        if root:
            return self.trait(node, root, node.field)
        target = self.check(node.target)
        if target.kind not in (Kind.MAP, Kind.DYNAMIC):
            message = f"{SPOKEN[target.kind]} has no field {quoted(node.field)}"
            raise fault(self.source, node.field_at, message)
        return self.field(node, target, node.field)

    def field(self, node: Node, target: Typed, key: str) -> Typed:
        start, end = node.start, node.end
        return Field(kind=Kind.DYNAMIC, partial=True, target=target, key=key, start=start, end=end)

    def index(self, node: Index) -> Typed:
        root, key = self.root(node.target), self.check(node.key)
        name = key.value if isinstance(key, Constant) and isinstance(key.value, str) else None
        if root and name is not None:
            return self.trait(node, root, name)
        target = self.check(node.target)
        if target.kind not in (Kind.LIST, Kind.MAP, Kind.DYNAMIC):
            raise self.fault(node, f"{SPOKEN[target.kind]} has no elements to look up")
        wanted = {Kind.LIST: _NUMERIC, Kind.MAP: frozenset({Kind.STRING, Kind.DYNAMIC})}
        if key.kind not in wanted.get(target.kind, _NUMERIC | {Kind.STRING}):
            message = f"{SPOKEN[target.kind]} has no element for {SPOKEN[key.kind]}"
            raise self.fault(key, message)
        if name is not None:
            return self.field(node, target, name)
        operation = "pick_root" if root else "pick"
        return self.operation(node, operation, Kind.DYNAMIC, (target, key), partial=True)

    def list_of(self, node: ListOf) -> Typed:
        items = tuple(self.element(item) for item in node.items)
        partial = any(item.partial for item in items)
        return self.operation(node, "list", Kind.LIST, items, partial=partial)

    def element(self, node: Node) -> Typed:
        """Check what goes into a list or a map, where kinds are no longer told apart."""
        item = self.check(node)
        if item.kind in TIMES:
            message = f"{SPOKEN[item.kind]} can't be put into a list or a map"
            raise self.fault(item, message, f"write string({self.text(item)})")
        return item

    def map_of(self, node: MapOf) -> Typed:
        keys = tuple(self.check(key) for key in node.keys)
        for position, key in enumerate(keys):
            if key.kind not in (Kind.STRING, Kind.DYNAMIC):
                raise self.fault(key, f"a map's keys are texts, this is {SPOKEN[key.kind]}")
            known = [one.value for one in keys[:position] if isinstance(one, Constant)]
            if isinstance(key, Constant) and key.value in known:
                raise self.fault(key, f"the key {self.text(key)} comes twice")
        values = tuple(self.element(value) for value in node.values)
        is_static = all(isinstance(key, Constant) for key in keys)
        partial = not is_static or any(value.partial for value in values)
        return self.operation(node, "map", Kind.MAP, (*keys, *values), partial=partial)

    def logical(self, node: Node, place: str) -> Typed:
        typed = self.check(node)
        if typed.kind not in _LOGICAL:
            message = f"{place} needs true or false, this is {SPOKEN[typed.kind]}"
            raise self.fault(typed, message)
        return typed

    def chain(self, node: Chain) -> Typed:
        args = tuple(self.logical(item, node.op) for item in node.items)
        return self.operation(node, node.op, Kind.BOOL, args)

    def ternary(self, node: Ternary) -> Typed:
        test = self.logical(node.test, "?")
        then, other = self.check(node.then), self.check(node.other)
        kind = then.kind
        if then.kind is not other.kind:
            if then.kind in TIMES or other.kind in TIMES:
                message = f"one side of : is {SPOKEN[then.kind]}, the other {SPOKEN[other.kind]}"
                raise self.fault(other, message, "both must be of one kind")
            both = then.kind in NUMBERS and other.kind in NUMBERS
            kind = Kind.NUMBER if both else Kind.DYNAMIC
        partial = then.partial or other.partial
        return self.operation(node, "?:", kind, (test, then, other), partial=partial)

    def unary(self, node: Unary) -> Typed:
        if node.op == "!":
            return self.operation(node, "!", Kind.BOOL, (self.logical(node.operand, "!"),))
        operand = self.check(node.operand)
        if operand.kind not in _NUMERIC:
            raise self.fault(operand, f"- needs a number, this is {SPOKEN[operand.kind]}")
        kind = Kind.NUMBER if operand.kind is Kind.DYNAMIC else operand.kind
        return self.operation(node, "negate", kind, (operand,), partial=True)

    def binary(self, node: Binary) -> Typed:
        left, right = self.check(node.left), self.check(node.right)
        if node.op == "in" and self.root(node.right) == "profile":
            name = left.value if isinstance(left, Constant) else None
            if isinstance(name, str) and name in self.traits:
                trait = self.trait(node, "profile", name)
                return self.operation(node, "is_there", Kind.BOOL, (trait,))
        if node.op == "in":
            return self.membership(node, left, right)
        if node.op in _ARITHMETIC:
            return self.arithmetic(node, left, right)
        return self.comparison(node, left, right)

    def membership(self, node: Binary, left: Typed, right: Typed) -> Typed:
        if right.kind not in (Kind.LIST, Kind.MAP, Kind.DYNAMIC):
            hint = 'for a text write value.contains("…")' if right.kind is Kind.STRING else ""
            message = f"in needs a list or a map, this is {SPOKEN[right.kind]}"
            raise self.fault(right, message, hint)
        if left.kind in TIMES:
            raise self.fault(left, f"{SPOKEN[left.kind]} can't be looked up in a list")
        return self.operation(node, "in", Kind.BOOL, (left, right))

    def comparison(self, node: Binary, left: Typed, right: Typed) -> Typed:
        if node.op not in _EQUALITY:
            for side in (left, right):
                if side.kind not in _ORDERED:
                    message = f"{SPOKEN[side.kind]} has no order, so {node.op} can't compare it"
                    raise self.fault(side, message)
        for one, two in ((left, right), (right, left)):
            if one.kind in TIMES and two.kind in (Kind.DYNAMIC, Kind.STRING):
                hint = f"write {one.kind}({self.text(two)})"
                message = f"{SPOKEN[one.kind]} is compared with {SPOKEN[two.kind]}"
                raise self.fault(two, message, hint)
        if not _is_comparable(left.kind, right.kind):
            message = f"{SPOKEN[left.kind]} can't be compared with {SPOKEN[right.kind]}"
            hint = "a time is never null: it is absent, and comparing it is false"
            is_time = left.kind in TIMES or right.kind in TIMES
            raise self.fault(right, message, hint if is_time else "")
        return self.operation(node, node.op, Kind.BOOL, (left, right))

    def arithmetic(self, node: Binary, left: Typed, right: Typed) -> Typed:
        kinds = left.kind, right.kind
        if left.kind in TIMES or right.kind in TIMES:
            return self.timed(node, left, right)
        if node.op == "+" and (kinds[0] in _JOINABLE or kinds[1] in _JOINABLE):
            kind = kinds[0] if kinds[0] in _JOINABLE else kinds[1]
            for side in (left, right):
                if side.kind not in (kind, Kind.DYNAMIC):
                    hint = f"write string({self.text(side)})" if kind is Kind.STRING else ""
                    message = f"{SPOKEN[kind]} can't be joined with {SPOKEN[side.kind]}"
                    raise self.fault(side, message, hint)
            return self.operation(node, "add", kind, (left, right), partial=True)
        for side in (left, right):
            if side.kind not in _NUMERIC or (node.op == "%" and side.kind is Kind.DOUBLE):
                what = "a double" if side.kind is Kind.DOUBLE else SPOKEN[side.kind]
                wanted = "a whole number" if node.op == "%" else "a number"
                raise self.fault(side, f"{node.op} needs {wanted}, this is {what}")
        kind = Kind.INT if node.op == "%" else _arithmetic_kind(node.op, *kinds)
        return self.operation(node, _ARITHMETIC[node.op], kind, (left, right), partial=True)

    def timed(self, node: Binary, left: Typed, right: Typed) -> Typed:
        is_swapped = node.op == "+" and left.kind is Kind.DURATION
        if is_swapped and right.kind is Kind.TIMESTAMP:
            left, right = right, left
        found = _TIMED.get((node.op, left.kind, right.kind))
        if found is None:
            side = left if left.kind not in TIMES else right
            hint = f"write timestamp({self.text(side)}) or duration({self.text(side)})"
            message = (
                f"{node.op} does not work between {SPOKEN[left.kind]} and {SPOKEN[right.kind]}"
            )
            raise self.fault(node, message, "" if side.kind in TIMES else hint)
        name, kind = found
        partial = name != "between" or left.partial or right.partial
        return self.operation(node, name, kind, (left, right), partial=partial)

    def call(self, node: Call) -> Typed:
        if node.function == "has" and node.target is None:
            return self.has(node)
        if node.function in MACROS and node.target is not None:
            return self.loop(node, node.target)
        require_known(self.source, node)
        target = None if node.target is None else self.check(node.target)
        args = tuple(self.check(arg) for arg in node.args)
        return CallCheck(self.source, node, target=target, args=args).typed()

    def has(self, node: Call) -> Typed:
        subject = node.args[0] if len(node.args) == 1 else None
        if not isinstance(subject, Select):
            hint = "write has(event.sku)"
            if isinstance(subject, Index):
                hint = f"write {self.text(subject.key)} in {self.text(subject.target)}"
            raise self.fault(node, "has needs one field, written with a point", hint)
        if self.root(subject.target) == "profile" and subject.field in self.traits:
            trait = self.trait(subject, "profile", subject.field)
            return self.operation(node, "is_there", Kind.BOOL, (trait,))
        target = self.check(subject.target)
        if target.kind not in (Kind.MAP, Kind.DYNAMIC):
            raise self.fault(target, f"{SPOKEN[target.kind]} has no fields")
        key = Constant(kind=Kind.STRING, value=subject.field)
        return self.operation(node, "has", Kind.BOOL, (target, key))

    def loop(self, node: Call, target: Node) -> Typed:
        source = self.check(target)
        macro, count = node.function, len(node.args)
        if source.kind not in (Kind.LIST, Kind.MAP, Kind.DYNAMIC):
            message = f"{macro} goes through a list or a map, this is {SPOKEN[source.kind]}"
            raise self.fault(source, message)
        if count != 2 and not (macro == "map" and count == 3):  # noqa: PLR2004 - variable and body
            form = (
                "event.items.map(item, item.price)"
                if macro == "map"
                else (f'event.items.{macro}(item, item.sku == "A1")')
            )
            message = f"{macro} takes a name and an expression"
            raise fault(self.source, node.function_at, message, f"write {form}")
        if self.macros >= CEL_MACROS_MAX:
            message = f"no more than {CEL_MACROS_MAX} macros may be inside one another"
            raise fault(self.source, node.function_at, message)
        return self.loop_over(node, source)

    def loop_over(self, node: Call, source: Typed) -> Typed:
        macro, (name, *rest) = node.function, node.args
        if not isinstance(name, Ident) or name.name in (*self.roots, *_NAMES):
            message = f"{self.text(name)} can't be the name of an element"
            raise self.fault(name, message, "choose a new word, like item")
        self.variable_count += 1
        variable = Name(kind=Kind.DYNAMIC, code=f"x{self.variable_count}")
        shadowed, self.variables = self.variables, {**self.variables, name.name: variable}
        self.macros += 1
        transform = self.element(rest[-1]) if macro == "map" else None
        if macro != "map" or len(rest) > 1:
            body = self.logical(rest[0], macro)
        else:
            body = Constant(kind=Kind.BOOL, value=True)
        self.macros -= 1
        self.variables = shadowed
        is_list = macro in ("map", "filter")
        return Loop(
            kind=Kind.LIST if is_list else Kind.BOOL,
            partial=is_list,
            start=node.start,
            end=node.end,
            macro=macro,
            variable=variable.code,
            source=source,
            body=body,
            transform=transform,
            count_max=CEL_LIST_INNER_MAX if self.macros else CEL_LIST_MAX,
        )


def _is_comparable(left: Kind, right: Kind) -> bool:
    if left is right or (left in NUMBERS and right in NUMBERS):
        return True
    return Kind.DYNAMIC in (left, right)


def _arithmetic_kind(op: str, left: Kind, right: Kind) -> Kind:
    if op == "+" and left is right is Kind.DYNAMIC:
        return Kind.DYNAMIC
    if Kind.DOUBLE in (left, right):
        return Kind.DOUBLE
    return Kind.INT if left is right is Kind.INT else Kind.NUMBER


def _by_type(
    node_type: type[NodeT], check_one: Callable[[_Checker, NodeT], Typed]
) -> tuple[type[Node], Callable[[_Checker, Node], Typed]]:
    return node_type, lambda checker, node: check_one(checker, cast("NodeT", node))


_CHECKS: dict[type[Node], Callable[[_Checker, Node], Typed]] = dict(
    (
        _by_type(Literal, _Checker.literal),
        _by_type(Ident, _Checker.ident),
        _by_type(Select, _Checker.select),
        _by_type(Index, _Checker.index),
        _by_type(ListOf, _Checker.list_of),
        _by_type(MapOf, _Checker.map_of),
        _by_type(Chain, _Checker.chain),
        _by_type(Ternary, _Checker.ternary),
        _by_type(Unary, _Checker.unary),
        _by_type(Binary, _Checker.binary),
        _by_type(Call, _Checker.call),
    )
)
