"""Braze's `POST /users/track`: attributes, events and purchases of many customers at once.

`routes` is mounted by `adapters.gateway.app`. Translation into Segment's vocabulary is done in
`adapters.gateway.braze_words`; here are the arrays, and the answer as Braze gives it.

*Rules*
- An object that is not understood is named in the answer by its array and index, and kept in
  quarantine; the others are stored.
- The same request sent again counts once, and two objects of one request that are the same count
  twice. Where traits change from what they are (`inc`, `add`, `remove`) each request counts: what
  looks like the same may well be the next.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from aiohttp import web

from adapters.gateway.answers import answer_json
from adapters.gateway.braze_words import ARRAYS, translate_object
from adapters.gateway.cors import allow_browsers
from adapters.gateway.host import Host
from adapters.gateway.intake import Portion, take_body
from adapters.gateway.wire import read_object
from engine.errors import InputError
from engine.ids import stable_hash
from engine.intake.shapes import is_array

_SOURCE = "braze"
_PATH = "/users/track"
_OBJECTS_MAX = 75  # in each array, as with Braze
_CREATED = 201  # what Braze answers, and some of its libraries insist on
_BOUND = msgspec.Meta(max_length=_OBJECTS_MAX)
_encode = msgspec.json.Encoder().encode


class TrackRequest(msgspec.Struct, frozen=True):
    """Objects of many customers, each naming its own."""

    attributes: Annotated[list[dict[str, Any]], _BOUND] | None = None
    events: Annotated[list[dict[str, Any]], _BOUND] | None = None
    purchases: Annotated[list[dict[str, Any]], _BOUND] | None = None


class ObjectError(msgspec.Struct, frozen=True):
    """One object that was not understood: what is wrong with it, and where it is."""

    type: str
    input_array: str
    index: int


class Tracked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer: how many objects of each array were taken, and which were not."""

    message: str
    attributes_processed: int | None = None
    events_processed: int | None = None
    purchases_processed: int | None = None
    errors: list[ObjectError] = []


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""
    handler = take_body(host, _read_arrays, _SOURCE, answer=_answer)
    return allow_browsers(_PATH, handler) + allow_browsers(f"{_PATH}/", handler)


def _read_arrays(body: bytes, portion: Portion, _request: web.BaseRequest) -> None:
    value = read_object(body, portion.envelope.oddities)
    arrays = {name: _read_array(value, name) for name in ARRAYS if value.get(name) is not None}
    if not any(arrays.values()):
        message = (
            "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."
        )
        raise InputError("no_data", message)
    repeated: dict[bytes, int] = {}
    for name, objects in arrays.items():
        start = sum(count for _, count in portion.parts)
        portion.parts.append((name, len(objects)))
        for index, one in enumerate(objects, start):
            raw = _encode({name: one})
            times = repeated[raw] = repeated.get(raw, 0) + 1
            received_at = portion.envelope.received_at

            def translate(
                told: dict[str, Any], raw: bytes = raw, times: int = times, at: int = received_at
            ) -> dict[str, Any]:
                return _stamp(translate_object(told), raw, times, at)

            portion.take_foreign(raw, translate, index)


def _read_array(value: Mapping[str, Any], name: str) -> list[Any]:
    found = value[name]
    if not is_array(found):
        raise InputError("invalid_type", f"'{name}' must be an array of objects", name)
    if len(found) > _OBJECTS_MAX:
        message = f"Max Input Length Exceeded: '{name}' may have {_OBJECTS_MAX} objects"
        raise InputError("too_many_items", message, name)
    return found


def _stamp(call: dict[str, Any], raw: bytes, times: int, received_at: int) -> dict[str, Any]:
    """Give an id to a call that would else be taken for another one sent again."""
    changes = "traitChanges" in call
    if times == 1 and not changes:
        return call
    when = str(received_at) if changes else ""
    text = raw.decode("utf-8", "replace")
    return call | {"messageId": "b_" + stable_hash("braze", text, str(times), when, size=16).hex()}


def _answer(_request: web.BaseRequest, portion: Portion) -> web.StreamResponse:
    errors: list[ObjectError] = []
    processed: dict[str, int] = {}
    start = 0
    for name, count in portion.parts:
        wrong = [one for one in portion.errors if start <= one.index < start + count]
        errors += [ObjectError(one.message, name, one.index - start) for one in wrong]
        processed[f"{name}_processed"] = count - len(wrong)
        start += count
    return answer_json(Tracked("success", **processed, errors=errors), _CREATED)
