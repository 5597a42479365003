"""Addresses of the guest's interfaces (ioctls of <linux/sockios.h>, no program started)."""

import fcntl
import socket
import struct

_SIFADDR, _SIFNETMASK, _GIFFLAGS, _SIFFLAGS, _UP = 0x8916, 0x891C, 0x8913, 0x8914, 1


def up(name: str, address: str = "") -> None:
    """Bring an interface up, with an address of a /24 network if one is given."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if address:
            fcntl.ioctl(sock, _SIFADDR, _request(name, address))
            fcntl.ioctl(sock, _SIFNETMASK, _request(name, "255.255.255.0"))
        answer = fcntl.ioctl(sock, _GIFFLAGS, struct.pack("16sH14x", name.encode(), 0))
        flags = struct.unpack("16sH14x", answer)[1]
        fcntl.ioctl(sock, _SIFFLAGS, struct.pack("16sH14x", name.encode(), flags | _UP))


def _request(name: str, address: str) -> bytes:
    """struct ifreq with a sockaddr_in."""
    family = struct.pack("=H2x4s8x", socket.AF_INET, socket.inet_aton(address))
    return struct.pack("16s16s", name.encode(), family)
