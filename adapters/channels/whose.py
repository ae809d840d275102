"""Whose the messages are that providers tell of, and what that comes to as inputs of the runtime.

Called by `adapters.channels.reception` with what a hook has read. Gives receipts and events, and
what could not be matched with anything that left from here.

*Rules*
- A message is found by our id where the provider gives it back, else by the provider's own.
- Who wrote to us is whoever was answered, else whose the address is by the workspace's identities,
  else who was last written to at it.
- STOP is of everybody of whom one of these is true: a shared telephone is rather left alone.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from actors.ports import Clock, Store
from actors.rows import OutboxRow
from adapters.channels.hooks import Notice, Said
from adapters.channels.optouts import consents_of
from adapters.channels.words import Word, read_word
from engine.events import Event, EventKind, Receipt, ReceiptStatus
from engine.identities import USER, read_value
from engine.profile import Profile
from engine.program.program import Channel, Program

REPLY_EVENT = "Message Received"  # where the channel has no `reply_event`
_TEXT_LENGTH_MAX = 4_000

Told = Notice | Said
Inputs = list[Event | Receipt]


class Shard(Protocol):
    """What must be asked of the runtime."""

    store: Store
    clock: Clock
    program: Program

    async def seek(self, given: str) -> Profile | None:
        """Read the profile of a customer, who may be another one by now."""
        ...

    async def resolve(self, namespace: str, value: str) -> str | None:
        """Find the customer an identity belongs to."""
        ...


class Found(NamedTuple):
    """What was told, as inputs; and what is nobody's."""

    inputs: Inputs
    unmatched: list[Told]


class Hearing(NamedTuple):
    """Something a person said to a provider, and the channels on which it may have been."""

    said: Said
    provider: str
    channels: tuple[Channel, ...]
    word: Word | None


async def find_owners(shard: Shard, provider: str, told: Sequence[Told], now: int) -> Found:
    """Bring what was told into inputs, as far as it is known whose it is."""
    own = [one.message_id for one in told if isinstance(one, Notice) and one.message_id]
    foreign = list({name: None for one in told if (name := foreign_id(one))})
    rows = {row.message_id: row for row in await shard.store.messages(own)} if own else {}
    theirs = await shard.store.messages_by_provider(provider, foreign) if foreign else {}
    found = Found([], [])
    for one in told:
        row = theirs.get(foreign_id(one))
        if isinstance(one, Said):
            inputs = await _hear(shard, provider, one, row, now)
        else:
            row = rows.get(one.message_id) or row
            inputs = [] if row is None else [_receipt(one, row, provider, now)]
        found.inputs.extend(inputs)
        if not inputs:
            found.unmatched.append(one)
    return found


def foreign_id(told: Told) -> str:
    """Give the provider's id of the message this is about."""
    return told.answers if isinstance(told, Said) else told.provider_id


def channels_of(program: Program, provider: str) -> tuple[Channel, ...]:
    """List the channels that a provider carries, be it as their backup."""
    return tuple(
        one
        for one in program.channels.values()
        if one.adapter == provider or (one.backup is not None and one.backup.adapter == provider)
    )


def _receipt(notice: Notice, row: OutboxRow, provider: str, now: int) -> Receipt:
    return Receipt(
        id=f"{provider}:{notice.id}",
        user=row.customer,
        message=row.message_id,
        status=notice.status,
        at=_settle(notice.at, now),
        received_at=now,
        code=notice.code,
        permanent=notice.permanent,
        source=provider,
        failure=notice.failure or "",
    )


def _settle(at: int, now: int) -> int:
    """Take a provider's word for when it was, but not for the future."""
    return min(at, now) if at else now


async def _hear(
    shard: Shard, provider: str, said: Said, answered: OutboxRow | None, now: int
) -> Inputs:
    """Make inputs of what somebody said; none where it is not known who that is."""
    stated = {word.value: word for word in Word}.get(said.keyword)
    channels = channels_of(shard.program, provider)
    hearing = Hearing(said, provider, channels, stated or read_word(said.text))
    inputs: Inputs = []
    for profile in await _find_speakers(shard, hearing, answered):
        latest = _find_latest(profile, channels, answered)
        channel = shard.program.channels.get(latest[1]) if latest else next(iter(channels), None)
        if channel is None:
            continue
        inputs.append(_event(hearing, profile, channel, shard.program, now))
        # Who wants to be left alone has not been won by the message they answered.
        if latest is not None and hearing.word is not Word.STOP:
            inputs.append(_reply(hearing, profile, latest[0], now))
    return inputs


async def _find_speakers(
    shard: Shard, hearing: Hearing, answered: OutboxRow | None
) -> list[Profile]:
    """Find who it is that speaks; of a STOP, everybody who may be meant."""
    said, is_stop = hearing.said, hearing.word is Word.STOP
    names = [answered.customer] if answered is not None else []
    if not names or is_stop:
        names += await _find_by_identity(shard, hearing)
    if not names or is_stop:
        channels = [channel.name for channel in hearing.channels]
        names += await shard.store.addressees(said.address, channels)
    speakers: dict[str, Profile] = {}
    for name in dict.fromkeys(names):
        profile = await shard.seek(name)
        if profile is not None:
            speakers.setdefault(profile.customer, profile)
    found = list(speakers.values())
    return found if is_stop else found[:1]


async def _find_by_identity(shard: Shard, hearing: Hearing) -> list[str]:
    """Find the customers whose identity the address is."""
    rules, address = shard.program.identity, hearing.said.address
    names: list[str] = []
    for trait in dict.fromkeys(channel.identity for channel in hearing.channels):
        if trait in ("", USER):
            names.append(address)
        for namespace in rules.namespaces.values():
            if trait in namespace.traits and namespace.is_indexed:
                value = read_value(namespace, {trait: address}, rules)
                owner = await shard.resolve(namespace.name, value) if value else None
                names += [owner] if owner else []
    return names


def _find_latest(
    profile: Profile, channels: Sequence[Channel], answered: OutboxRow | None
) -> tuple[str, str] | None:
    """Find the message that is answered, and its channel: the latest one, where it is not said."""
    if answered is not None:
        return answered.message_id, answered.channel
    names = {channel.name for channel in channels}
    sends = (sent for sent in reversed(profile.sends.values()) if sent.channel in names)
    latest = next(sends, None)
    return None if latest is None else (latest.message_id, latest.channel)


def _event(
    hearing: Hearing, profile: Profile, channel: Channel, program: Program, now: int
) -> Event:
    """Make the event that a customer wrote to us, with what that says of consent."""
    said, word = hearing.said, hearing.word
    at = _settle(said.at, now)
    alike = [one for one in hearing.channels if one.identity == channel.identity]
    text = said.text.replace("\x00", "")[:_TEXT_LENGTH_MAX]
    return Event(
        id=f"{hearing.provider}:{said.id}",
        kind=EventKind.TRACK,
        name=channel.reply_event or REPLY_EVENT,
        user=profile.customer,
        anonymous=None,
        at=at,
        received_at=now,
        properties={"channel": channel.name, "text": text, "keyword": word or ""},
        consents=consents_of(word, profile, program, alike, at=at, now=now),
        source=hearing.provider,
    )


def _reply(hearing: Hearing, profile: Profile, message: str, now: int) -> Receipt:
    said = hearing.said
    return Receipt(
        id=f"{hearing.provider}:{said.id}:replied",
        user=profile.customer,
        message=message,
        status=ReceiptStatus.REPLIED,
        at=_settle(said.at, now),
        received_at=now,
        source=hearing.provider,
    )
