"""Services by way of Apprise: the operator's URL, and what an address can't do to it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from actors.ports import Permanent, Temporary
from adapters.channels import long_tail
from adapters.channels.adapter import Workshop
from adapters.channels.long_tail import ADAPTER, AppriseChannel, AppriseSettings, fill_in
from adapters.channels.vendors import load_extra
from adapters.channels.wire import Wire
from adapters.inbox import Inbox
from engine.errors import ProgramError
from engine.events import Failure
from tests.outgoing import START
from tests.pushes import a_push

# The library uses what the next version of Python has no more.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Service:
    """A service that takes JSON, in a thread of its own as everything of Apprise's."""

    def __init__(self) -> None:
        got = self.got = list[tuple[str, dict[str, str]]]()
        outer = self
        self.status = 200

        class Takes(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                got.append((self.path, json.loads(body)))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 - its name

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Takes)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server.server_port}"

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.stop()


def channel(url: str) -> AppriseChannel:
    workshop = Workshop(Inbox(None, lambda: START), None, Wire())
    made = ADAPTER.build("chat", AppriseSettings(url), workshop)
    assert isinstance(made, AppriseChannel)
    return made


async def test_a_message_arrives_where_the_operator_says(service: Service) -> None:
    made = channel(service.url + "/rooms/{address}")
    await made.start()
    service.status = 200
    assert await made.deliver(a_push("zoe/../admin?x=1", title="T", body="Olá"))
    [(path, body)] = service.got
    assert path.startswith("/rooms/zoe%2F..%2Fadmin%3Fx=1")
    assert (body["title"], body["message"]) == ("T", "Olá")
    service.status = 400
    with pytest.raises(Temporary) as caught:
        await made.deliver(a_push("zoe", body="B"))
    assert caught.value.failure == Failure.TRANSIENT
    assert not caught.value.maybe_taken
    await made.close()
    await made.close()


@pytest.mark.parametrize(
    ("address", "content", "failure"),
    [
        ("", {"body": "B"}, Failure.ADDRESS_DEAD),
        ("x" * 501, {"body": "B"}, Failure.ADDRESS_DEAD),
        ("\ud800", {"body": "B"}, Failure.ADDRESS_DEAD),
        ("zoe,adam", {"body": "B"}, Failure.ADDRESS_DEAD),
        ("zoe\r\nadam", {"body": "B"}, Failure.ADDRESS_DEAD),
        ("zoe", {"html": "B"}, Failure.CONTENT),
    ],
)
async def test_what_can_not_be_sent_is_told_apart(
    address: str, content: dict[str, str], failure: Failure
) -> None:
    made = channel("json://127.0.0.1:1/{address}")
    await made.start()
    with pytest.raises(Permanent) as caught:
        await made.deliver(a_push(address, **content))
    assert caught.value.failure == failure
    await made.close()


@pytest.mark.parametrize(
    "address", ["json://evil.example", "//evil.example/", "@evil.example", "a:b@c", "?to=x&y"]
)
def test_an_address_is_never_more_than_one_part_of_the_url(address: str) -> None:
    filled = fill_in("json://shop.example/{address}/x", address)
    assert filled.startswith("json://shop.example/")
    assert filled.endswith("/x")
    assert not set("/@:?&") & set(filled.removeprefix("json://shop.example/").removesuffix("/x"))


def test_a_fixed_place_needs_no_address() -> None:
    assert fill_in("slack://a/b/c", "") == "slack://a/b/c"


def test_an_unknown_service_or_a_missing_library_is_said_to() -> None:
    with pytest.raises(ProgramError) as caught:
        channel("pigeon://coop")
    assert caught.value.problems[0].path == "url"
    with pytest.raises(ProgramError) as missing:
        load_extra("a_library_that_is_not_there", "apprise")
    assert "pip install 'nextbeat[apprise]'" in str(missing.value)
    assert "apprise" not in long_tail.__dict__  # only loaded where a workspace asks for it
