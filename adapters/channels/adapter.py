"""What the registry must know of an adapter to make channels of it.

Each adapter's module has one `ADAPTER`; `adapters.channels.registry` lists them by name.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actors.ports import Channel
from adapters.channels.wire import Wire
from adapters.inbox import Inbox
from adapters.signing import Signer


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """There is nothing to set."""


class Workshop(msgspec.Struct, frozen=True):
    """What adapters are made with, besides their settings.

    `public_url` is where the gateway is reached from outside, or "".
    """

    inbox: Inbox
    signer: Signer | None
    wire: Wire
    public_url: str = ""


# From a channel's name, its settings (of the adapter's type) and the workshop.
Build = Callable[[str, Any, Workshop], Channel]


class Adapter(msgspec.Struct, frozen=True):
    """One adapter: the type of its settings, and how a channel is built from them.

    `defaults` are the environment variables a setting is taken from where the workspace does not
    say it; `secrets` are the settings that must come from the environment. `build` raises
    ProgramError, with paths within the settings, where their type could not tell what is wrong.
    """

    settings: type[msgspec.Struct]
    build: Build
    defaults: Mapping[str, str] = {}
    secrets: tuple[str, ...] = ()
