"""What was done here by people with the right to do so: `GET /v1/acts`.

`routes` is mounted by `adapters.gateway.app`. Who does something over HTTP has it written down by
`note_act`, which every handler of that kind calls before it answers.
"""

import asyncio

from aiohttp import web

from actors.rows import ActQuery, ActRow
from adapters.gateway.answers import answer_json
from adapters.gateway.host import Host
from adapters.gateway.parameters import (
    ActParameters,
    instant_of,
    read_cursor,
    read_parameters,
    write_cursor,
)
from adapters.gateway.query import guard
from adapters.gateway.views import Act, ActPage
from engine.instants import format_instant


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""

    async def show(request: web.Request) -> web.StreamResponse:
        parameters = read_parameters(request, ActParameters)
        query = ActQuery(
            who=parameters.who,
            act=parameters.act,
            subject=parameters.subject,
            since_at=instant_of(parameters.since, "since"),
            until_at=instant_of(parameters.until, "until"),
            before=read_cursor("acts", parameters.cursor),
            # One more than asked for tells whether there is another page.
            limit=parameters.limit + 1,
        )
        rows = await host.runtime.store.acts(query)
        shown = rows[: parameters.limit]
        last = shown[-1].number if len(rows) > len(shown) else None
        return answer_json(ActPage([act_view(row) for row in shown], write_cursor("acts", last)))

    return [web.get("/v1/acts", guard(host, show))]


def note_act(
    host: Host, request: web.BaseRequest, act: str, subject: str, detail: str = ""
) -> asyncio.Future[None]:
    """Write down what a request does, with the name of its key; done once it is durable.

    The future fails with StoreError where that can't be written: then it must not be done.
    """
    return host.runtime.note_act(host.visitor(request).name, act, subject, detail)


def act_view(row: ActRow) -> Act:
    """Show an act."""
    return Act(row.number, format_instant(row.at), row.who, row.act, row.subject, row.detail)
