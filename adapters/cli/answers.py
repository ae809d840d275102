"""Whether a message may go, in words: what a person reads of an eligibility answer.

Used by `explain --message`. Times are the customer's own, as the rules take them; where several
zones are plausible, those of the first.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from adapters.gateway.views import ChannelAnswer, Eligibility
from engine.reasons import Reason

# What each reason does to a message, before " until …".
_WHY: dict[Reason, str] = {
    Reason.OUTSIDE_WINDOW: "{channel} is closed",
    Reason.CHANNEL_CAP: "the cap of {channel} is used up",
    Reason.TYPE_CAP: "the cap of this type of message is used up",
    Reason.SHARED_CAP: "a cap over several channels is used up",
    Reason.CUSTOMER_CAP: "the customer wants no more of them",
    Reason.BACKOFF: "a cap is filling up and asks for a longer gap",
    Reason.COOLDOWN: "the last message is too recent",
    Reason.SUPPRESSED: "messages of this kind are held back",
    Reason.SAME_MESSAGE: "they were sent this very message lately",
    Reason.HOLIDAY: "it is a holiday where they are",
    Reason.BLACKOUT: "nothing goes out on this day",
    Reason.REGION_RULE: "the law where they are forbids it",
    Reason.QUIET_HOURS: "these are their quiet hours",
    Reason.DO_NOT_DISTURB: "they asked to be left alone",
    Reason.REPLY_WINDOW: "they have to write on {channel} first",
    Reason.LOWER_PRIORITY: "a more important message comes first",
    Reason.NO_CONSENT: "they have not agreed to it",
    Reason.OPT_OUT_REGISTRY: "their address is on a list of those to be left alone",
    Reason.REGISTRY_STALE: "a list of those to be left alone is too old, or was not asked",
    Reason.TYPE_OPT_OUT: "they want no messages of this type",
    Reason.UNREACHABLE: "there is no address of theirs for {channel}",
    Reason.CAPABILITY: "{channel} can't carry it",
    Reason.NO_CONTENT: "it has nothing to say on {channel}",
    Reason.TEMPLATE_ERROR: "its text can't be filled in",
    Reason.EXPIRED: "it would come too late to be of use",
}
_SOURCES = {
    "profile": "their own time zone",
    "device": "the time zone of their device",
    "phone": "told from their phone number",
    "address": "told from their address",
    "workspace": "the workspace's default",
}
_WEEK_DAYS = 6
_VERSION_LENGTH = 15


def describe_verdict(answer: Eligibility, *, asked_at: bool) -> str:
    """Say in one line whether the message may go, and what stands in the way longest."""
    when = f"at {_local(answer.at, answer)}" if asked_at else "now"
    zone = f" ({answer.place.timezone})"
    head = f"{answer.message} may{'' if answer.eligible else ' not'} go to {answer.customer} {when}"
    if answer.eligible:
        instead = ", in place of its first choice" if answer.outcome == "substitute" else ""
        return f"{head}, by {answer.channel}{instead}{zone if asked_at else ''}"
    found = next((one for one in answer.channels if one.channel == answer.channel), None)
    free_at = None if found is None else found.next_eligible
    why = _why(answer.reason, answer.channel or "the channel")
    until = f" until {tell_time(free_at, answer)}" if free_at else ""
    return f"{head}: {why}{until}{zone if free_at or asked_at else ''}"


def describe_place(answer: Eligibility) -> list[str]:
    """Say where the customer is taken to be, and whether anything is known of them."""
    place = answer.place
    zones = " or ".join(place.timezones)
    region = "-".join(part for part in (place.country, place.subdivision) if part)
    said = f"Where: {zones}, {_SOURCES[place.source]} ({place.confidence} confidence)"
    lines = [f"{said}; country {region}." if region else f"{said}; no country known."]
    if not answer.known:
        lines.append(f"Nothing is known of {answer.customer}: this is said of a new customer.")
    return lines


def describe_channel(channel: ChannelAnswer, answer: Eligibility) -> str:
    """Say of one channel whether it is free, or when it will be."""
    if channel.eligible:
        return f"{channel.channel}: free"
    if channel.next_eligible:
        return f"{channel.channel}: free {_moment(channel.next_eligible, answer)}"
    return f"{channel.channel}: not free, and nobody knows when"


def list_rules(channel: ChannelAnswer, answer: Eligibility) -> list[tuple[str, str, str, str, str]]:
    """List what stands in a channel's way: reason, until when, rule, its version, what it saw."""
    return [
        (
            block.reason,
            tell_time(block.until, answer) if block.until else "",
            block.rule,
            block.version or answer.program[:_VERSION_LENGTH],
            block.seen,
        )
        for block in channel.blocks
    ]


def describe_plan(answer: Eligibility) -> str:
    """Say what becomes of a message that can't go: when it will, or that it won't."""
    if answer.outcome == "defer" and answer.next_eligible:
        when = _moment(answer.next_eligible, answer)
        return f"It will go {when}, by {answer.channel}, unless something changes until then."
    ways = [one for one in answer.channels if one.next_eligible]
    if not ways:
        return f"It will not go: it would be dropped ({answer.reason})."
    first = min(ways, key=lambda one: one.next_eligible or "")
    when = _moment(first.next_eligible or "", answer)
    return (
        f"It would not wait: it would be dropped ({answer.reason}). "
        f"Asked for again, it could go {when}, by {first.channel}."
    )


def tell_time(instant: str, answer: Eligibility) -> str:
    """Write an instant in the customer's time, as near as it is to the instant asked about."""
    zone = ZoneInfo(answer.place.timezone)
    moment, asked = _read(instant, zone), _read(answer.at, zone)
    clock = f"{moment:%H:%M}" if not moment.second else f"{moment:%H:%M:%S}"
    days = (moment.date() - asked.date()).days
    if days == 0:
        return clock
    if days == 1:
        return f"{clock} tomorrow"
    if 1 < days <= _WEEK_DAYS:
        return f"{clock} on {moment:%A}"
    return f"{clock} on {moment.day} {moment:%B %Y}"


def _moment(instant: str, answer: Eligibility) -> str:
    exact = instant.replace("T", " ").replace("Z", " UTC")
    return f"at {tell_time(instant, answer)} ({answer.place.timezone}; {exact})"


def _local(instant: str, answer: Eligibility) -> str:
    return f"{_read(instant, ZoneInfo(answer.place.timezone)):%Y-%m-%d %H:%M}"


def _read(instant: str, zone: ZoneInfo) -> datetime:
    return msgspec.convert(instant, datetime).astimezone(zone)


def _why(reason: str, channel: str) -> str:
    known = reason in Reason.__members__.values()
    said = _WHY.get(Reason(reason)) if known else None
    return said.format(channel=channel) if said else reason.replace("_", " ")
