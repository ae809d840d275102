"""From tokens to a syntax tree: a Pratt parser for the CEL subset.

Called by `compiler`. It knows precedence and nothing of names or kinds. How
deep and how large an expression may be is enforced here, before anything recursive looks at it.
"""

from engine.limits import CEL_DEPTH_MAX, CEL_NODES_MAX, CEL_SOURCE_MAX
from engine.program.cel.lexer import INT_MAX, Token, tokenize
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

_TERNARY, _UNARY, _POSTFIX = 1, 7, 8
_POWERS = {
    "?": _TERNARY,
    "||": 2,
    "&&": 3,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 4),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/", "%"), 6),
    **dict.fromkeys((".", "["), _POSTFIX),
}
_WORDS = {"true": True, "false": False, "null": None}
_RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let"}
    | {"loop", "namespace", "package", "return", "var", "void", "while"}
)
_HABITS = {
    "and": "write && for 'and'",
    "or": "write || for 'or'",
    "not": "write ! for 'not'",
    "is": "write == to compare",
    "like": "write .contains(…) or .matches(…)",
    "between": "write x >= 1 && x <= 9",
}


def parse(source: str) -> Node:
    """Read a whole expression. Raises CelError."""
    if len(source) > CEL_SOURCE_MAX:
        message = f"the expression is longer than {CEL_SOURCE_MAX:,} characters"
        raise CelError(message, hint="keep long lists in a segment or a trait")
    return _Parser(source).whole()


class _Parser:
    """One pass over the tokens of one expression."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokenize(source)
        self.position = 0
        self.depth = 0
        self.nodes = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    @property
    def end(self) -> int:
        return self.tokens[self.position - 1].end

    def whole(self) -> Node:
        if self.token.kind == "end":
            raise self.fault("the expression is empty", "write true for 'always'")
        node = self.expression(0)
        if self.token.kind != "end":
            raise self.unexpected("an operator")
        return node

    def expression(self, power: int) -> Node:
        """Read an operand and all operators after it that bind tighter than `power`."""
        self.depth += 1
        if self.depth > CEL_DEPTH_MAX:
            raise self.fault(f"the expression is nested more than {CEL_DEPTH_MAX} deep")
        start = self.token.at
        left = self.prefix()
        while (binding := self.binding()) > power:
            left = self.infix(left, start, binding)
            self.count()
        self.depth -= 1
        return left

    def count(self) -> None:
        self.nodes += 1
        if self.nodes > CEL_NODES_MAX:
            raise self.fault(f"the expression has more than {CEL_NODES_MAX:,} parts")

    def binding(self) -> int:
        return _POWERS.get(self.token.text, 0)

    def infix(self, left: Node, start: int, binding: int) -> Node:
        token = self.advance()
        if token.text == ".":
            return self.member(left, start)
        if token.text == "[":
            key = self.expression(0)
            self.expect("]")
            return Index(start, self.end, left, key)
        if token.text == "?":
            return self.ternary(left, start)
        right = self.expression(binding)
        if binding in (_POWERS["&&"], _POWERS["||"]):
            # Only what was written without parentheses is one chain: `start` tells them apart.
            is_chain = isinstance(left, Chain) and left.op == token.text and left.start == start
            items = left.items if is_chain and isinstance(left, Chain) else (left,)
            return Chain(start, self.end, token.text, (*items, right))
        return Binary(start, self.end, token.text, token.at, left, right)

    def ternary(self, test: Node, start: int) -> Node:
        then = self.expression(_TERNARY)
        self.expect(":")
        other = self.expression(0)
        return Ternary(start, self.end, test, then, other)

    def member(self, target: Node, start: int) -> Node:
        if self.token.kind != "name" or self.token.text in ("in", *_WORDS):
            raise self.unexpected("a name after the point")
        token = self.advance()
        if self.token.text == "(":
            args = self.args()
            return Call(start, self.end, token.text, token.at, target, args)
        if self.token.text == "{":
            raise self.fault("building messages is not supported", 'write a map: {"name": value}')
        return Select(start, self.end, target, token.text, token.at)

    def prefix(self) -> Node:
        self.count()
        token = self.token
        if token.kind in ("string", "int", "double"):
            return self.literal(self.advance(), "")
        if token.kind == "name":
            return self.word(self.advance())
        if token.kind == "op" and token.text in _PREFIXES:
            return _PREFIXES[token.text](self, self.advance())
        raise self.unexpected("a value")

    def literal(self, token: Token, sign: str) -> Node:
        value = token.value
        if sign and not isinstance(value, str | None):
            value = -value
        if token.kind == "int" and value == INT_MAX + 1:
            raise fault(self.source, token.at, "this integer does not fit into 64 bits")
        return Literal(token.at - len(sign), token.end, value)

    def word(self, token: Token) -> Node:
        if token.text in _WORDS:
            return Literal(token.at, token.end, _WORDS[token.text])
        if token.text in _RESERVED:
            hint = "write test ? value : other" if token.text == "if" else ""
            raise fault(self.source, token.at, f"{quoted(token.text)} is a reserved word", hint)
        if self.token.text == "(":
            args = self.args()
            return Call(token.at, self.end, token.text, token.at, None, args)
        if self.token.text == "{":
            raise self.fault("building messages is not supported", 'write a map: {"name": value}')
        return Ident(token.at, token.end, token.text)

    def args(self) -> tuple[Node, ...]:
        self.expect("(")
        items = self.sequence(")")
        self.expect(")")
        return items

    def sequence(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while self.token.text != closing:
            items.append(self.expression(0))
            if not self.accept(","):
                break
        return tuple(items)

    def group(self, _token: Token) -> Node:
        inner = self.expression(0)
        self.expect(")")
        return inner

    def list_of(self, token: Token) -> Node:
        items = self.sequence("]")
        self.expect("]")
        return ListOf(token.at, self.end, items)

    def map_of(self, token: Token) -> Node:
        keys: list[Node] = []
        values: list[Node] = []
        while self.token.text != "}":
            keys.append(self.expression(0))
            self.expect(":")
            values.append(self.expression(0))
            if not self.accept(","):
                break
        self.expect("}")
        return MapOf(token.at, self.end, tuple(keys), tuple(values))

    def unary(self, token: Token) -> Node:
        if token.text == "-" and self.token.kind in ("int", "double"):
            # The sign belongs to the literal, else the smallest integer could not be written.
            sign = self.source[token.at : self.token.at]
            return self.literal(self.advance(), sign)
        operand = self.expression(_UNARY)
        return Unary(token.at, self.end, token.text, operand)

    def advance(self) -> Token:
        token = self.token
        self.position += token.kind != "end"
        return token

    def accept(self, text: str) -> bool:
        found = self.token.text == text
        self.position += found
        return found

    def expect(self, text: str) -> None:
        if not self.accept(text):
            raise self.unexpected(repr(text))

    def unexpected(self, wanted: str) -> CelError:
        token = self.token
        if token.kind == "end":
            return self.fault(f"the expression ends where {wanted} should follow")
        nearby = (token, self.tokens[self.position - 1])
        habits = (_HABITS.get(one.text.lower(), "") for one in nearby if one.kind == "name")
        hint = next(filter(None, habits), "")
        return self.fault(f"unexpected {quoted(token.text)}, expected {wanted}", hint)

    def fault(self, message: str, hint: str = "") -> CelError:
        return fault(self.source, self.token.at, message, hint)


_PREFIXES = {
    "(": _Parser.group,
    "[": _Parser.list_of,
    "{": _Parser.map_of,
    "!": _Parser.unary,
    "-": _Parser.unary,
}
