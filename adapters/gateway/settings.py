"""What the gateway is told at start: where to listen, which keys open it, how long it waits.

Built once by `adapters.app` from the command line and the environment, read by every module here.
Keys are kept as SHA-256 only, so a dump of the process's memory holds none in the clear.
"""

from collections.abc import Mapping
from ipaddress import ip_address

import msgspec

from adapters.gateway.grants import Grant, hash_key, read_grants
from engine.errors import NextbeatError

_WRITE_KEYS = "NEXTBEAT_WRITE_KEYS"
_ADMIN_KEYS = "NEXTBEAT_ADMIN_KEYS"


class SettingsError(NextbeatError):
    """The gateway can't start as it was told to; the message says what to change."""


class Deadlines(msgspec.Struct, frozen=True):
    """How long a peer may take, in seconds. Tests pass shorter ones."""

    headers_s: float = 10.0  # from the connection to the end of the first request's headers
    body_s: float = 30.0  # to send a whole body
    idle_s: float = 20.0  # between two requests, the headers of the second included
    linger_s: float = 2.0  # to send the rest of what is refused, so that the answer arrives
    drain_s: float = 2.5  # for requests in progress when the server stops


class GatewaySettings(msgspec.Struct, frozen=True):
    """Everything the gateway must know before it listens. No keys means: anybody on this machine.

    `connections_max` 0 takes what the limit of open files allows.
    """

    host: str = "127.0.0.1"
    port: int = 0  # 0: any free one, told by the started server
    write_keys: frozenset[bytes] = frozenset()
    admin_keys: frozenset[bytes] = frozenset()
    deadlines: Deadlines = Deadlines()
    connections_max: int = 0
    grants: Mapping[bytes, Grant] = {}  # of admin keys; one that is not in it allows everything

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], *, host: str = "127.0.0.1", port: int = 0
    ) -> "GatewaySettings":
        """Read the keys (comma separated) and refuse to listen beyond this machine without any."""
        if environment.get("AIOHTTP_NO_EXTENSIONS"):
            message = (
                "AIOHTTP_NO_EXTENSIONS is set, which replaces the HTTP parser by one that takes "
                "requests apart differently than proxies do: unset it"
            )
            raise SettingsError(message)
        write_keys = hash_keys(environment.get(_WRITE_KEYS, ""))
        grants = read_grants(environment.get(_ADMIN_KEYS, ""))
        settings = cls(
            host=host,
            port=port,
            write_keys=write_keys,
            admin_keys=frozenset(grants),
            grants=grants,
        )
        settings.check()
        return settings

    def check(self) -> None:
        """Raise SettingsError where others could reach the gateway and nothing keeps them out."""
        if is_loopback(self.host):
            return
        for name, keys in ((_WRITE_KEYS, self.write_keys), (_ADMIN_KEYS, self.admin_keys)):
            if not keys:
                message = (
                    f"{name} is not set, and {self.host!r} can be reached from other machines: "
                    f"set {name} to one or more keys, separated by commas, or listen on 127.0.0.1"
                )
                raise SettingsError(message)


def hash_keys(text: str) -> frozenset[bytes]:
    """Hash the keys of a comma separated list; empty ones are not keys."""
    return frozenset(hash_key(key) for part in text.split(",") if (key := part.strip()))


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
