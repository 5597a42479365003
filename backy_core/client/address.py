"""The address of an agent."""

from __future__ import annotations

from typing import NamedTuple

ROOT_SOCKET = "/run/backy/backy.sock"
PORT = 5151


class Address(NamedTuple):
    """A Unix socket by its ``path``, or a host."""

    host: str
    port: int = PORT
    path: str = ""
    tls: bool = False

    @property
    def authority(self) -> str:
        """As the header ``Host`` has it."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.path else f"{name}:{self.port}"

    def __str__(self) -> str:
        return self.path or f"http{'s' * self.tls}://{self.authority}"


def at_socket(path: str) -> Address:
    """The agent that listens on a Unix socket."""
    return Address("localhost", path=path)


def parse(text: str) -> Address:
    """From ``unix:PATH``, ``http://HOST[:PORT]`` or ``https://HOST[:PORT]``.

    Without a port it is the agent's own, and for https that of a TLS proxy. Raises ValueError.
    """
    if text.startswith("unix:/"):
        return at_socket(text.removeprefix("unix:"))
    from urllib.parse import urlsplit

    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{text!r} is no address: write http://HOST:PORT or unix:/PATH")
    if url.path.strip("/") or url.query or url.username:
        raise ValueError(f"{text!r} must end after the host and its port")
    tls = url.scheme == "https"
    return Address(url.hostname, url.port or (443 if tls else PORT), tls=tls)
