"""Names on a pool's drives that identify the pool, and the identity of its layers."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID, uuid5

PREFIX = "backy-"


def pool_name(guid: str) -> str:
    """The name that stamps the pool's GUID on its members, in a format with room for all of it."""
    return PREFIX + guid.lower()


def guid_of(name: str) -> str | None:
    """The GUID in a name of :func:`pool_name`; None for any other name."""
    text = name.removeprefix(PREFIX)
    try:
        return text if text != name and str(UUID(text)) == text else None
    except ValueError:
        return None


def derived_id(letters: str, length: int, *identity: str) -> str:
    """An id in the ``letters`` of a format that has no room for the GUID.

    ``identity``: texts that begin with the GUID. The same texts always give the same id, which is
    therefore known before a drive is touched.
    """
    number = int.from_bytes(sha256("\n".join(identity).encode()).digest(), "big")
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(letters))
        digits.append(letters[digit])
    return "".join(digits)


def layer_identity(guid: str, number: int, kind: str) -> str:
    """The UUID of the pool's ``number``-th layer."""
    return str(uuid5(UUID(guid), f"layer {number} {kind}"))
