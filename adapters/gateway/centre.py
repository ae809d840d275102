"""The preference centre: `/p/{token}` shows what a customer chose, and takes what they choose now.

A signed link in a message leads here; there is no login and no cookie. Opening it changes nothing.
What is saved is one event: statements of consent with the source `preference_centre`, and traits.

*Rules*
- Only what the form changes is stated. What the page can't show stays as it is.
- With a link older than 60 days one can say no to something, and not yes: it may have been
  forwarded long ago, and whoever has it could otherwise consent in another's name.
- A form holds for the page it was shown on, and for hours: no other site can make one.
"""

from collections.abc import Mapping
from typing import cast
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.gateway.body import SlowBodyError, read_body
from adapters.gateway.centre_view import (
    FREQUENCIES,
    OTHER,
    channel_field,
    choices,
    frequency_of,
    is_allowed,
    is_wanted,
    purpose_field,
    quiet_of,
    show_frequencies,
    show_languages,
    show_purposes,
    show_types,
    silence_of,
    type_field,
)
from adapters.gateway.host import Host
from adapters.gateway.pages import (
    PREFERENCES,
    refuse_link,
    say,
    words_for,
    write_page,
)
from adapters.signing import Preferences as Link, Signer
from engine.errors import InputError, OverloadError, StoreError
from engine.events import (
    ANY,
    KIND_NAMES,
    ConsentStatement,
    ConsentStatus,
    Event,
    EventKind,
    LegalBasis,
)
from engine.gates.consent import SERVICE
from engine.ids import stable_hash
from engine.instants import DAY_MS
from engine.intake.preferences import read_preferences
from engine.profile import Profile
from engine.program.program import Program
from engine.wishes import (
    CHANNEL_PREFERENCES,
    DO_NOT_DISTURB,
    FREQUENCY_CAPS,
    QUIET_HOURS,
)

SOURCE = "preference_centre"
_PATH = "/p/{token}"
_GRANT_MS = 60 * DAY_MS
_FIELDS_MAX = 2_000
_SAVED = 200

Form = Mapping[str, str]


def routes(host: Host, signer: Signer) -> list[web.RouteDef]:
    """List the routes; `signer` is the one messages get their links from."""
    centre = Centre(host, signer)
    return [web.get(_PATH, centre.show), web.post(_PATH, centre.act)]


class Visit:
    """One look at the page: whose it is, by which link, in which words."""

    def __init__(
        self, link: Link, token: str, profile: Profile, program: Program, now: int
    ) -> None:
        self.link = link
        self.token = token
        self.profile = profile
        self.program = program
        self.words = words_for(program, profile)
        self.may_grant = now - link.made_at < _GRANT_MS
        self.now = now


class Centre:
    """The handlers, over one host."""

    def __init__(self, host: Host, signer: Signer) -> None:
        self._host = host
        self._signer = signer

    async def show(self, request: web.Request) -> web.Response:
        """Show the page; nothing is changed."""
        visit = await self._enter(request)
        return visit if isinstance(visit, web.Response) else self._page(visit)

    async def act(self, request: web.Request) -> web.Response:
        """Save what the form says, and show the page as it is then."""
        visit = await self._enter(request)
        if isinstance(visit, web.Response):
            return visit
        said, status = await self._save(request, visit)
        if status != _SAVED:
            return self._page(visit, visit.words[said], status)
        after = await self._enter(request)
        return after if isinstance(after, web.Response) else self._page(after, after.words[said])

    async def _save(self, request: web.Request, visit: Visit) -> tuple[str, int]:
        """Save the form; gives the key of what to say, and the status to say it with."""
        try:
            form = await self._read_form(request)
            if not self._signer.is_form(visit.token, form.get("form", ""), visit.now):
                return "form_over", 403
            event = _read_choice(visit, form)
            if event is not None:
                await self._host.runtime.submit([event])
        except InputError:
            return "bad_choice", 400
        except SlowBodyError:
            return "not_saved", 408
        except (OverloadError, StoreError):
            return "not_saved", 503
        return ("stopped" if form.get("everything") else "saved"), _SAVED

    async def _enter(self, request: web.Request) -> Visit | web.Response:
        runtime, token = self._host.runtime, request.match_info["token"]
        link = self._signer.read_preferences(token)
        if link is None:
            return refuse_link(words_for(runtime.program, None))
        try:
            profile = await runtime.seek(link.customer)
        except StoreError:
            words = words_for(runtime.program, None)
            return say(words, "busy", 503)
        if profile is None:
            words = words_for(runtime.program, None)
            return say(words, "gone", 404)
        return Visit(link, token, profile, runtime.program, runtime.clock.now())

    async def _read_form(self, request: web.Request) -> Form:
        body = await read_body(request, self._host.settings.deadlines.body_s)
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS_MAX)
        except (ValueError, UnicodeDecodeError):
            raise InputError("bad_form", "the form could not be read", "$") from None
        return dict(pairs)

    def _page(self, visit: Visit, said: str = "", status: int = 200) -> web.Response:
        profile, program, words = visit.profile, visit.program, visit.words
        quiet, (silence, silent) = quiet_of(profile), silence_of(profile)
        names = {
            "language": words.language,
            "workspace": program.name,
            "words": words.all(),
            "notice": said,
            "mark": self._signer.form_mark(visit.token, visit.now),
            "may_grant": visit.may_grant,
            "purposes": show_purposes(
                profile, program, words, visit.now, may_grant=visit.may_grant
            ),
            "types": show_types(profile, program, words, may_grant=visit.may_grant),
            "frequencies": show_frequencies(profile, program, words),
            "quiet_from": quiet[0] if quiet else "",
            "quiet_to": quiet[1] if quiet else "",
            "quiet_other": quiet is None,
            "silence": silence,
            "silent": silent,
            "languages": show_languages(program, words),
        }
        return write_page(PREFERENCES, names, status)


def _read_choice(visit: Visit, form: Form) -> Event | None:
    """Make one event of what the form changes; None where it changes nothing."""
    if form.get("everything"):
        return _event(visit, _withdraw_all(visit), {})
    wishes = _wishes(visit, form)
    traits = {}
    if wishes:
        traits = read_preferences(wishes, visit.program, SOURCE, visit.now).traits
    consents = (*_purposes(visit, form), *_types(visit, form))
    return _event(visit, consents, traits) if consents or traits else None


def _withdraw_all(visit: Visit) -> tuple[ConsentStatement, ...]:
    """Take back every purpose on every channel, but service: orders and accounts go on."""
    known = [kind.purpose for kind in visit.program.types.values()]
    stated = [said.purpose for said in visit.profile.consents.values()]
    purposes = [*visit.program.centre.purposes, *known, *stated]
    return tuple(
        _state(visit, purpose, ANY, ConsentStatus.WITHDRAWN)
        for purpose in dict.fromkeys(purposes)
        if purpose not in (SERVICE, ANY)
    )


def _purposes(visit: Visit, form: Form) -> list[ConsentStatement]:
    stated: list[ConsentStatement] = []
    for purpose, channel in choices(visit.profile, visit.program):
        wanted = form.get(purpose_field(purpose, channel)) == "yes"
        held = is_allowed(visit.profile, visit.program, purpose, channel, visit.now)
        if wanted == held or (wanted and not visit.may_grant):
            continue
        status = ConsentStatus.GRANTED if wanted else ConsentStatus.WITHDRAWN
        stated.append(_state(visit, purpose, channel, status))
    return stated


def _types(visit: Visit, form: Form) -> list[ConsentStatement]:
    stated: list[ConsentStatement] = []
    for name in visit.program.centre.types:
        wanted = form.get(type_field(name)) == "yes"
        if wanted == is_wanted(visit.profile, name) or (wanted and not visit.may_grant):
            continue
        status = ConsentStatus.GRANTED if wanted else ConsentStatus.DENIED
        stated.append(_state(visit, ANY, ANY, status, message_type=name))
    return stated


def _state(
    visit: Visit, purpose: str, channel: str, status: ConsentStatus, message_type: str = ""
) -> ConsentStatement:
    return ConsentStatement(
        purpose=purpose,
        channel=channel,
        status=status,
        at=visit.now,
        source=SOURCE,
        basis=LegalBasis.CONSENT if status is ConsentStatus.GRANTED else LegalBasis.UNSTATED,
        proof=f"link {stable_hash('link', visit.token).hex()}",
        message_type=message_type,
    )


def _wishes(visit: Visit, form: Form) -> dict[str, object]:
    """Give the wishes that the form changes, as the API takes them."""
    wishes: dict[str, object] = {}
    _put_frequency(visit, form, wishes)
    _put_quiet(visit, form, wishes)
    _put_silence(visit, form, wishes)
    _put_channels(visit, form, wishes)
    language = form.get("language", "")
    if language in visit.program.centre.texts and language != visit.words.language:
        wishes["locale"] = language
    return wishes


def _put_frequency(visit: Visit, form: Form, wishes: dict[str, object]) -> None:
    chosen = form.get("frequency", OTHER)
    if chosen == frequency_of(visit.profile, visit.program) or chosen not in FREQUENCIES:
        return
    text = FREQUENCIES[chosen]
    purposes = visit.program.centre.purposes
    wishes[FREQUENCY_CAPS] = dict.fromkeys(purposes, text) if text else None


def _put_quiet(visit: Visit, form: Form, wishes: dict[str, object]) -> None:
    begin, end = form.get("quiet_from", "").strip(), form.get("quiet_to", "").strip()
    held = quiet_of(visit.profile)
    if (begin, end) == held or (held is None and not (begin or end)):
        return
    wishes[QUIET_HOURS] = f"{begin}-{end}" if begin or end else None


def _put_silence(visit: Visit, form: Form, wishes: dict[str, object]) -> None:
    until, silent = form.get("silence", "").strip(), form.get("silent") == "yes"
    if (until, silent) == silence_of(visit.profile):
        return
    wishes[DO_NOT_DISTURB] = True if silent else until or None


def _put_channels(visit: Visit, form: Form, wishes: dict[str, object]) -> None:
    known: object = visit.profile.traits.get(CHANNEL_PREFERENCES)
    before = cast("dict[str, object]", known) if isinstance(known, dict) else {}
    after = dict(before)
    for name in visit.program.centre.types:
        chosen = form.get(channel_field(name))
        if chosen is None:
            continue  # there was nothing to choose from
        if chosen:
            after[name] = chosen
        else:
            after.pop(name, None)
    if after != before:
        types = visit.program.types
        wishes[CHANNEL_PREFERENCES] = {name: one for name, one in after.items() if name in types}


def _event(
    visit: Visit, consents: tuple[ConsentStatement, ...], traits: dict[str, object]
) -> Event:
    """State it; each save is an event of its own, by its instant."""
    now = visit.now
    return Event(
        id=f"preferences:{stable_hash(visit.token, str(now)).hex()}",
        kind=EventKind.CONSENT,
        name=KIND_NAMES[EventKind.CONSENT],
        user=visit.profile.customer,
        anonymous=None,
        at=now,
        received_at=now,
        traits=traits,
        consents=consents,
        source=SOURCE,
    )
