"""For whoever serves a customer, at a till or on the phone: what to say next, and what came of it.

Mounted by `adapters.app` where a workspace has channels with the adapter `desk`. Messages on them
wait for the customer like in-app messages do, until they expire or are answered; here they are
shown together with who the customer is and what may be said to them now. A till has a key of its
own (`NEXTBEAT_DESK_KEYS`), which opens nothing else; admin keys are good as well.

*Rules*
- What comes of an offer is a receipt, as on any channel, and, where it was taken or refused, an
  event that journeys can go on with. It is told once, however often it is sent.
- A till is not the customer's own device: none of this opens a session.
"""

from typing import Any, Literal

import msgspec
from aiohttp import web

from adapters.gateway.answers import answer_json, refuse
from adapters.gateway.auth import KeyRing
from adapters.gateway.body import SlowBodyError, read_body
from adapters.gateway.host import Host
from adapters.gateway.intake import refuse_slow
from adapters.gateway.parameters import CustomerParameters, read_parameters
from adapters.gateway.query import find_customer, guard
from adapters.gateway.views import Instant
from adapters.gateway.wire import read_object
from adapters.inbox import Inbox, InboxMessage, desk_shelf
from adapters.masking import Masker
from engine.effects import Send
from engine.eligibility import ChannelAnswer, Eligibility, assess
from engine.errors import InputError, OverloadError, StoreError
from engine.events import Event, EventKind, Receipt, ReceiptStatus
from engine.instants import format_instant
from engine.limits import INBOX_PAGE_MAX
from engine.profile import Profile
from engine.program.program import Message
from engine.program.view import live_traits
from engine.reasons import Outcome

_PATH = "/v1/desk/{id:[^/]+}"
_SOURCE = "desk"
_BODY_BYTES_MAX = 4 * 1024
_MESSAGES_MAX = 50  # looked at to tell what may be said; each takes about a millisecond
_SEGMENTS_MAX = 5
_NAMES = ("name", "first_name", "last_name", "locale")
_TRAITS = ("stage", "orders", "revenue", "last_order_at")

Verdict = Literal["shown", "accepted", "declined", "later"]

# What each verdict tells, and whether the message is done with.
_VERDICTS: dict[str, tuple[ReceiptStatus, str, bool]] = {
    "shown": (ReceiptStatus.OPENED, "", False),
    "later": (ReceiptStatus.OPENED, "later", False),
    "accepted": (ReceiptStatus.CLICKED, "", True),
    "declined": (ReceiptStatus.DELIVERED, "declined", True),
}
_EVENTS = {"accepted": "Desk Offer Accepted", "declined": "Desk Offer Declined"}
_decode_send = msgspec.msgpack.Decoder(Send).decode


class DeskOutcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a message that was shown at the desk."""

    message_id: str
    outcome: Verdict


class DeskAction(msgspec.Struct, frozen=True):
    """One thing to say next, and why: the decision, and the journey that asked for it."""

    message_id: str
    channel: str
    message: str
    content: dict[str, str]
    at: Instant
    expires_at: Instant | None
    seen_at: Instant | None
    decision_id: str
    journey: str
    step: str


class DeskChannel(msgspec.Struct, frozen=True):
    """Whether a message may go on a channel now; else why not, and when."""

    channel: str
    is_open: bool
    next_eligible: Instant | None
    reasons: list[str]


class DeskMessage(msgspec.Struct, frozen=True):
    """Whether a message may be said now, and what would become of it if it were asked for."""

    message: str
    message_type: str
    purpose: str
    may_go: bool
    reason: str
    next_eligible: Instant | None
    channels: list[DeskChannel]


class DeskView(msgspec.Struct, frozen=True):
    """Who is there, what to say next, and what may be said besides."""

    customer: str
    traits: dict[str, Any]
    summary: str
    actions: list[DeskAction]
    messages: list[DeskMessage]


class DeskRoutes:
    """The handlers, with what they need."""

    def __init__(self, host: Host, inbox: Inbox, ring: KeyRing) -> None:
        self._host = host
        self._inbox = inbox
        self._ring = ring

    def enter(self, request: web.Request) -> None:
        """Let tills in, and administrators. Raises a 401 or a 403."""
        if not self._is_till(request):
            self._host.require_admin(request)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Show who is there and what to say."""
        parameters = read_parameters(request, CustomerParameters)
        runtime = self._host.runtime
        profile = await find_customer(runtime, request)
        program, now = runtime.program, runtime.clock.now()
        messages = list(program.messages.values())[:_MESSAGES_MAX]
        view = DeskView(
            customer=profile.customer,
            traits={name: profile.traits[name] for name in _NAMES if name in profile.traits},
            summary=self._summarise(profile, now),
            actions=await self._actions(profile),
            messages=[_judge(one, assess(profile, program, one, now)) for one in messages],
        )
        is_masked = not self._is_till(request) and self._host.visitor(request).is_masked
        if parameters.mask or is_masked:
            return answer_json(Masker(program.pii).mask(view))
        return answer_json(view)

    async def note(self, request: web.Request) -> web.StreamResponse:
        """Take what came of a message; the answer comes when it is durable."""
        try:
            body = await read_body(request, self._host.settings.deadlines.body_s, _BODY_BYTES_MAX)
            told = read_outcome(body)
            profile = await find_customer(self._host.runtime, request)
            message = await self._inbox.note(
                (profile.customer, *profile.absorbed),
                told.message_id,
                is_dismissed=_VERDICTS[told.outcome][2],
                shelf=desk_shelf(self._host.runtime.program),
            )
            if message is None:
                return refuse(404, "unknown_message", "no such message waits for this customer")
            send = (await self._sends([message])).get(message.message_id)
            now = self._host.runtime.clock.now()
            await self._host.runtime.submit(_inputs(profile.customer, message, send, told, now))
        except SlowBodyError:
            return refuse_slow(self._host)
        except (OverloadError, StoreError):
            return refuse(503, "overloaded", "it can't be stored now; try again", retry_after_s=1)
        return web.json_response({"success": True})

    def _is_till(self, request: web.Request) -> bool:
        ring = self._ring
        return not ring.is_open and ring.judge(request.headers.get("Authorization")) is True

    def _summarise(self, profile: Profile, now: int) -> str:
        """Say in a line who this is, without saying anything that is personal."""
        program = self._host.runtime.program
        live = live_traits(profile, program, now)
        told = [f"{name.replace('_', ' ')} {live[name]}" for name in _TRAITS if live.get(name)]
        told.append(f"known since {format_instant(profile.first_at)[:10]}")
        if profile.segments:
            told.append(f"in {', '.join(sorted(profile.segments)[:_SEGMENTS_MAX])}")
        journeys = dict.fromkeys(one.journey for one in profile.instances.values())
        if journeys:
            told.append(f"on the way in {', '.join(list(journeys)[:_SEGMENTS_MAX])}")
        return " · ".join(told)

    async def _actions(self, profile: Profile) -> list[DeskAction]:
        shelf = desk_shelf(self._host.runtime.program)
        names = (profile.customer, *profile.absorbed)
        waiting = await self._inbox.page(names, 0, INBOX_PAGE_MAX, shelf)
        sends = await self._sends(waiting)
        return [_action(one, sends.get(one.message_id)) for one in waiting]

    async def _sends(self, messages: list[InboxMessage]) -> dict[str, Send]:
        """Find why messages were sent; what is too old to be known is left out."""
        rows = await self._host.runtime.store.messages([one.message_id for one in messages])
        return {row.message_id: _decode_send(row.body) for row in rows if row.body}


def routes(host: Host, inbox: Inbox, ring: KeyRing) -> list[web.RouteDef]:
    """List the routes; `ring` has the keys of tills, and lets nobody in where it has none."""
    made = DeskRoutes(host, inbox, ring)
    return [
        web.get(_PATH, guard(host, made.show, made.enter)),
        web.post(f"{_PATH}/outcome", guard(host, made.note, made.enter)),
    ]


def read_outcome(body: bytes) -> DeskOutcome:
    """Read what came of a message. Raises InputError."""
    try:
        return msgspec.convert(read_object(body, []), DeskOutcome)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$")
        raise InputError("bad_outcome", message, at.strip(".`") or "$") from None


def _inputs(
    customer: str, message: InboxMessage, send: Send | None, told: DeskOutcome, now: int
) -> list[Receipt | Event]:
    status, code, _ = _VERDICTS[told.outcome]
    name = f"desk:{message.message_id}:{told.outcome}"
    receipt = Receipt(
        id=name,
        user=customer,
        message=message.message_id,
        status=status,
        at=now,
        received_at=now,
        code=code,
        source=_SOURCE,
    )
    if told.outcome not in _EVENTS:
        return [receipt]
    event = Event(
        id=f"{name}:event",
        kind=EventKind.TRACK,
        name=_EVENTS[told.outcome],
        user=customer,
        anonymous=None,
        at=now,
        received_at=now,
        properties={
            "message_id": message.message_id,
            "channel": message.channel,
            "message": send.message if send is not None else "",
            "journey": send.journey if send is not None else "",
        },
        context={"active": False},
        source=_SOURCE,
    )
    return [receipt, event]


def _action(message: InboxMessage, send: Send | None) -> DeskAction:
    return DeskAction(
        message_id=message.message_id,
        channel=message.channel,
        message=send.message if send is not None else "",
        content=message.content,
        at=format_instant(message.at),
        expires_at=_when(message.expires_at),
        seen_at=_when(message.seen_at),
        decision_id=send.decision_id if send is not None else "",
        journey=send.journey if send is not None else "",
        step=send.step if send is not None else "",
    )


def _judge(message: Message, found: Eligibility) -> DeskMessage:
    return DeskMessage(
        message=message.name,
        message_type=message.type.name,
        purpose=message.type.purpose,
        may_go=found.outcome in (Outcome.SEND, Outcome.SUBSTITUTE),
        reason=found.reason.value,
        next_eligible=_when(found.next_eligible),
        channels=[_channel(one) for one in found.channels],
    )


def _channel(found: ChannelAnswer) -> DeskChannel:
    reasons = list(dict.fromkeys(block.reason.value for block in found.blocks))
    return DeskChannel(found.channel, found.is_open, _when(found.next_eligible), reasons)


def _when(at: int | None) -> str | None:
    return None if at is None else format_instant(at)
