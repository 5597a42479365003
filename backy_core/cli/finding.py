"""Pools, drives and operations by what people call them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from backy_core.cli.exits import Exit
from backy_core.cli.screen import short
from backy_core.cli.session import Session
from backy_core.cli.stop import Stop
from backy_core.client import calls

if TYPE_CHECKING:
    from backy_core.client.replies import Drive, Finding, Importable, ListedPool, Operation

T = TypeVar("T")


def find_pool(session: Session, name: str) -> ListedPool:
    """By its label, or by the beginning of its identifier. Ended creations come last."""
    pools = session.send(calls.list_pools())
    if not any(_matches(name, pool["label"], pool["poolGroupGuid"]) for pool in pools):
        pools = [*session.send(calls.list_pools(state="failed")), *pools]
    return _the_only(
        "pool", name, pools, lambda pool: (pool["label"], pool["poolGroupGuid"]), "backy pools"
    )


def find_importable(session: Session, name: str) -> Importable:
    pools = session.send(calls.list_importable())
    return _the_only(
        "importable pool",
        name,
        pools,
        lambda pool: (pool["label"] or "", pool["poolGroupGuid"]),
        "backy pools import",
    )


def find_drive(session: Session, name: str) -> Drive:
    return _the_only(
        "drive",
        name,
        session.send(calls.list_drives())["blockdevices"],
        lambda drive: (drive["serial"] or "", drive["serial"] or ""),
        "backy drives",
    )


def find_operation(session: Session, name: str) -> Operation:
    operations = session.send(calls.list_operations())
    return _the_only(
        "operation",
        name,
        operations,
        lambda operation: (operation["id"], operation["id"]),
        "backy operations",
    )


def find_trouble(session: Session, name: str) -> Finding:
    """A finding of the doctor, by its subject or its check."""
    findings = session.send(calls.examine())["findings"]
    known = [one for one in findings if one["repairable"]]
    if not any(_matches(name, one["check"], one["subject"]) for one in known):
        known = findings
    return _the_only(
        "finding", name, known, lambda one: (one["check"], one["subject"]), "backy doctor"
    )


def member_serial(pool: ListedPool, name: str) -> str:
    """Of a member, which may be gone: by the beginning of its serial."""
    member = _the_only(
        f"drive of pool {pool['label']}",
        name,
        pool["drives"],
        lambda drive: (drive["serial"], drive["serial"]),
        f"backy pools show {short(pool['poolGroupGuid'])}",
    )
    return member["serial"]


def _matches(name: str, exact: str, long: str) -> bool:
    return exact == name or long.lower().startswith(name.lower())


def _the_only(
    noun: str, name: str, items: Iterable[T], names: Callable[[T], tuple[str, str]], listing: str
) -> T:
    """An exact name wins over a beginning."""
    everything = list(items)
    exact = [item for item in everything if name in names(item)]
    chosen = exact or [item for item in everything if name and _matches(name, *names(item))]
    if len(chosen) == 1:
        return chosen[0]
    if not chosen:
        raise Stop(f"There is no {noun} {name}", f"See them all: {listing}", status=Exit.NOT_FOUND)
    candidates = ", ".join(
        long if exact == long else f"{exact} ({short(long)})" for exact, long in map(names, chosen)
    )
    advice = "Use its identifier." if exact else "Write more of it."
    raise Stop(f"{name} may be any of: {candidates}", advice)
