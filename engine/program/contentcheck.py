"""Whether what messages say can be said: locales there are, texts that fit their channels.

`check_contents` and `check_fields` are called by `check`, `doubt_contents` by `doubts`,
`content_stamps` by `compile`.
What a text is made of before anybody is known, outside of all its tags, is in it for everybody: so
much is certain when the workspace is loaded. The rest is checked when a message is rendered.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import UNSET

from engine.effects import TRACKING
from engine.program.cldr import CLDR_VERSION, plural_categories
from engine.program.contentmodel import (
    HTML_FIELD,
    MJML,
    TEMPLATE_FIELD,
    ContentFileSpec,
    ContentSpec,
    LimitsSpec,
)
from engine.program.faults import Faults, quote
from engine.program.locales import LocaleError, canonical_locale
from engine.program.localised import is_local
from engine.program.medium import Medium, find_medium
from engine.program.mjml import MJML_VERSION
from engine.program.model import DEFAULT_CONTENT, MessageSpec, WorkspaceSpec
from engine.program.places import Path
from engine.program.sizes import Limits, compile_limits, find_excess
from engine.program.smstext import GSM_7, UCS_2, measure_sms, plain_spaces
from engine.program.templates import TemplateError, fixed_text, is_fixed, plural_forms
from engine.traits.derived import read_locale

_FEW = 3  # more characters of another alphabet are no slip: the text is written in it
Fields = Mapping[str, str | ContentFileSpec]


def content_stamps(spec: WorkspaceSpec) -> list[str]:
    """Name the versions of what contents are written with besides Liquid: MJML, and CLDR."""
    texts = [
        (field, text)
        for message in spec.messages.values()
        for _, _, fields in walk_contents(message)
        for field, text in fields.items()
        if isinstance(text, str)
    ]
    stamps = [MJML_VERSION] if any(field == MJML for field, _ in texts) else []
    return stamps + ([CLDR_VERSION] if any(is_local(text) for _, text in texts) else [])


def check_contents(spec: WorkspaceSpec, faults: Faults) -> None:
    """Note locales that are none, and texts that are surely too much for their channel."""
    locale = spec.defaults.locale
    if locale:
        _check_locale(locale, ("defaults", "locale"), faults)
    limits: dict[str, Limits] = {}
    for name, one in spec.channels.items():
        medium = find_medium(name, one)
        limits[name] = compile_limits(medium, one.limits)
        _check_limits(medium, one.limits, ("channels", name, "limits"), faults)
    for name, message in spec.messages.items():
        path: Path = ("messages", name)
        _check_locales(message, (*path, "locales"), faults)
        kind = spec.message_types.get(message.type)
        served = kind.channels if kind is not None else ()
        for where, channel, fields in walk_contents(message):
            if channel in spec.channels and spec.channels[channel].reply_window is not UNSET:
                _check_template(message, channel, fields, (*path, *where), faults)
            names = served if channel == DEFAULT_CONTENT else (channel,)
            for limit in (limits[served_by] for served_by in names if served_by in limits):
                _check_size(fields, limit, (*path, *where), faults)


def check_fields(fields: Fields, path: Path, faults: Faults) -> None:
    """Note what is wrong with the fields of one content, whatever is in them."""
    if not fields and not faults.touches(path):
        faults.add(path, "this content is empty", "give it a body")
    for field, text in fields.items():
        if not isinstance(text, str):
            problem = "a text in a file needs the workspace's folder"
            faults.add((*path, field), problem, "load the workspace from its folder")
    if MJML in fields and HTML_FIELD in fields:
        problem = "`mjml` becomes the `html`, and there is one already"
        faults.add((*path, MJML), problem, "leave one of them out", at_key=True)
    if TRACKING in fields:
        problem = "`tracking` is no field of a content"
        hint = "write `tracking:` in the channel or the message type"
        faults.add((*path, TRACKING), problem, hint, at_key=True)


def _check_limits(medium: Medium, limits: LimitsSpec, path: Path, faults: Faults) -> None:
    """Refuse a limit of what such a channel's messages do not have."""
    for name, limit, owner in (
        ("segments", limits.segments, Medium.SMS),
        ("bytes", limits.bytes, Medium.PUSH),
    ):
        if limit is not UNSET and medium is not owner:
            problem = f"{name} are counted of {owner.value} only, and this is {medium.value}"
            faults.add((*path, name), problem, "limit its `body`, `subject` or `title`")


def walk_contents(message: MessageSpec) -> Iterator[tuple[Path, str, Fields]]:
    """Give every content of a message: where it is, for which channel, and its fields."""
    written: list[tuple[Path, ContentSpec]] = [(("content",), message.content)]
    written += [(("locales", locale), content) for locale, content in message.locales.items()]
    for where, content in written:
        for channel, fields in content.items():
            yield (*where, channel), channel, fields


def _check_locales(message: MessageSpec, path: Path, faults: Faults) -> None:
    seen: dict[str, str] = {}
    for written, content in message.locales.items():
        where: Path = (*path, written)
        locale = _check_locale(written, where, faults, at_key=True)
        if locale in seen:
            problem = f"{quote(written)} is the same locale as {quote(seen[locale])}"
            faults.add(where, problem, "put both together", at_key=True)
        if locale:
            seen[locale] = written
        if not content and not faults.touches(where):
            faults.add(where, "there is nothing in this locale", "give it a channel", at_key=True)
        for channel in content:
            _check_place(channel, message, (*where, channel), faults)


def _check_place(channel: str, message: MessageSpec, path: Path, faults: Faults) -> None:
    """Refuse what would be said in one language only: nobody else could be told on that channel."""
    known = DEFAULT_CONTENT in (channel, *message.content) or channel in message.content
    if not known and not faults.touches((*path[:2], "content")):
        problem = f"`content` has nothing for {quote(channel)}, and serves every other language"
        hint = f"add {channel!r} or 'default' to it"
        faults.add(path, problem, hint, at_key=True)


def _check_template(
    message: MessageSpec, channel: str, fields: Fields, path: Path, faults: Faults
) -> None:
    """Refuse a locale with free text where another has a template: a closed window asks for all."""
    approved = TEMPLATE_FIELD in (
        message.content.get(channel) or message.content.get(DEFAULT_CONTENT) or fields
    )
    if (TEMPLATE_FIELD in fields) is not approved:
        problem = f"`content` has {'a' if approved else 'no'} template here, and this locale has "
        problem += "none" if approved else "one"
        faults.add(path, problem, "outside of the reply window only templates go: give it to all")


def _check_locale(written: str, path: Path, faults: Faults, *, at_key: bool = False) -> str:
    try:
        return canonical_locale(written)
    except LocaleError as error:
        problem, _, hint = str(error).partition(": ")
        faults.add(path, problem, hint, at_key=at_key)
        return ""


def _check_size(fields: Fields, limits: Limits, path: Path, faults: Faults) -> None:
    """Note what is too much whoever it is for."""
    excess = find_excess(limits, _fixed(fields, limits.medium))
    if excess is not None and not faults.touches(path):
        where = (*path, excess.field) if excess.field in fields else path
        faults.add(where, excess.text, "shorten it, or set the channel's limits")


def _fixed(fields: Fields, medium: Medium) -> dict[str, str]:
    """Give what of each field is in it for everybody.

    Variables are judged whole or not at all: a part of one is no JSON.
    """
    texts = {name: text for name, text in fields.items() if isinstance(text, str)}
    if medium is Medium.WHATSAPP:
        texts = {name: text for name, text in texts.items() if name == "body" or is_fixed(text)}
    found: dict[str, str] = {}
    for name, text in texts.items():
        try:
            found[name] = fixed_text(text)
        except TemplateError:  # said where the text is compiled
            found[name] = ""
        if medium is Medium.SMS:
            found[name] = plain_spaces(found[name])
    return found


def doubt_contents(spec: WorkspaceSpec, doubts: Faults) -> None:
    """Doubt what costs more than it looks, and languages with less to say than others."""
    sms = {
        name: None
        for name, channel in spec.channels.items()
        if find_medium(name, channel) is Medium.SMS
    }
    for name, message in spec.messages.items():
        path: Path = ("messages", name)
        served = spec.message_types[message.type].channels
        _doubt_locales(message, served, path, doubts)
        for where, channel, fields in walk_contents(message):
            names: Iterable[str] = served if channel == DEFAULT_CONTENT else (channel,)
            if any(one in sms for one in names):
                _doubt_alphabet(fields, (*path, *where, "body"), doubts)
            locale = str(where[1]) if where[0] == "locales" else spec.defaults.locale
            for field, text in fields.items():
                if isinstance(text, str) and is_local(text):
                    _doubt_language(text, locale, (*path, *where, field), doubts)
    for name in sms:
        if spec.channels[name].tracking.clicks is True:
            problem = "a link that is tracked takes more than a hundred characters of an SMS"
            hint = "leave it out here, or set `limits.segments`"
            doubts.add(("channels", name, "tracking", "clicks"), problem, hint)


def _doubt_locales(message: MessageSpec, served: Iterable[str], path: Path, doubts: Faults) -> None:
    """Doubt a locale that has nothing for a channel on which others are told something."""
    known = (message.content, *message.locales.values())
    for locale, content in message.locales.items():
        if DEFAULT_CONTENT in content:
            continue
        missing = [
            channel
            for channel in served
            if channel not in content
            and any(channel in one or DEFAULT_CONTENT in one for one in known)
        ]
        if missing:
            problem = f"there is no content for {', '.join(map(quote, missing))} in this locale"
            hint = "who reads it is told there what the next locale says, or `content`"
            doubts.add((*path, "locales", locale), problem, hint, at_key=True)


def _doubt_alphabet(fields: Fields, path: Path, doubts: Faults) -> None:
    """Doubt a text that a single character makes twice as expensive."""
    body = fields.get("body")
    if not isinstance(body, str):
        return
    text = plain_spaces(fixed_text(body))
    size = measure_sms(text)
    if size.encoding == GSM_7 or len(size.foreign) > _FEW:
        return
    plain = measure_sms("".join("?" if one in size.foreign else one for one in text))
    shown = ", ".join(map(repr, size.foreign))
    makes = "makes" if len(size.foreign) == 1 else "make"
    problem = f"{shown} {makes} this {UCS_2}: {_count(size.segments)}"
    hint = "it holds 70 characters then, and not 160"
    if plain.segments < size.segments:
        hint = f"in plain letters it would be {_count(plain.segments)}"
    doubts.add(path, problem, hint)


def _count(segments: int) -> str:
    return f"{segments} segment{'s' * (segments != 1)}"


def _doubt_language(text: str, locale: str, path: Path, doubts: Faults) -> None:
    """Doubt a text of which nobody says the language, and plurals that are not those of its own."""
    if not locale:
        problem = "numbers and dates are written as each customer's locale does, whatever this is"
        doubts.add(path, problem, "say its language: set defaults.locale")
        return
    needed = plural_categories(read_locale(locale))
    for forms in plural_forms(text):
        missing = [one for one in needed if one not in forms]
        if missing:
            problem = f"{quote(locale)} has forms that this `plural` has not: {', '.join(missing)}"
            doubts.add(path, problem, "what takes them is written as `other`")
