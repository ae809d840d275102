"""The catalogue over HTTP: `/v1/catalogue`, its kinds and their items.

`routes` is mounted by `adapters.gateway.app`. Loading is answered when everything is durable;
events that come after the answer are told of it. All of it needs the admin key: write keys are in
every browser.
"""

import base64
import binascii
from contextlib import suppress
from io import BytesIO

from aiohttp import web

from actors.catalogue import Loaded
from actors.rows import CatalogueRow
from adapters.feeds import Feed, FeedError, Form
from adapters.gateway.acts import note_act
from adapters.gateway.answers import answer_json, refuse, succeed
from adapters.gateway.body import SlowBodyError, read_body
from adapters.gateway.host import Host
from adapters.gateway.intake import refuse_slow
from adapters.gateway.parameters import NoParameters, PageParameters, read_parameters
from adapters.gateway.query import Handler, UnknownError, guard
from adapters.gateway.views import (
    CatalogueErrorView,
    CatalogueItem,
    CatalogueKinds,
    CatalogueLoad,
    CataloguePage,
)
from adapters.gateway.wire import read_object
from engine.errors import InputError, StoreError
from engine.intake.catalogue import read_fields, read_id, write_fields
from engine.limits import CATALOGUE_BODY_BYTES_MAX, CATALOGUE_ITEM_BYTES_MAX
from engine.program.catalogue import ItemJoin
from engine.program.faults import suggest

_BODY_S = 300.0  # for a whole body; who sends one has the admin key
_ERRORS_MAX = 1_000
_ITEM_TEXT_BYTES_MAX = 4 * CATALOGUE_ITEM_BYTES_MAX  # as JSON, with escapes and blanks
_CURSOR = "catalogue:"
_CURSOR_LENGTH_MAX = 2_048
_RETRY_S = 1
_NAME_MAX = 80  # of a name that is looked for among others


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    catalogue = _Catalogue(host)
    kind, item = "/v1/catalogue/{kind:[^/]+}", "/v1/catalogue/{kind:[^/]+}/{id:[^/]+}"

    def open_to(handler: Handler) -> Handler:
        return guard(host, _hasten(host, handler))

    return [
        web.get("/v1/catalogue", open_to(catalogue.kinds)),
        web.get(kind, open_to(catalogue.page)),
        web.post(kind, open_to(catalogue.add)),
        web.put(kind, open_to(catalogue.replace)),
        web.delete(kind, open_to(catalogue.clear)),
        web.get(item, open_to(catalogue.item)),
        web.put(item, open_to(catalogue.put)),
        web.delete(item, open_to(catalogue.remove)),
    ]


def _hasten(host: Host, handler: Handler) -> Handler:
    """Part from a body that does not come in time."""

    async def hastened(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except SlowBodyError:
            return refuse_slow(host)

    return hastened


class _Catalogue:
    """The handlers, over one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._runtime = host.runtime
        self._body_s = host.settings.deadlines.body_s

    async def kinds(self, request: web.Request) -> web.Response:
        """Tell how many items of each kind there are; a kind of the workspace may have none."""
        read_parameters(request, NoParameters)
        counts = {join.kind: 0 for join in self._runtime.program.joins.kinds}
        return answer_json(CatalogueKinds({**counts, **self._runtime.catalogue.counts()}))

    async def page(self, request: web.Request) -> web.Response:
        """List the items of a kind, by id."""
        parameters = read_parameters(request, PageParameters)
        kind = self._join(request).kind
        after = _read_cursor(parameters.cursor)
        # One more than asked for tells whether there is another page.
        rows = await self._runtime.store.catalogue((kind, after), parameters.limit + 1, kind=kind)
        shown = rows[: parameters.limit]
        items = [CatalogueItem(row.id, read_fields(row.body)) for row in shown if row.body]
        # After the last item that is whole: nobody knows where one with a damaged id stands.
        is_over = len(rows) == len(shown) or not items
        following = None if is_over else _write_cursor(items[-1].id)
        return answer_json(CataloguePage(kind, items, following))

    async def item(self, request: web.Request) -> web.Response:
        """Show an item as events are told of it."""
        read_parameters(request, NoParameters)
        kind, item = self._join(request).kind, _id_of(request)
        body = self._runtime.catalogue.find(kind, item)
        if body is None:
            raise UnknownError("there is no item of this id")
        return answer_json(CatalogueItem(item, read_fields(body)))

    async def put(self, request: web.Request) -> web.StreamResponse:
        """Take in one item, in place of what was known of it."""
        read_parameters(request, NoParameters)
        kind, item = self._join(request).kind, _id_of(request)
        raw = await read_body(request, self._body_s, _ITEM_TEXT_BYTES_MAX)
        row = CatalogueRow(kind, item, write_fields(read_object(raw, [])))
        loaded = Loaded()
        await self._runtime.catalogue.put([row], loaded)
        await self._note(request, kind, loaded)
        return succeed(request)

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """Remove an item."""
        read_parameters(request, NoParameters)
        kind = self._join(request).kind
        if not await self._runtime.catalogue.remove(kind, _id_of(request)):
            raise UnknownError("there is no item of this id")
        await self._note(request, kind, Loaded(removed=1))
        return succeed(request)

    async def add(self, request: web.Request) -> web.Response:
        """Take in many items; those that are not named stay as they are."""
        return await self._load(request, is_whole=False)

    async def replace(self, request: web.Request) -> web.Response:
        """Take in all items of a kind; those that are not named go."""
        return await self._load(request, is_whole=True)

    async def clear(self, request: web.Request) -> web.Response:
        """Remove all items of a kind."""
        read_parameters(request, NoParameters)
        kind = self._join(request).kind
        removed = await self._runtime.catalogue.clear(kind)
        await self._note(request, kind, Loaded(removed=removed))
        return answer_json(CatalogueLoad(success=True, removed=removed))

    async def _load(self, request: web.Request, *, is_whole: bool) -> web.Response:
        read_parameters(request, NoParameters)
        join = self._join(request)
        form = _form_of(request)
        body = await read_body(request, max(self._body_s, _BODY_S), CATALOGUE_BODY_BYTES_MAX)
        feed = Feed(join, BytesIO(body), form)
        loaded = Loaded()
        catalogue = self._runtime.catalogue
        try:
            if is_whole:
                await catalogue.replace(join.kind, feed.rows(), loaded, feed.faults)
            else:
                await catalogue.put(feed.rows(), loaded)
        except StoreError:
            with suppress(StoreError):  # the answer says already that the store takes nothing
                await self._note(request, join.kind, loaded)
            message = f"only {loaded.stored} items could be stored; send this again later"
            return refuse(503, "not_stored", message, retry_after_s=_RETRY_S)
        except InputError:
            await self._note(request, join.kind, loaded)
            raise
        await self._note(request, join.kind, loaded)
        if not (loaded.stored or loaded.unchanged or feed.faults):
            raise InputError("no_items", "expected at least one item: to remove all, use DELETE")
        return answer_json(_report(loaded, feed.faults))

    async def _note(self, request: web.Request, kind: str, loaded: Loaded) -> None:
        """Write down what was done to a kind; what changed nothing is no act."""
        if loaded.stored:
            told = f"{loaded.stored} stored, {loaded.removed} removed"
            await note_act(self._host, request, "put_catalogue", kind, told)
        elif loaded.removed:
            told = f"{loaded.removed} removed"
            await note_act(self._host, request, "removed_catalogue", kind, told)

    def _join(self, request: web.Request) -> ItemJoin:
        """Find the kind in the path: one the workspace has, or one that has items all the same."""
        kind = request.match_info["kind"]
        join = self._runtime.program.joins.kind(kind)
        if join is not None:
            return join
        if request.method in ("GET", "DELETE") and kind in self._runtime.catalogue.counts():
            return ItemJoin(kind=kind, keys=(), name=kind)
        known = [join.kind for join in self._runtime.program.joins.kinds]
        message = (
            f"the workspace has no such kind of items; {suggest(kind[:_NAME_MAX], known, 'kinds')}"
        )
        raise UnknownError(message)


def _report(loaded: Loaded, faults: list[FeedError]) -> CatalogueLoad:
    return CatalogueLoad(
        success=True,
        stored=loaded.stored,
        unchanged=loaded.unchanged,
        removed=loaded.removed,
        errors=[
            CatalogueErrorView(one.line, one.code, one.path, one.message)
            for one in faults[:_ERRORS_MAX]
        ],
        errors_total=len(faults),
    )


def _form_of(request: web.Request) -> Form:
    kind = request.content_type
    if kind == "text/csv":
        return Form.CSV
    if "json" in kind or kind == "application/octet-stream":  # the second: none was given
        return Form.JSON
    message = "expected text/csv, application/x-ndjson or application/json"
    raise InputError("unsupported_type", message, "Content-Type")


def _id_of(request: web.Request) -> str:
    item = read_id(request.match_info["id"])
    if not item:
        raise InputError("bad_id", "an id has at most 256 characters", "path")
    return item


def _write_cursor(item: str) -> str:
    return base64.urlsafe_b64encode(f"{_CURSOR}{item}".encode()).decode().rstrip("=")


def _read_cursor(text: str) -> str:
    if not text:
        return ""
    try:
        padded = text[:_CURSOR_LENGTH_MAX] + "=" * (-len(text) % 4)
        written = base64.b64decode(padded, b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        written = ""
    if written.startswith(_CURSOR):
        return written.removeprefix(_CURSOR)
    message = "is not a cursor of this list: give back `next` of the page before, unchanged"
    raise InputError("bad_cursor", message, "query.cursor")
