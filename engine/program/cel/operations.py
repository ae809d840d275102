"""What compiled conditions call when one line of Python is not enough.

`emitter` puts these names into the namespace of what it compiles. None of them ever raises:
whatever has no meaning gives ABSENT, or False where a yes or no was asked.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from types import EllipsisType
from typing import TypeAlias

from engine.instants import (
    INSTANT_MAX,
    INSTANT_MIN,
    SECOND_MS,
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
)
from engine.limits import CEL_LIST_MAX, CEL_TEXT_MAX, CEL_VALUE_DEPTH_MAX

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Value: TypeAlias = "Json | EllipsisType"

# Python's Ellipsis stands for "absent": it is a compile-time constant like None, so that testing
# for it costs a pointer comparison, and no JSON value can ever be it.
ABSENT = ...

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
_DURATION_LENGTH_MAX = 64  # longer texts of digits would take time squared to refuse
DURATION_MS_MAX = INSTANT_MAX - INSTANT_MIN
_INT = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DOUBLE = re.compile(
    r"[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,4})?", re.ASCII
)
_EXPONENT_MIN, _EXPONENT_MAX = -4, 6  # outside, CEL writes doubles with an exponent


def is_number(value: Value) -> bool:
    """Tell whether a value is a number; a bool is not."""
    return type(value) is int or type(value) is float


def equal(left: Value, right: Value, depth: int = 0) -> bool:
    """Compare two values as CEL does: 1 == 1.0, but true != 1; absent equals nothing."""
    if left is ABSENT or right is ABSENT or depth > CEL_VALUE_DEPTH_MAX:
        return False
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            equal(one, two, depth + 1) for one, two in zip(left, right, strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return len(left) == len(right) and all(
            key in right and equal(one, right[key], depth + 1) for key, one in left.items()
        )
    if type(left) is type(right) or (is_number(left) and is_number(right)):
        return left == right
    return False


def differ(left: Value, right: Value) -> bool:
    """Tell that two values are there and not equal."""
    return left is not ABSENT and right is not ABSENT and not equal(left, right)


def less(left: Value, right: Value) -> bool:
    """Tell whether one value is below another; values without a common order are not."""
    if type(left) is str and type(right) is str:
        return left < right
    if type(left) is bool and type(right) is bool:
        return left < right
    if (type(left) is int or type(left) is float) and (type(right) is int or type(right) is float):
        return left < right
    return False


def less_equal(left: Value, right: Value) -> bool:
    """Tell whether one value is below or level with another."""
    if type(left) is str and type(right) is str:
        return left <= right
    if type(left) is bool and type(right) is bool:
        return left <= right
    if (type(left) is int or type(left) is float) and (type(right) is int or type(right) is float):
        return left <= right
    return False


def within(member: Value, container: Value) -> bool:
    """Tell whether a list has an element equal to this, or a map has this key."""
    if isinstance(container, dict):
        return type(member) is str and member in container
    if isinstance(container, list):
        return any(equal(member, element) for element in container)
    return False


def pick(container: Value, key: Value) -> Value:
    """Look up a list's element or a map's entry."""
    if isinstance(container, dict):
        return container.get(key, ABSENT) if isinstance(key, str) else ABSENT
    if not isinstance(container, list):
        return ABSENT
    if type(key) is float and key.is_integer():
        key = int(key)
    return container[key] if type(key) is int and 0 <= key < len(container) else ABSENT


def pick_root(container: Mapping[str, Json], key: Value) -> Value:
    """Look up an entry of the event, the profile or another root by a computed name."""
    return container.get(key, ABSENT) if isinstance(key, str) else ABSENT


def size(value: Value) -> Value:
    """Count characters, elements or entries."""
    return len(value) if isinstance(value, str | list | dict) else ABSENT


def present(items: list[Value]) -> Value:
    """Give a list, absent if an element of it is."""
    found: list[Json] = [item for item in items if item is not ...]
    return found if len(found) == len(items) else ABSENT


def mapping(keys: list[Value], values: list[Value]) -> Value:
    """Give a map, absent if a part of it is, if a key is no text, or if a key comes twice."""
    found: dict[str, Json] = {
        key: value
        for key, value in zip(keys, values, strict=True)
        if isinstance(key, str) and value is not ...
    }
    return found if len(found) == len(keys) else ABSENT


def _whole(result: int) -> Value:
    return result if INT_MIN <= result <= INT_MAX else ABSENT


def _finite_pair(left: Value, right: Value) -> tuple[float, float] | None:
    """Take two numbers for arithmetic on doubles; integers too large for one have no value."""
    if type(left) not in (int, float) or type(right) not in (int, float):
        return None
    assert isinstance(left, int | float)
    assert isinstance(right, int | float)
    try:
        return float(left), float(right)
    except OverflowError:
        return None


def add(left: Value, right: Value) -> Value:
    """Add numbers, or join texts or lists."""
    if type(left) is int and type(right) is int:
        return _whole(left + right)
    if type(left) is str and type(right) is str:
        return left + right if len(left) + len(right) <= CEL_TEXT_MAX else ABSENT
    if isinstance(left, list) and isinstance(right, list):
        return left + right if len(left) + len(right) <= CEL_LIST_MAX else ABSENT
    pair = _finite_pair(left, right)
    return ABSENT if pair is None else pair[0] + pair[1]


def subtract(left: Value, right: Value) -> Value:
    """Take one number from another."""
    if type(left) is int and type(right) is int:
        return _whole(left - right)
    pair = _finite_pair(left, right)
    return ABSENT if pair is None else pair[0] - pair[1]


def multiply(left: Value, right: Value) -> Value:
    """Multiply two numbers."""
    if type(left) is int and type(right) is int:
        return _whole(left * right)
    pair = _finite_pair(left, right)
    return ABSENT if pair is None else pair[0] * pair[1]


def divide(left: Value, right: Value) -> Value:
    """Divide; two integers give an integer, rounded toward zero."""
    if type(left) is int and type(right) is int:
        if right == 0:
            return ABSENT
        quotient = abs(left) // abs(right)
        return _whole(quotient if (left < 0) == (right < 0) else -quotient)
    pair = _finite_pair(left, right)
    return ABSENT if pair is None or pair[1] == 0 else pair[0] / pair[1]


def modulo(left: Value, right: Value) -> Value:
    """Give the rest of dividing two integers; it has the sign of the first."""
    if type(left) is not int or type(right) is not int or divide(left, right) is ABSENT:
        return ABSENT
    rest = abs(left) % abs(right)
    return _whole(-rest if left < 0 else rest)


def negate(value: Value) -> Value:
    """Turn a number's sign."""
    if type(value) is int:
        return _whole(-value)
    return -value if type(value) is float else ABSENT


def to_int(value: Value) -> Value:
    """Read an integer from a text, or cut a double toward zero."""
    if type(value) is int or type(value) is bool:
        return _whole(int(value))
    if type(value) is float:
        return _whole(int(value)) if math.isfinite(value) else ABSENT
    if type(value) is str and _INT.fullmatch(value):
        return _whole(int(value))
    return ABSENT


def to_double(value: Value) -> Value:
    """Read a double from a text or an integer."""
    if type(value) is float:
        return value
    if type(value) is int:
        pair = _finite_pair(value, value)
        return ABSENT if pair is None else pair[0]
    if type(value) is str and _DOUBLE.fullmatch(value):
        return float(value)
    return ABSENT


def to_string(value: Value) -> Value:
    """Write a text, number or bool as CEL does."""
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        return str(value) if INT_MIN <= value <= INT_MAX else ABSENT
    return write_double(value) if type(value) is float else ABSENT


def write_double(value: float) -> str:
    """Write a double in its fewest digits, with an exponent from a million on."""
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    power = len(text) - 1 + exponent
    minus = "-" if sign else ""
    if value == 0:
        return f"{minus}0"
    if _EXPONENT_MIN <= power < _EXPONENT_MAX:
        return f"{minus}{abs(Decimal(repr(value)).normalize()):f}"
    point = "." if len(text) > 1 else ""
    return f"{minus}{text[0]}{point}{text[1:]}e{'-' if power < 0 else '+'}{abs(power):02d}"


def lower(value: Value) -> Value:
    """Write a text in small letters."""
    return value.lower() if type(value) is str else ABSENT


def upper(value: Value) -> Value:
    """Write a text in capitals."""
    return value.upper() if type(value) is str else ABSENT


def to_instant(value: Value) -> Value:
    """Read an instant from an ISO 8601 text or from whole seconds since 1970."""
    if type(value) is int:
        return shift(value * SECOND_MS, 0)
    if type(value) is not str:
        return ABSENT
    try:
        return parse_instant(value)
    except (ValueError, OverflowError):
        return ABSENT


def to_duration(value: Value) -> Value:
    """Read a duration like `90m`, `1h30m`, `-2d` or `1w`."""
    if type(value) is not str or len(value) > _DURATION_LENGTH_MAX:
        return ABSENT
    sign = -1 if value.startswith("-") else 1
    try:
        return span(sign * parse_duration(value[1:] if value[:1] in ("-", "+") else value), 0)
    except (ValueError, OverflowError):
        return ABSENT


def shift(at: Value, duration_ms: Value) -> Value:
    """Move an instant by a duration; outside the years we know there is none."""
    if type(at) is not int or type(duration_ms) is not int:
        return ABSENT
    moved = at + duration_ms
    return moved if INSTANT_MIN <= moved <= INSTANT_MAX else ABSENT


def unshift(at: Value, duration_ms: Value) -> Value:
    """Move an instant back by a duration."""
    return shift(at, -duration_ms) if type(duration_ms) is int else ABSENT


def between(end_at: Value, start_at: Value) -> Value:
    """Give the duration from one instant to another."""
    if type(end_at) is not int or type(start_at) is not int:
        return ABSENT
    return end_at - start_at


def span(one_ms: Value, two_ms: Value) -> Value:
    """Add two durations."""
    if type(one_ms) is not int or type(two_ms) is not int:
        return ABSENT
    total_ms = one_ms + two_ms
    return total_ms if -DURATION_MS_MAX <= total_ms <= DURATION_MS_MAX else ABSENT


def unspan(one_ms: Value, two_ms: Value) -> Value:
    """Take one duration from another."""
    return span(one_ms, -two_ms) if type(two_ms) is int else ABSENT


def cut(value: Value, unit_ms: int) -> Value:
    """Count whole units in a duration or an instant, rounded toward zero."""
    return divide(value, unit_ms)


def floor(value: Value, unit_ms: int) -> Value:
    """Count whole units in an instant, rounded toward the past."""
    return value // unit_ms if type(value) is int else ABSENT


def write_instant(at: Value) -> Value:
    """Write an instant as ISO 8601 in UTC."""
    if type(at) is not int or not INSTANT_MIN <= at <= INSTANT_MAX:
        return ABSENT
    return format_instant(at)


def write_duration(duration_ms: Value) -> Value:
    """Write a duration as CEL does: in seconds, like `5400s`."""
    if type(duration_ms) is not int:
        return ABSENT
    seconds, ms = divmod(abs(duration_ms), SECOND_MS)
    fraction = f".{ms:03d}" if ms else ""
    return f"{'-' if duration_ms < 0 else ''}{seconds}{fraction}s"


def export(value: Value) -> Json:
    """Hand a result to the outside: absent, and a double that JSON can't write, become None."""
    if value is ...:
        return None
    return None if type(value) is float and not math.isfinite(value) else value


def export_instant(at: Value) -> Json:
    """Hand out an instant as text, the way events and profiles hold instants."""
    return export(write_instant(at))


def export_duration(duration_ms: Value) -> Json:
    """Hand out a duration as text that `duration()` reads again, like `2h`."""
    if type(duration_ms) is not int:
        return None
    return f"{'-' if duration_ms < 0 else ''}{format_duration(abs(duration_ms))}"
