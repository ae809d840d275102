"""What providers tell, from a raw request to inputs of the runtime: verified, read, matched.

Made by the composition root; `adapters.gateway.hooks` brings requests and answers them.

*Rules*
- Nothing of a request is believed before its proof, which is over its raw bytes. A hook that fails
  while it checks has not recognised the request.
- What is genuine is never refused for what it says: what can't be understood, or is of no message
  from here, goes to quarantine, so that a provider has no reason to send it for ever.
- A provider may be faster than our own note of what it calls a message: what is not found is looked
  for again, for a few seconds, while the provider waits for its answer.
- The address a provider called is made of `NEXTBEAT_PUBLIC_URL`: the host a request names is
  whatever somebody wrote into it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from actors.ports import Permanent, Temporary
from actors.rows import QuarantineRow
from adapters.channels.bodies import FORM
from adapters.channels.hooks import AskingHook, ForgedError, Hook, HookRequest
from adapters.channels.links import URL_VARIABLE
from adapters.channels.whose import Found, Shard, Told, channels_of, find_owners, foreign_id
from adapters.channels.wire import Request, Wire
from engine.errors import InputError
from engine.events import Event, Receipt

HELD_MAX = 200  # requests that wait for their messages to become known
LOOKS_S = (0.1, 0.4, 1.0, 2.0)  # the pauses between looks
_BUSY_RETRY_S = 10
_FETCHES_MAX = 4
_OK = 200

Fetch = Callable[[str], Awaitable[bytes]]
Present = Callable[[], datetime]


class Taken(msgspec.Struct, frozen=True):
    """What came of a request: an answer, and what must be durable before it is given.

    With a `status` other than 200, `code` and `message` say what is wrong.
    """

    status: int = _OK
    code: str = ""
    message: str = ""
    body: bytes = b""
    retry_after_s: int | None = None
    inputs: Sequence[Event | Receipt] = ()
    quarantined: Sequence[QuarantineRow] = ()


class Reception:
    """All hooks that are configured, and what is done with what they are told."""

    def __init__(
        self,
        hooks: Mapping[str, Hook],
        variables: Mapping[str, Sequence[str]],
        *,
        fetch: Fetch,
        public_url: str = "",
        present: Present = lambda: datetime.now(UTC),
        looks_s: Sequence[float] = LOOKS_S,
    ) -> None:
        """Take the hooks by provider; `variables` says of every provider what configures it."""
        self._hooks = hooks
        self._variables = variables
        self._fetch = fetch
        self._public_url = public_url.rstrip("/")
        self._present = present
        self._looks_s = looks_s
        self._held = 0
        self._fetches = asyncio.Semaphore(_FETCHES_MAX)  # nobody is known yet who asks for one

    def refuse_unknown(self, provider: str) -> Taken | None:
        """Say why nothing is taken from a provider of this name, before its body is read."""
        if provider in self._hooks:
            return None
        needed = self._variables.get(provider)
        if needed is None:
            known = ", ".join(self._variables)
            return Taken(404, "not_found", f"there is no provider of this name; one of {known}")
        names = " and ".join(needed)
        return Taken(404, "not_configured", f"set {names} to take what {provider} tells")

    async def take(self, shard: Shard, provider: str, request: web.Request, body: bytes) -> Taken:
        """Take a request of a provider that is configured."""
        hook, given = self._hooks[provider], self._describe(request, body)
        answered = await self._prove(hook, given)
        if answered is not None:
            return answered
        now = shard.clock.now()
        try:
            told = hook.read(given)
        except InputError as error:
            return Taken(quarantined=[_keep_request(given, provider, error, now)])
        except Exception as error:  # noqa: BLE001 - it is genuine, and kept whatever is in it
            wrong = InputError("unreadable", f"reading it failed: {type(error).__name__}")
            return Taken(quarantined=[_keep_request(given, provider, wrong, now)])
        found = await self._match(shard, provider, told)
        if found is None:
            message = "too much waits to be matched with messages; send this again later"
            return Taken(503, "overloaded", message, retry_after_s=_BUSY_RETRY_S)
        kept = [_keep_told(one, provider, now) for one in found.unmatched]
        return Taken(inputs=found.inputs, quarantined=kept)

    def _describe(self, request: web.Request, body: bytes) -> HookRequest:
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            # A header that is there twice is both, so that no signature fits it.
            known = headers.get(name.lower())
            headers[name.lower()] = value if known is None else f"{known}, {value}"
        url = self._public_url + request.raw_path
        return HookRequest(request.method, url, headers, dict(request.query), body)

    async def _prove(self, hook: Hook, given: HookRequest) -> Taken | None:
        """Have a request verified; gives what is answered where there is nothing to be read."""
        try:
            greeting = hook.greet(given)
            if greeting is not None:
                return Taken(body=greeting)
            if isinstance(hook, AskingHook):
                await self._prove_by_asking(hook, given)
            else:
                hook.verify(given, self._present())
        except ForgedError as error:
            hint = "" if self._public_url else f" ({URL_VARIABLE} is not set)"
            return Taken(403, "forged", f"{error}{hint}")
        except (Temporary, Permanent) as error:
            message = f"what proves this request could not be fetched: {error}"
            return Taken(503, "not_verified", message, retry_after_s=_BUSY_RETRY_S)
        except Exception as error:  # noqa: BLE001 - what can't be checked is not believed
            return Taken(403, "forged", f"the proof could not be read ({type(error).__name__})")
        return None

    async def _prove_by_asking(self, hook: AskingHook, given: HookRequest) -> None:
        """Have a request verified by what is elsewhere; answer where it asks for that."""
        url = hook.wants(given)
        if url:
            async with self._fetches:
                hook.learn(url, await self._fetch(url))
        hook.verify(given, self._present())
        visited = hook.visits(given)
        if visited:
            await self._fetch(visited)

    async def _match(self, shard: Shard, provider: str, told: Sequence[Told]) -> Found | None:
        """Find whose everything is; None where too many requests wait for that already."""
        found = await find_owners(shard, provider, told, shard.clock.now())
        if not channels_of(shard.program, provider):
            return found  # its ids are not ours to know: mail leaves by SMTP
        for pause_s in self._looks_s:
            late = [one for one in found.unmatched if foreign_id(one)]
            if not late:
                break
            if self._held >= HELD_MAX:
                return None
            self._held += 1
            try:
                await asyncio.sleep(pause_s)
            finally:
                self._held -= 1
            again = await find_owners(shard, provider, late, shard.clock.now())
            settled = [one for one in found.unmatched if not foreign_id(one)]
            found = Found([*found.inputs, *again.inputs], [*settled, *again.unmatched])
        return found


def fetch_over(wire: Wire) -> Fetch:
    """Make the way in which hooks have something looked up: public addresses only."""

    async def fetch(url: str) -> bytes:
        reply = await wire.exchange(Request("GET", url, {}, b"", is_guarded=True))
        if reply.status != _OK:
            raise Temporary(f"it answered {reply.status}")
        return reply.body

    return fetch


def _keep_request(given: HookRequest, provider: str, error: InputError, now: int) -> QuarantineRow:
    """Keep a request that was not understood, in JSON, so that names in it are found."""
    told: object = given.body.decode("utf-8", "replace")
    if given.headers.get("content-type", "").startswith(FORM):
        told = dict(parse_qsl(str(told), keep_blank_values=True))
    # A query beside a body is what the request was proved by: some have a secret of ours in it.
    payload = msgspec.json.encode(told or given.query)
    return _keep(payload, provider, error, now)


def _keep_told(told: Told, provider: str, now: int) -> QuarantineRow:
    error = InputError("unmatched", "this is of no message, and of nobody, that is known here")
    return _keep(msgspec.json.encode(told), provider, error, now)


def _keep(payload: bytes, provider: str, error: InputError, now: int) -> QuarantineRow:
    return QuarantineRow(
        number=0,
        received_at=now,
        source=f"receipts/{provider}",
        code=error.code,
        path=error.path,
        message=error.message,
        payload=payload,
    )
