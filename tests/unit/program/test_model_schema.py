"""The JSON Schema of a workspace says what the checker says."""

import msgspec
import pytest

from engine.program.model import WorkspaceSpec
from engine.program.plain import dict_or_none, list_or_none
from engine.program.schema import workspace_schema


def walk(value: object) -> list[dict[str, object]]:
    given = dict_or_none(value)
    if given is not None:
        return [given, *(found for item in given.values() for found in walk(item))]
    return [found for item in list_or_none(value) or () for found in walk(item)]


def test_the_schema_is_plain_json_and_has_a_dialect_and_a_title() -> None:
    schema = workspace_schema()
    assert msgspec.json.decode(msgspec.json.encode(schema)) == schema
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["title"] == "Nextbeat workspace"
    assert schema["$ref"] == "#/$defs/Workspace"


def test_every_reference_leads_somewhere() -> None:
    schema = workspace_schema()
    references = [str(one["$ref"]) for one in walk(schema) if "$ref" in one]
    assert len(references) > 10
    for reference in references:
        assert reference.removeprefix("#/$defs/") in schema["$defs"]


def test_every_struct_is_described_and_refuses_unknown_keys() -> None:
    for name, definition in workspace_schema()["$defs"].items():
        assert definition["description"], name
        assert definition["additionalProperties"] is False
        assert definition["title"] == name


def test_keys_are_those_of_the_files() -> None:
    definitions = workspace_schema()["$defs"]
    assert {"if", "then", "else", "send", "wait_for"} <= definitions["Step"]["properties"].keys()
    assert {"for", "if", "after"} <= definitions["Suppression"]["properties"].keys()
    assert "from" in definitions["Backoff"]["properties"]
    assert definitions["Workspace"]["required"] == ["workspace"]
    assert not any(key.endswith("_") for one in walk(definitions) for key in one)


def test_a_step_has_exactly_one_action() -> None:
    choices = workspace_schema()["$defs"]["Step"]["oneOf"]
    assert {"required": ["send"]} in choices
    assert {"required": ["webhook"]} in choices
    assert len(choices) == 15


def test_editors_are_offered_adapters_and_countries() -> None:
    definitions = workspace_schema()["$defs"]
    assert definitions["Channel"]["properties"]["adapter"]["enum"] == [
        "log",
        "smtp",
        "webhook",
        "inbox",
    ]
    assert "ZA" in definitions["Defaults"]["properties"]["country"]["enum"]


def test_absence_is_not_offered_as_a_default() -> None:
    assert all(
        one.get("default") not in ("", [], {}) for one in walk(workspace_schema()) if "type" in one
    )


def test_the_model_itself_refuses_unknown_keys() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"workspace": "x", "journey": {}}, WorkspaceSpec)
