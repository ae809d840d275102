"""The check that the checkers work: each defect anyone could make is found by the campaign."""

import pytest

from actors.simulate.world import Plan, simulate
from tests.reliability.figures import keep
from tests.simulation.doses import DAYS, dose
from tests.simulation.planted import plant
from tests.simulation.planted_erasure import PLANTED as _OF_ERASURE
from tests.simulation.planted_merges import PLANTED

assert PLANTED is _OF_ERASURE  # one list, to which each file adds

SEEDS_MAX = 2_000  # two fifths of the campaign; most are found by the first

_FOUND: list[str] = []


def test_there_are_enough_of_them() -> None:
    assert len(PLANTED) >= 15


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_defect_is_found(name: str) -> None:
    with plant(name):
        found = next(
            filter(None, (simulate(dose(seed)).violation for seed in range(SEEDS_MAX))), ""
        )
    assert found
    _FOUND.append(name)
    keep("planted", {"defects planted": len(PLANTED), "found": len(_FOUND)})


def test_a_defect_is_gone_when_it_was_taken_out() -> None:
    with plant("caps_off_by_one"):
        assert simulate(Plan(0, DAYS)) != simulate(Plan(0, 0.1))
    assert simulate(Plan(0, DAYS)).violation == ""
