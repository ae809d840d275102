"""From the tree of a Liquid text to one Python function, for what most texts are made of.

Called by `templates`, once for each text when a workspace is loaded. Hands on a function from names
to the rendered text, or nothing, where a text is made of more than this knows.

Rules
- The function renders what python-liquid would, byte for byte, or raises: then the text is rendered
  by the library from the beginning, which so stays the only one to say what is wrong, and where.
- Rendering has no effects, so that beginning anew is safe.
- Nothing is written into the function but operators, numbers, quoted texts and names made here.

The library takes some 100 µs for a short mail with a loop, nearly all of it to set up what such a
mail has no use for; this takes 5.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

from liquid import BlockNode, BoundTemplate, Markup, Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import (
    BooleanExpression,
    Filter,
    FilteredExpression,
    KeywordArgument,
    Literal,
    Nil,
    Path,
    PositionalArgument,
    StringLiteral,
)
from liquid.builtin.expressions.logical import (
    ContainsExpression,
    EqExpression,
    GeExpression,
    GtExpression,
    LeExpression,
    LogicalAndExpression,
    LogicalOrExpression,
    LtExpression,
    NeExpression,
)
from liquid.builtin.expressions.primitive import (
    Blank,
    Empty,
    FalseLiteral,
    FloatLiteral,
    IntegerLiteral,
    TrueLiteral,
)
from liquid.builtin.output import OutputNode
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.comment_tag import CommentNode
from liquid.builtin.tags.for_tag import ForNode
from liquid.builtin.tags.if_tag import IfNode
from liquid.builtin.tags.inline_comment_tag import InlineCommentNode
from liquid.builtin.tags.unless_tag import UnlessNode
from liquid.expression import Expression

from engine.limits import TEMPLATE_BYTES_MAX, TEMPLATE_LOOPS_MAX
from engine.program import quick_values
from engine.program.cldr import CATEGORIES
from engine.program.dialect import Names
from engine.program.localised import FILTERS
from engine.program.quick_values import ASSIGNS_MAX, Comparison, Unsure

Quick = Callable[[Mapping[str, Any]], str]

# Beyond these a text is not what most are. Python has bounds of its own, some of them close by.
_NODES_MAX = 500
_PATH_MAX = 12
_FILTERS_MAX = 6
_TERMS_DEPTH_MAX = 12
_LOOPS_DEPTH_MAX = 4
_PIECES_MAX = 500  # of a loop's output, before their length is looked at
_NUMBER_MAX = 2**63

_COMPUTED = ("size", "first", "last")  # keys that Liquid answers where the value has none

# Filters of which the result is the same for null and for a missing value.
_FILTERS = frozenset(
    {
        "abs", "append", "at_least", "at_most", "capitalize", "ceil", "date", "default",
        "divided_by", "downcase", "escape", "floor", "json", "lstrip", "minus", "modulo",
        "newline_to_br",
        "plus", "prepend", "remove", "remove_first", "replace", "replace_first", "round", "rstrip",
        "size", "strip", "strip_html", "strip_newlines", "times", "truncate", "truncatewords",
        "upcase", "url_encode", *FILTERS,
    }
)  # fmt: skip
_FILTERS_OF_PRESENT = frozenset({"join"})  # not so for these
_METHODS = {"upcase": "upper", "downcase": "lower", "capitalize": "capitalize", "strip": "strip"}

_LOOP_VALUES = {
    "index": "(i{0} + 1)",
    "index0": "i{0}",
    "rindex": "(n{0} - i{0})",
    "rindex0": "(n{0} - i{0} - 1)",
    "first": "(i{0} == 0)",
    "last": "(i{0} == n{0} - 1)",
    "length": "n{0}",
}
_OPERATORS: dict[type, str] = {
    EqExpression: "{0} == {1}",
    NeExpression: "{0} != {1}",
    LtExpression: "{0} < {1}",
    LeExpression: "{0} <= {1}",
    GtExpression: "{0} > {1}",
    GeExpression: "{0} >= {1}",
    ContainsExpression: "{1} in {0}",
}
_LITERALS = (FalseLiteral, FloatLiteral, IntegerLiteral, StringLiteral, TrueLiteral)

# Everything a quick template may call; there are no builtins beside it.
_NAMESPACE: dict[str, object] = {
    "__builtins__": {},
    **{one.__name__: one for one in (type, len, str, int, list, dict, enumerate)},
    **{
        one.__name__: one
        for one in (
            quick_values.choose,
            quick_values.compact,
            quick_values.cut,
            quick_values.keep,
            quick_values.list_items,
            quick_values.measure,
            quick_values.need,
            Unsure,
        )
    },
}


class _Unknown(Exception):  # noqa: N818 - not an error: the library renders it
    """A text is made of more than what is known here."""


def compile_quick(bound: BoundTemplate, *, html: bool) -> Quick | None:
    """Compile a text, or give None. What it gives raises `Unsure` or anything else when unsure."""
    emitter = _Emitter(bound, html=html)
    try:
        text = emitter.function(bound.nodes)
    except _Unknown:
        return None
    namespace = {**_NAMESPACE, **emitter.objects}
    # The text holds nothing but operators, numbers, quoted texts and names of this namespace.
    exec(compile(text, "<template>", "exec"), namespace)  # noqa: S102
    return cast("Quick", namespace["template"])


class _Emitter:
    """Writes one function; collects which names and which objects it needs."""

    def __init__(self, bound: BoundTemplate, *, html: bool) -> None:
        self.html = html
        self.language = bound.env
        self.context = Names(bound, {})
        write = quick_values.write_html if html else quick_values.write_text
        self.objects: dict[str, object] = {
            "pick": quick_values.bind_pick(self.context.get_item),
            "write": write,
            "open_names": partial(Names, bound),
        }
        self.roots: dict[str, str] = {}
        self.loops: list[tuple[str, int]] = []  # the item's name and the loop's number
        self.counted: list[int] = []  # loops of which the body needs to know how far it is
        self.is_branched = False
        self.local_count = self.loop_count = self.node_count = self.assign_count = 0

    # Statements.

    def function(self, nodes: Sequence[Node]) -> str:
        """Write the whole function."""
        lines = self.block(nodes, silent=False)
        if not self.is_branched and lines[-1].startswith("add("):
            lines[-1] = f"text = {lines[-1][3:]}"
        else:
            lines = ["out = []", "add = out.append", *lines, "text = ''.join(out)"]
        roots = [f"{local} = names.get({name!r})" for name, local in self.roots.items()]
        short = f"text.isascii() and len(text) <= {TEMPLATE_BYTES_MAX}"
        final = f"return text if {short} else measure(text)"
        return "\n".join(["def template(names):", *_indent([*roots, *lines, final])])

    def block(self, nodes: Sequence[Node], *, silent: bool) -> list[str]:
        """Write statements one after the other. What a silent block writes is not seen."""
        lines: list[str] = []
        pieces: list[str] = []  # what stands between two branches is put together at once
        for node in nodes:
            self.node_count += 1
            if self.node_count > _NODES_MAX:
                raise _Unknown
            if type(node) is ContentNode:
                pieces.append(repr(node.text))
            elif type(node) is OutputNode:
                local = self.local()
                lines.append(f"{local} = {self.output(node.expression)}")
                pieces.append(f"f'{{{local}}}'")
            elif type(node) is AssignNode:
                lines.append(self.assign(node))
            elif type(node) not in (CommentNode, InlineCommentNode):
                lines += _close(pieces, silent=silent)
                lines += self.branch(node, silent=silent)
        lines += _close(pieces, silent=silent)
        return lines or ["pass"]

    def branch(self, node: Node, *, silent: bool) -> list[str]:
        """Write a statement that has others in it."""
        self.is_branched = True
        if type(node) is IfNode:
            return self.choice(node, "{}", silent=silent)
        if type(node) is UnlessNode:
            return self.choice(node, "not {}", silent=silent)
        if type(node) is ForNode:
            return self.loop(node, silent=silent)
        raise _Unknown

    def choice(self, node: IfNode | UnlessNode, first: str, *, silent: bool) -> list[str]:
        """Write an `if` or `unless`."""
        lines = [f"if {first.format(self.truth(node.condition))}:"]
        lines += self.arm(node.consequence, silent=silent)
        for other in node.alternatives:
            lines.append(f"elif {self.truth(other.expression)}:")
            lines += self.arm(other.block, silent=silent)
        if node.default:
            lines += ["else:", *self.arm(node.default, silent=silent)]
        return lines

    def arm(self, block: BlockNode, *, silent: bool) -> list[str]:
        """Write what is done in one case; where it's not known how, the library does everything."""
        depth = len(self.loops)
        try:
            lines = self.block(block.nodes, silent=silent or self.is_blank(block))
        except _Unknown:
            del self.loops[depth:]
            lines = ["raise Unsure"]
        return _indent(lines)

    def is_blank(self, block: BlockNode) -> bool:
        """Tell whether a block has nothing but white space, which is then not written."""
        return block.blank and self.language.suppress_blank_control_flow_blocks

    def loop(self, node: ForNode, *, silent: bool) -> list[str]:
        """Write a `for`."""
        head = node.expression
        if head.identifier == "forloop" or len(self.loops) == _LOOPS_DEPTH_MAX:
            raise _Unknown
        number = self.loop_count = self.loop_count + 1
        items, count = f"s{number}", f"n{number}"
        lines = [
            f"{items} = {self.value(head.iterable)}",
            f"if type({items}) is not list: {items} = list_items({items})",
        ]
        if head.limit is not None or head.offset is not None or head.reversed:
            limit = None if head.limit is None else _number(head.limit)
            offset = 0 if head.offset is None else _number(head.offset)
            lines.append(f"{items} = cut({items}, {limit}, {offset}, backwards={head.reversed!r})")
        total = " * ".join([f"n{outer}" for _, outer in self.loops] + [count])
        lines.append(f"{count} = len({items})")
        lines.append(f"if {total} > {TEMPLATE_LOOPS_MAX}: raise Unsure")

        self.loops.append((str(head.identifier), number))
        is_silent = silent or self.is_blank(node.block)
        body = self.block(node.block.nodes, silent=is_silent)
        self.loops.pop()
        if not is_silent:
            body.append(f"if len(out) > {_PIECES_MAX}: compact(out)")
        each = f"for v{number} in {items}:"
        if number in self.counted:
            each = f"for i{number}, v{number} in enumerate({items}):"
        lines += [each, *_indent(body)]
        if node.default:
            lines += [f"if not {count}:", *self.arm(node.default, silent=silent)]
        return lines

    def assign(self, node: AssignNode) -> str:
        """Write an `assign`. A name that is not assigned yet is the one that was given."""
        self.assign_count += 1
        if self.assign_count > ASSIGNS_MAX:
            raise _Unknown
        return f"{self.root(str(node.name))} = keep({self.filtered(node.expression)})"

    # Expressions.

    def local(self) -> str:
        """Make a name."""
        self.local_count += 1
        return f"t{self.local_count}"

    def name_object(self, thing: object) -> str:
        """Make a name for an object."""
        name = f"o{len(self.objects)}"
        self.objects[name] = thing
        return name

    def root(self, name: str) -> str:
        """Give the variable for a name that was given or assigned."""
        return self.roots.setdefault(name, f"r{len(self.roots)}")

    def output(self, expression: Expression) -> str:
        """Write what is seen of a value."""
        text = self.filtered(expression)
        if self.html:
            return f"write({text})"  # nothing is quicker inline, as a text must be looked through
        local = self.local()
        return f"{local} if type({local} := {text}) is str else write({local})"

    def filtered(self, expression: Expression) -> str:
        """Write a value and its filters."""
        if type(expression) is not FilteredExpression:
            raise _Unknown
        text = self.value(expression.left)
        filters = expression.filters or []
        if len(filters) > _FILTERS_MAX:
            raise _Unknown
        for used in filters:
            text = self.filter(used, text)
        return text

    def filter(self, used: Filter, text: str) -> str:
        """Write the use of a filter on a value."""
        if used.name in _FILTERS_OF_PRESENT:
            text = f"need({text})"
        elif used.name not in _FILTERS:
            raise _Unknown
        args = [self.argument(argument) for argument in used.args]
        local = self.local()
        if used.name == "default" and len(args) == 1:
            other = f"choose({local}, {args[0]})"
            return f"({local} if type({local} := {text}) is str and {local} else {other})"
        function = self.language.filters[used.name]
        if getattr(function, "with_environment", False):
            function = partial(function, environment=self.language)
        if getattr(function, "with_context", False):
            args.append("context=open_names(names)")
        call = f"{self.name_object(function)}({', '.join([local, *args])})"
        quick = call
        if used.name in _METHODS:
            quick = f"{local}.{_METHODS[used.name]}()"
        elif used.name == "size":
            quick = f"len({local})"
        return f"({quick} if type({local} := {text}) is str else {call})"

    def argument(self, argument: object) -> str:
        """Write an argument of a filter, which might not take null for a missing value."""
        name = ""
        if isinstance(argument, KeywordArgument) and argument.name in CATEGORIES:
            name = f"{argument.name}="
        elif not isinstance(argument, PositionalArgument):
            raise _Unknown
        text = self.value(argument.value)
        return f"{name}need({text})" if type(argument.value) is Path else f"{name}{text}"

    def value(self, expression: Expression) -> str:
        """Write a value without filters."""
        if type(expression) is Path:
            return self.path(expression)
        if type(expression) is StringLiteral and self.html:
            return self.name_object(Markup(expression.value))  # what the author wrote is markup
        return self.constant(expression)

    def constant(self, expression: Expression) -> str:
        """Write a literal. Texts are plain, which is the same wherever values are compared."""
        if type(expression) is Nil:
            return "None"
        if type(expression) in (Blank, Empty):
            return self.name_object(expression)
        if not isinstance(expression, _LITERALS):
            raise _Unknown
        value = cast("Literal[object]", expression).value
        if type(value) is int and abs(value) < _NUMBER_MAX:
            return f"({value})"
        return repr(value) if type(value) in (bool, str) else self.name_object(value)

    def path(self, path: Path) -> str:
        """Write the way to a value."""
        root, *keys = path.path
        if not isinstance(root, str) or len(keys) > _PATH_MAX:
            raise _Unknown
        for name, number in reversed(self.loops):
            if root == "forloop":
                return self.loop_value(keys, number)
            if root == name:
                return self.steps(f"v{number}", keys)
        return self.steps(self.root(root), keys)

    def loop_value(self, keys: Sequence[object], number: int) -> str:
        """Write how far a loop is."""
        pattern = _LOOP_VALUES.get(str(keys[0])) if len(keys) == 1 else None
        if pattern is None or not isinstance(keys[0], str):
            raise _Unknown
        self.counted.append(number)
        return pattern.format(number)

    def steps(self, text: str, keys: Sequence[object]) -> str:
        """Write the steps of a path, from a value."""
        for key in keys:
            if isinstance(key, Path):
                if any(isinstance(part, Path) for part in key.path):
                    raise _Unknown
                text = f"pick({text}, {self.path(key)})"
            elif key in _COMPUTED or isinstance(key, int):
                text = f"pick({text}, {key!r})"
            else:
                local = self.local()
                other = f"pick({local}, {key!r})"
                text = f"({local}.get({key!r}) if type({local} := {text}) is dict else {other})"
        return text

    # Conditions.

    def truth(self, expression: Expression, depth: int = 0) -> str:
        """Write whether an expression is true: everything but false and nothing is."""
        if depth > _TERMS_DEPTH_MAX:
            raise _Unknown
        if type(expression) is BooleanExpression:
            return self.truth(expression.expression, depth + 1)
        if isinstance(expression, LogicalAndExpression | LogicalOrExpression):
            word = "and" if type(expression) is LogicalAndExpression else "or"
            left = self.truth(expression.left, depth + 1)
            return f"({left} {word} {self.truth(expression.right, depth + 1)})"
        if type(expression) in _OPERATORS:
            return self.comparison(cast("Comparison", expression))
        text = self.value(expression) if type(expression) is Path else self.constant(expression)
        local = self.local()
        return f"(({local} := {text}) is not None and {local} is not False)"

    def comparison(self, node: Comparison) -> str:
        """Write a comparison, without a call where one side is a text or number of the author's."""
        left, right = self.operand(node.left), self.operand(node.right)
        judge = self.name_object(quick_values.bind_comparison(node, self.context))
        literal = type(node.right)
        if literal is StringLiteral:
            kind = "str"
        elif literal is IntegerLiteral and type(node) is not ContainsExpression:
            kind = "int"
        else:
            return f"{judge}({left}, {right})"
        local = self.local()
        quick = _OPERATORS[type(node)].format(local, right)
        return f"({quick} if type({local} := {left}) is {kind} else {judge}({local}, {right}))"

    def operand(self, expression: Expression) -> str:
        """Write a side of a comparison."""
        return self.path(expression) if type(expression) is Path else self.constant(expression)


def _close(pieces: list[str], *, silent: bool) -> list[str]:
    """Write out what came together, and begin anew."""
    text = " ".join(pieces)
    pieces.clear()
    return [f"add({text})"] if text and not silent else []


def _indent(lines: Sequence[str]) -> list[str]:
    return [f" {line}" for line in lines]


def _number(expression: Expression) -> int:
    if type(expression) is not IntegerLiteral or abs(expression.value) >= _NUMBER_MAX:
        raise _Unknown
    return expression.value
