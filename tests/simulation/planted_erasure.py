"""Defects of erasure, planted like the others (`planted`)."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import AsyncIterator
from typing import Any

import msgspec

import actors.erasures
from actors.directory import Directory
from actors.erasures import Erasures
from actors.hearsay import Hearsay
from actors.outbox import Outbox
from actors.remains import remains_of
from actors.tombstones import Gate
from tests.simulation.planted import PLANTED, Patch, planted

__all__ = ["PLANTED"]


def _nothing(*_: object) -> None:
    """Do what a forgotten call does."""


@planted
def what_was_erased_comes_back_with_a_late_event(patch: Patch) -> None:
    patch.setattr(Gate, "admit", lambda _self, given, _rules: given)


@planted
def erased_customers_are_made_again_of_the_tail(patch: Patch) -> None:
    real = Erasures.open

    async def open_(self: Erasures) -> dict[str, int]:
        await real(self)
        return {}

    patch.setattr(Erasures, "open", open_)


@planted
def an_erasure_that_was_interrupted_is_forgotten(patch: Patch) -> None:
    patch.setattr(Erasures, "start", _nothing)


@planted
def decisions_outlive_whom_they_were_about(patch: Patch) -> None:
    patch.setattr(
        actors.erasures,
        "remains_of",
        lambda entry: msgspec.structs.replace(remains_of(entry), decisions=[]),
    )


@planted
def erased_customers_messages_leave(patch: Patch) -> None:
    real = Outbox.cancel

    def cancel(self: Outbox, customer: str, matches: Any, code: str) -> int:
        return 0 if code == "erased" else real(self, customer, matches, code)

    patch.setattr(Outbox, "cancel", cancel)
    patch.setattr(Erasures, "_open_messages", lambda _self, _scope: [])


@planted
def who_is_erased_stays_in_memory(patch: Patch) -> None:
    patch.setattr(Directory, "forget", _nothing)


@planted
def others_go_on_telling_of_who_was_erased(patch: Patch) -> None:
    async def search(*_: object) -> AsyncIterator[tuple[str, int]]:
        nothing: list[tuple[str, int]] = []
        for told in nothing:
            yield told

    patch.setattr(Hearsay, "_search", search)
