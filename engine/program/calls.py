"""The step `webhook`: a request to somebody else's service, checked and compiled.

Called by `flow` for what is wrong with one, and by `steps`; `engine.journeys.calls` makes the
requests.

*Rules*
- The host stands in the workspace as it is: nothing of a customer chooses who is called.
- What is filled in behind the host is encoded, so it stays within the place it was written for.
- A secret is the name of an environment variable here, and never a value.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from engine.limits import CALL_HEADERS_MAX, CALL_TIMEOUT_MS_DEFAULT, CALL_TIMEOUT_MS_MAX
from engine.program.faults import Faults, quote
from engine.program.journey import CallPlan, Names
from engine.program.journeymodel import EnvSpec, WebhookSpec
from engine.program.leaves import Leaves
from engine.program.places import Path, format_path
from engine.program.plain import dict_or_none, list_or_none
from engine.program.program import Template
from engine.program.scope import Scope

Build = Callable[[Scope, Names], Any]

_BODILESS = ("GET", "DELETE")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ORIGIN = re.compile(r"(https?://([^/?#{}\s]+))(?:[/?#].*)?", re.DOTALL | re.IGNORECASE)
_SECRET = re.compile(
    r"authori[sz]ation|password|secret|token|cookie|credential|api[_-]?key", re.IGNORECASE
)
_OUTPUT = re.compile(r"\{\{(-?)(.*?)(-?)\}\}", re.DOTALL)
# Liquid writes a space as "+", which only a query reads as one; a "+" itself is "%2B" by then.
_ENCODE = "| url_encode | replace: '+', '%20'"
# What the request says of itself, and what belongs to the connection.
_OURS = (
    *("host", "content-length", "content-type", "transfer-encoding", "connection", "upgrade", "te"),
    *("accept-encoding", "expect", "trailer", "user-agent", "idempotency-key", "keep-alive"),
    *("webhook-id", "webhook-timestamp", "webhook-signature"),
)


def check_call(spec: WebhookSpec, path: Path, faults: Faults) -> None:
    """Note what is wrong with a request as it is written."""
    _check_url(spec, (*path, "url"), faults)
    if spec.body and spec.method in _BODILESS:
        message = f"a {spec.method} request has no body"
        faults.add((*path, "body"), message, "put it in the url, or use POST", at_key=True)
    if len(spec.headers) > CALL_HEADERS_MAX:
        message = f"these are more than {CALL_HEADERS_MAX} headers"
        faults.add((*path, "headers"), message, "leave some out", at_key=True)
    for name, value in spec.headers.items():
        _check_header(name, value, (*path, "headers", name), faults)
    if spec.secret is not UNSET:
        _check_env(spec.secret, (*path, "secret"), faults)


def _check_url(spec: WebhookSpec, path: Path, faults: Faults) -> None:
    found = _ORIGIN.fullmatch(spec.url)
    if found is None:
        message = "this is no address with a host that is written out"
        faults.add(path, message, "like https://crm.example/customers/{{ customer }}")
        return
    if not spec.allow_private and not spec.url.lower().startswith("https://"):
        hint = "write https://, or set `allow_private: true` where this runs for development only"
        faults.add(path, "the address must begin with https://", hint)
    if "@" in found[2]:
        hint = "give it in a header: {Authorization: {env: NAME}}"
        faults.add(path, "an address holds no user and no password", hint)


def _check_header(name: str, value: str | EnvSpec, path: Path, faults: Faults) -> None:
    if _HEADER.fullmatch(name) is None:
        faults.add(path, f"{quote(name)} can't be a header", "like X-Team", at_key=True)
    elif name.lower() in _OURS:
        message = f"the header {quote(name)} is set for each request"
        faults.add(path, message, "leave it out", at_key=True)
    elif isinstance(value, EnvSpec):
        _check_env(value, path, faults)
    elif _SECRET.search(name):
        variable = re.sub(r"\W", "_", name.upper())
        hint = f"write {{env: {variable}}} and set that in the environment"
        faults.add(path, "a secret does not belong in a file", hint)


def _check_env(value: EnvSpec, path: Path, faults: Faults) -> None:
    if _NAME.fullmatch(value.env) is None:
        message = f"{quote(value.env)} can't be the name of a variable"
        faults.add((*path, "env"), message, "like {env: CRM_TOKEN}")


def compile_call(spec: WebhookSpec, into: str, path: Path, leaves: Leaves) -> CallPlan:
    """Compile a request; `path` is that of its mapping."""
    texts: list[Template] = []

    def text(source: str, place: Path) -> Template:
        template = leaves.template(source, place, html=False)
        texts.append(template)
        return template

    headers = {
        name: text(value, (*path, "headers", name))
        for name, value in spec.headers.items()
        if isinstance(value, str)
    }
    body = _compile_value(spec.body, (*path, "body"), leaves, text) if spec.body else None
    url = text(spec.url, (*path, "url"))
    if not leaves.faults.touches((*path, "url")):
        url = leaves.template(_OUTPUT.sub(_encode, spec.url), (*path, "url"), html=False)
    found = _ORIGIN.fullmatch(spec.url)
    return CallPlan(
        url=url.render,
        method=spec.method,
        headers=tuple((name, template.render) for name, template in headers.items()),
        secrets={
            name: value.env for name, value in spec.headers.items() if isinstance(value, EnvSpec)
        },
        body=body,
        traits=tuple(dict.fromkeys(name for template in texts for name in template.traits)),
        origin="" if found is None else found[1],
        rule=format_path(path),
        timeout_ms=_read_timeout(spec, (*path, "timeout"), leaves),
        into=into,
        signed_with="" if spec.secret is UNSET else spec.secret.env,
        allow_private=spec.allow_private,
    )


def _encode(output: re.Match[str]) -> str:
    """Have what is filled in encoded, unless its author saw to it."""
    before, expression, after = output.groups()
    if "url_encode" in expression:
        return output[0]
    return f"{{{{{before}{expression} {_ENCODE} {after}}}}}"


def _read_timeout(spec: WebhookSpec, path: Path, leaves: Leaves) -> int:
    if spec.timeout is UNSET:
        return CALL_TIMEOUT_MS_DEFAULT
    timeout_ms = leaves.duration(spec.timeout, path)
    if timeout_ms > CALL_TIMEOUT_MS_MAX:
        message = f"{quote(spec.timeout)} is out of range"
        leaves.faults.add(path, message, "an answer is waited for at most 1h")
    return timeout_ms


def _compile_value(
    value: object, path: Path, leaves: Leaves, text: Callable[[str, Path], Template]
) -> Build:
    """Compile a part of a body: texts are Liquid, `{cel: …}` is computed, all else is as it is."""
    if isinstance(value, str):
        render = text(value, path).render
        return lambda _scope, names: render(names)
    items = list_or_none(value)
    if items is not None:
        parts = [_compile_value(one, (*path, at), leaves, text) for at, one in enumerate(items)]
        return lambda scope, names: [part(scope, names) for part in parts]
    fields = dict_or_none(value)
    if fields is None:
        return lambda _scope, _names: value
    source = fields.get("cel")
    if len(fields) == 1 and isinstance(source, str):
        evaluate = leaves.value(source, (*path, "cel")).evaluate
        return lambda scope, _names: evaluate(scope)
    return _compile_object(fields, path, leaves, text)


def _compile_object(
    fields: Mapping[str, object],
    path: Path,
    leaves: Leaves,
    text: Callable[[str, Path], Template],
) -> Build:
    built = [
        (key, _compile_value(item, (*path, key), leaves, text)) for key, item in fields.items()
    ]
    return lambda scope, names: {key: build(scope, names) for key, build in built}
