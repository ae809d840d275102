"""Why a condition gave what it gave."""

import pytest

from engine.profile import Profile
from engine.program.cel.compiler import CelError
from engine.program.cel.explain import explain
from engine.program.scope import Scope

SCOPE = Scope(
    Profile("u1", traits={"country": "FR", "plan": "pro", "visits": None}),
    1_767_225_600_000,
    event={"price": 60, "items": [{"sku": "A"}]},
)


def decided(source: str) -> list[str]:
    return [term.text for term in explain(source, SCOPE) if term.decided]


def test_a_term_shows_its_text_its_result_and_what_was_there() -> None:
    (term,) = explain('profile.country in ["PT", "ES"]', SCOPE)
    assert (term.text, term.value, term.decided) == ('profile.country in ["PT", "ES"]', False, True)
    assert str(term) == 'profile.country in ["PT", "ES"] -> false, profile.country was "FR"'


def test_absent_is_told_from_null() -> None:
    absent, null = explain("profile.age > 30 || profile.visits > 3", SCOPE)
    assert str(absent) == "profile.age > 30 -> false, profile.age was absent"
    assert str(null) == "profile.visits > 3 -> false, profile.visits was null"


def test_the_first_false_term_decides_a_false_and() -> None:
    source = 'event.price > 50 && profile.country == "PT" && profile.plan == "basic"'
    assert decided(source) == ['profile.country == "PT"']
    assert [term.value for term in explain(source, SCOPE)] == [True, False, False]


def test_all_terms_decide_a_true_and() -> None:
    assert decided('event.price > 50 && profile.plan == "pro"') == [
        "event.price > 50",
        'profile.plan == "pro"',
    ]


def test_the_first_true_term_decides_a_true_or() -> None:
    assert decided('event.price > 90 || profile.plan == "pro" || true') == ['profile.plan == "pro"']


def test_not_turns_what_decides() -> None:
    assert decided('!(event.price > 50 && profile.plan == "basic") && has(event.price)') == [
        'profile.plan == "basic"',
        "has(event.price)",
    ]


def test_a_choice_is_decided_by_its_test_and_the_side_taken() -> None:
    assert decided('event.price > 50 ? profile.plan == "pro" : profile.plan == "basic"') == [
        "event.price > 50",
        'profile.plan == "pro"',
    ]


def test_a_macro_and_the_past_show_what_they_looked_at() -> None:
    first, second = explain(
        'event.items.exists(item, item.sku == "B") || count("Seen", "1d") > 0', SCOPE
    )
    assert str(first).endswith('-> false, event.items was [{"sku": "A"}]')
    assert str(second) == 'count("Seen", "1d") > 0 -> false, count("Seen", "1d") was 0'


def test_a_bare_value_shows_itself() -> None:
    (term,) = explain("profile.plan", SCOPE)
    assert str(term) == 'profile.plan -> "pro"'


def test_a_long_value_is_cut() -> None:
    scope = Scope(Profile("u1"), 0, event={"a": "x" * 5_000})
    assert len(str(explain('event.a == "y"', scope)[0])) < 150


def test_what_can_not_be_compiled_can_not_be_explained() -> None:
    with pytest.raises(CelError):
        explain("event.", SCOPE)
