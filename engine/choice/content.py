"""What a message says: its templates for a channel, rendered for a customer.

Called by `proposals` when everything else says yes, so that what leaves is what was decided.
"""

from collections.abc import Mapping
from typing import Any

from engine.consents import has_ended
from engine.events import ConsentStatus
from engine.gates.reach import DEFAULT_CONTENT
from engine.instants import format_instant
from engine.links import PREFERENCES, UNSUBSCRIBE, confirm_link
from engine.profile import Profile
from engine.program.program import Message, Program
from engine.program.templates import CONFIRM_NAME, TemplateAbort
from engine.program.view import shown_traits

_NOTHING: Mapping[str, Any] = {}


def render(  # noqa: PLR0913 - each is a name that templates can use
    profile: Profile,
    program: Program,
    message: Message,
    channel: str,
    *,
    event: Mapping[str, Any],
    variables: Mapping[str, Any] = _NOTHING,
    message_id: str,
    timezone: str,
    now: int,
) -> dict[str, str]:
    """Render every field of the content for a channel. Raises TemplateError or TemplateAbort."""
    templates = message.content.get(channel) or message.content[DEFAULT_CONTENT]
    shown = [name for template in templates.values() for name in template.traits]
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
    if any("now" in template.source for template in templates.values()):
        names["now"] = format_instant(now)  # a twentieth of all it takes to render
    rule = program.double_opt_in
    if rule is not None and rule.message == message.name:
        if not _is_pending(profile, channel, now):
            raise TemplateAbort("there is nothing to confirm on this channel any more")
        names[CONFIRM_NAME] = confirm_link(now + rule.expires_ms)
    return {field: template.render(names) for field, template in templates.items()}


def _is_pending(profile: Profile, channel: str, now: int) -> bool:
    """Say whether consent on a channel waits to be confirmed."""
    said_here = [said for said in profile.consents.values() if said.channel == channel]
    return any(
        said.status is ConsentStatus.PENDING and not has_ended(said, now) for said in said_here
    )
