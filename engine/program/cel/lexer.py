"""From the text of a condition to its tokens.

Called by `parser`. Whatever is CEL but not in our subset (bytes, unsigned numbers) is refused here
with its name, so that nobody wonders whether it was a typing error.
"""

import re
from collections.abc import Callable

import msgspec

from engine.program.cel.syntax import fault, quoted

INT_MAX = 2**63 - 1
_CODE_MAX = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<bytes>(?:[bB][rR]?|[rR][bB])(?=["']))
    |(?P<raw>[rR](?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"\n]*"|'[^'\n]*'))
    |(?P<string>\"{3}(?:[^\\"]|\\[\s\S]|"(?!""))*\"{3}|'{3}(?:[^\\']|\\[\s\S]|'(?!''))*'{3}
        |"(?!"")(?:[^"\\\n]|\\.)*"|'(?!'')(?:[^'\\\n]|\\.)*'|""(?!")|''(?!'))
    |(?P<double>(?:\d+\.\d+|\.\d+)(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
    |(?P<int>0[xX][0-9a-fA-F]+|\d+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<op>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|[\s\S])"
)
_SIMPLE = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "?": "?",
    '"': '"',
    "'": "'",
    "`": "`",
}
_HINTS = {
    "=": "write == to compare",
    "&": "write && for 'and'",
    "|": "write || for 'or'",
    "`": 'write event["order id"] for names that are not plain words',
    '"': "the string that starts here has no closing quote",
    "'": "the string that starts here has no closing quote",
    ";": "a condition is one expression",
}


class Token(msgspec.Struct, frozen=True):
    """One word of a condition: its kind, its text, and the value if it is a literal."""

    kind: str  # string, int, double, name, op or end
    text: str
    at: int
    end: int
    value: str | float | None = None


def tokenize(source: str) -> list[Token]:
    """Split the text into tokens; the last one is of kind `end`. Raises CelError."""
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            hint = _HINTS.get(source[at], "")
            raise fault(source, at, f"unexpected character {quoted(source[at])}", hint)
        kind, text, end = str(match.lastgroup), match[0], match.end()
        if kind != "space":
            tokens.append(Token(kind, text, at, end))
        if kind in _READERS:
            name, value = _READERS[kind](source, at, text)
            tokens[-1] = Token(name, text, at, end, value)
        at = end
    tokens.append(Token("end", "", at, at))
    return tokens


def _read_bytes(source: str, at: int, _text: str) -> tuple[str, str]:
    raise fault(source, at, "bytes literals are not supported", "drop the b: write a string")


def _read_raw(_source: str, _at: int, text: str) -> tuple[str, str]:
    return "string", _unquoted(text[1:])


def _read_string(source: str, at: int, text: str) -> tuple[str, str]:
    body = _unquoted(text)
    first = at + (len(text) - len(body)) // 2

    def unescape(match: re.Match[str]) -> str:
        value = _escaped(match[0][1:])
        if value is None:
            place = first + match.start()
            raise fault(source, place, f"unknown escape {quoted(match[0])}", "write \\\\ for a \\")
        return value

    return "string", _ESCAPE.sub(unescape, body)


def _unquoted(text: str) -> str:
    size = 3 if len(text) >= 6 and text[:3] in ('"""', "'''") else 1  # noqa: PLR2004 - two triples
    return text[size:-size]


def _escaped(escape: str) -> str | None:
    """Read an escape without its backslash; None where there is no such character."""
    if len(escape) == 1:
        return _SIMPLE.get(escape)
    code = int(escape, 8) if escape[0] in "0123" else int(escape[1:], 16)
    is_character = code <= _CODE_MAX and code not in _SURROGATES
    return chr(code) if is_character else None


def _read_int(source: str, at: int, text: str) -> tuple[str, int]:
    _reject_suffix(source, at + len(text), text)
    digits = text.lower()
    is_long = len(digits) > len("0x") + 20  # leading zeros aside, no 64-bit number is longer
    value = INT_MAX + 2 if is_long else int(digits, 16 if digits.startswith("0x") else 10)
    if value > INT_MAX + 1:
        raise fault(source, at, "this integer does not fit into 64 bits", "write it with a point")
    return "int", value


def _read_double(source: str, at: int, text: str) -> tuple[str, float]:
    _reject_suffix(source, at + len(text), text)
    value = float(text)
    if value == float("inf"):
        raise fault(source, at, "this number is too large for a double")
    return "double", value


def _reject_suffix(source: str, end: int, text: str) -> None:
    """Refuse letters glued to a number: an unsigned literal, or a duration without quotes."""
    suffix = source[end : end + 1]
    if suffix in ("u", "U"):
        raise fault(source, end, "unsigned integers are not supported", f"write {text[:20]}")
    if suffix.isalpha() or suffix == "_":
        hint = f'for a time write duration("{text[:20]}d")' if suffix in "smhdw" else ""
        raise fault(source, end, f"unexpected letter {quoted(suffix)} after a number", hint)


_READERS: dict[str, Callable[[str, int, str], tuple[str, str | float]]] = {
    "bytes": _read_bytes,
    "raw": _read_raw,
    "string": _read_string,
    "int": _read_int,
    "double": _read_double,
}
