"""What a message says: its templates for a channel, rendered for a customer.

Called by `proposals` when everything else says yes, so that what leaves is what was decided.

*Rules*
- A message is in one language: the content of one locale is taken whole, for the channel or as its
  `default`, and where the locale has none for this channel, the next locale's is
  (`engine.program.locales`).
- What is too much for the channel (`engine.program.sizes`) is an error, as is a value that a filter
  can't write: nothing is cut short, and no text with a gap in it leaves.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.choice.tracking import find_tracking
from engine.consents import has_ended
from engine.effects import TRACKING
from engine.events import ConsentStatus
from engine.instants import format_instant
from engine.links import PREFERENCES, UNSUBSCRIBE, confirm_link
from engine.profile import Profile
from engine.program.locales import locale_chain, pick_locale, writing_locale
from engine.program.medium import Medium
from engine.program.model import DEFAULT_CONTENT
from engine.program.program import UNTRACKED, Message, Program, Template
from engine.program.sizes import NO_LIMITS, Limits, find_excess
from engine.program.smstext import plain_spaces
from engine.program.templates import CONFIRM_NAME, TemplateAbort, TemplateError
from engine.program.view import shown_traits
from engine.records import Check
from engine.traits.derived import find_locale

_NOTHING: Mapping[str, Any] = {}
_CURRENCY = "currency"

Templates = Mapping[str, Template]


class Content(msgspec.Struct, frozen=True, gc=False):
    """The templates that are for a customer on a channel.

    `locale` is the one they are kept under, "" where it is the message's `content`; `reader` is the
    customer's own, None where nobody had to ask.
    """

    message: Message
    channel: str
    fields: Templates
    locale: str = ""
    reader: str | None = None

    @property
    def rule(self) -> str:
        """Say where it is written."""
        part = f"locales.{self.locale}" if self.locale else "content"
        return f"messages.{self.message.name}.{part}.{self.channel}"

    def checks(self) -> tuple[Check, ...]:
        """Say for the trace in which locale the message is written, where there are several."""
        if self.reader is None:
            return ()
        seen = f"{self.locale or 'the default'}, for {self.reader or 'an unknown locale'}"
        return (Check(self.channel, "locale", "passed", self.rule, None, seen),)


def find_content(profile: Profile, program: Program, message: Message, channel: str) -> Content:
    """Find what a message has to say on a channel, in the customer's language if there is any."""
    if message.locales:
        reader = find_locale(profile, program)
        kept = {
            locale: fields
            for locale, by_channel in message.locales.items()
            if (fields := by_channel.get(channel) or by_channel.get(DEFAULT_CONTENT))
        }
        locale = pick_locale(locale_chain(reader, program.defaults.locale), kept)
        if locale:
            return Content(message, channel, kept[locale], locale, reader)
        fields = message.content.get(channel) or message.content[DEFAULT_CONTENT]
        return Content(message, channel, fields, "", reader)
    fields = message.content.get(channel) or message.content[DEFAULT_CONTENT]
    return Content(message, channel, fields)


def render(  # noqa: PLR0913 - each is a name that templates can use
    profile: Profile,
    program: Program,
    content: Content,
    *,
    event: Mapping[str, Any],
    variables: Mapping[str, Any] = _NOTHING,
    message_id: str,
    timezone: str,
    now: int,
) -> dict[str, str]:
    """Render every field of a content. Raises TemplateError or TemplateAbort."""
    message, templates = content.message, content.fields
    shown: list[str] = []
    is_timed = is_local = False
    for template in templates.values():
        shown += template.traits
        is_timed = is_timed or "now" in template.source
        is_local = is_local or template.is_local
    names: dict[str, Any] = {
        "profile": shown_traits(shown, profile, program, now),
        "event": event,
        "entry": event,
        "journey": variables,
        "customer": profile.customer,
        "message_id": message_id,
        "timezone": timezone,
        "workspace": program.name,
        "unsubscribe_url": UNSUBSCRIBE,
        "preferences_url": PREFERENCES,
    }
    if is_timed:
        names["now"] = format_instant(now)  # a twentieth of all it takes to render
    if is_local:
        reader = find_locale(profile, program) if content.reader is None else content.reader
        names["locale"] = writing_locale(reader, content.locale or program.defaults.locale)
        names[_CURRENCY] = _find_currency(event, program)
    rule = program.double_opt_in
    if rule is not None and rule.message == message.name:
        if not _is_pending(profile, content.channel, now):
            raise TemplateAbort("there is nothing to confirm on this channel any more")
        names[CONFIRM_NAME] = confirm_link(now + rule.expires_ms)
    rendered = {field: template.render(names) for field, template in templates.items()}
    channel = program.channels.get(content.channel)
    if channel is None:  # only a journey of an older workspace can name it
        return rendered
    if channel.limits is not NO_LIMITS:
        rendered = _fit(rendered, content, channel.limits)
    if message.type.tracking is not UNTRACKED or channel.tracking is not UNTRACKED:
        mark = find_tracking(profile, program, message.type, channel, now)
        return {**rendered, TRACKING: mark} if mark else rendered
    return rendered


def _fit(rendered: dict[str, str], content: Content, limits: Limits) -> dict[str, str]:
    """Make it fit its channel. Raises TemplateError where it can't."""
    if limits.medium is Medium.SMS:
        rendered = {field: plain_spaces(text) for field, text in rendered.items()}
    excess = find_excess(limits, rendered)
    if excess is not None:
        place = f"{content.rule}.{excess.field}" if excess.field else content.rule
        raise TemplateError(f"{place}: {excess.text}")
    return rendered


def _find_currency(event: Mapping[str, Any], program: Program) -> str:
    """Tell the currency of the event, else the workspace's."""
    said = event.get(_CURRENCY)
    return said.upper() if isinstance(said, str) and said else program.defaults.currency


def _is_pending(profile: Profile, channel: str, now: int) -> bool:
    """Say whether consent on a channel waits to be confirmed."""
    said_here = [said for said in profile.consents.values() if said.channel == channel]
    return any(
        said.status is ConsentStatus.PENDING and not has_ended(said, now) for said in said_here
    )
