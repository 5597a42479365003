"""The address of a request: its target and its host name.

A web page can make a browser send requests to any address, by making the page's own name resolve
to it. Those requests still carry the page's name, so the agent answers only to its own names.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable

from backy_core.api.errors import MisdirectedRequest, UriTooLong
from backy_core.api.server.limits import MAX_TARGET_BYTES
from backy_core.sdk.errors import InvalidRequest

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{0,5})?", re.IGNORECASE)
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_SHOWN = 100


def origin_form(target: bytes) -> tuple[bytes, str | None]:
    """Path with query, and the authority if the target names one, as requests to proxies do."""
    if len(target) > MAX_TARGET_BYTES:
        raise UriTooLong(f"The request's path and query are longer than {MAX_TARGET_BYTES} bytes")
    if target.startswith(b"/"):
        return target, None
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        raise InvalidRequest("The request's target must be a path")
    rest = absolute[2]
    return rest if rest.startswith(b"/") else b"/" + rest, absolute[1].decode("latin-1")


class Hosts:
    """The names under which the agent answers."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        """``allowed`` are names beside loopback, this machine's name and the bound address."""
        own = {"localhost", socket.gethostname().lower()}
        self._names = own | {_plain(name) for name in allowed}

    def check(self, authority: str, local: str | None) -> None:
        """``local`` is the address the client connected to. Raises for any other host."""
        parsed = _AUTHORITY.fullmatch(authority)
        if parsed is None:
            raise InvalidRequest("The header Host is malformed")
        name = _plain(parsed[1])
        if name in self._names or name.endswith(".localhost") or _is_own_address(name, local):
            return
        raise MisdirectedRequest(
            f"This agent does not answer to the name {name[:_SHOWN]}",
            hint="Use its address, or add the name to the setting allowed_hosts",
        )


def _plain(name: str) -> str:
    return name.lower().strip("[]").rstrip(".")


def _is_own_address(name: str, local: str | None) -> bool:
    address = _address(name)
    return address is not None and (address.is_loopback or address == _address(local or ""))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Without its interface, and IPv4 as such where a socket for both has it inside IPv6."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
