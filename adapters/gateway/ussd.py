"""USSD requests of Africa's Talking: what is typed becomes an event, what is decided a screen.

Mounted by `adapters.app` where a workspace has channels with the adapter `ussd`. The operator posts
a form for each screen (`sessionId`, `serviceCode`, `phoneNumber`, `networkCode`, and `text`: all
that was typed so far, joined by `*`) and shows the text/plain it gets; at the end of a session it
posts another (`status`, `durationInMillis`, `hopsCount`, `input`, `errorMessage`). It signs
nothing, so the address itself holds a key: <https://developers.africastalking.com/docs/ussd/overview>.

*Rules*
- The event is durable before anything is shown. What goes wrong on our side shows the channel's
  fallback; the operator gets an error only for what it sent.
- A request has one event id, however often it is sent.
- The number is the customer's address on the channel; by an identity rule of the workspace the
  session is theirs whose number it is, else the number is a customer of its own.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Protocol, TypeVar
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from adapters.gateway.answers import refuse
from adapters.gateway.body import SlowBodyError, read_body
from adapters.gateway.host import Host
from adapters.gateway.intake import refuse_slow, refuse_whole
from engine.errors import InputError, OverloadError, StoreError
from engine.events import Event, EventKind
from engine.ids import stable_hash
from engine.phones import e164

SESSION_STARTED, SESSION_INPUT, SESSION_ENDED = (
    "USSD Session Started",
    "USSD Input",
    "USSD Session Ended",
)
_PATH = "/v1/ussd/africastalking"
_BODY_BYTES_MAX = 8 * 1024
_FIELDS_MAX = 32
_TEXT_LENGTH_MAX = 1_000
_SESSION = re.compile(r"[!-~]{1,128}")
_PHONE = re.compile(r"\+?(\d{6,15})")  # as operators write numbers that no plan has (yet)
_DIGITS_MAX = 12
_SOURCE = "ussd"
_Typed = Annotated[str, msgspec.Meta(max_length=_TEXT_LENGTH_MAX)]


class Line(Protocol):
    """A channel that answers those who wait: `adapters.channels.ussd`."""

    def opens(self, key: str) -> bool:
        """Say whether a key is this line's."""
        ...

    async def answer(
        self, phone: str, typed: tuple[str, str], at: int, ask: Callable[[], Awaitable[None]]
    ) -> str:
        """Have `ask` store what was typed in a session, and give what is to be shown."""
        ...


class UssdForm(msgspec.Struct, frozen=True, rename="camel"):
    """What the operator posts for each screen."""

    session_id: str
    phone_number: str
    service_code: str = ""
    network_code: str = ""
    text: _Typed = ""


class UssdEnding(msgspec.Struct, frozen=True, rename="camel"):
    """What the operator posts when a session is over."""

    session_id: str
    phone_number: str
    service_code: str = ""
    network_code: str = ""
    status: str = ""
    duration_in_millis: str = ""
    hops_count: str = ""
    input: _Typed = ""
    error_message: str = ""


_Form = TypeVar("_Form", UssdForm, UssdEnding)


class UssdRoutes:
    """The handlers, over the channels by name."""

    def __init__(self, host: Host, lines: Mapping[str, Line]) -> None:
        self._host = host
        self._lines = lines

    async def take(self, request: web.Request) -> web.Response:
        """Answer one screen of a session."""
        name, form = await self._read(request, UssdForm)
        runtime = self._host.runtime
        now, phone = runtime.clock.now(), self._phone(form.phone_number)
        event = msgspec.structs.replace(
            self._event(name, form, phone, now),
            id=f"ussd:{stable_hash(form.session_id, form.text).hex()}",
            name=SESSION_INPUT if form.text else SESSION_STARTED,
            properties=_properties(form),
        )

        async def ask() -> None:
            await runtime.submit([event])

        typed = form.session_id, form.text
        return _say(await self._lines[name].answer(phone, typed, now, ask))

    async def end(self, request: web.Request) -> web.Response:
        """Take note that a session is over."""
        name, form = await self._read(request, UssdEnding)
        now, phone = self._host.runtime.clock.now(), self._phone(form.phone_number)
        event = msgspec.structs.replace(
            self._event(name, form, phone, now),
            id=f"ussd:{stable_hash(form.session_id, 'end').hex()}:end",
            name=SESSION_ENDED,
            properties=_ending_properties(form),
        )
        try:
            await self._host.runtime.submit([event])
        except (OverloadError, StoreError):
            return refuse(503, "overloaded", "it can't be stored now; try again", retry_after_s=1)
        return _say("OK")

    async def _read(self, request: web.Request, kind: type[_Form]) -> tuple[str, _Form]:
        """Let the operator in, and read what it posts. Raises InputError and UnknownKeyError."""
        self._host.counters.requests += 1
        key = request.query.get("key", "")
        # All of them are asked, so that the time tells nothing.
        names = [name for name, line in self._lines.items() if line.opens(key)]
        if not names:
            raise UnknownKeyError
        body = await read_body(request, self._host.settings.deadlines.body_s, _BODY_BYTES_MAX)
        return names[0], read_form(body, kind)

    def _phone(self, given: str) -> str:
        """Read a number as the world knows it. Raises InputError."""
        known = e164(given, self._host.runtime.program.defaults.country)
        plain = None if known else _PHONE.fullmatch(given.strip())
        if not known and plain is None:
            raise InputError("bad_phone", "expected a phone number", "phoneNumber")
        return known or f"+{plain[1] if plain is not None else ''}"

    def _event(self, name: str, form: UssdForm | UssdEnding, phone: str, now: int) -> Event:
        """Begin an event of whoever has the number."""
        if _SESSION.fullmatch(form.session_id) is None:
            raise InputError("bad_session", "expected 1 to 128 printable characters", "sessionId")
        channel = self._host.runtime.program.channels.get(name)
        trait = channel.identity if channel is not None else ""
        return Event(
            id="",
            kind=EventKind.TRACK,
            name="",
            user=None,
            # Not the number itself: ids are written where numbers have no place, as in logs.
            anonymous=f"ussd-{stable_hash('ussd', phone).hex()}",
            at=now,
            received_at=now,
            traits={trait or "phone": phone},
            context={"active": False},  # nobody looks at our app while they dial
            source=_SOURCE,
        )

    def guard(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Turn what is wrong with a request into an answer with a code."""

        async def guarded(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except UnknownKeyError:
                self._host.counters.count_refused("unauthorized")
                return refuse(401, "unauthorized", "the key is missing or unknown", "query.key")
            except InputError as error:
                return refuse_whole(self._host, error)
            except SlowBodyError:
                return refuse_slow(self._host)

        return guarded


class UnknownKeyError(Exception):
    """No line has this key."""


def routes(host: Host, lines: Mapping[str, Line]) -> list[web.RouteDef]:
    """List the routes over the lines, by the names of their channels."""
    made = UssdRoutes(host, lines)
    return [
        web.post(_PATH, made.guard(made.take)),
        web.post(f"{_PATH}/end", made.guard(made.end)),
    ]


def read_form(body: bytes, kind: type[_Form]) -> _Form:
    """Read what an operator posts; what is not known of is left out. Raises InputError."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FIELDS_MAX
        )
        return msgspec.convert(dict(pairs), kind)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$")
        raise InputError("bad_form", message, at.strip(".`") or "$") from None
    except ValueError:
        raise InputError("bad_form", "expected a form of at most 32 fields") from None


def _properties(form: UssdForm) -> dict[str, object]:
    told: dict[str, object] = {"session": form.session_id, "service": form.service_code}
    told["network"] = form.network_code
    if form.text:
        told["input"] = form.text.rpartition("*")[2]
        told["path"] = form.text
    return told


def _ending_properties(form: UssdEnding) -> dict[str, object]:
    told: dict[str, object] = {
        "session": form.session_id,
        "service": form.service_code,
        "network": form.network_code,
        "status": form.status.lower(),
        "path": form.input,
    }
    for name, text in (("duration_ms", form.duration_in_millis), ("screens", form.hops_count)):
        if text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX:
            told[name] = int(text)
    if form.error_message:
        told["error"] = form.error_message
    return told


def _say(text: str) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(text=text, content_type="text/plain", charset="utf-8", headers=headers)
