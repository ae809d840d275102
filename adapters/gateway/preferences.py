"""What a customer wants, stated by a program: `PUT /v1/customers/{id}/preferences`.

`routes` is mounted by `adapters.gateway.app`. Only what is named changes, and null takes a wish
back. One thing that can't be read refuses the whole request, with its path. It is an app's call,
with a write key; made with a key that is an admin key as well, it is an administrative act.
"""

from aiohttp import web

from adapters.gateway.acts import note_act
from adapters.gateway.answers import refuse
from adapters.gateway.body import SlowBodyError, read_body
from adapters.gateway.host import Host
from adapters.gateway.intake import Portion, refuse_slow, refuse_whole, store
from adapters.gateway.wire import read_object
from engine.errors import InputError, StoreError
from engine.events import KIND_NAMES, Event, EventKind
from engine.identities import WORTHLESS_IDS
from engine.ids import stable_hash
from engine.intake.clocks import Envelope
from engine.intake.preferences import read_preferences
from engine.limits import ID_LENGTH_MAX

_SOURCE = "preferences"
_RETRY_S = 1
_MESSAGE_ID = "messageId"
_PATH = "/v1/customers/{id:[^/]+}/preferences"


def routes(host: Host) -> list[web.RouteDef]:
    """List the routes of this module."""

    async def put(request: web.Request) -> web.StreamResponse:
        host.counters.requests += 1
        host.require_writer(request)
        try:
            body = await read_body(request, host.settings.deadlines.body_s)
            envelope = Envelope(host.runtime.clock.now(), source=_SOURCE)
            portion = Portion(envelope, host.runtime.program.mappings)
            portion.inputs.append(_read(host, request, body, portion))
        except InputError as error:
            return refuse_whole(host, error)
        except SlowBodyError:
            return refuse_slow(host)
        if host.is_admin(request):
            try:
                await note_act(host, request, "put_preferences", request.match_info["id"])
            except StoreError:
                message = "nothing was stored; send this again later"
                return refuse(503, "not_stored", message, retry_after_s=_RETRY_S)
        return await store(host, request, portion)

    return [web.put(_PATH, put)]


def _read(host: Host, request: web.Request, body: bytes, portion: Portion) -> Event:
    now = portion.envelope.received_at
    customer = request.match_info["id"]
    if len(customer) > ID_LENGTH_MAX:
        raise InputError("id_too_long", f"an id may have {ID_LENGTH_MAX} characters", "path")
    if customer in WORTHLESS_IDS:
        raise InputError("no_user_anon_id", f'"{customer}" stands for nobody', "path")
    value = read_object(body, portion.envelope.oddities)
    said = value.pop(_MESSAGE_ID, None)
    if said is not None and not (isinstance(said, str) and 0 < len(said) <= ID_LENGTH_MAX):
        raise InputError("invalid_type", "expected an id as text", _MESSAGE_ID)
    preferences = read_preferences(value, host.runtime.program, _SOURCE, now)
    return Event(
        id=said or f"preferences:{stable_hash(customer, str(now), body.hex()).hex()}",
        kind=EventKind.CONSENT,
        name=KIND_NAMES[EventKind.CONSENT],
        user=customer,
        anonymous=None,
        at=now,
        received_at=now,
        traits=preferences.traits,
        context={"active": False},
        consents=preferences.consents,
        source=_SOURCE,
    )
