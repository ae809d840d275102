"""Time zones by name, and where local days, weeks and months begin."""

import struct
from importlib import resources
from zoneinfo import ZoneInfo

import pytest
import tzdata

from engine import localtime
from engine.instants import DAY_MS, HOUR_MS, SECOND_MS, format_instant, parse_instant
from engine.localtime import (
    TZDATA_VERSION,
    day_instant,
    day_start,
    local_parts,
    month_start,
    next_day_start,
    next_month_start,
    next_wall,
    next_week_start,
    stretch_at,
    week_start,
    zone,
)


def place(name: str) -> ZoneInfo:
    found = zone(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "name",
    ["Africa/Johannesburg", "UTC", "Etc/UTC", "America/Argentina/Buenos_Aires", "Asia/Calcutta"],
)
def test_a_place_has_a_zone_of_its_name(name: str) -> None:
    assert place(name).key == name
    assert zone(name) is zone(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "GMT+0000",
        "GMT",
        "UTC+2",
        "+02:00",
        "Etc/GMT+5",
        "EST",
        "EST5EDT",
        "CET",
        "Factory",
        "europe/paris",
        "Europe/paris",
        "Europe",
        "Europe/Atlantis",
        "Europe/Paris ",
        "Europe/../Europe/Paris",
        "../../etc/passwd",
        "/etc/localtime",
        "Europe\\Paris",
        "Europe/Paris\x00",
        "__init__.py",
        "x" * 100_000,
        None,
        5,
        ["Europe/Paris"],
        {"a": 1},
    ],
)
def test_what_is_not_a_place_has_no_zone(name: object) -> None:
    assert zone(name) is None


def test_zones_come_from_the_pinned_data() -> None:
    assert TZDATA_VERSION == tzdata.IANA_VERSION
    text = resources.files(tzdata).joinpath("zoneinfo", "tzdata.zi").read_text("ascii")
    assert text.startswith(f"# version {TZDATA_VERSION}")


def offset_changes(name: str) -> list[tuple[int, int]]:
    """Read a zone's file by RFC 8536: when its offset changes (in s), and to what."""
    path = resources.files(tzdata).joinpath("zoneinfo", *name.split("/"))
    content = path.read_bytes()

    def counts(start: int) -> tuple[int, ...]:
        return struct.unpack(">6l", content[start + 20 : start + 44])

    ut, std, leap, times, types, chars = counts(0)
    second = 44 + times * 5 + types * 6 + chars + leap * 8 + std + ut
    times, types = counts(second)[3:5]
    body = second + 44
    kinds = body + 9 * times
    offsets: list[int] = [
        struct.unpack(">l", content[kinds + 6 * kind : kinds + 6 * kind + 4])[0]
        for kind in range(types)
    ]
    instants = struct.unpack(f">{times}q", content[body : body + 8 * times])
    changes: list[tuple[int, int]] = []
    for at, kind in zip(instants, content[body + 8 * times : kinds], strict=True):
        if not changes or changes[-1][1] != offsets[kind]:
            changes.append((at, offsets[kind]))
    return changes


ZONES = [
    line
    for line in resources.files(tzdata).joinpath("zones").read_text("ascii").split()
    if zone(line)
]


def test_no_zone_comes_back_to_an_offset_sooner_than_the_probes_would_see() -> None:
    earliest = parse_instant("1900-01-01T00:00:00Z") // SECOND_MS
    for name in ZONES:
        changes = [change for change in offset_changes(name) if change[0] >= earliest]
        for index, (_, offset) in enumerate(changes[:-2]):
            left_at = changes[index + 1][0]
            back = [at for at, other in changes[index + 2 :] if other == offset]
            assert not back or back[0] - left_at > 6 * 86_400, name


@pytest.mark.parametrize(
    "name",
    ["Africa/Casablanca", "America/New_York", "America/Boa_Vista", "Asia/Gaza", "Pacific/Apia"],
)
def test_stretches_change_where_the_zone_file_says(name: str) -> None:
    begin, end = parse_instant("1990-01-01T00:00:00Z"), parse_instant("2037-01-01T00:00:00Z")
    found: list[tuple[int, int]] = []
    at, (offset_ms, until) = begin, stretch_at(place(name), begin)
    while until < end:
        at, before_ms = until, offset_ms
        offset_ms, until = stretch_at(place(name), at)
        if offset_ms != before_ms:
            found.append((at // SECOND_MS, offset_ms // SECOND_MS))
    written = offset_changes(name)
    last = min(end // SECOND_MS, written[-1][0] + 1)
    expected = [change for change in written if begin // SECOND_MS < change[0] < last]
    assert [change for change in found if change[0] < last] == expected
    assert found


def test_parts_are_weekday_ms_of_day_and_day() -> None:
    at = parse_instant("2026-03-02T05:12:00.250Z")  # a Monday, 07:12 in Johannesburg
    weekday, day_ms, day = local_parts(place("Africa/Johannesburg"), at)
    assert (weekday, day_ms) == (0, 7 * HOUR_MS + 12 * 60_000 + 250)
    assert day * DAY_MS == parse_instant("2026-03-02T00:00:00Z")


def test_the_day_before_1970_is_a_wednesday() -> None:
    assert local_parts(place("UTC"), -1) == (2, DAY_MS - 1, -1)


@pytest.mark.parametrize(
    ("name", "now", "start", "end"),
    [
        ("UTC", "2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"),
        # A day of 23 hours, one of 25, and one that begins at 01:00.
        ("Europe/Paris", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("Europe/Paris", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("Asia/Beirut", "2026-03-29T12:00:00Z", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"),
        # Clocks go back from midnight to 23:00: the Saturday has 25 hours and is in one piece.
        (
            "America/Sao_Paulo",
            "2018-02-18T02:30:00Z",
            "2018-02-17T02:00:00Z",
            "2018-02-18T03:00:00Z",
        ),
        # After Thursday the 29th comes Saturday the 31st.
        ("Pacific/Apia", "2011-12-30T05:00:00Z", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
    ],
)
def test_a_day_lasts_from_its_first_instant_to_the_next(
    name: str, now: str, start: str, end: str
) -> None:
    at = parse_instant(now)
    assert format_instant(day_start(place(name), at)) == start
    assert format_instant(next_day_start(place(name), at)) == end
    assert day_start(place(name), parse_instant(start)) == parse_instant(start)
    assert next_day_start(place(name), parse_instant(end) - 1) == parse_instant(end)


def test_a_week_begins_on_monday_in_customer_time() -> None:
    new_york, sunday = place("America/New_York"), parse_instant("2026-03-09T03:30:00Z")
    assert format_instant(week_start(new_york, sunday)) == "2026-03-02T05:00:00Z"
    assert format_instant(next_week_start(new_york, sunday)) == "2026-03-09T04:00:00Z"
    monday = parse_instant("2026-03-09T04:00:00Z")
    assert week_start(new_york, monday) == monday
    assert format_instant(next_week_start(new_york, monday)) == "2026-03-16T04:00:00Z"


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-01-31T22:30:00Z", "2026-01-31T22:00:00Z", "2026-02-28T22:00:00Z"),
        ("2028-02-29T21:59:59.999Z", "2028-01-31T22:00:00Z", "2028-02-29T22:00:00Z"),
        ("2026-12-31T21:00:00Z", "2026-11-30T22:00:00Z", "2026-12-31T22:00:00Z"),
    ],
)
def test_a_month_begins_on_its_first_day_in_customer_time(now: str, start: str, end: str) -> None:
    johannesburg, at = place("Africa/Johannesburg"), parse_instant(now)
    assert format_instant(month_start(johannesburg, at)) == start
    assert format_instant(next_month_start(johannesburg, at)) == end


def test_a_minute_of_a_day_in_a_gap_is_the_first_instant_after_it() -> None:
    new_york = place("America/New_York")
    day = local_parts(new_york, parse_instant("2026-03-08T12:00:00Z"))[2]
    assert format_instant(day_instant(new_york, day, 150)) == "2026-03-08T07:00:00Z"


@pytest.mark.parametrize(
    ("name", "now", "weekday", "minute", "expected"),
    [
        ("UTC", "2026-03-02T08:59:59.999Z", None, 540, "2026-03-02T09:00:00Z"),
        ("UTC", "2026-03-02T09:00:00Z", None, 540, "2026-03-03T09:00:00Z"),
        ("UTC", "2026-03-02T09:00:00Z", 0, 540, "2026-03-09T09:00:00Z"),
        ("UTC", "2026-03-02T08:00:00Z", 0, 540, "2026-03-02T09:00:00Z"),
        ("UTC", "2026-03-02T08:00:00Z", 6, 540, "2026-03-08T09:00:00Z"),
        # In a gap, and twice in a fold: the second time does not count.
        ("America/New_York", "2026-03-08T05:00:00Z", None, 150, "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T05:00:00Z", None, 90, "2026-11-01T05:30:00Z"),
        ("America/New_York", "2026-11-01T05:30:00Z", None, 90, "2026-11-02T06:30:00Z"),
        # Samoa's Friday that never was has no nine o'clock.
        ("Pacific/Apia", "2011-12-29T20:00:00Z", None, 540, "2011-12-30T19:00:00Z"),
        ("Pacific/Apia", "2011-12-29T20:00:00Z", 4, 540, "2012-01-05T19:00:00Z"),
        # St John's set clocks back at 00:01 of a Sunday, to 23:01 of Saturday.
        ("America/St_Johns", "2010-11-07T02:29:00Z", 6, 0, "2010-11-07T02:30:00Z"),
    ],
)
def test_the_next_wall_time(
    name: str, now: str, weekday: int | None, minute: int, expected: str
) -> None:
    assert format_instant(next_wall(place(name), weekday, minute, parse_instant(now))) == expected


def test_boundaries_hold_at_the_ends_of_the_allowed_time() -> None:
    for text in ("1900-01-01T12:00:00Z", "2099-12-31T12:00:00Z"):
        at = parse_instant(text)
        for name in ("Europe/Amsterdam", "Asia/Manila", "America/Juneau", "Africa/Casablanca"):
            assert day_start(place(name), at) <= at < next_day_start(place(name), at)
            assert month_start(place(name), at) <= at < next_month_start(place(name), at)


def test_a_zone_that_was_not_ours_is_read_all_the_same() -> None:
    own, other = place("Europe/Paris"), ZoneInfo("Europe/Paris")
    at = parse_instant("2026-10-25T01:00:00Z")
    assert localtime.stretch_at(other, at)[0] == localtime.stretch_at(own, at)[0] == HOUR_MS
