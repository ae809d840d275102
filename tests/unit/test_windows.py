"""Opening hours: how they are written, and when they open and close."""

import re
from zoneinfo import ZoneInfo

import pytest

from engine.instants import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS, format_instant, parse_instant
from engine.localtime import zone
from engine.windows import Window, closes_at, is_open, opens_at, parse_window


def place(name: str) -> ZoneInfo:
    found = zone(name)
    assert found is not None
    return found


def opens(value: object, name: str, now: str) -> str | None:
    at = opens_at(parse_window(value, "w"), place(name), parse_instant(now))
    return None if at is None else format_instant(at)


def closes(value: object, name: str, now: str) -> str | None:
    at = closes_at(parse_window(value, "w"), place(name), parse_instant(now))
    return None if at is None else format_instant(at)


# How they are written.


def test_one_interval_holds_on_every_day() -> None:
    window = parse_window("09:00-20:00", "channels.email.window")
    assert window.edges[:4] == (9 * HOUR_MS, 20 * HOUR_MS, 33 * HOUR_MS, 44 * HOUR_MS)
    assert len(window.edges) == 14
    assert (window.text, window.rule) == ("09:00-20:00", "channels.email.window")


@pytest.mark.parametrize("text", ["9:00-20:00", " 09:00 - 20:00 ", "09:00\u201320:00"])
def test_spaces_dashes_and_leading_zeros_do_not_matter(text: str) -> None:
    assert parse_window(text, "w").edges == parse_window("09:00-20:00", "w").edges


def test_the_whole_day_is_always_open() -> None:
    assert parse_window("00:00-24:00", "w").edges == (0, WEEK_MS)


def test_touching_and_overlapping_intervals_are_joined() -> None:
    several = parse_window(["12:00-14:00", "09:00-12:00", "13:00-15:00"], "w")
    assert several.edges == parse_window("09:00-15:00", "w").edges
    assert several.text == "12:00-14:00, 09:00-12:00, 13:00-15:00"


def test_a_day_that_a_map_does_not_name_is_closed() -> None:
    window = parse_window({"tue": "09:00-17:00"}, "w")
    assert window.edges == (DAY_MS + 9 * HOUR_MS, DAY_MS + 17 * HOUR_MS)


def test_a_sunday_night_runs_into_monday() -> None:
    window = parse_window({"sun": "22:00-02:00"}, "w")
    assert window.edges == (0, 2 * HOUR_MS, WEEK_MS - 2 * HOUR_MS, WEEK_MS)


def test_an_evening_until_midnight_may_be_written_either_way() -> None:
    assert parse_window("22:00-00:00", "w").edges == parse_window("22:00-24:00", "w").edges


@pytest.mark.parametrize(
    ("key", "days"),
    [
        ("mon-fri", [0, 1, 2, 3, 4]),
        ("weekdays", [0, 1, 2, 3, 4]),
        ("weekend", [5, 6]),
        ("daily", [0, 1, 2, 3, 4, 5, 6]),
        ("sat-mon", [0, 5, 6]),
        ("Monday", [0]),
        ("mon, wed,fri", [0, 2, 4]),
    ],
)
def test_a_key_names_days(key: str, days: list[int]) -> None:
    window = parse_window({key: "10:00-11:00"}, "w")
    assert [edge // DAY_MS for edge in window.edges[::2]] == days


def test_the_key_that_names_fewest_days_wins() -> None:
    window = parse_window({"daily": "09:00-20:00", "weekend": "10:00-12:00", "sun": []}, "w")
    written_out: dict[str, object] = {"mon-fri": "09:00-20:00", "sat": "10:00-12:00", "sun": []}
    assert window.edges == parse_window(written_out, "w").edges
    assert window.text == "daily 09:00-20:00; weekend 10:00-12:00; sun closed"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1290, "1290 is not opening hours: write the hours in quotes"),
        (["09:00-12:00", 1290], "may be read as the number 1290"),
        (True, "True is not opening hours"),
        (None, "None is not opening hours"),
        (9.5, "9.5 is not opening hours"),
        ("", "'' is not opening hours: write them like 09:00-20:00"),
        ("09-20", "'09-20' is not opening hours"),
        ("09:00", "'09:00' is not opening hours"),
        ("09:00-20:00:00", "is not opening hours"),
        ("25:00-26:00", "25:00 is not a time of day here: write 00:00 to 23:59"),
        ("24:00-02:00", "24:00 is not a time of day here: write 00:00 to 23:59"),
        ("09:00-24:01", "24:01 is not a time of day here: write 00:00 to 24:00"),
        ("09:60-10:00", "09:60 is not a time of day"),
        ("09:00-09:00", "opens and closes at once: for the whole day write 00:00-24:00"),
        ([], "the list is empty"),
        ({}, "the map is empty"),
        ([["09:00-10:00"]], "is not opening hours"),
        ({"mo": "09:00-10:00"}, "'mo' is not a day: write mon to sun"),
        ({"mon-": "09:00-10:00"}, "is not a day"),
        ({"weekdays-sun": "09:00-10:00"}, "is not a day"),
        ({True: "09:00-10:00"}, "True is not a day"),
        ({"mon,mon": "09:00-10:00"}, "names a day twice"),
        ({"mon-fri": "09:00-10:00", "weekdays": "11:00-12:00"}, "mon is in both"),
        ({"mon": "9-10"}, "mon: '9-10' is not opening hours"),
        ({"mon": {"tue": "09:00-10:00"}}, "mon: {'tue'"),
    ],
)
def test_what_is_wrong_is_refused_and_explained(value: object, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_window(value, "w")


def test_a_long_mistake_is_not_echoed_in_full() -> None:
    with pytest.raises(ValueError, match="not opening hours") as caught:
        parse_window("x" * 10_000, "w")
    assert len(str(caught.value)) < 200


# When they open.


def test_an_open_window_opens_now_to_the_millisecond() -> None:
    window, johannesburg = parse_window("09:00-20:00", "w"), place("Africa/Johannesburg")
    nine, eight = parse_instant("2026-03-02T07:00:00Z"), parse_instant("2026-03-02T18:00:00Z")
    assert opens_at(window, johannesburg, nine) == nine
    assert opens_at(window, johannesburg, nine - 1) == nine
    assert opens_at(window, johannesburg, eight - 1) == eight - 1
    assert opens_at(window, johannesburg, eight) == nine + DAY_MS
    assert not is_open(window, johannesburg, eight)
    assert is_open(window, johannesburg, eight - 1)


def test_a_friday_night_is_open_on_saturday_morning_and_not_on_friday_morning() -> None:
    window = parse_window({"fri": "20:00-02:00"}, "w")
    assert is_open(window, place("UTC"), parse_instant("2026-03-07T01:00:00Z"))
    assert not is_open(window, place("UTC"), parse_instant("2026-03-06T01:00:00Z"))


def test_a_skipped_opening_time_means_the_first_instant_after_the_gap() -> None:
    new_york = "America/New_York"
    assert opens("02:30-05:00", new_york, "2026-03-08T01:00:00Z") == "2026-03-08T07:00:00Z"


def test_a_window_that_lies_in_a_gap_opens_on_the_next_day() -> None:
    new_york = "America/New_York"
    assert opens("02:15-02:45", new_york, "2026-03-08T01:00:00Z") == "2026-03-09T06:15:00Z"


def test_a_wall_time_that_happens_twice_is_open_twice() -> None:
    new_york = "America/New_York"
    assert opens("01:00-01:30", new_york, "2026-11-01T04:00:00Z") == "2026-11-01T05:00:00Z"
    assert opens("01:00-01:30", new_york, "2026-11-01T05:30:00Z") == "2026-11-01T06:00:00Z"
    assert closes("01:00-01:30", new_york, "2026-11-01T05:00:00Z") == "2026-11-01T05:30:00Z"
    assert closes("01:00-01:30", new_york, "2026-11-01T06:00:00Z") == "2026-11-01T06:30:00Z"


def test_a_window_that_clocks_are_set_back_into_stays_open() -> None:
    """At 02:00 EDT clocks go back to 01:00: the hours until 02:00 go on for another hour."""
    hours, new_york = {"sun": "00:30-02:00"}, "America/New_York"
    assert opens(hours, new_york, "2026-11-01T06:00:00Z") == "2026-11-01T06:00:00Z"
    assert closes(hours, new_york, "2026-11-01T04:30:00Z") == "2026-11-01T07:00:00Z"


@pytest.mark.parametrize(
    ("hours", "name", "now", "expected"),
    [
        # Midnight itself is skipped: the day begins at 01:00.
        ("00:00-06:00", "America/Sao_Paulo", "2018-11-04T02:00:00Z", "2018-11-04T03:00:00Z"),
        ("00:00-00:30", "Asia/Beirut", "2026-03-28T21:00:00Z", "2026-03-29T21:00:00Z"),
        ("00:30-06:00", "Africa/Cairo", "2026-04-23T21:00:00Z", "2026-04-23T22:00:00Z"),
        # Half an hour.
        ("02:15-04:00", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z"),
        # Offsets of 30 and 45 minutes.
        ("09:00-10:00", "Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T03:30:00Z"),
        ("09:00-10:00", "Asia/Kathmandu", "2026-01-01T00:00:00Z", "2026-01-01T03:15:00Z"),
        ("09:00-10:00", "Pacific/Chatham", "2026-07-01T00:00:00Z", "2026-07-01T20:15:00Z"),
        # Ramadan takes Morocco out of its usual time and puts it back.
        ("02:30-04:00", "Africa/Casablanca", "2026-03-22T00:00:00Z", "2026-03-22T02:00:00Z"),
        # Friday 30 December 2011 was not, in Samoa.
        ({"fri": "09:00-10:00"}, "Pacific/Apia", "2011-12-30T00:00:00Z", "2012-01-05T19:00:00Z"),
        ({"sat": "09:00-10:00"}, "Pacific/Apia", "2011-12-30T00:00:00Z", "2011-12-30T19:00:00Z"),
    ],
)
def test_strange_calendars(hours: object, name: str, now: str, expected: str) -> None:
    assert opens(hours, name, now) == expected


def test_a_window_may_open_only_a_week_later() -> None:
    window = {"mon": "09:00-09:01"}
    assert opens(window, "UTC", "2026-03-02T09:01:00Z") == "2026-03-09T09:00:00Z"


def test_a_window_that_never_opens_says_so() -> None:
    never = parse_window({"daily": []}, "w")
    now = parse_instant("2026-03-02T09:00:00Z")
    assert opens_at(never, place("UTC"), now) is None
    assert not is_open(never, place("UTC"), now)
    assert closes_at(never, place("UTC"), now) == now


# When they close.


def test_a_closed_window_closes_now() -> None:
    assert closes("09:00-20:00", "UTC", "2026-03-02T08:00:00Z") == "2026-03-02T08:00:00Z"


def test_an_open_window_closes_at_its_end() -> None:
    assert closes("09:00-20:00", "UTC", "2026-03-02T19:59:59.999Z") == "2026-03-02T20:00:00Z"


def test_a_window_over_the_end_of_the_week_is_one() -> None:
    assert closes({"sun": "22:00-02:00"}, "UTC", "2026-03-08T23:00:00Z") == "2026-03-09T02:00:00Z"


def test_a_window_without_an_end_never_closes() -> None:
    assert closes("00:00-24:00", "America/New_York", "2026-03-02T08:00:00Z") is None


def test_a_gap_that_jumps_over_the_closed_hours_does_not_close() -> None:
    """Closed from 02:00 to 03:00 only, which New York skips on 8 March 2026."""
    hours = "03:00-02:00"
    assert closes(hours, "America/New_York", "2026-03-08T05:00:00Z") == "2026-03-09T06:00:00Z"


def test_windows_are_values() -> None:
    assert parse_window("09:00-20:00", "w") == parse_window("09:00-20:00", "w")
    assert Window(edges=(0, MINUTE_MS), text="", rule="") != Window(edges=(), text="", rule="")
