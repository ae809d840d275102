"""The JSON Schema of a workspace, for editors that complete and check while one types.

Made from the structs of `engine.program.model`; `nextbeat schema` prints it.
"""

from typing import Any

import msgspec

from engine.program.model import StepSpec, WorkspaceSpec
from engine.program.steps import ACTIONS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SUFFIX = "Spec"
_NO_DEFAULT = ("", [], {})


def workspace_schema() -> dict[str, Any]:
    """Describe the whole workspace, as its files say it together."""
    (root,), definitions = msgspec.json.schema_components(
        (WorkspaceSpec,), ref_template="#/$defs/{name}"
    )
    steps = definitions[StepSpec.__name__]
    steps["oneOf"] = [{"required": [action]} for action in ACTIONS]
    named = {name.removesuffix(_SUFFIX): _tidy(one) for name, one in definitions.items()}
    return {
        "$schema": _DIALECT,
        "title": "Nextbeat workspace",
        **{key: _tidy(value) for key, value in root.items()},
        "$defs": named,
    }


def _tidy(value: Any) -> Any:
    """Drop defaults that only say "absent", and the suffix our structs are told apart by."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidied = {key: _tidy(item) for key, item in value.items()}
    if "$ref" in tidied:
        tidied["$ref"] = tidied["$ref"].removesuffix(_SUFFIX)
        tidied.pop("default", None)
    if isinstance(tidied.get("title"), str):
        tidied["title"] = tidied["title"].removesuffix(_SUFFIX)
    if tidied.get("default") in _NO_DEFAULT and "type" in tidied:
        del tidied["default"]
    return tidied
