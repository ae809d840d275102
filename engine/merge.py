"""Two customers who are one: their profiles united.

Called by `evolve` for a `Merged`, with the profile of the customer who stays and that of the one
who goes. What must be decided afterwards (timers, what is pending) is `engine.decide`.

*Rules*
- Consent, the ledger and what was counted come out the same whoever stays, in whatever order
  several are united, and uniting with the same one again changes nothing.
- Of two statements of consent the later one counts, of one instant the stricter one.
- Sends are united by message id, so caps look at all of them and at each once.
- Traits of the one who stays are kept; the other's fill the gaps. What an anonymous visitor said
  never replaces what a known customer did; but of wishes (silence, quiet hours, caps) the stricter
  holds.
- What goes on (journeys, deferrals) gets numbers of the one who stays, above all of their own, by
  adding their counts: `Offsets` are the way back.
"""

from collections.abc import Mapping
from heapq import merge
from typing import NamedTuple

from engine.consents import unite_consents
from engine.entries import unite_entries
from engine.latest import write_trait, written_at
from engine.ledger import enter_slot
from engine.limits import (
    ENGAGEMENT_RECENT_MAX,
    HISTORY_NAMES_MAX,
    SENDS_MAX,
)
from engine.measures.reach import unite_reach
from engine.origins import Origin
from engine.profile import History, Instance, Pending, Profile, Sent
from engine.seen import hand_out, take_over
from engine.traits.sessions import unite_sessions
from engine.traits.unite import unite_histories, unite_measures
from engine.wishes import unite_wishes


class Offsets(NamedTuple):
    """What is added to the numbers of the customer who goes."""

    instance: int
    proposal: int
    timer: int


def absorb(profile: Profile, other: Profile, now: int) -> Offsets:
    """Take another customer's profile into one; gives how its numbers changed.

    Timers are left out: what came has none until it is decided about.
    """
    offsets = Offsets(profile.instance_count, profile.proposal_count, profile.timer_count)
    _unite_traits(profile, other)
    profile.consents = unite_consents(profile.consents, other.consents)
    take_over(profile.seen, hand_out(other.seen, now), now)
    _unite_history(profile.history, other.history)
    profile.measures = unite_measures(profile.measures, other.measures)
    _unite_engagement(profile.engagement, other.engagement)
    _unite_ledgers(profile, other, now)
    _unite_sends(profile, other, offsets)
    _unite_journeys(profile, other, offsets)
    _unite_identities(profile, other)
    profile.reach = unite_reach(profile.reach, other.reach)
    profile.listings = {**other.listings, **profile.listings}
    profile.suppressed = latest(profile.suppressed, other.suppressed)
    profile.segments = {**other.segments, **profile.segments}
    _unite_times(profile, other)
    _unite_agendas(profile, other, now)
    profile.instance_count += other.instance_count
    profile.proposal_count += other.proposal_count
    profile.timer_count += other.timer_count
    return offsets


def latest(ours: Mapping[str, int], theirs: Mapping[str, int]) -> dict[str, int]:
    """Unite instants by name; of two of one name the later one stays."""
    united = dict(ours)
    for name, at in theirs.items():
        united[name] = max(united.get(name, at), at)
    return united


def _unite_traits(profile: Profile, other: Profile) -> None:
    wishes = unite_wishes(profile.traits, other.traits)
    for name, value in other.traits.items():
        at = written_at(other, name)
        if name not in profile.traits and at >= written_at(profile, name):
            write_trait(profile, name, value, at)
    profile.traits.update({name: wishes[name] for name in wishes if name in profile.traits})
    if not profile.context_timezone:
        profile.context_timezone = other.context_timezone
        profile.context_at = other.context_at
    profile.context_locale = profile.context_locale or other.context_locale


def _unite_history(ours: dict[str, History], theirs: Mapping[str, History]) -> None:
    for name, history in theirs.items():
        known = ours.get(name)
        ours[name] = history if known is None else unite_histories(known, history)
    while len(ours) > HISTORY_NAMES_MAX:
        del ours[min(ours, key=lambda name: (ours[name].last_at, name))]


def _unite_engagement(ours: dict[str, list[int]], theirs: Mapping[str, list[int]]) -> None:
    for name, times in theirs.items():
        ours[name] = list(merge(ours.get(name, ()), times))[-ENGAGEMENT_RECENT_MAX:]


def _unite_ledgers(profile: Profile, other: Profile, now: int) -> None:
    known = {slot.message_id for slot in profile.ledger}
    for slot in other.ledger:
        if slot.message_id not in known:
            enter_slot(profile.ledger, profile.tallies, slot, now)


def _unite_sends(profile: Profile, other: Profile, offsets: Offsets) -> None:
    """Unite what was sent, in order of sending."""
    for sent in other.sends.values():
        sent.instance = _shift(sent.instance, offsets.instance)
        sent.proposal = _shift(sent.proposal, offsets.proposal)
        sent.follows = _shift(sent.follows, offsets.proposal)
        sent.watch_timer = 0
    united = {**other.sends, **profile.sends}
    united |= {name: sent for name, sent in other.sends.items() if not sent.is_apart}
    ordered = sorted(united.values(), key=_sent_at)[-SENDS_MAX:]
    profile.sends = {sent.message_id: sent for sent in ordered}


def _sent_at(sent: Sent) -> tuple[int, str]:
    return sent.at, sent.message_id


def _unite_journeys(profile: Profile, other: Profile, offsets: Offsets) -> None:
    for pending in other.pending.values():
        came = _renumber_pending(pending, offsets)
        profile.pending[came.proposal] = came
    for instance in other.instances.values():
        arrived = _renumber_instance(instance, offsets)
        profile.instances[arrived.id] = arrived
    unite_entries(profile, other)
    profile.entered = latest(profile.entered, other.entered)
    profile.exited = latest(profile.exited, other.exited)
    for ending, count in other.journeys_done.items():
        profile.journeys_done[ending] = profile.journeys_done.get(ending, 0) + count


def _renumber_pending(pending: Pending, offsets: Offsets) -> Pending:
    pending.proposal += offsets.proposal
    pending.instance = _shift(pending.instance, offsets.instance)
    pending.follows = _shift(pending.follows, offsets.proposal)
    pending.timer = 0
    return pending


def _renumber_instance(instance: Instance, offsets: Offsets) -> Instance:
    instance.id += offsets.instance
    instance.parent = _shift(instance.parent, offsets.instance)
    instance.proposal = _shift(instance.proposal, offsets.proposal)
    instance.timer = 0
    return instance


def _shift(number: int, offset: int) -> int:
    """Renumber what may be none."""
    return number + offset if number else 0


def _unite_identities(profile: Profile, other: Profile) -> None:
    for namespace, values in other.identities.items():
        profile.identities[namespace] = latest(profile.identities.get(namespace, {}), values)
    profile.absorbed = latest(profile.absorbed, other.absorbed)
    profile.apart = _union(profile.apart, other.apart)
    profile.refused = _union(profile.refused, other.refused)


def _union(ours: list[str], theirs: list[str]) -> list[str]:
    return list(dict.fromkeys([*ours, *theirs]))


def _unite_times(profile: Profile, other: Profile) -> None:
    unite_sessions(profile, other)
    profile.active_at = max(profile.active_at, other.active_at)
    began = [at for at in (profile.first_at, other.first_at) if at]
    profile.first_at = min(began, default=0)
    profile.first_source = min(_origins(profile.first_source, other.first_source), default=None)
    profile.last_source = max(_origins(profile.last_source, other.last_source), default=None)


def _unite_agendas(profile: Profile, other: Profile, now: int) -> None:
    """Keep one agenda; what the other one missed is due with it, or entered by now."""
    if not profile.agenda_zone:
        profile.agenda_zone, profile.agenda_from = other.agenda_zone, other.agenda_from
    if other.agenda_at <= now:
        profile.agenda_at = min(profile.agenda_at, other.agenda_at)


def _origins(*told: Origin | None) -> list[Origin]:
    return [one for one in told if one is not None]
