"""What kind of medium a channel is, whatever its name and its provider: by its adapter's nature.

Used by `sizes` and wherever texts are judged by how they travel.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol


class Medium(StrEnum):
    """How a message travels."""

    EMAIL = "email"
    SMS = "sms"
    WHATSAPP = "whatsapp"
    RCS = "rcs"
    VOICE = "voice"
    PUSH = "push"
    IN_APP = "in_app"
    OTHER = "other"


class HasAdapter(Protocol):
    """A channel, as written or compiled."""

    @property
    def adapter(self) -> str:
        """What carries its messages."""
        ...

    @property
    def settings(self) -> Mapping[str, object]:
        """What the adapter was told."""
        ...


_BY_ADAPTER = {
    "smtp": Medium.EMAIL,
    "messagebird": Medium.SMS,
    "africastalking": Medium.SMS,
    "whatsapp_cloud": Medium.WHATSAPP,
    "fcm": Medium.PUSH,
    "apns": Medium.PUSH,
    "webpush": Medium.PUSH,
    "inbox": Medium.IN_APP,
}
_SEVERAL = ("twilio", "vonage", "log", "webhook")  # these carry what they are told to, by `kind`
_BY_NAME = {medium.value: medium for medium in Medium}


def find_medium(name: str, channel: HasAdapter) -> Medium:
    """Tell the medium of a channel: by its adapter, else by its `kind` or its name."""
    known = _BY_ADAPTER.get(channel.adapter)
    if known is not None:
        return known
    if channel.adapter not in _SEVERAL:
        return Medium.OTHER
    kind = channel.settings.get("kind", name)
    return _BY_NAME.get(kind, Medium.OTHER) if isinstance(kind, str) else Medium.OTHER
