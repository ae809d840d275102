"""The latest value of each trait, by when it was said."""

from typing import Any

import pytest

from engine.events import ChangeKind, TraitChange
from engine.latest import change_trait, write_traits, written_at
from engine.limits import TRAIT_ITEMS_MAX, TRAITS_MAX
from engine.profile import Profile


def told(*writings: tuple[int, dict[str, Any]]) -> Profile:
    profile = Profile("u")
    for at, values in writings:
        write_traits(profile, values, at)
    return profile


def test_a_late_value_changes_nothing_that_is_newer() -> None:
    profile = told((20, {"plan": "pro", "city": "Bern"}), (10, {"plan": "free", "age": 30}))
    assert profile.traits == {"plan": "pro", "city": "Bern", "age": 30}


def test_a_late_value_replaces_an_older_one_that_was_said_apart() -> None:
    profile = told((10, {"a": 1, "b": 1}), (30, {"a": 3}), (20, {"a": 2, "b": 2}))
    assert profile.traits == {"a": 3, "b": 2}


def test_a_late_value_does_not_undo_a_removal() -> None:
    assert told((10, {"a": 1}), (30, {"a": None}), (20, {"a": 2})).traits == {}
    assert told((10, {"a": 1}), (30, {"a": None}), (40, {"a": 4})).traits == {"a": 4}


def test_a_late_removal_removes_nothing_newer() -> None:
    assert told((20, {"a": 2}), (10, {"a": None})).traits == {"a": 2}


def test_at_one_instant_the_one_that_comes_last_counts() -> None:
    assert told((10, {"a": 1, "b": 1}), (10, {"a": 2})).traits == {"a": 2, "b": 1}


def test_one_who_is_told_of_as_a_whole_needs_no_instants_apart() -> None:
    profile = told((10, {"a": 1, "b": 1}), (20, {"a": 2, "b": 2}), (30, {"a": 3, "b": 3, "c": 3}))
    assert (profile.traits_at, profile.written) == (30, {})
    assert [written_at(profile, name) for name in "abc"] == [30, 30, 30]
    assert written_at(profile, "d") < -(10**15)


def test_events_from_before_1970_have_their_time_too() -> None:
    assert told((-20, {"a": 2}), (-30, {"a": 1})).traits == {"a": 2}


def change(present: object, kind: ChangeKind, value: Any) -> object:
    profile = Profile("u")
    if present is not None:
        write_traits(profile, {"t": present}, 10)
    change_trait(profile, TraitChange("t", kind, value), 5)
    assert written_at(profile, "t") >= (10 if present is not None else 5) or not profile.traits
    return profile.traits.get("t")


@pytest.mark.parametrize(
    ("present", "by", "after"),
    [(None, 2, 2), (5, 2, 7), (5, -7, -2), (1.5, 1, 2.5), ("five", 1, "five"), (True, 1, True)],
)
def test_a_number_is_increased_and_anything_else_is_left(
    present: object, by: int, after: object
) -> None:
    assert change(present, ChangeKind.INCREASE, by) == after


def test_a_number_can_be_stored_however_large_it_becomes() -> None:
    assert change(2**64 - 1, ChangeKind.INCREASE, 1) == float(2**64)
    assert change(1e308, ChangeKind.INCREASE, 1e308) == 1e308


@pytest.mark.parametrize(
    ("present", "kind", "values", "after"),
    [
        (None, ChangeKind.ADD, ["a", "b", "a"], ["a", "b"]),
        (["a", "b"], ChangeKind.ADD, ["a"], ["b", "a"]),
        (["a", "b", "a"], ChangeKind.REMOVE, ["a"], ["b"]),
        (None, ChangeKind.REMOVE, ["a"], None),
        ("a", ChangeKind.ADD, ["b"], "a"),
    ],
)
def test_a_list_holds_each_value_once_the_latest_last(
    present: object, kind: ChangeKind, values: list[str], after: object
) -> None:
    assert change(present, kind, values) == after


def test_lists_and_traits_are_bounded() -> None:
    longest = change(list(range(TRAIT_ITEMS_MAX)), ChangeKind.ADD, [-1])
    assert longest == [*range(1, TRAIT_ITEMS_MAX), -1]
    profile = told((1, {f"t{n}": n for n in range(TRAITS_MAX + 5)}))
    assert len(profile.traits) == TRAITS_MAX
    for n in range(TRAITS_MAX + 5):
        write_traits(profile, {f"gone{n}": None}, n)
    assert len(profile.written) <= TRAITS_MAX
