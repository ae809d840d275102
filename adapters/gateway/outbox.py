"""Dead letters: messages that did not arrive as far as we know, and a second try for them.

`routes` is mounted by `adapters.gateway.app`; `nextbeat outbox` and `nextbeat redeliver` call it.
What becomes of a second try is the customer's actor to decide: the rules of today hold for it.
"""

import msgspec
from aiohttp import web

from actors.letters import DEAD_STATES
from actors.rows import LetterQuery, OutboxRow
from adapters.gateway.acts import note_act
from adapters.gateway.answers import answer_json, refuse, succeed
from adapters.gateway.host import Host
from adapters.gateway.parameters import LetterParameters, read_parameters
from adapters.gateway.query import UnknownError, guard, id_of
from adapters.gateway.views import DeadLetter, DeadLetterPage
from adapters.masking import Masker
from engine.effects import Send
from engine.errors import OverloadError
from engine.instants import format_instant

_decode_send = msgspec.msgpack.Decoder(Send).decode


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""

    async def show(request: web.Request) -> web.StreamResponse:
        parameters = read_parameters(request, LetterParameters)
        query = LetterQuery(
            state=parameters.state,
            channel=parameters.channel,
            customer=parameters.customer,
            before=parameters.before,
            # One more than asked for tells whether there is another page.
            limit=parameters.limit + 1,
        )
        rows = await host.runtime.store.dead_letters(query)
        shown = rows[: parameters.limit]
        last = shown[-1].message_id if len(rows) > len(shown) else None
        page: object = DeadLetterPage([letter_view(row) for row in shown], last)
        if parameters.mask or host.visitor(request).is_masked:
            page = Masker(host.runtime.program.pii).mask(page)
        return answer_json(page)

    async def redeliver(request: web.Request) -> web.StreamResponse:
        rows = await host.runtime.store.messages([id_of(request)])
        if not rows:
            raise UnknownError("there is no message with this id")
        (row,) = rows
        if row.state not in DEAD_STATES:
            message = f"the message is {row.state}: only what failed, expired or is in doubt can be"
            return refuse(409, "not_dead", message)
        try:
            await host.runtime.redeliver(row)
        except OverloadError as error:
            message = "too much is waiting to be stored; ask again later"
            return refuse(503, "overloaded", message, retry_after_s=error.retry_after_s)
        await note_act(host, request, "redelivered", row.message_id, row.channel)
        return succeed(request)

    return [
        web.get("/v1/outbox", guard(host, show)),
        web.post("/v1/outbox/{id:[^/]+}/redeliver", guard(host, redeliver)),
    ]


def letter_view(row: OutboxRow) -> DeadLetter:
    """Show a dead letter; one that can't be read any more without what it said."""
    try:
        send: Send | None = _decode_send(row.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        send = None
    return DeadLetter(
        message_id=row.message_id,
        customer=row.customer,
        channel=row.channel,
        state=row.state,
        code=row.code,
        detail=row.detail,
        attempts=row.attempts,
        provider=row.provider,
        message="" if send is None else send.message,
        message_type="" if send is None else send.message_type,
        journey="" if send is None else send.journey,
        step="" if send is None else send.step,
        address="" if send is None else send.address,
        decided_at=None if send is None else format_instant(send.decided_at),
    )
