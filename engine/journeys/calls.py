"""The step `webhook`: what is asked of somebody else's service, and what follows from the answer.

Called by `moves` where an instance comes to such a step, and by `decide` with what came back.

*Rules*
- What is asked is put down in whole, but for secrets: they are named, and read where it leaves.
- An instance waits for one answer at a time, and no longer than the step says. What comes later, or
  for an instance that has left, changes nothing.
- A request that can't be made (a text that fails, or one too long) has failed at once.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.events import Answered
from engine.ids import call_id
from engine.instants import format_instant
from engine.limits import CALL_BODY_BYTES_MAX, CALL_HEADER_MAX, CALL_URL_MAX
from engine.place import find_place
from engine.profile import Instance
from engine.program.journey import CallPlan
from engine.program.scope import Scope
from engine.program.templates import TemplateAbort, TemplateError
from engine.program.view import shown_traits
from engine.records import Called
from engine.turn import Turn

_CONTROL = dict.fromkeys((*range(32), 127), " ")


class RefusedError(Exception):
    """A request can't be made; the message says why."""


def prepare(turn: Turn, instance: Instance, step: str, plan: CallPlan, scope: Scope) -> Called:
    """Fill in a request for the customer; where that can't be done it says why."""
    profile = turn.profile
    refused, url, headers, body = "", "", dict[str, str](), ""
    names = _names(turn, plan, scope)
    try:
        url = _write_url(plan, names)
        headers = {name: _write_header(render(names)) for name, render in plan.headers}
        body = _write_body(plan, scope, names)
    except (TemplateError, TemplateAbort) as error:
        refused = f"template_error: {error}"
    except RefusedError as error:
        refused = str(error)
    return Called(
        instance=instance.id,
        journey=instance.journey,
        step=step,
        call_id=call_id(profile.customer, profile.call_count + 1),
        method=plan.method,
        url="" if refused else url,
        headers={} if refused else headers,
        body="" if refused else body,
        at=turn.now,
        timeout_ms=plan.timeout_ms,
        secrets={} if refused else plan.secrets,
        signed_with=plan.signed_with,
        takes_answer=bool(plan.into),
        allow_private=plan.allow_private,
        refused=refused,
    )


def find_waiting(turn: Turn, answered: Answered) -> Instance | None:
    """Find the instance that waits for an answer, if one still does."""
    instances = turn.profile.instances.values()
    return next((one for one in instances if one.call == answered.call_id), None)


def _names(turn: Turn, plan: CallPlan, scope: Scope) -> Mapping[str, Any]:
    profile, program = turn.profile, turn.program
    return {
        "profile": shown_traits(plan.traits, profile, program, turn.now),
        "event": scope.event,
        "entry": scope.entry,
        "journey": scope.journey,
        "customer": profile.customer,
        "timezone": find_place(profile, program).zones[0].key,
        "workspace": program.name,
        "now": format_instant(turn.now),
    }


def _write_url(plan: CallPlan, names: Mapping[str, Any]) -> str:
    url = plan.url(names)
    if len(url) > CALL_URL_MAX:
        raise RefusedError(f"the address is longer than {CALL_URL_MAX} characters")
    path = url.partition("?")[0].partition("#")[0]
    if any(part in (".", "..") for part in path.split("/")):
        raise RefusedError("the address leads to another place than the one that is written")
    return url


def _write_header(text: str) -> str:
    """Make one line of a value: what a customer said begins no header of its own."""
    line = text.translate(_CONTROL).strip()
    if len(line) > CALL_HEADER_MAX:
        raise RefusedError(f"a header is longer than {CALL_HEADER_MAX} characters")
    return line


def _write_body(plan: CallPlan, scope: Scope, names: Mapping[str, Any]) -> str:
    if plan.body is None:
        return ""
    try:
        body = msgspec.json.encode(plan.body(scope, names))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RefusedError(f"the body can't be written as JSON: {error}") from None
    if len(body) > CALL_BODY_BYTES_MAX:
        raise RefusedError(f"the body is longer than {CALL_BODY_BYTES_MAX} bytes")
    return body.decode()
