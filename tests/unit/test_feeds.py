"""Feeds of items: every good line is read, every bad one is named with its line."""

from io import BytesIO
from typing import Any

import pytest

from actors.rows import CatalogueRow
from adapters.feeds import Feed, Form
from engine.errors import InputError
from engine.intake.catalogue import read_fields
from engine.program.catalogue import compile_joins

PRODUCTS = compile_joins({}).kind("products")
Items = dict[str, dict[str, Any]]
Faults = list[tuple[int, str, str]]


def read(body: bytes, form: Form) -> tuple[Items, Faults]:
    assert PRODUCTS is not None
    feed = Feed(PRODUCTS, BytesIO(body), form)
    rows: list[CatalogueRow] = list(feed.rows())
    return (
        {row.id: read_fields(row.body) for row in rows},
        [(one.line, one.code, one.path) for one in feed.faults],
    )


def csv(text: str) -> tuple[Items, Faults]:
    return read(text.encode(), Form.CSV)


def test_columns_become_fields_and_numbers_become_numbers() -> None:
    items, faults = csv(
        "product_id,title,price,stock,ean,sale,note\n"
        '007,"Shoes, ""trail""",89.50,-3,0123,true,\n'
        "8,Socks,5,0,4006381333931,false,none\n"
    )
    assert faults == []
    assert items["007"] == {
        "product_id": "007",
        "title": 'Shoes, "trail"',
        "price": 89.5,
        "stock": -3,
        "ean": "0123",
        "sale": True,
    }
    assert items["8"]["ean"] == 4006381333931
    assert items["8"]["note"] == "none"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_header_tells_what_parts_the_cells(mark: str) -> None:
    items, _ = csv(f"\ufeffid{mark}price\r\na{mark}1.5\r\n")
    assert items == {"a": {"price": 1.5}}


def test_a_bad_line_is_named_by_where_it_begins_and_the_others_are_kept() -> None:
    items, faults = csv('id,title,price\na,"two\nlines",1\nb,x\n\n,nameless,2\nc,x,"1,5"\nd,y,4\n')
    assert list(items) == ["a", "d"]
    assert faults == [(4, "bad_csv", "$"), (6, "no_id", "id"), (7, "bad_field", "price")]


def test_after_a_quote_without_an_end_nothing_is_guessed() -> None:
    items, faults = csv('id,title\na,x\nb,"y\nc,z\n')
    assert list(items) == ["a"]
    assert faults == [(3, "bad_csv", "$")]


def test_a_line_that_is_not_utf8_spoils_no_other() -> None:
    items, faults = read(b"id,title\na,\xfc\nb,ok\n", Form.CSV)
    assert (list(items), faults) == (["b"], [(2, "bad_csv", "$")])


@pytest.mark.parametrize("text", ["", "\n", "id,,x\n", "id,id\n", 'id,"x\n', "\udcfc,x\n"])
def test_a_header_that_names_no_columns_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        read(text.encode("utf-8", "surrogateescape"), Form.CSV)
    assert refused.value.code == "bad_csv"


def test_objects_are_read_one_a_line() -> None:
    items, faults = read(
        b'\xef\xbb\xbf{"id": "a", "price": 1}\n\n[]\n{"id": \n{"id": "b", "x": {"y": [1]}}\r\n7',
        Form.JSON,
    )
    assert items == {"a": {"price": 1}, "b": {"x": {"y": [1]}}}
    assert faults == [
        (3, "invalid_type", "$"),
        (4, "unreadable_json", "$"),
        (6, "invalid_type", "$"),
    ]


def test_an_array_is_read_element_by_element() -> None:
    items, faults = read(b' [{"id": "a"}, 7,\n {"sku": "b", "price": "x"}]', Form.JSON)
    assert (list(items), faults) == (["a"], [(2, "invalid_type", "$"), (3, "bad_field", "price")])


def test_an_array_that_is_cut_off_is_refused_as_a_whole() -> None:
    with pytest.raises(InputError) as refused:
        read(b'[{"id": "a"}, {"id"', Form.JSON)
    assert refused.value.code == "unreadable_json"
