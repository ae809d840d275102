"""When a call happened: times in many shapes, from clocks that are wrong."""

import msgspec
import pytest

from engine.errors import InputError
from engine.events import Event, Receipt
from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, format_instant, parse_instant
from engine.intake.clocks import Envelope, measure_skew
from engine.intake.item import read_item
from engine.intake.normalise import normalise, normalise_line

NOW = parse_instant("2026-03-02T12:00:00Z")


def take(sent_at: object = None, **call: object) -> Event | Receipt:
    whole = {"type": "track", "event": "Clicked", "userId": "u1", "messageId": "m1", **call}
    envelope = Envelope(NOW, measure_skew(sent_at, NOW))
    return normalise(read_item(msgspec.json.encode(whole), []), envelope)


def instant(sent_at: object = None, **call: object) -> str:
    return format_instant(take(sent_at, **call).at)


def refused(sent_at: object = None, **call: object) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        take(sent_at, **call)
    return caught.value.code, caught.value.path


def test_a_call_without_a_time_happened_when_it_came() -> None:
    assert take().at == NOW
    assert take(timestamp=None, originalTimestamp="").at == NOW


@pytest.mark.parametrize(
    "said",
    [
        "2026-03-02T10:11:12.345Z",
        "2026-03-02T10:11:12.345678+00:00",
        "2026-03-02T11:11:12.345+01:00",
        "2026-03-02T10:11:12.345",
        1772446272.345,
        1772446272345,
        "1772446272345",
    ],
)
def test_times_come_in_many_shapes(said: object) -> None:
    assert instant(timestamp=said) == "2026-03-02T10:11:12.345Z"


def test_seconds_are_told_from_milliseconds() -> None:
    assert instant(timestamp=1772446272) == instant(timestamp="1772446272")
    assert instant(timestamp=1772446272) == "2026-03-02T10:11:12Z"


def test_the_original_time_is_preferred() -> None:
    said = {"timestamp": "2026-03-02T10:00:00Z", "originalTimestamp": "2026-03-02T09:00:00Z"}
    assert instant(**said) == "2026-03-02T09:00:00Z"


def test_a_clock_an_hour_slow_is_corrected() -> None:
    assert (
        instant("2026-03-02T11:00:00Z", timestamp="2026-03-02T10:30:00Z") == "2026-03-02T11:30:00Z"
    )


def test_a_clock_an_hour_fast_is_corrected() -> None:
    assert (
        instant("2026-03-02T13:00:00Z", timestamp="2026-03-02T12:30:00Z") == "2026-03-02T11:30:00Z"
    )


@pytest.mark.parametrize("sent_at", [NOW - 1_000, NOW, NOW + 1_000])
def test_up_to_a_second_is_transport_and_not_corrected(sent_at: int) -> None:
    assert instant(sent_at, timestamp="2026-03-02T10:30:00Z") == "2026-03-02T10:30:00Z"


def test_an_imported_event_keeps_its_old_time() -> None:
    assert instant(NOW - 200, timestamp="2019-05-05T05:05:05Z") == "2019-05-05T05:05:05Z"


@pytest.mark.parametrize("skew_ms", [-DAY_MS, -HOUR_MS, 1_001, MINUTE_MS, 3 * DAY_MS])
def test_an_event_moves_by_its_senders_skew_and_no_further(skew_ms: int) -> None:
    at = NOW - 10 * DAY_MS
    assert take(NOW - skew_ms, timestamp=at).at == at + skew_ms


def test_each_message_may_say_when_it_was_sent() -> None:
    said = {"timestamp": "2026-03-02T10:30:00Z", "sentAt": "2026-03-02T11:00:00Z"}
    assert instant(**said) == "2026-03-02T11:30:00Z"
    assert instant(NOW, **said) == "2026-03-02T10:30:00Z"


@pytest.mark.parametrize("sent_at", ["yesterday", {}, [], True, "9999-01-01T00:00:00Z"])
def test_a_bad_sent_at_is_not_the_events_fault(sent_at: object) -> None:
    assert instant(sent_at, timestamp="2026-03-02T10:30:00Z") == "2026-03-02T10:30:00Z"
    assert instant(timestamp="2026-03-02T10:30:00Z", sentAt=sent_at) == "2026-03-02T10:30:00Z"


@pytest.mark.parametrize(
    "said",
    [
        "yesterday",
        "2026-13-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "1850-01-01T00:00:00Z",
        1e15,
        -1e15,
        NOW + DAY_MS + 1,
    ],
)
def test_an_impossible_time_is_refused(said: object) -> None:
    assert refused(timestamp=said) == ("bad_timestamp", "timestamp")
    assert refused(originalTimestamp=said) == ("bad_timestamp", "originalTimestamp")


def test_a_time_up_to_a_day_ahead_is_taken_as_now() -> None:
    assert take(timestamp=NOW + DAY_MS).at == NOW
    assert take(timestamp=NOW + 1).at == NOW


def test_what_lies_in_the_future_is_judged_after_correction() -> None:
    fast = NOW + 10 * DAY_MS
    assert take(fast, timestamp=fast - HOUR_MS).at == NOW - HOUR_MS
    assert refused(NOW - 2 * DAY_MS, timestamp=NOW) == ("bad_timestamp", "timestamp")


def test_a_bad_time_is_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        take(timestamp="<script>alert(1)</script>")
    assert "script" not in caught.value.message


def test_a_line_of_a_file_has_its_own_time_as_the_clock() -> None:
    event = normalise_line(
        b'{"type":"track","messageId":"m1","userId":"u1","event":"Clicked",'
        b'"timestamp":"2019-03-02T10:00:00Z","sentAt":"2026-01-01T00:00:00Z"}'
    )
    assert (event.at, event.received_at) == (parse_instant("2019-03-02T10:00:00Z"),) * 2


@pytest.mark.parametrize("said", [b"", b'"timestamp":null,', b'"timestamp":"soon",'])
def test_a_line_of_a_file_needs_its_time(said: bytes) -> None:
    with pytest.raises(InputError) as caught:
        normalise_line(b"{" + said + b'"type":"track","userId":"u1","event":"Clicked"}')
    assert (caught.value.code, caught.value.path) == ("bad_timestamp", "timestamp")


def test_a_line_of_a_file_is_mended_like_everything_else() -> None:
    event = normalise_line(
        b'{"type":"track","userId":"u1","event":"Clicked","timestamp":"2019-03-02T10:00:00Z",'
        b'"properties":{"price":NaN,"name":"a\\ud800b"}}'
    )
    assert isinstance(event, Event)
    assert event.properties == {"price": None, "name": "a\ufffdb"}
