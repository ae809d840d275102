"""From the items of a request to inputs of the runtime, and from its promise to an answer.

Called by every handler that takes input, over HTTP or websocket. A `Portion` collects what one
request or frame holds; `store` hands it to the runtime and answers once all of it is durable.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from actors.rows import QuarantineRow
from adapters.gateway.answers import ItemError, refuse, succeed
from adapters.gateway.auth import KeyRing
from adapters.gateway.body import SlowBodyError, read_body
from adapters.gateway.host import Host
from adapters.gateway.wire import read_key, read_object, read_value
from engine.errors import InputError, OverloadError, StoreError
from engine.events import Event, Receipt
from engine.intake.clocks import Envelope
from engine.intake.item import check_size, convert_item, read_item
from engine.intake.mapping import take_in
from engine.program.mappings import Mappings

HISTORY_SOURCE = "history"  # of what is told for the record, whichever way it comes

_STORE_RETRY_S = 1
_BUSY = 429
_UNWRITABLE = b'"this item can not be written as JSON"'
_encode = msgspec.json.Encoder().encode

Translate = Callable[[dict[str, Any]], dict[str, Any]]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Portion:
    """What one request holds: inputs, and items for quarantine with what was wrong with them."""

    __slots__ = ("envelope", "errors", "inputs", "mappings", "parts", "quarantined")

    def __init__(self, envelope: Envelope, mappings: Mappings) -> None:
        """`mappings` are the rules of the program in force."""
        self.envelope = envelope
        self.mappings = mappings
        self.inputs: list[Event | Receipt] = []
        self.quarantined: list[QuarantineRow] = []
        self.errors: list[ItemError] = []
        self.parts: list[tuple[str, int]] = []  # (name, items), where a request has several lists

    def take(self, raw: bytes, index: int = 0) -> None:
        """Take one item as JSON."""
        envelope = self.envelope
        try:
            given = take_in(read_item(raw, envelope.oddities), envelope, self.mappings)
        except InputError as error:
            self.refuse(error, index, self._whole(raw))
        else:
            if given is not None:
                self.inputs.append(given)

    def take_value(self, value: object, index: int = 0, raw: bytes = _UNWRITABLE) -> None:
        """Take one item that was decoded, or put together, before; `raw` is what it was made of."""
        envelope = self.envelope
        try:
            given = take_in(convert_item(value), envelope, self.mappings)
        except InputError as error:
            self.refuse(error, index, _encode_anything(value, raw))
        else:
            if given is not None:
                self.inputs.append(given)

    def take_foreign(self, raw: bytes, translate: Translate, index: int = 0) -> None:
        """Take one item of another vocabulary, which `translate` brings into Segment's."""
        try:
            check_size(len(raw))
            value = translate(read_object(raw, self.envelope.oddities))
        except InputError as error:
            self.refuse(error, index, raw)
        else:
            self.take_value(value, index, raw)

    def refuse(self, error: InputError, index: int, payload: bytes) -> None:
        """Put an item into quarantine."""
        envelope = self.envelope
        self.errors.append(ItemError(index, error.code, error.path, error.message))
        self.quarantined.append(
            QuarantineRow(
                number=0,
                received_at=envelope.received_at,
                source=envelope.source,
                code=error.code,
                path=error.path,
                message=error.message,
                payload=payload,
            )
        )

    def insist_on_json(self, body: bytes) -> None:
        """Raise InputError where a body that is one item is no JSON: there is nothing to keep.

        Something else may be wrong before the place where the JSON breaks off.
        """
        if self.errors:
            read_value(body, [])

    def _whole(self, raw: bytes) -> bytes:
        """Write into an item what its request said for it, so that it can be read again alone."""
        envelope = self.envelope
        if not envelope.kind and not envelope.context:
            return raw
        try:
            value = read_object(raw, [])
        except InputError:
            return raw
        if envelope.context and isinstance(value.get("context"), dict | None):
            value["context"] = {**envelope.context, **(value.get("context") or {})}
        if envelope.kind:
            value["type"] = envelope.kind
        return _encode(value)


def _encode_anything(value: object, raw: bytes) -> bytes:
    """Write down what can be written; msgpack has keys and depths that JSON does not."""
    try:
        return _encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return raw


Reader = Callable[[bytes, Portion, web.BaseRequest], None]
Answer = Callable[[web.BaseRequest, Portion], web.StreamResponse]


def _say_success(request: web.BaseRequest, portion: Portion) -> web.StreamResponse:
    return succeed(request, portion.errors)


async def store(
    host: Host,
    request: web.BaseRequest,
    portion: Portion,
    *,
    busy_status: int = _BUSY,
    answer: Answer = _say_success,
) -> web.StreamResponse:
    """Answer 200 once everything is durable, or say when to come back.

    Most libraries count each 503 against the few times they try, but wait for a 429 as long as
    they are told to. Those that give up on a 429 get 503 by `busy_status`.
    """
    oddities = portion.envelope.oddities
    if oddities:
        for oddity in oddities:
            host.counters.count_tolerated(oddity)
    try:
        await host.runtime.submit(portion.inputs, portion.quarantined)
    except OverloadError as error:
        host.counters.count_refused("overloaded")
        message = "too much is waiting to be stored; send this again later"
        return refuse(busy_status, "overloaded", message, retry_after_s=error.retry_after_s)
    except StoreError:
        host.counters.count_refused("not_stored")
        message = "this could not be stored; send it again later"
        return refuse(503, "not_stored", message, retry_after_s=_STORE_RETRY_S)
    return answer(request, portion)


def refuse_whole(host: Host, error: InputError) -> web.Response:
    """Answer 400 to a request that can't be understood as a whole."""
    host.counters.count_refused(error.code)
    return refuse(400, error.code, error.message, error.path)


def refuse_stranger(host: Host) -> web.Response:
    """Answer 401 to a request without a known write key."""
    host.counters.count_refused("unauthorized")
    return refuse(401, "unauthorized", "the write key is missing or unknown", "writeKey")


def refuse_slow(host: Host) -> web.Response:
    """Answer 408 to a body that was not sent in time, and part."""
    host.counters.bodies_timed_out += 1
    host.counters.count_refused("timeout")
    response = refuse(408, "timeout", "the body was not sent in time")
    response.force_close()
    return response


def take_body(
    host: Host,
    read: Reader,
    source: str,
    kind: str = "",
    *,
    busy_status: int = _BUSY,
    answer: Answer = _say_success,
) -> Handler:
    """Make a handler that lets in, reads the body, has it `read` into a portion, and stores that.

    This is the way of every request that brings something; `read` is all they differ in.
    """
    ring, counters, runtime = host.write_ring, host.counters, host.runtime
    deadline_s = host.settings.deadlines.body_s

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        counters.requests += 1
        admitted = ring.judge(request.headers.get("Authorization"))
        if admitted is False:
            return refuse_stranger(host)
        try:
            body = await read_body(request, deadline_s)
            if admitted is None and not _admits(ring, request, body):
                return refuse_stranger(host)
            envelope = Envelope(runtime.clock.now(), source=source, kind=kind)
            portion = Portion(envelope, runtime.program.mappings)
            read(body, portion, request)
        except InputError as error:
            return refuse_whole(host, error)
        except SlowBodyError:
            return refuse_slow(host)
        return await store(host, request, portion, busy_status=busy_status, answer=answer)

    return take


def _admits(ring: KeyRing, request: web.BaseRequest, body: bytes) -> bool:
    return ring.admits(request.query.get("writeKey")) or ring.admits(read_key(body))
