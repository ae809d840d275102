"""The JSON Schema of a workspace, for editors that complete and check while one types.

Made from the structs of `engine.program.model`; `nextbeat schema` prints it.
"""

from typing import Any

import msgspec

from engine.program.journeymodel import StepSpec
from engine.program.model import WorkspaceSpec
from engine.program.plain import dict_or_none, list_or_none
from engine.program.steps import ACTIONS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SUFFIX = "Spec"
_NO_DEFAULT: tuple[object, ...] = ("", [], {})


def workspace_schema() -> dict[str, Any]:
    """Describe the whole workspace, as its files say it together."""
    (root,), definitions = msgspec.json.schema_components(
        (WorkspaceSpec,), ref_template="#/$defs/{name}"
    )
    steps = definitions[StepSpec.__name__]
    steps["oneOf"] = [{"required": [action]} for action in ACTIONS]
    # Through JSON once, so that defaults which are tuples here are lists, as they will be there.
    plain = msgspec.json.decode(msgspec.json.encode({**root, "$defs": definitions}))
    named = {name.removesuffix(_SUFFIX): _tidy(one) for name, one in plain["$defs"].items()}
    return {
        "$schema": _DIALECT,
        "title": "Nextbeat workspace",
        "$ref": plain["$ref"].removesuffix(_SUFFIX),
        "$defs": named,
    }


def _tidy(value: object) -> object:
    """Drop defaults that only say "absent", and the suffix our structs are told apart by."""
    items = list_or_none(value)
    if items is not None:
        return [_tidy(item) for item in items]
    given = dict_or_none(value)
    if given is None:
        return value
    tidied = {key: _tidy(item) for key, item in given.items()}
    for key in ("$ref", "title"):
        name = tidied.get(key)
        if isinstance(name, str):
            tidied[key] = name.removesuffix(_SUFFIX)
    if "$ref" in tidied or ("type" in tidied and tidied.get("default") in _NO_DEFAULT):
        tidied.pop("default", None)
    return tidied
