"""The channel that only writes a line: for trying things out, and for channels not yet bought.

Every message becomes one structured log line. Who it went to is recognisable to someone who
knows, and to nobody else; what it said is written only where the workspace asks for that.
"""

import re

import msgspec
import structlog

from adapters.channels.adapter import Adapter
from engine.effects import Send

_PHONE = re.compile(r"\+?[\d\s().-]{7,20}")
_PHONE_START, _PHONE_END, _TOKEN_START = 3, 3, 4


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`show_content` writes what the message says; it is off where real people are written to."""

    show_content: bool = False


_SILENT = LogSettings()


class LogChannel:
    """Writes each message as a log line."""

    def __init__(self, name: str, settings: LogSettings = _SILENT) -> None:
        self._name = name
        self._settings = settings
        self._log = structlog.get_logger("nextbeat.channel")

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def deliver(self, send: Send) -> str:
        """Write the line. What was written once may be written again: a log has no ids."""
        line: dict[str, object] = {
            "channel": self._name,
            "message_id": send.message_id,
            "customer": mask_customer(send.customer),
            "to": mask_address(send.address),
            "message": send.message,
            "message_type": send.message_type,
            "journey": send.journey,
            "step": send.step,
        }
        if self._settings.show_content:
            line["content"] = dict(send.content)
        self._log.info("message sent", **line)
        return send.message_id


def mask_address(address: str) -> str:
    """Write an address so that its owner would know it: `a…@e….com`, `+27•••••567`, `fGx1…`."""
    local, at, domain = address.rpartition("@")
    if at:
        label, dot, rest = domain.partition(".")
        return f"{local[:1]}…@{label[:1]}…{dot}{rest.rpartition('.')[2]}"
    if _PHONE.fullmatch(address):
        digits = re.sub(r"[^\d+]", "", address)
        hidden = max(len(digits) - _PHONE_START - _PHONE_END, 1)
        return f"{digits[:_PHONE_START]}{'•' * hidden}{digits[-_PHONE_END:]}"
    return f"{address[:_TOKEN_START]}…" if len(address) > 2 * _TOKEN_START else "…"


def mask_customer(customer: str) -> str:
    """Write a customer's id as it is, unless it is an address, as it is in many shops."""
    is_address = "@" in customer or _PHONE.fullmatch(customer) is not None
    return mask_address(customer) if is_address else customer


ADAPTER = Adapter(LogSettings, lambda name, settings, _workshop: LogChannel(name, settings))
