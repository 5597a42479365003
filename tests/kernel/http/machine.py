"""The machine's state, read by other tools than the agent's, in one call."""

import json
from dataclasses import dataclass, field
from typing import Any

from ..lab.agent import AgentGuest
from ..qemu.guest import QemuGuest

AnyGuest = AgentGuest | QemuGuest

METADATA_FILE = "/var/lib/backy/pool-metadata.json"
JOURNAL = "/var/lib/backy/journal"
_MARK = "=== "
_SCRIPT = f"""
section() {{ printf '\\n{_MARK}%s\\n' "$1"; }}
nodes=$(echo /dev/sd[a-z]* /dev/ubd[a-z]* /dev/vd[a-z]*)
nodes=$(for each in $nodes; do [ -b "$each" ] && echo "$each"; done)
section tree; lsblk --json --paths --output NAME,SERIAL,TYPE $nodes
section wipefs; [ -z "$nodes" ] || wipefs --no-act --noheadings --output DEVICE,TYPE $nodes
section blkid; [ -z "$nodes" ] || blkid -p $nodes
section holders; echo /sys/class/block/*/holders/*
section metadata; cat {METADATA_FILE} 2>/dev/null
section journal; ls {JOURNAL} 2>/dev/null
section mounts; cat /proc/self/mounts
"""


@dataclass(frozen=True)
class Look:
    """`drives`: by serial, what two independent probes find on a drive and its partitions and what
    holds it; empty when it is blank and free. `metadata`: the file's pools by GUID."""

    drives: dict[str, list[str]] = field(default_factory=dict)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    journal: tuple[str, ...] = ()
    mounted: tuple[str, ...] = ()


def look(guest: AnyGuest) -> Look:
    """Look now."""
    sections = _sections(guest.exec(_SCRIPT).out)
    pools = json.loads(sections["metadata"] or "{}").get("pools", [])
    return Look(
        _drives(sections),
        {pool["poolGroupGuid"]: pool for pool in pools},
        tuple(sections["journal"].split()),
        tuple(line.split()[1] for line in sections["mounts"].splitlines()),
    )


def _sections(text: str) -> dict[str, str]:
    parts = (part.partition("\n") for part in text.split(f"\n{_MARK}")[1:])
    return {name: content.strip() for name, _, content in parts}


def _drives(sections: dict[str, str]) -> dict[str, list[str]]:
    trees = json.loads(sections["tree"] or '{"blockdevices": []}')["blockdevices"]
    found: dict[str, list[str]] = {}
    for tree in trees:
        if tree["type"] == "disk":
            parts = [each["name"] for each in tree.get("children", []) if each["type"] == "part"]
            found[tree["serial"]] = _findings(sections, [tree["name"], *parts])
            found[tree["serial"]] += [f"partition {each}" for each in parts]
    return found


def _findings(sections: dict[str, str], nodes: list[str]) -> list[str]:
    names = [node.rpartition("/")[2] for node in nodes]
    wiped = (line.split() for line in sections["wipefs"].splitlines())
    probed = (line.partition(": ") for line in sections["blkid"].splitlines())
    held = (path.split("/") for path in sections["holders"].split() if not path.endswith("*"))
    return [
        *(words[1] for words in wiped if words[0].rpartition("/")[2] in names),
        *(f"blkid {values}" for node, _, values in probed if node in nodes),
        *(f"held by {parts[6]}" for parts in held if parts[4] in names),
    ]
