"""One item of the catalogue: what can be one, and what is said where it can't."""

from typing import Any

import pytest

from engine.errors import InputError
from engine.intake.catalogue import find_id, read_fields, write_fields
from engine.limits import CATALOGUE_FIELDS_MAX, CATALOGUE_ITEM_BYTES_MAX

KEYS = ("product_id", "sku")


def test_fields_come_back_as_they_were_without_those_that_say_nothing() -> None:
    given = {"id": "p1", "title": "Ü", "price": 1.5, "gone": None, "tags": ["a", {"b": [1]}]}
    assert read_fields(write_fields(given)) == {
        "title": "Ü",
        "price": 1.5,
        "tags": ["a", {"b": [1]}],
    }


def test_each_reading_gives_a_mapping_of_its_own() -> None:
    body = write_fields({"tags": []})
    read_fields(body)["tags"].append("x")
    assert read_fields(body) == {"tags": []}


@pytest.mark.parametrize(
    ("fields", "item"),
    [
        ({"id": "a", "sku": "b"}, "a"),
        ({"sku": "b", "product_id": "c"}, "c"),
        ({"id": "", "sku": 7}, "7"),
        ({"id": None, "product_id": 7.0}, "7"),
    ],
)
def test_an_item_is_named_by_its_id_or_the_keys_of_its_kind(
    fields: dict[str, Any], item: str
) -> None:
    assert find_id(fields, KEYS) == item


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"title": "x"}, "no_id", "id"),
        ({"id": True}, "bad_id", "id"),
        ({"sku": ["a"]}, "bad_id", "sku"),
        ({"id": "x" * 300}, "bad_id", "id"),
    ],
)
def test_an_item_that_is_not_named_is_refused(fields: dict[str, Any], code: str, path: str) -> None:
    with pytest.raises(InputError) as refused:
        find_id(fields, KEYS)
    assert (refused.value.code, refused.value.path) == (code, path)


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"price": "12,50"}, "bad_field", "price"),
        ({"stock": True}, "bad_field", "stock"),
        ({"latitude": 91}, "bad_field", "latitude"),
        ({"longitude": -181.0}, "bad_field", "longitude"),
        ({"timezone": "Cape Town"}, "bad_field", "timezone"),
        ({"timezone": 2}, "bad_field", "timezone"),
        ({"currency": 5}, "bad_field", "currency"),
        ({"": 5}, "bad_field", "$"),
        ({"text": "x" * CATALOGUE_ITEM_BYTES_MAX}, "too_large", "$"),
        ({f"f{n}": n for n in range(CATALOGUE_FIELDS_MAX + 1)}, "too_many_fields", "$"),
    ],
)
def test_fields_that_could_not_be_used_are_refused(
    fields: dict[str, Any], code: str, path: str
) -> None:
    with pytest.raises(InputError) as refused:
        write_fields(fields)
    assert (refused.value.code, refused.value.path) == (code, path)


def test_numbers_too_large_to_be_kept_become_doubles() -> None:
    assert read_fields(write_fields({"views": 2**80})) == {"views": float(2**80)}


def test_nothing_is_nested_deeper_than_an_event_may_be() -> None:
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    with pytest.raises(InputError, match="nested"):
        write_fields({"tree": deep})
