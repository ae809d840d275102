"""What STOP and START mean for consent.

Called by `adapters.channels.whose` for everybody who may have said such a word.

*Rules*
- STOP takes back consent for every purpose, on every channel of the provider that goes to the same
  kind of address. CTIA's Messaging Principles (5.1.3) have it end everything but its confirmation;
  47 CFR 64.1200(a)(10) has it hold for calls as well as for texts; and a provider blocks the
  number for all that its account sends.
- START gives back what STOP took: each purpose that was allowed on the channel before, as it was
  allowed, with its end. It grants nothing that was not, nor what was taken back in another way.
"""

from collections.abc import Iterable, Sequence

import msgspec

from adapters.channels.words import Word
from engine.consents import find_statement
from engine.events import ANY, ConsentStatement, ConsentStatus
from engine.gates.consent import SERVICE, check_consent
from engine.instants import SECOND_MS
from engine.profile import Profile
from engine.program.program import Channel, Program

STOPPED_BY, STARTED_BY = "stop_word", "start_word"

Statements = tuple[ConsentStatement, ...]


def consents_of(
    word: Word | None,
    profile: Profile,
    program: Program,
    channels: Sequence[Channel],
    *,
    at: int,
    now: int,
) -> Statements:
    """State what a customer allows from here on, who said a word on one of these channels."""
    if word is Word.STOP:
        # Providers tell whole seconds: a grant of the same second must not outlast the STOP.
        until_at = min(at + SECOND_MS - 1, now)
        return tuple(_stop(channel, until_at) for channel in channels)
    if word is Word.START:
        given = (_start(profile, program, channel, at, now) for channel in channels)
        return tuple(statement for statements in given for statement in statements)
    return ()


def _stop(channel: Channel, at: int) -> ConsentStatement:
    return ConsentStatement(ANY, channel.name, ConsentStatus.WITHDRAWN, at, STOPPED_BY)


def _start(
    profile: Profile, program: Program, channel: Channel, at: int, now: int
) -> Iterable[ConsentStatement]:
    """Give back what a STOP took, on one channel."""
    key = f"{ANY}/{channel.name}"
    stopped = profile.consents.get(key)
    if stopped is None or stopped.source != STOPPED_BY:
        return
    before = msgspec.structs.replace(
        profile, consents={name: one for name, one in profile.consents.items() if name != key}
    )
    purposes = {kind.purpose: None for kind in program.types.values()} | {SERVICE: None}
    for purpose in purposes:
        if check_consent(before, program, purpose, channel.name, "", now) is not None:
            continue
        allowed = find_statement(before.consents, purpose, channel.name)
        if allowed is None or allowed.status is not ConsentStatus.GRANTED:
            allowed = ConsentStatement(purpose, channel.name, ConsentStatus.GRANTED, at)
        yield msgspec.structs.replace(
            allowed, purpose=purpose, channel=channel.name, at=at, source=STARTED_BY
        )
