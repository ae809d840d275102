"""What a message says: its templates for a channel, rendered for a customer.

Called by `proposals` when everything else says yes, so that what leaves is what was decided.
"""

from collections.abc import Mapping
from typing import Any

from engine.gates.reach import DEFAULT_CONTENT
from engine.instants import format_instant
from engine.profile import Profile
from engine.program.program import Message, Program, Template
from engine.program.view import worked_out


def render(  # noqa: PLR0913 - each is a name that templates can use
    profile: Profile,
    program: Program,
    message: Message,
    channel: str,
    *,
    event: Mapping[str, Any],
    message_id: str,
    timezone: str,
    now: int,
) -> dict[str, str]:
    """Render every field of the content for a channel. Raises TemplateError or TemplateAbort."""
    templates = message.content.get(channel) or message.content[DEFAULT_CONTENT]
    names: dict[str, Any] = {
        "profile": _traits(profile, program, templates, now),
        "event": event,
        "customer": profile.customer,
        "message_id": message_id,
        "timezone": timezone,
        "workspace": program.name,
        "now": format_instant(now),
    }
    return {field: template.render(names) for field, template in templates.items()}


def _traits(
    profile: Profile, program: Program, templates: Mapping[str, Template], now: int
) -> Mapping[str, Any]:
    """Give what is stated, and what the templates show that has to be worked out."""
    names = [name for template in templates.values() for name in template.traits]
    return (
        {**profile.traits, **worked_out(names, profile, program, now)} if names else profile.traits
    )
