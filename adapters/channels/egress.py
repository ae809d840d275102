"""Where an outgoing request may go: public addresses only, whatever a name resolves to.

Used by channels that call an address somebody else chose. Without this, whoever may write a
webhook address can make this machine read its neighbours: metadata services, admin consoles,
databases.

Rules
- Names are resolved once per connection, and the addresses that were checked are the ones that
  are connected to, so a name can't change its mind in between.
- One address that is not public refuses the whole name: honest names don't mix.
- Literal addresses are checked by the same rule; unusual spellings of them (`0x7f.1`, `127.1`,
  `2130706433`) are refused as they are.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from socket import AF_UNSPEC, AddressFamily

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

_PORTS = (443, 8443)

# What `is_global` lets through on some Python versions, and what leads to a private address by
# translation: the address inside is the one that is reached.
_REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "168.63.129.16/32",  # the platform service of a large cloud; looks public and is not
    )
)
_REFUSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # NAT64, local use
        "100::/64",  # discard
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fec0::/10",  # site-local, deprecated and still routed in places
    )
)
# The last label of a name is never a number (RFC 1123), so such a host is a spelling of an address.
_NUMERIC_HOST = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|[0-9]+)\.?", re.IGNORECASE)


class EgressError(OSError):
    """An address that must not be called; the message says why."""


def check_url(url: str) -> URL:
    """Read an address somebody gave us and refuse what can't be right. Raises EgressError."""
    try:
        parsed = URL(url)
        host, port = parsed.raw_host, parsed.port
    except ValueError:
        raise EgressError("the address is not a URL") from None
    if parsed.scheme != "https":
        raise EgressError("the address must begin with https://")
    if not host or parsed.raw_user is not None or parsed.raw_password is not None:
        raise EgressError("the address must name a host, without user or password")
    if port not in _PORTS:
        raise EgressError(f"the port must be one of {', '.join(map(str, _PORTS))}")
    literal = _literal(host)
    if literal is not None:
        check_address(host)
    elif _NUMERIC_HOST.fullmatch(host):
        raise EgressError("the host is an unusual spelling of an address")
    return parsed


def check_address(text: str) -> None:
    """Refuse an address that is not on the public internet. Raises EgressError."""
    literal = _literal(text)
    if literal is None:
        raise EgressError("the name resolved to something that is no address")
    if not is_public(literal):
        raise EgressError("the address is not on the public internet")


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Say whether an address is reached over the public internet, and only there."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        refused = any(address in network for network in _REFUSED_V6) or address.scope_id is not None
    else:
        refused = any(address in network for network in _REFUSED_V4)
    return address.is_global and not address.is_multicast and not refused


class PublicResolver(AbstractResolver):
    """Resolves names and passes on only what may be connected to."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = ThreadedResolver() if inner is None else inner

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve a name; every address it has must be public. Raises EgressError."""
        results = await self._inner.resolve(host, port, family)
        for result in results:
            check_address(result["host"])
        return results

    async def close(self) -> None:
        """Close the resolver inside."""
        await self._inner.close()


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
