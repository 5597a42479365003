"""Files that killed tools leave behind and that block their arrays for ever after."""

from __future__ import annotations

from pathlib import Path

from backy_core.system.absence import suppress_gone
from backy_core.system.sysfs import names_in

_MDADM_CREATING = Path("/run/mdadm")


def find_stale(directory: Path = _MDADM_CREATING, proc: Path = Path("/proc")) -> tuple[Path, ...]:
    """The ``creating-*`` files that no mdadm needs, because none runs.

    mdadm makes them so that udev leaves a half-made array alone (01-md-raid-creating.rules);
    a killed mdadm never removes its file, and udev then ignores that array for ever.
    """
    names = (name for name in names_in(directory) if name.startswith("creating-"))
    stale = tuple(directory / name for name in names)
    processes = [proc / name for name in names_in(proc) if name.isdecimal()]
    if not stale or any(_name(process) == "mdadm" for process in processes):
        return ()
    return stale


def remove_stale(
    only: Path | None = None,
    directory: Path = _MDADM_CREATING,
    proc: Path = Path("/proc"),
) -> tuple[Path, ...]:
    """Remove them, or one of them; returns what was removed."""
    stale = tuple(path for path in find_stale(directory, proc) if only in (None, path))
    for path in stale:
        path.unlink(missing_ok=True)
    return stale


def _name(entry: Path) -> str:
    with suppress_gone(entry):
        return (entry / "comm").read_text().strip()
    return ""
