"""The addresses of our own surfaces: inbox, USSD, desk, the pages customers see, and receipts.

The part of the table in `operations` whose routes `adapters.app` mounts, each where it is wanted.
"""

from adapters.gateway.answers import Success
from adapters.gateway.client import SCRIPT_PATH
from adapters.gateway.desk import DeskOutcome, DeskView
from adapters.gateway.inbox import WirePage
from adapters.gateway.operation import Operation
from adapters.gateway.parameters import CustomerParameters

_INBOX = (
    Operation(
        method="get",
        path="/v1/inbox/{customer}",
        summary="Fetch a customer's in-app messages",
        tag="Inbox",
        door="token",
        answer=WirePage,
        statuses=(400, 503),
    ),
    Operation(
        method="get",
        path="/v1/inbox/{customer}/socket",
        summary="Receive in-app messages over a websocket",
        tag="Inbox",
        door="token",
        status=101,
        statuses=(400, 426, 429, 503),
    ),
    Operation(
        method="get",
        path="/v1/inbox/{customer}/stream",
        summary="Receive in-app messages as server-sent events",
        tag="Inbox",
        door="token",
        text="The id of an event is its message's number; `Last-Event-ID` goes on behind it.",
        answer_type="text/event-stream",
        statuses=(400, 429, 503),
    ),
    Operation(
        method="get",
        path=SCRIPT_PATH,
        summary="Give the client of the inbox for browsers, a module of JavaScript",
        tag="Inbox",
        door="open",
        answer_type="text/javascript",
    ),
    Operation(
        method="post",
        path="/v1/inbox/{customer}/{message_id}/{verb}",
        summary="Say that a message was opened, clicked or dismissed",
        tag="Inbox",
        door="token",
        answer=Success,
        statuses=(404, 503),
    ),
    *(
        Operation(
            method=method,
            path="/v1/unsubscribe/{token}",
            summary=summary,
            tag="Inbox",
            door="open",
            answer_type="text/html",
            also=((404, None), (503, None)),
        )
        for method, summary in (("get", "Ask before unsubscribing"), ("post", "Unsubscribe"))
    ),
    *(
        Operation(
            method=method,
            path=path,
            summary=summary,
            tag="Pages for customers",
            door="open",
            answer_type="text/html",
            also=tuple((status, None) for status in also),
        )
        for method, path, summary, also in (
            ("get", "/c/{token}", "Ask before confirming consent", (404, 410, 503)),
            ("post", "/c/{token}", "Confirm consent", (404, 410, 503)),
            ("get", "/p/{token}", "Show a customer's preferences", (404, 503)),
            ("post", "/p/{token}", "Save preferences", (400, 403, 404, 408, 503)),
        )
    ),
)
_USSD = (
    Operation(
        method="post",
        path="/v1/ussd/africastalking",
        summary="Answer one screen of a USSD session",
        tag="USSD",
        door="ussd",
        text=(
            "Takes the form Africa's Talking posts: `sessionId`, `phoneNumber`, `serviceCode`, "
            "`networkCode`, `text`. The answer begins with `CON ` or `END `."
        ),
        answer_type="text/plain",
        statuses=(400, 408),
    ),
    Operation(
        method="post",
        path="/v1/ussd/africastalking/end",
        summary="Take note of the end of a USSD session",
        tag="USSD",
        door="ussd",
        text="Takes the form Africa's Talking posts at the end of a session.",
        answer_type="text/plain",
        statuses=(400, 408, 503),
    ),
)

_DESK = (
    Operation(
        method="get",
        path="/v1/desk/{id}",
        summary="Show whoever serves a customer what to say next, and what may be said",
        tag="Desk",
        door="desk",
        parameters=CustomerParameters,
        answer=DeskView,
        statuses=(400, 404, 503),
    ),
    Operation(
        method="post",
        path="/v1/desk/{id}/outcome",
        summary="Say what came of a message at the desk",
        tag="Desk",
        door="desk",
        body=DeskOutcome,
        answer=Success,
        statuses=(400, 403, 404, 408, 503),
    ),
)

_PROVIDERS = tuple(
    Operation(
        method=method,
        path="/v1/receipts/{provider}",
        summary="Take what a provider tells of messages, as it signs it",
        tag="Events in",
        door="open",
        answer_type="text/plain",
        statuses=(400, 403, 404, 408, 503),
    )
    for method in ("get", "post")
)

SURFACES: tuple[Operation, ...] = (*_INBOX, *_USSD, *_DESK, *_PROVIDERS)
