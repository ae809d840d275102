"""What a customer wants, as an app of the team's own writes it."""

from typing import Literal

import msgspec


class PreferencesRequest(msgspec.Struct, frozen=True):
    """What a customer wants. Only what is named changes; null takes a wish back."""

    do_not_disturb: bool | str | int | None = None
    quiet_hours: str | list[str] | dict[str, str | list[str]] | None = None
    frequency_caps: str | list[str] | dict[str, str | list[str]] | None = None
    channel_preferences: dict[str, str] | None = None
    preferred_channel: str | None = None
    timezone: str | None = None
    locale: str | None = None
    types: dict[str, Literal["granted", "denied"]] | None = None
    message_id: str | None = msgspec.field(default=None, name="messageId")
