"""Erasing a customer: `DELETE /v1/customers/{id}`, and how far an erasure is.

`routes` is mounted by `adapters.gateway.app`; `nextbeat erase` calls it. It needs the admin key: a
write key is in every browser. Asking again for somebody who is gone is no error, so a client may
repeat what was not answered.

*Rules*
- 200 means that it is done, in the files as well; 202 that there is no such customer any more and
  nothing will be sent, but traces are still being taken away: its address says when that is over.
- An answer names nobody.
"""

from aiohttp import web

from actors.cuts import ErasureState
from actors.rows import ErasureRow
from adapters.gateway.acts import note_act
from adapters.gateway.answers import answer_json
from adapters.gateway.host import Host
from adapters.gateway.parameters import ErasureParameters, NoParameters, read_parameters
from adapters.gateway.query import UnknownError, guard, id_of
from adapters.gateway.views import Erasure
from engine.instants import format_instant

_ACCEPTED = 202
_DIGITS_MAX = 18


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""

    async def erase(request: web.Request) -> web.StreamResponse:
        erasures = host.runtime.erasures
        wanted = read_parameters(request, ErasureParameters)
        named = id_of(request)
        await note_act(host, request, "erased", erasures.pseudonym(named))
        row = await erasures.erase(named)
        row = await erasures.wait(row.number, wanted.wait) or row
        is_done = row.state == ErasureState.DONE
        response = answer_json(view(row), 200 if is_done else _ACCEPTED)
        if not is_done:
            response.headers["Location"] = f"/v1/erasures/{row.number}"
        return response

    async def show(request: web.Request) -> web.StreamResponse:
        read_parameters(request, NoParameters)
        digits = request.match_info["number"]
        number = int(digits) if len(digits) <= _DIGITS_MAX else 0
        row = await host.runtime.store.erasure(number)
        if row is None:
            raise UnknownError("there is no erasure of this number")
        return answer_json(view(row))

    return [
        web.delete("/v1/customers/{id:[^/]+}", guard(host, erase)),
        web.get("/v1/erasures/{number:[0-9]+}", guard(host, show)),
    ]


def view(row: ErasureRow) -> Erasure:
    """Show an erasure."""
    return Erasure(
        number=row.number,
        state=ErasureState(row.state).value,
        asked_at=format_instant(row.asked_at),
        erased_at=format_instant(row.erased_at),
        entries=row.entries,
    )
