"""Defects of merging and parting, planted like the others (`planted`)."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import Mapping
from typing import Any

import msgspec

import actors.carrier
import actors.merges
import engine.evolve
import engine.merge
import engine.step
import engine.unmerge
from actors.customer import Customer, Move
from actors.merges import Conclusion, Merges, Place
from engine.decide import decide_farewell
from engine.events import ConsentStatement, Departed, Merged
from engine.evolve import evolve_input
from engine.profile import Profile
from tests.simulation.planted import PLANTED, Patch, planted

__all__ = ["PLANTED"]


@planted
def who_departs_keeps_their_profile(patch: Patch) -> None:
    def depart(profile: Profile, departed: Departed, _now: int) -> bool:
        profile.merged_into = departed.into
        return True

    belongings: Any = engine.evolve._BELONGINGS
    patch.setitem(belongings, Departed, depart)


@planted
def consent_not_united(patch: Patch) -> None:
    def unite(one: Mapping[str, ConsentStatement], _other: object) -> dict[str, ConsentStatement]:
        return dict(one)

    patch.setattr(engine.merge, "unite_consents", unite)


@planted
def a_merge_takes_a_profile_that_has_moved_on(patch: Patch) -> None:
    real, conclude = Merges.arrive, actors.merges.conclude
    met: dict[Move, tuple[int, bytes]] = {}

    def arrive(self: Merges, move: Move, actor: Customer, profile: Profile) -> Place:
        place = real(self, move, actor, profile)
        if place is Place.STOPPED:
            actor.is_stopped = False
            met[move] = (actor.last_seq, actor.snapshot_copy())
        return place

    def conclude_late(move: Move, *given: Any) -> Conclusion:
        found = conclude(move, *given)
        if not isinstance(found.winner, Merged):
            return found
        seq, profile = met[move]
        merged = msgspec.structs.replace(found.winner, seq=seq, profile=profile)
        return msgspec.structs.replace(found, winner=merged)

    patch.setattr(Merges, "arrive", arrive)
    patch.setattr(actors.carrier, "conclude", conclude_late)


@planted
def timers_of_who_departs_not_cleared(patch: Patch) -> None:
    real = decide_farewell

    def farewell(turn: Any, timers: Any) -> None:
        if not turn.profile.merged_into:
            real(turn, timers)

    patch.setattr(engine.step, "decide_farewell", farewell)


@planted
def an_event_is_given_to_both_who_part(patch: Patch) -> None:
    take = engine.unmerge._Parting.take

    def take_twice(self: Any, happening: Any) -> None:
        take(self, happening)
        for other in self._others.values():
            if other.did(happening.given):
                self._ours.seen = []
                evolve_input(self._ours, happening.given, happening.at)

    patch.setattr(engine.unmerge._Parting, "take", take_twice)
