"""Makes the calls of journeys: HTTP requests to services a workspace names.

Given to the runtime by the composition root; `actors.calls` says when. The call's id goes along as
`Idempotency-Key`, so that a service can tell a request that is made again.

*Rules*
- Secrets are read from the environment when a request is made, and are nowhere else.
- Of an answer no more is read than a journey may keep; one that is longer has failed.
- `check_calls` finds what is missing before anything depends on it.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver
from standardwebhooks import Webhook

from actors.ports import Answer, Permanent, Temporary
from adapters.channels.egress import EgressError, check_url
from adapters.channels.exchange import (
    SECRET_BYTES_MIN,
    explain_failure,
    is_secret,
    open_session,
    read_retry_after,
    read_target,
    sign,
)
from engine.effects import Call
from engine.errors import InputError, Problem, ProgramError
from engine.events import SUCCESS_END, SUCCESS_MIN
from engine.instants import SECOND_MS
from engine.intake.item import settle_values
from engine.intake.mending import mend_json
from engine.limits import CALL_ANSWER_BYTES_MAX, CALL_TIMEOUT_MS_MAX
from engine.program.journey import CallPlan
from engine.program.program import Program

_REDIRECT, _CLIENT_ERROR, _SERVER_ERROR = 300, 400, 500
_LATER = (408, 425, 429)  # 4xx that speak of the moment, not of the request
_NUL = b"\\u0000"
_HEADER_MAX = 8 * 1024

Present = Callable[[], datetime]


class HttpCaller:
    """Makes requests over HTTP."""

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        resolver: AbstractResolver | None = None,
        present: Present = lambda: datetime.now(UTC),
    ) -> None:
        """Take where secrets are; tests pass a resolver and the present.

        The present is real time even where business time is not: receivers refuse signatures
        older than five minutes.
        """
        self._environment = environment
        self._resolver = resolver
        self._present = present
        self._sessions: dict[bool, aiohttp.ClientSession] = {}  # by whether private is allowed

    async def start(self) -> None:
        """Connections are made when they are needed."""

    async def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def call(self, call: Call) -> Answer:
        """Make a request once and give what was answered."""
        url = read_target(call.url, allow_private=call.allow_private)
        headers = self._headers(call)
        try:
            async with self._session(call).request(
                call.method,
                url,
                data=call.body.encode() or None,
                headers=headers,
                allow_redirects=False,
            ) as response:
                return await _read(response, call)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise explain_failure(error) from error

    def _session(self, call: Call) -> aiohttp.ClientSession:
        session = self._sessions.get(call.allow_private)
        if session is None:
            # How long one request may take is up to whoever asks.
            session = open_session(
                self._resolver, CALL_TIMEOUT_MS_MAX / SECOND_MS, allow_private=call.allow_private
            )
            self._sessions[call.allow_private] = session
        return session

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {
            "User-Agent": "Nextbeat",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # nothing is unpacked
            **call.headers,
            **{header: self._look_up(name) for header, name in call.secrets.items()},
            "Idempotency-Key": call.call_id,
        }
        if call.body:
            headers["Content-Type"] = "application/json"
        if call.signed_with:
            secret = self._look_up(call.signed_with)
            if not is_secret(secret):
                raise Permanent(f"{call.signed_with} holds no secret", code="no_secret")
            body = call.body.encode()
            headers |= sign(Webhook(secret), call.call_id, body, self._present())
        return headers

    def _look_up(self, name: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            message = f"the environment variable {name:.80} is not set"
            raise Permanent(message, code="no_secret")
        return value


async def _read(response: aiohttp.ClientResponse, call: Call) -> Answer:
    """Say what an answer means. Raises Temporary where it is worth another try."""
    status = response.status
    if SUCCESS_MIN <= status < SUCCESS_END:
        return await _read_body(response) if call.takes_answer else Answer(status)
    if status >= _SERVER_ERROR or status in _LATER:
        pause_ms = read_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
        text = f"the endpoint answered {status}"
        raise Temporary(text, retry_after_ms=pause_ms, code=str(status))
    return Answer(status, code="redirect" if _REDIRECT <= status < _CLIENT_ERROR else "")


async def _read_body(response: aiohttp.ClientResponse) -> Answer:
    """Read an answer that is wanted, as far as a journey may keep it."""
    raw = bytearray()
    async for piece in response.content.iter_any():
        raw += piece
        if len(raw) > CALL_ANSWER_BYTES_MAX:
            return Answer(response.status, code="too_large")
    try:
        text = mend_json(bytes(raw), []) if _NUL in raw else bytes(raw)
        answer = settle_values({"answer": msgspec.json.decode(text)}, [])["answer"]
    except InputError as error:
        return Answer(response.status, code=error.code)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Answer(response.status, code="not_json")
    return Answer(response.status, answer)


def check_calls(program: Program, environment: Mapping[str, str]) -> None:
    """Refuse calls that could never be made as they are written. Raises ProgramError."""
    problems = [
        problem
        for journey in program.journeys.values()
        for instruction in journey.code
        if instruction.call is not None
        for problem in _find_problems(instruction.call, environment)
    ]
    if problems:
        raise ProgramError(problems)


def _find_problems(plan: CallPlan, environment: Mapping[str, str]) -> Iterator[Problem]:
    wanted = {f"headers.{header}": name for header, name in plan.secrets.items()}
    if plan.signed_with:
        wanted["secret"] = plan.signed_with
    for key, name in wanted.items():
        value = environment.get(name, "")
        place = f"{plan.rule}.{key}"
        if not value:
            message = f"the environment variable {name:.80} is not set"
            yield Problem(place, message, f"set {name:.80}")
        elif key == "secret" and not is_secret(value):
            form = f"`whsec_` and {SECRET_BYTES_MIN} or more bytes in base64"
            yield Problem(place, f"{name:.80} must be {form}")
        elif not value.isprintable() or len(value) > _HEADER_MAX:
            yield Problem(place, f"{name:.80} holds what no header can carry")
    if not plan.allow_private:
        try:
            check_url(plan.origin)
        except EgressError as error:
            yield Problem(f"{plan.rule}.url", str(error))
