"""The shape of a workspace: whether keys are known and values are of the right kind.

Called by `compile` with what a file loader read; hands on a `WorkspaceSpec`. Decoding by msgspec
alone would stop at the first fault, so this walks the same struct types first, notes every fault,
and leaves the faulty parts out: what remains decodes, and can be checked for its meaning in the
same run.
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, TypeGuard

import msgspec
from msgspec import inspect

from engine.limits import WORKSPACE_DEPTH_MAX, WORKSPACE_NAME_LENGTH_MAX
from engine.program.faults import Faults, enumerate_names, quote, suggest
from engine.program.model import WorkspaceSpec
from engine.program.places import Path
from engine.program.plain import dict_or_none, list_or_none

_PLAIN_NAME = "_"


class _Nothing(Enum):
    """What is left of a value that could not be kept."""

    NOTHING = _PLAIN_NAME


_NOTHING: Final = _Nothing.NOTHING
_WORKSPACE = inspect.type_info(WorkspaceSpec)
_NAME_FORM = (
    f"use 1 to {WORKSPACE_NAME_LENGTH_MAX} characters without '/', '*' and control characters"
)
_RESERVED = re.compile(r"[/*\x00-\x1f]")


def read_shape(raw: Mapping[str, Any], faults: Faults) -> WorkspaceSpec:
    """Read a workspace into its structs, noting what is wrong and leaving it out."""
    given = dict(raw)
    if "workspace" not in given:
        faults.add(("workspace",), "a workspace needs a name", "write `workspace: my-shop`")
        given["workspace"] = _PLAIN_NAME
    kept = _keep(given, _WORKSPACE, (), faults)
    if kept is _NOTHING:  # its only required key is the name, and that was of the wrong kind
        kept = _keep({**given, "workspace": _PLAIN_NAME}, _WORKSPACE, (), faults)
    return msgspec.convert(kept, WorkspaceSpec)


def _keep(value: object, kind: inspect.Type, path: Path, faults: Faults) -> object:
    if len(path) > WORKSPACE_DEPTH_MAX:
        faults.add(path[:4], "is nested too deeply", f"{WORKSPACE_DEPTH_MAX} levels are the most")
        return _NOTHING
    if isinstance(kind, inspect.Metadata):
        return _keep(value, kind.type, path, faults)
    return _KEEPERS[type(kind)](value, kind, path, faults)


def _keep_struct(value: object, kind: inspect.StructType, path: Path, faults: Faults) -> object:
    given = dict_or_none(value)
    if given is None:
        return _refuse(value, "a mapping", path, faults)
    fields = {field.encode_name: field for field in kind.fields}
    kept: dict[str, object] = {}
    for key, item in given.items():
        if key not in fields:
            _refuse_key(key, kind, path, faults)
            continue
        kept_item = _keep(item, fields[key].type, (*path, key), faults)
        if kept_item is not _NOTHING:
            kept[key] = kept_item
    required = [name for name, field in fields.items() if field.required]
    for name in required:
        if name not in given:
            faults.add((*path, name), f"{name!r} is missing", _describe_field(fields[name].type))
    return kept if all(name in kept for name in required) else _NOTHING


def _keep_dict(value: object, kind: inspect.DictType, path: Path, faults: Faults) -> object:
    given = dict_or_none(value)
    if given is None:
        return _refuse(value, "a mapping", path, faults)
    kept: dict[str, object] = {}
    # A key that says how long it may be is no name of the workspace's.
    is_named = not (isinstance(kind.key_type, inspect.StrType) and kind.key_type.max_length)
    for name, item in given.items():
        if (
            not name
            or len(name) > WORKSPACE_NAME_LENGTH_MAX
            or (is_named and _RESERVED.search(name))
        ):
            faults.add(
                (*path, name),
                f"{quote(name)} can't be a name",
                _NAME_FORM,
                at_key=True,
            )
            continue
        kept_item = _keep(item, kind.value_type, (*path, name), faults)
        if kept_item is not _NOTHING:
            kept[name] = kept_item
    return kept


def _keep_list(value: object, kind: inspect.VarTupleType, path: Path, faults: Faults) -> object:
    given = list_or_none(value)
    if given is None:
        return _refuse(value, "a list", path, faults)
    if kind.min_length is not None and len(given) < kind.min_length:
        faults.add(path, "is empty", f"at least {kind.min_length} is needed")
        return _NOTHING
    kept = [_keep(item, kind.item_type, (*path, i), faults) for i, item in enumerate(given)]
    # A list with a hole would give every later item another index, and so another path.
    return _NOTHING if any(item is _NOTHING for item in kept) else kept


def _keep_union(value: object, kind: inspect.UnionType, path: Path, faults: Faults) -> object:
    for choice in kind.types:
        bare = choice.type if isinstance(choice, inspect.Metadata) else choice
        if _ACCEPTS[type(bare)](value):
            return _keep(value, bare, path, faults)
    words = [_describe(choice) for choice in kind.types]
    return _refuse(value, " or ".join(dict.fromkeys(words)), path, faults)


def _keep_text(value: object, kind: inspect.StrType, path: Path, faults: Faults) -> object:
    if not isinstance(value, str):
        return _refuse(value, "text", path, faults)
    if kind.min_length and not value.strip():
        faults.add(path, "is empty", "write something, or leave the key out")
        return _NOTHING
    return value


def _keep_int(value: object, kind: inspect.IntType, path: Path, faults: Faults) -> object:
    if not _is_int(value):
        return _refuse(value, "a whole number", path, faults)
    return value if _is_within(value, kind, path, faults) else _NOTHING


def _keep_float(value: object, kind: inspect.FloatType, path: Path, faults: Faults) -> object:
    if not _is_number(value):
        return _refuse(value, "a number", path, faults)
    return float(value) if _is_within(value, kind, path, faults) else _NOTHING


def _is_within(
    number: float, kind: inspect.IntType | inspect.FloatType, path: Path, faults: Faults
) -> bool:
    if kind.ge is not None and number < kind.ge:
        bound = f"at least {kind.ge:g}"
    elif kind.gt is not None and number <= kind.gt:
        bound = f"more than {kind.gt:g}"
    elif kind.le is not None and number > kind.le:
        bound = f"at most {kind.le:g}"
    else:
        return True
    faults.add(path, f"{quote(number)} is out of range", f"it must be {bound}")
    return False


def _keep_bool(value: object, _kind: inspect.BoolType, path: Path, faults: Faults) -> object:
    if not isinstance(value, bool):
        return _refuse(value, "true or false", path, faults)
    return value


def _keep_choice(value: object, kind: inspect.LiteralType, path: Path, faults: Faults) -> object:
    if isinstance(value, str) and value in kind.values:
        return value
    names = [str(choice) for choice in kind.values]
    hint = suggest(value, names) if isinstance(value, str) else ""
    faults.add(path, f"{quote(value)} is not one of {enumerate_names(names)}", hint)
    return _NOTHING


def _keep_any(value: object, _kind: inspect.AnyType, _path: Path, _faults: Faults) -> object:
    return value


def _refuse(value: object, expected: str, path: Path, faults: Faults) -> _Nothing:
    hint = ""
    if expected.startswith("text") and isinstance(value, (int, float)):
        written = {True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value}"
        hint = f'quote it: "{written}"'
    elif expected == "a list" and isinstance(value, str):
        hint = (
            f"write it as a list: [{value}]" if len(value) <= WORKSPACE_NAME_LENGTH_MAX // 4 else ""
        )
    faults.add(path, f"expected {expected}, found {_name_kind(value)}", hint)
    return _NOTHING


def _refuse_key(key: str, kind: inspect.StructType, path: Path, faults: Faults) -> None:
    names = [field.encode_name for field in kind.fields]
    hint = suggest(key, names, "known keys")
    faults.add((*path, key), f"unknown key {quote(key)}", hint, at_key=True)


def _describe_field(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata):
        schema = dict_or_none(msgspec.structs.asdict(kind)["extra_json_schema"]) or {}
        described = schema.get("description", "")
        return str(described).rstrip(".") or _describe_field(kind.type)
    return f"expected {_describe(kind)}"


def _describe(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.Metadata):
        return _describe(kind.type)
    if isinstance(kind, inspect.LiteralType):
        return enumerate_names([str(choice) for choice in kind.values])
    if isinstance(kind, inspect.StructType):
        keys = [field.encode_name for field in kind.fields if field.required]
        return f"a mapping with {enumerate_names(keys)}" if keys else "a mapping"
    return _NAMES[type(kind)]


def _name_kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {quote(value)}"
    if isinstance(value, str):
        return f"the text {quote(value)}"
    return "a list" if isinstance(value, list) else "a mapping"


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_KEEPERS: dict[type, Callable[[object, Any, Path, Faults], object]] = {
    inspect.StructType: _keep_struct,
    inspect.DictType: _keep_dict,
    inspect.VarTupleType: _keep_list,
    inspect.UnionType: _keep_union,
    inspect.StrType: _keep_text,
    inspect.IntType: _keep_int,
    inspect.FloatType: _keep_float,
    inspect.BoolType: _keep_bool,
    inspect.LiteralType: _keep_choice,
    inspect.AnyType: _keep_any,
}
_ACCEPTS: dict[type, Callable[[object], bool]] = {
    inspect.StructType: lambda value: isinstance(value, Mapping),
    inspect.DictType: lambda value: isinstance(value, Mapping),
    inspect.VarTupleType: lambda value: isinstance(value, list),
    inspect.StrType: lambda value: isinstance(value, str),
    inspect.IntType: _is_int,
    inspect.FloatType: _is_number,
    inspect.BoolType: lambda value: isinstance(value, bool),
    inspect.LiteralType: lambda value: isinstance(value, str),
}
_NAMES: dict[type, str] = {
    inspect.DictType: "a mapping",
    inspect.VarTupleType: "a list",
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
}
