"""Nobody but a provider tells what became of messages: genuine requests, changed in every place.

Each request is changed a few hundred times. A change must be refused, or make no difference to what
is told: providers do not sign everything they send, and what they leave out must not matter.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec
import pytest

from adapters.channels.hook_registry import HOOKS, build_hooks
from adapters.channels.hooks import AskingHook, ForgedError, Hook, HookRequest, Notice, Said
from adapters.channels.sendgrid import SendgridHook
from engine.errors import InputError
from tests import hooks_samples_mail, hooks_samples_push, hooks_samples_telco

SOURCES = (hooks_samples_mail, hooks_samples_push, hooks_samples_telco)
MUTATIONS_MIN = 200

CASES = [
    pytest.param(source, provider, number, id=f"{provider}-{number}")
    for source in SOURCES
    for provider, samples in source.SAMPLES.items()
    for number in range(len(samples))
]
Told = list[Notice | Said]


def open_request(
    hook: Hook, request: HookRequest, certificates: Mapping[str, bytes], present: datetime
) -> Told | None:
    """Take a request as the reception does; None where it is refused or not understood."""
    try:
        if isinstance(hook, AskingHook):
            url = hook.wants(request)
            if url and url not in certificates:
                return None  # there is nothing at that address
            if url:
                hook.learn(url, certificates[url])
        hook.verify(request, present)
        return hook.read(request)
    except (ForgedError, InputError):
        return None


def flip(text: str, place: int, bit: int) -> str:
    return text[:place] + chr(ord(text[place]) ^ (1 << bit)) + text[place + 1 :]


def changed_bodies(request: HookRequest) -> Iterator[HookRequest]:
    body = request.body
    for place in range(0, len(body), max(1, len(body) // 150)):
        broken = bytearray(body)
        broken[place] ^= 1 << (place % 8)
        yield msgspec.structs.replace(request, body=bytes(broken))
    for length in range(0, len(body), max(1, len(body) // 20)):
        yield msgspec.structs.replace(request, body=body[:length])
    yield msgspec.structs.replace(request, body=body + b" ")
    yield msgspec.structs.replace(request, body=body + body)
    yield msgspec.structs.replace(
        request, body=body.replace(b"zoe@", b"eve@").replace(b"m_0", b"m_9")
    )


def changed_headers(request: HookRequest) -> Iterator[HookRequest]:
    headers = dict(request.headers)
    for name, value in headers.items():
        yield msgspec.structs.replace(
            request, headers={each: headers[each] for each in headers if each != name}
        )
        for other in ("", "0", value[::-1], f"{value}, {value}", value + value, value.swapcase()):
            yield msgspec.structs.replace(request, headers={**headers, name: other})
        for place in range(len(value)):
            for bit in (place % 2, 2 + place % 2, 4 + place % 3):
                broken = flip(value, place, bit)
                yield msgspec.structs.replace(request, headers={**headers, name: broken})


def changed_addresses(request: HookRequest) -> Iterator[HookRequest]:
    yield msgspec.structs.replace(request, url=request.url + "?x=1")
    yield msgspec.structs.replace(request, url=request.url.replace("https", "http"))
    for name, value in request.query.items():
        rest = {each: request.query[each] for each in request.query if each != name}
        yield readdress(request, rest)
        for place in range(len(value)):
            for bit in (place % 2, 2 + place % 2, 4 + place % 3):
                yield readdress(request, {**request.query, name: flip(value, place, bit)})


def readdress(request: HookRequest, query: dict[str, str]) -> HookRequest:
    url = f"{request.url.partition('?')[0]}?{urlencode(query)}"
    return msgspec.structs.replace(request, url=url, query=query)


def mutations(request: HookRequest, covered: Collection[str]) -> Iterator[HookRequest]:
    """Change everything a proof covers; of the rest only HTTPS sees to it that it stays."""
    yield from changed_headers(request)
    if "url" in covered or not request.query or not request.body:  # a GET tells by its query
        yield from changed_addresses(request)
    if "body" in covered:
        yield from changed_bodies(request)


@pytest.mark.parametrize(("source", "provider", "number"), CASES)
def test_no_changed_request_tells_anything_else(source: object, provider: str, number: int) -> None:
    samples = vars(source)
    certificates = samples.get("CERTIFICATES", {})
    request: HookRequest = samples["SAMPLES"][provider][number]()
    present = samples.get("PRESENT", datetime.now(UTC))
    hook = build_hooks(samples["ENVIRONMENT"])[provider]
    genuine = open_request(hook, request, certificates, present)
    assert genuine is not None
    assert open_request(hook, request, certificates, present) == genuine  # told again, the same
    count, believed = 0, 0
    covered = samples.get("COVERED", {}).get(provider, ("body",))
    for changed in mutations(request, covered):
        if changed == request:
            continue
        count += 1
        told = open_request(hook, changed, certificates, present)
        believed += told is not None and told != genuine
    assert believed == 0
    assert count >= MUTATIONS_MIN


@pytest.mark.parametrize(("source", "provider", "number"), CASES)
def test_nothing_is_believed_that_is_made_with_another_secret(
    source: object, provider: str, number: int
) -> None:
    samples = vars(source)
    request: HookRequest = samples["SAMPLES"][provider][number]()
    environment: dict[str, str] = samples["ENVIRONMENT"]
    turned = {name: value[::-1] for name, value in environment.items()}
    wanted = HOOKS[provider].variables
    other: Mapping[str, str] = samples.get("OTHER_ENVIRONMENT", turned)
    hook = build_hooks({name: other[name] for name in wanted})[provider]
    present = samples.get("PRESENT", datetime.now(UTC))
    assert open_request(hook, request, samples.get("CERTIFICATES", {}), present) is None


@pytest.mark.parametrize(("source", "provider", "number"), CASES)
def test_what_is_signed_with_its_time_is_refused_once_it_is_old(
    source: object, provider: str, number: int
) -> None:
    samples = vars(source)
    if provider not in samples.get("TIMED", ()):
        pytest.skip("nothing tells when it was signed")
    request: HookRequest = samples["SAMPLES"][provider][number]()
    certificates = samples.get("CERTIFICATES", {})
    hook = build_hooks(samples["ENVIRONMENT"])[provider]
    for away in (timedelta(days=2), timedelta(minutes=-10)):
        present = samples.get("PRESENT", datetime.now(UTC)) + away
        assert open_request(hook, request, certificates, present) is None


class Credulous(SendgridHook):
    """A hook that believes whatever comes."""

    def verify(self, request: HookRequest, present: datetime) -> None:
        """Look at nothing."""


def test_a_hook_that_believes_everything_would_be_found_out() -> None:
    [sample, *_] = hooks_samples_mail.SAMPLES["sendgrid"]
    request, present = sample(), datetime.now(UTC)
    hook = Credulous(hooks_samples_mail.ENVIRONMENT["NEXTBEAT_SENDGRID_WEBHOOK_KEY"])
    genuine = open_request(hook, request, {}, present)
    told = [open_request(hook, changed, {}, present) for changed in mutations(request, ("body",))]
    assert sum(one is not None and one != genuine for one in told) > 10
