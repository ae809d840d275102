"""Whatever an event says and whatever is known, telling it takes nothing away and is told once."""

from typing import Any

from hypothesis import given, settings, strategies as st

from engine.events import Event, EventKind
from engine.intake.catalogue import write_fields
from engine.intake.enrich import enrich
from engine.intake.shapes import is_array, is_object
from engine.limits import ENRICH_BYTES_MAX
from engine.program.catalogue import compile_joins

JOINS = compile_joins({})
Json = dict[str, Any]
Strategy = st.SearchStrategy[Any]


def _unite(named: Json, said: Json, nested: Json) -> Json:
    return {**said, **nested, **named}


IDS: Strategy = st.sampled_from(["a", "b", "c", 1, 1.0, "1", "", None, True, ["a"], "unknown"])
WORDS = st.sampled_from(["price", "category", "currency", "title", "id", "sku", "x"])
PLAIN: Strategy = (
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 9) | st.text(max_size=3)
)
KEYS = ("product_id", "sku", "store_id", "content_id")
SAID: Strategy = st.dictionaries(st.sampled_from(KEYS), IDS) | st.dictionaries(WORDS, PLAIN)
NESTED: Strategy = st.one_of(SAID, PLAIN, st.lists(SAID | PLAIN, max_size=4))
PROPERTIES: Strategy = st.builds(
    _unite,
    st.dictionaries(st.sampled_from(KEYS), IDS),
    st.dictionaries(WORDS, PLAIN),
    st.dictionaries(st.sampled_from(["products", "product", "store", "content"]), NESTED),
)
FIELDS: Strategy = st.dictionaries(st.sampled_from(["category", "sku", "x"]), PLAIN) | st.just(
    {"text": "x" * 8_000}
)
SHELVES: Strategy = st.dictionaries(
    st.tuples(st.sampled_from(["products", "stores", "content"]), st.sampled_from("abc1")),
    FIELDS.map(write_fields),
)
quick = settings(max_examples=300, deadline=None, derandomize=True)


def event(properties: dict[str, Any]) -> Event:
    return Event("m1", EventKind.TRACK, "x", "u1", None, 1, 1, properties=properties)


def keeps(said: Any, told: Any) -> bool:
    """Say whether everything that was said is still there."""
    if is_object(said) and is_object(told):
        return all(value is None or keeps(value, told.get(name)) for name, value in said.items())
    if is_array(said) and is_array(told):
        return len(said) == len(told) and all(map(keeps, said, told))
    return bool(said == told and type(said) is type(told))


@quick
@given(properties=PROPERTIES, shelf=SHELVES)
def test_telling_takes_nothing_away_and_tells_everything_the_first_time(
    properties: dict[str, Any], shelf: dict[tuple[str, str], bytes]
) -> None:
    asked: list[bytes] = []

    def find(kind: str, item: str) -> bytes | None:
        body = shelf.get((kind, item))
        asked.extend([] if body is None else [body])
        return body

    given = event(properties)
    told = enrich(given, JOINS, find)
    assert keeps(properties, told.properties)
    assert asked or told is given
    if sum(map(len, asked)) <= ENRICH_BYTES_MAX // 2:  # else the second time there is more room
        assert enrich(told, JOINS, find) == told
