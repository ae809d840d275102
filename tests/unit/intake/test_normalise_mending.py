"""What no JSON parser should take and real clients send; and what is too much of anything."""

import json

import pytest

from engine.errors import InputError
from engine.events import Event
from engine.instants import parse_instant
from engine.intake.clocks import Envelope
from engine.intake.item import convert_item, read_item
from engine.intake.mending import mend_json
from engine.intake.normalise import normalise
from engine.limits import ITEM_BYTES_MAX

NOW = parse_instant("2026-03-02T12:00:00Z")
HEAD = b'{"type":"track","event":"Odd","userId":"u1","messageId":"m1","properties":'


def take(properties: bytes) -> tuple[object, list[str]]:
    """Normalise a call with these properties; give them back, and what was mended."""
    envelope = Envelope(NOW)
    event = normalise(read_item(HEAD + properties + b"}", envelope.oddities), envelope)
    assert isinstance(event, Event)
    return event.properties, envelope.oddities


def refused(raw: bytes) -> str:
    with pytest.raises(InputError) as caught:
        normalise(read_item(raw, []), Envelope(NOW))
    return caught.value.code


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e400"])
def test_a_number_that_is_none_becomes_null(constant: bytes) -> None:
    assert take(b'{"v":' + constant + b',"w":1}') == ({"v": None, "w": 1}, ["not_a_number"])


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert take(rb'{"v":"\ud800x","\udc00":1}') == (
        {"v": "\ufffdx", "\ufffd": 1},
        ["characters", "characters"],
    )


def test_a_surrogate_pair_is_a_character() -> None:
    assert take(rb'{"v":"\ud83d\ude00"}') == ({"v": "\U0001f600"}, [])


def test_a_nul_becomes_the_replacement_character() -> None:
    assert take(rb'{"v":["a\u0000b"]}') == ({"v": ["a\ufffdb"]}, ["characters"])
    assert take(rb'{"v":"a\\u0000b"}') == ({"v": r"a\u0000b"}, [])


def test_raw_control_characters_are_kept() -> None:
    assert take(b'{"v":"a\tb\nc"}') == ({"v": "a\tb\nc"}, [])


def test_bytes_that_are_not_utf8_become_the_replacement_character() -> None:
    assert take(b'{"v":"a\xffb"}') == ({"v": "a\ufffdb"}, ["utf8"])


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, float(2**64)),
        (-(2**63) - 1, float(-(2**63) - 1)),
        (10**30, 1e30),
    ],
)
def test_an_integer_beyond_64_bits_becomes_a_double(said: int, kept: float) -> None:
    properties, oddities = take(json.dumps({"v": said, "w": {"x": [said]}}).encode())
    assert properties == {"v": kept, "w": {"x": [kept]}}
    assert len(oddities) == (2 if said != kept or repr(said) != repr(kept) else 0)


def test_an_integer_beyond_a_double_becomes_null() -> None:
    assert take(b'{"v":1' + b"0" * 400 + b"}") == ({"v": None}, ["big_integer"])
    assert take(b'{"v":1' + b"0" * 9_000 + b"}")[0] == {"v": None}


def test_a_mended_number_is_as_exact_as_it_was() -> None:
    said = {"a": 2**63 + 1, "b": 1.1, "c": -(2**63), "d": NotImplemented}
    del said["d"]
    raw = json.dumps(said).encode()[:-1] + b',"e":NaN}'
    assert take(raw)[0] == said | {"e": None}


@pytest.mark.parametrize("depth", [31, 32, 33, 60, 5_000])
@pytest.mark.parametrize("pair", [b"[]", b"{}"])
def test_a_call_may_be_nested_32_deep(depth: int, pair: bytes) -> None:
    opening = b"[" if pair == b"[]" else b'{"a":'
    inner = opening * (depth - 2) + b"1" + pair[1:] * (depth - 2)
    raw = HEAD + b'{"v":' + inner + b"}}"
    if depth <= 32:
        assert normalise(read_item(raw, []), Envelope(NOW)).id
    elif len(raw) <= ITEM_BYTES_MAX:
        assert refused(raw) == "too_deep"
    else:
        assert refused(raw) == "too_large"


def test_depth_is_bounded_in_traits_and_context_too() -> None:
    deep = b"[" * 40 + b"]" * 40
    for field in (b'"traits":{"v":%s}', b'"context":{"page":{"v":%s}}'):
        raw = b'{"type":"identify","userId":"u1",' + field % deep + b"}"
        assert refused(raw) == "too_deep"


def test_a_call_may_have_1000_keys() -> None:
    def call(keys: int) -> bytes:
        return HEAD + json.dumps({f"k{n}": n for n in range(keys)}).encode() + b"}"

    assert normalise(read_item(call(995), []), Envelope(NOW)).id
    assert refused(call(996)) == "too_many_keys"
    assert refused(b'{"x":[' + b",".join([b'{"a":1}'] * 1_001) + b"]}") == "too_many_keys"


def test_many_colons_are_not_many_keys() -> None:
    assert take(json.dumps({"v": ":" * 5_000}).encode()) == ({"v": ":" * 5_000}, [])


def test_a_call_may_have_32_kilobytes() -> None:
    room = ITEM_BYTES_MAX - len(HEAD) - len(b'{"v":""}}')
    assert take(b'{"v":"' + b"x" * room + b'"}')[1] == []
    assert refused(HEAD + b'{"v":"' + b"x" * (room + 1) + b'"}}') == "too_large"


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"nonsense", b"{}x", b'{"a":1,}', '{"a":1}'.encode("utf-16"), b"\x00" * 40],
)
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    assert refused(raw) == "unreadable_json"


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b"7", b"null", b"true"])
def test_a_call_is_an_object(raw: bytes) -> None:
    assert refused(raw) == "invalid_type"


def test_a_byte_order_mark_is_skipped() -> None:
    assert normalise(read_item(b"\xef\xbb\xbf" + HEAD + b"{}}", []), Envelope(NOW)).id


def test_mending_a_batch_spoils_no_other_item_however_deep_one_is() -> None:
    oddities: list[str] = []
    deep = b"[" * 20_000 + b'"]"' + b"]" * 20_000
    mended = json.loads(mend_json(b'{"batch":[{"v":' + deep + b'},{"ok":[1,"[{"]}]}', oddities))
    assert mended["batch"][1] == {"ok": [1, "[{"]}
    assert oddities == ["depth"]


def test_a_decoded_item_is_held_to_the_same_limits() -> None:
    def code(value: object) -> str:
        with pytest.raises(InputError) as caught:
            normalise(convert_item(value), Envelope(NOW))
        return caught.value.code

    call = {"type": "track", "event": "Odd", "userId": "u1", "messageId": "m1"}
    deep: object = 1
    for _ in range(40):
        deep = [deep]
    assert code(call | {"properties": {"v": deep}}) == "too_deep"
    assert code(call | {"properties": {f"k{n}": n for n in range(1_001)}}) == "too_many_keys"
    assert code(call | {"properties": [1]}) == "invalid_type"
    assert code([call]) == "invalid_type"
    event = normalise(convert_item(call | {"properties": {"v": 10**30}}), Envelope(NOW))
    assert isinstance(event, Event)
    assert event.properties == {"v": 1e30}


def test_a_string_without_an_end_costs_one_look() -> None:
    raw = b'{"v":' + b"[" * 5_000 + b'"' + rb"\"" * 200_000
    with pytest.raises(InputError):
        mend_json(raw, [])  # would take minutes if each quote were tried as a beginning
