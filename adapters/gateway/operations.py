"""Every address of the gateway as a table: what it takes, what it answers, who may call it.

Read by `openapi`, which makes the document of it. A test compares the table with the routes that
are mounted, so that neither can have what the other has not.
"""

from typing import Annotated, Any, Literal

import msgspec

from adapters.gateway import journeyviews, views
from adapters.gateway.answers import Success
from adapters.gateway.braze import Tracked, TrackRequest
from adapters.gateway.operation import Operation
from adapters.gateway.parameters import (
    ActParameters,
    CustomerParameters,
    DecisionParameters,
    EligibilityParameters,
    ErasureParameters,
    FeedParameters,
    ItemParameters,
    LetterParameters,
    PageParameters,
    TimelineParameters,
)
from adapters.gateway.surfaces import SURFACES
from adapters.gateway.wishes import PreferencesRequest
from engine.events import Failure
from engine.intake.item import Item
from engine.limits import (
    BATCH_ITEMS_MAX,
    BODY_BYTES_MAX,
    CATALOGUE_BODY_BYTES_MAX,
    PROOF_LENGTH_MAX,
)


class Batch(msgspec.Struct, frozen=True, rename="camel"):
    """Several calls; `sentAt` corrects their clocks, `context` is laid under each one's own."""

    batch: Annotated[list[Item], msgspec.Meta(max_length=BATCH_ITEMS_MAX)]
    sent_at: str | None = None
    context: dict[str, Any] | None = None
    write_key: str | None = None


class ReceiptRequest(msgspec.Struct, frozen=True, rename="camel"):
    """What became of a message: `message` is its id, or its name for the latest send of it."""

    user_id: str
    message: str
    status: Literal[
        "accepted",
        "delivered",
        "failed",
        "opened",
        "clicked",
        "replied",
        "unsubscribed",
        "complained",
        "machine_opened",
    ]
    message_id: str | None = None
    code: str = ""
    permanent: bool = False
    timestamp: str | None = None
    failure: Failure | None = None


class ConsentRequest(msgspec.Struct, frozen=True, rename="camel"):
    """What a customer allows: one statement, or several in `consents`."""

    user_id: str | None = None
    anonymous_id: str | None = None
    purpose: str | None = None
    channel: str | None = None
    status: Literal["granted", "denied", "withdrawn"] | None = None
    at: str | None = None
    source: str | None = None
    basis: str | None = None
    proof: Annotated[str, msgspec.Meta(max_length=PROOF_LENGTH_MAX)] | None = None
    expires_at: str | None = msgspec.field(default=None, name="expires_at")
    message_type: str | None = msgspec.field(default=None, name="message_type")
    consents: list[dict[str, Any]] | None = None
    message_id: str | None = None


class AnyObject(msgspec.Struct, frozen=True):
    """A JSON object in the shape its client library gives it."""


_GRAPH, _PLACES = journeyviews.JourneyGraph, journeyviews.CustomerJourneys
_TAKEN = (400, 408, 429, 503)
_STATED = f"The answer comes when everything is durable. A body has {BODY_BYTES_MAX} bytes at most."


def _take(path: str, summary: str, body: object, method: str = "post") -> Operation:
    return Operation(
        method=method,
        path=path,
        summary=summary,
        tag="Events in",
        door="write",
        text=_STATED,
        body=body,
        answer=Success,
        statuses=_TAKEN,
    )


def _show(
    path: str,
    summary: str,
    answer: object,
    parameters: type[msgspec.Struct] | None = None,
) -> Operation:
    unknown = (404,) if "{" in path else ()
    return Operation(
        method="get",
        path=path,
        summary=summary,
        tag="Reading",
        door="admin",
        parameters=parameters,
        answer=answer,
        statuses=(400, *unknown, 503),
    )


def _do(path: str, summary: str, text: str, *also: int) -> Operation:
    return Operation(
        method="post",
        path=path,
        summary=summary,
        tag="Reading",
        door="admin",
        text=text,
        answer=Success,
        statuses=(400, 404, *also, 503),
    )


def _tell(
    path: str,
    summary: str,
    answer: object,
    answer_type: str = "application/json",
    also: tuple[tuple[int, object], ...] = (),
) -> Operation:
    return Operation(
        method="get",
        path=path,
        summary=summary,
        tag="Running",
        door="open",
        answer=answer,
        answer_type=answer_type,
        also=also,
    )


_UNREADY = ((503, views.Health),)
_SEGMENT = (
    *(
        _take(path, "Take a batch of calls", Batch)
        for path in ("/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch")
    ),
    _take("/v1/history", "Take a batch of calls from the past, which begin nothing", Batch),
    *(
        _take(f"/v1/{path}", f"Take one {kind} call", Item)
        for kind in ("identify", "track", "page", "screen", "group", "alias")
        for path in (kind, kind[0])
    ),
)
_BROWSERS = (
    Operation(
        method="get",
        path="/v1/projects/{key}/settings",
        summary="Tell Segment's browser library to send everything here",
        tag="Events in",
        door="open",
        answer=AnyObject,
        statuses=(401,),
    ),
    Operation(
        method="get",
        path="/sourceConfig",
        summary="Tell RudderStack's browser library to send everything here",
        tag="Events in",
        door="write",
        answer=AnyObject,
    ),
)
_CUSTOMER = "/api/v1/customers/{id}"
_CUSTOMERIO = (
    _take(_CUSTOMER, "Customer.io: identify a person", AnyObject, "put"),
    _take(_CUSTOMER, "Customer.io: delete a person", None, "delete"),
    _take(f"{_CUSTOMER}/events", "Customer.io: track an event", AnyObject),
    _take(f"{_CUSTOMER}/devices", "Customer.io: add a device", AnyObject, "put"),
    _take(f"{_CUSTOMER}/devices/{{device}}", "Customer.io: delete a device", None, "delete"),
    _take(f"{_CUSTOMER}/suppress", "Customer.io: suppress a person", None),
    _take(f"{_CUSTOMER}/unsuppress", "Customer.io: end a suppression", None),
    _take("/api/v1/events", "Customer.io: track an anonymous event", AnyObject),
    _take("/api/v1/merge_customers", "Customer.io: merge two people", AnyObject),
    _take("/api/v1/push/events", "Customer.io: what became of a push", AnyObject),
    _take("/api/v1/metrics", "Customer.io: what became of a message", AnyObject),
    _take("/api/v2/entity", "Customer.io: one call of the second version", AnyObject),
    _take("/api/v2/batch", "Customer.io: several calls of the second version", AnyObject),
)
_BRAZE = (
    msgspec.structs.replace(
        _take("/users/track", "Braze: track attributes, events and purchases", TrackRequest),
        answer=Tracked,
        status=201,
    ),
)
_OTHERS = (
    _take("/v1/cloudevents", "Take CloudEvents: binary, structured or batched", AnyObject),
    _take("/", "Take CloudEvents at the plainest address", AnyObject),
    _take("/v1/receipts", "Take what became of messages", ReceiptRequest | list[ReceiptRequest]),
    _take(
        "/v1/customers/{id}/preferences", "Take what a customer wants", PreferencesRequest, "put"
    ),
    _take("/v1/consent", "Take what customers allow", ConsentRequest | list[ConsentRequest]),
    Operation(
        method="get",
        path="/v1/stream",
        summary="Take frames of calls over a websocket",
        tag="Events in",
        door="write",
        text=(
            "Text frames are JSON, binary ones msgpack: a call, a list of calls, or "
            '`{"id": n, "batch": [...]}`. The server begins with `{"hello": {"window", '
            '"max_frame_bytes", "max_items", "idle_s"}}` and reads at most `window` frames ahead. '
            'It answers in order: `{"ack": n}` (all frames up to n that were not answered yet are '
            'durable), with `errors` where items are in quarantine, or `{"nack": n, "code", '
            '"message", "path"}` (nothing of frame n was taken), with `retry_after_ms` where it '
            "may be sent again."
        ),
        status=101,
        statuses=(400, 426, 503),
    ),
)
_READING = (
    _show("/v1/customers/{id}", "Show a customer", views.Customer, CustomerParameters),
    _show(
        "/v1/customers/{id}/timeline",
        "Show a customer's journal",
        views.TimelinePage,
        TimelineParameters,
    ),
    _show(
        "/v1/customers/{id}/decisions",
        "List the decisions about a customer",
        views.DecisionPage,
        DecisionParameters,
    ),
    _show(
        "/v1/customers/{id}/eligibility",
        "Tell whether a message may go to a customer, why not, and when",
        views.Eligibility,
        EligibilityParameters,
    ),
    Operation(
        method="delete",
        path="/v1/customers/{id}",
        summary="Erase a customer",
        tag="Reading",
        door="admin",
        text=(
            "Everything of the customer goes, in the files as well, and what arrives late about "
            "them is refused. 202 says that there is no such customer any more while traces are "
            "still being taken away; `Location` says when that is over."
        ),
        parameters=ErasureParameters,
        answer=views.Erasure,
        statuses=(400, 503),
        also=((202, views.Erasure),),
    ),
    _show("/v1/erasures/{number}", "Show how far an erasure is", views.Erasure),
    _show("/v1/decisions", "List decisions", views.DecisionPage, DecisionParameters),
    _show("/v1/decisions/{id}", "Show a decision with its trace", views.Decision),
    _show("/v1/journeys", "List the journeys and how many are in them", journeyviews.JourneyList),
    _show("/v1/journeys/{name}", "Show a journey as a graph, with who is where", _GRAPH),
    _show("/v1/customers/{id}/journeys", "Tell where a customer is in journeys", _PLACES),
    Operation(
        method="post",
        path="/v1/plan",
        summary="Tell what another workspace would do to the people in journeys",
        tag="Reading",
        door="admin",
        text="The body is a workspace as one JSON object. Nothing is changed.",
        body=AnyObject,
        answer=journeyviews.Plan,
        statuses=(400, 408, 503),
    ),
    _show("/v1/segments", "List the segments and how many are in them", views.SegmentList),
    _show("/v1/segments/{name}/members", "List who is in it", views.MemberPage, PageParameters),
    _show(
        "/v1/customers/{id}/export",
        "Export everything there is about a customer",
        AnyObject,
        CustomerParameters,
    ),
    _show("/v1/acts", "List administrative acts", views.ActPage, ActParameters),
    _show("/v1/quarantine", "List what was not understood", views.QuarantinePage, ItemParameters),
    _do(
        "/v1/quarantine/{number}/replay",
        "Take in again what was not understood",
        "An item that is understood now leaves quarantine; else 400 says what is still wrong.",
    ),
    _show("/v1/outbox", "List dead letters", views.DeadLetterPage, LetterParameters),
    _do(
        "/v1/outbox/{id}/redeliver",
        "Have a message that did not arrive decided about once more",
        "The rules of today hold for it. 409: it did arrive, or is on its way. Durable when said.",
        409,
    ),
    _show("/v1/identities/{namespace}/{value}", "Tell whose an identity is", views.Owner),
    _do(
        "/v1/customers/{id}/merge/{other}",
        "Make two customers one: they are the same person",
        "The first stays, and what arrives for the other goes to it. Answered when durable.",
    ),
    _do(
        "/v1/customers/{id}/unmerge/{other}",
        "Make two customers of one again",
        (
            "Both become what their own events make them, and are not merged again unless somebody"
            " says so. Answered when durable."
        ),
    ),
    Operation(
        method="get",
        path="/v1/decisions/feed",
        summary="Follow decisions live",
        tag="Reading",
        door="admin",
        text=(
            "Server-sent events (`decision` with the record, `lagged` with how many were lost), "
            'or a websocket when the request upgrades (`{"decision": …}`, `{"lagged": …}`). '
            "`Last-Event-ID` or `after` begins with what was missed."
        ),
        parameters=FeedParameters,
        answer_type="text/event-stream",
        statuses=(400, 503),
    ),
)
_KIND, _ITEM = "/v1/catalogue/{kind}", "/v1/catalogue/{kind}/{id}"
_FEED = (
    "NDJSON (`application/x-ndjson`), one JSON array, or CSV with a header (`text/csv`), at most "
    f"{CATALOGUE_BODY_BYTES_MAX} bytes. Good items are stored whatever else is in the body; "
    "`errors` names the lines that were left out."
)


def _keep(
    method: str,
    path: str,
    summary: str,
    answer: object = Success,
    *,
    body: object = None,
    text: str = "",
) -> Operation:
    is_feed = answer is views.CatalogueLoad and body is not None
    return Operation(
        method=method,
        path=path,
        summary=summary,
        tag="Catalogue",
        body_types=("application/x-ndjson", "text/csv") if is_feed else (),
        door="admin",
        text=text,
        body=body,
        answer=answer,
        statuses=(400, 404, 408, 503),
    )


_CATALOGUE = (
    _show("/v1/catalogue", "Tell how many items there are", views.CatalogueKinds),
    _show(_KIND, "List the items of a kind", views.CataloguePage, PageParameters),
    _keep(
        "post",
        _KIND,
        "Take in items",
        views.CatalogueLoad,
        body=list[AnyObject],
        text=f"{_FEED} Items that are not named stay as they are.",
    ),
    _keep(
        "put",
        _KIND,
        "Replace all items of a kind",
        views.CatalogueLoad,
        body=list[AnyObject],
        text=f"{_FEED} Items that are not named go, unless there were errors.",
    ),
    _keep("delete", _KIND, "Remove all items of a kind", views.CatalogueLoad),
    _show(_ITEM, "Show an item", views.CatalogueItem),
    _keep("put", _ITEM, "Take in one item: its fields", body=AnyObject),
    _keep("delete", _ITEM, "Remove an item"),
)
_RUNNING = (
    _tell("/livez", "Say that the process lives", views.Health),
    _tell("/readyz", "Say whether inputs can be taken", views.Health, also=_UNREADY),
    _tell("/healthz", "Say the same as readyz", views.Health, also=_UNREADY),
    _tell("/metrics", "Give metrics to Prometheus", None, "text/plain"),
    _tell("/openapi.json", "Give this document", AnyObject),
)
OPERATIONS: tuple[Operation, ...] = (
    *_SEGMENT,
    *_BROWSERS,
    *_CUSTOMERIO,
    *_BRAZE,
    *_OTHERS,
    *_READING,
    *_CATALOGUE,
    *_RUNNING,
    *SURFACES,
)
