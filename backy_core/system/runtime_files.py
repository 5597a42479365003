"""Files that killed tools leave behind and that block their arrays for ever after."""

from __future__ import annotations

from pathlib import Path

_MDADM_CREATING = Path("/run/mdadm")


def remove_stale(directory: Path = _MDADM_CREATING, proc: Path = Path("/proc")) -> tuple[Path, ...]:
    """Remove ``creating-*`` files while no mdadm runs; returns what was removed.

    mdadm makes them so that udev leaves a half-made array alone (01-md-raid-creating.rules);
    a killed mdadm never removes its file, and udev then ignores that array for ever.
    """
    stale = tuple(directory.glob("creating-*"))
    if not stale or any(_name(entry) == "mdadm" for entry in proc.glob("[0-9]*")):
        return ()
    for path in stale:
        path.unlink(missing_ok=True)
    return stale


def _name(entry: Path) -> str:
    try:
        return (entry / "comm").read_text().strip()
    except OSError:
        return ""
