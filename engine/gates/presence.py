"""Presence: channels that work only while the customer is there, or has just written.

Called by `gates.order`.

*Rules*
- A session is open while the customer's last own event is at most `session` old.
- A reply window is open for its time after the customer last wrote on the channel; outside it only
  content with a `template`, which the channel's provider has approved, may go.
- When either opens next nobody can know: there is no instant to wait for.
"""

from engine.gates.case import Case
from engine.gates.verdict import Block
from engine.instants import format_duration
from engine.program.contentmodel import TEMPLATE_FIELD
from engine.program.model import DEFAULT_CONTENT
from engine.reasons import Reason


def check_presence(case: Case, at: int, found: list[Block]) -> None:
    """Find out whether the customer's session and the channel's reply window are open."""
    channel = case.channel
    if channel.session_only and "window" not in case.kind.ignores:
        active_at = case.profile.active_at
        if not active_at or at - active_at > case.program.session_ms:
            rule = f"channels.{channel.name}.window"
            found.append(Block("window", Reason.OUTSIDE_WINDOW, None, rule, "no session open"))
    if channel.reply_ms is not None and not _has_template(case):
        last_at = _wrote_at(case)
        if last_at is None or at >= last_at + channel.reply_ms:
            rule = f"channels.{channel.name}.reply_window"
            seen = "never wrote here" if last_at is None else _closed(channel.reply_ms)
            found.append(Block("reply_window", Reason.REPLY_WINDOW, None, rule, seen))


def _closed(reply_ms: int) -> str:
    return f"closed {format_duration(reply_ms)} after they last wrote"


def _has_template(case: Case) -> bool:
    content = case.message.content
    return TEMPLATE_FIELD in (content.get(case.channel.name) or content.get(DEFAULT_CONTENT) or ())


def _wrote_at(case: Case) -> int | None:
    """Tell when the customer last wrote on this channel."""
    profile, channel = case.profile, case.channel
    replied = profile.engagement.get(f"{channel.name}/replied")
    history = profile.history.get(channel.reply_event) if channel.reply_event else None
    instants = [replied[-1]] if replied else []
    if history is not None:
        instants.append(history.last_at)
    return max(instants) if instants else None
