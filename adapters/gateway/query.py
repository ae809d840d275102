"""The reading half of the API: who a customer is, what happened, what was decided and why.

`routes` is mounted by `adapters.gateway.app`. Handlers read what is durable, through the runtime
and its store, and hand views to the client; nothing here changes anything. All of it needs the
admin key. Ids stand in the raw path, so one with a slash in it is written `%2F`.
"""

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from actors.reading import UnknownNameError
from actors.rows import DecisionQuery
from actors.runtime import Runtime
from adapters.gateway.answers import answer_json, refuse
from adapters.gateway.host import Host
from adapters.gateway.parameters import (
    CustomerParameters,
    DecisionParameters,
    EligibilityParameters,
    ItemParameters,
    NoParameters,
    TimelineParameters,
    hypothetical_instant_of,
    instant_of,
    read_cursor,
    read_parameters,
    read_places,
    write_cursor,
)
from adapters.gateway.readable import (
    customer_view,
    eligibility_view,
    quarantine_view,
)
from adapters.gateway.timeline import Span, timeline_page
from adapters.gateway.views import QuarantinePage
from adapters.masking import Masker
from engine.errors import InputError, StoreError
from engine.limits import ID_LENGTH_MAX
from engine.profile import Profile
from engine.reasons import Outcome
from engine.records import Decided
from engine.transcript import decision_object

_DEFERRALS_MAX = 500  # decisions looked at to find why each pending message waits
_RETRY_S = 1

_decode_decided = msgspec.msgpack.Decoder(Decided).decode
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Enter = Callable[[web.Request], object]


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    query = Query(host)
    return [
        web.get("/v1/customers/{id:[^/]+}", guard(host, query.customer)),
        web.get("/v1/customers/{id:[^/]+}/timeline", guard(host, query.timeline)),
        web.get("/v1/customers/{id:[^/]+}/decisions", guard(host, query.customer_decisions)),
        web.get("/v1/customers/{id:[^/]+}/eligibility", guard(host, query.eligibility)),
        web.get("/v1/decisions", guard(host, query.decisions)),
        web.get("/v1/decisions/{id:[^/]+}", guard(host, query.decision)),
        web.get("/v1/quarantine", guard(host, query.quarantine)),
    ]


def guard(host: Host, handler: Handler, enter: Enter | None = None) -> Handler:
    """Let only administrators in, and turn what goes wrong into an answer with a code.

    `enter` lets others in: it raises where it does not.
    """
    admit = enter or host.require_admin

    async def guarded(request: web.Request) -> web.StreamResponse:
        admit(request)
        try:
            return await handler(request)
        except InputError as error:
            return refuse(400, error.code, error.message, error.path)
        except UnknownError as error:
            return refuse(404, "not_found", str(error), error.path)
        except StoreError:
            message = "the store can't be read at the moment; try again"
            return refuse(503, "unavailable", message, retry_after_s=_RETRY_S)

    return guarded


class UnknownError(Exception):
    """Nothing is known by this id, or name."""

    def __init__(self, message: str, path: str = "path") -> None:
        super().__init__(message)
        self.path = path


class Query:
    """The handlers, over one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._runtime = host.runtime

    async def customer(self, request: web.Request) -> web.Response:
        """Show everything known and pending about one customer."""
        parameters = read_parameters(request, CustomerParameters)
        profile = await self._find(request)
        deferrals = await self._deferrals(profile)
        now = self._runtime.clock.now()
        view = customer_view(profile, self._runtime.program, deferrals, now)
        return self._answer(request, view, mask=parameters.mask)

    async def timeline(self, request: web.Request) -> web.Response:
        """Show a customer's history, newest first."""
        parameters = read_parameters(request, TimelineParameters)
        since_at = instant_of(parameters.since, "since")
        span = Span(since_at, instant_of(parameters.until, "until"))
        places = read_places("timeline", parameters.cursor)
        runtime = self._runtime
        profile = await self._find(request)
        history = runtime.resume(profile, places) if places else await runtime.history(profile)
        source = runtime.store, runtime.program
        page = await timeline_page(source, (profile, history), parameters, span)
        return self._answer(request, page, mask=parameters.mask)

    async def customer_decisions(self, request: web.Request) -> web.Response:
        """List the decisions about one customer."""
        query = _decision_query(request, (await self._find(request)).customer)
        return await self._list(request, query)

    async def eligibility(self, request: web.Request) -> web.Response:
        """Tell whether a message may go to a customer, now or at another instant."""
        parameters = read_parameters(request, EligibilityParameters)
        if not parameters.message:
            raise InputError("bad_parameter", "name a message of the workspace", "query.message")
        at = hypothetical_instant_of(parameters.at, "at", self._runtime.clock.now())
        try:
            answer = await self._runtime.eligibility(
                id_of(request), parameters.message, at, channel=parameters.channel
            )
        except UnknownNameError as error:
            if error.kind == "message":
                raise UnknownError(str(error), "query.message") from None
            raise InputError("bad_parameter", str(error), "query.channel") from None
        return self._answer(request, eligibility_view(answer))

    async def decisions(self, request: web.Request) -> web.Response:
        """List decisions over all customers."""
        return await self._list(request, _decision_query(request, ""))

    async def decision(self, request: web.Request) -> web.Response:
        """Show one decision with its whole trace."""
        read_parameters(request, NoParameters)
        decision_id = id_of(request)
        row = await self._runtime.store.decision(decision_id)
        if row is None:
            raise UnknownError("there is no decision with this id")
        return self._answer(request, decision_object(row.customer, _decode_decided(row.body)))

    async def quarantine(self, request: web.Request) -> web.Response:
        """List items that were not understood."""
        parameters = read_parameters(request, ItemParameters)
        before = read_cursor("quarantine", parameters.cursor)
        # One more than asked for tells whether there is another page.
        rows = await self._runtime.store.quarantine(before, parameters.limit + 1)
        shown = rows[: parameters.limit]
        last = shown[-1].number if len(rows) > len(shown) else None
        items = [quarantine_view(row) for row in shown]
        page = QuarantinePage(items, write_cursor("quarantine", last))
        return self._answer(request, page, mask=parameters.mask)

    def _answer(self, request: web.Request, view: object, *, mask: bool = False) -> web.Response:
        """Show a view; without personal data where that is asked for, or the key's scope is so."""
        if mask or self._host.visitor(request).is_masked:
            view = Masker(self._runtime.program.pii).mask(view)
        return answer_json(view)

    async def _find(self, request: web.Request) -> Profile:
        return await find_customer(self._runtime, request)

    async def _deferrals(self, profile: Profile) -> dict[int, Decided]:
        """Find the latest deferral of each proposal that is still pending."""
        found: dict[int, Decided] = {}
        if not profile.pending:
            return found
        query = DecisionQuery(
            customer=profile.customer, outcome=Outcome.DEFER.value, limit=_DEFERRALS_MAX
        )
        for row in (await self._runtime.store.decisions(query)).rows:
            decided = _decode_decided(row.body)
            if decided.proposal in profile.pending:
                found.setdefault(decided.proposal, decided)
        return found

    async def _list(self, request: web.Request, query: DecisionQuery) -> web.Response:
        page = await self._runtime.store.decisions(query)
        found = [decision_object(row.customer, _decode_decided(row.body)) for row in page.rows]
        shown = {"decisions": found, "next": write_cursor("decisions", page.next)}
        return self._answer(request, shown)


async def find_customer(runtime: Runtime, request: web.Request) -> Profile:
    """Find the customer in the path: by its id, or by an anonymous id. Raises UnknownError."""
    profile = await runtime.seek(id_of(request))
    if profile is None:
        raise UnknownError("there is no customer with this id")
    return profile


def _decision_query(request: web.Request, customer: str) -> DecisionQuery:
    parameters = read_parameters(request, DecisionParameters)
    return DecisionQuery(
        customer=customer,
        journey=parameters.journey,
        reason=parameters.reason or "",
        outcome=parameters.outcome or "",
        since_at=instant_of(parameters.since, "since"),
        until_at=instant_of(parameters.until, "until"),
        before=read_cursor("decisions", parameters.cursor),
        limit=parameters.limit,
    )


def id_of(request: web.Request) -> str:
    """Read the id in the path of a request. Raises InputError."""
    given = request.match_info["id"]
    if len(given) > ID_LENGTH_MAX:
        message = f"an id has at most {ID_LENGTH_MAX} characters"
        raise InputError("bad_id", message, "path")
    return given
