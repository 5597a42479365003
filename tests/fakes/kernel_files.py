"""The output of kernel and mdadm about arrays, in the form that the mdadm backend reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.model import Array, Member, Superblock

if TYPE_CHECKING:
    from tests.fakes.machine import FakeMachine

COMPONENT = 1 << 30
"""Bytes of each member that an array uses, after its first MiB."""

_RECOVERY = "      [=====>......]  recovery = 25.0% (1000/4000) finish=3.0min speed=1000K/sec"


def text_of(machine: FakeMachine, path: str) -> str | None:
    """A file below /proc or /sys; None if it is not there."""
    if path == "/proc/mdstat":
        return _mdstat(machine)
    parts = path.split("/")
    if path.startswith("/sys/block/") and path.endswith("/dm/uuid"):
        mapping = machine.mappings.get(parts[3])
        return mapping.uuid if mapping else None
    if path.endswith("/queue/logical_block_size") and parts[3] in machine.arrays:
        members = machine.arrays[parts[3]].members
        return str(max((member.disk.sector for member in members), default=512))
    if path.startswith("/sys/block/") and len(parts) > 5 and parts[4] == "md":
        array = machine.arrays.get(parts[3])
        if parts[5:] == ["logical_block_size"]:
            return machine.block_size if array else None
        return _array_file(array, parts[5:]) if array else None
    return None


def _mdstat(machine: FakeMachine) -> str:
    lines = ["Personalities : [raid1]"]
    for array in machine.arrays.values():
        words = ["active", array.level] if array.running else ["inactive"]
        members = [
            f"{m.disk.name}[{number}]{'(F)' if m.state == 'faulty' else ''}"
            for number, m in enumerate(array.members)
        ]
        lines.append(f"{array.name} : {' '.join((*words, *members))}")
        if _rebuilding(array):
            lines.append(_RECOVERY)
    return "\n".join((*lines, "unused devices: <none>", ""))


def _array_file(array: Array, names: list[str]) -> str | None:
    if names[0].startswith("dev-"):
        member = next((m for m in array.members if f"dev-{m.disk.name}" == names[0]), None)
        return _member_file(member, "/".join(names[1:])) if member else None
    rebuilding = _rebuilding(array)
    running = {
        "uuid": array.uuid,
        "level": array.level,
        "layout": "0",
        "raid_disks": str(array.slots),
        "metadata_version": "1.2",
        "array_state": array.state,
        "resync_start": "none",
        "sync_action": "recover" if rebuilding else "idle",
        "component_size": str(COMPONENT >> 10),
    }
    inactive = {
        "uuid": "00000000-0000-0000-0000-000000000000",
        "array_state": "inactive",
        "raid_disks": "0",
        "metadata_version": "1.2",
    }
    return (running if array.running else inactive).get(names[0])


def _rebuilding(array: Array) -> bool:
    return any(m.slot is not None and m.state == "spare" for m in array.members)


def _member_file(member: Member, name: str) -> str | None:
    slot = "none" if member.slot is None else str(member.slot)
    return {"slot": slot, "state": member.state, "block/size": "16777216", "offset": "2048"}.get(
        name
    )


def examine(node: str, block: Superblock) -> str:
    role = "spare" if block.role is None else f"Active device {block.role}"
    return f"""{node}:
          Magic : a92b4efc
        Version : 1.2
     Array UUID : {_colons(block.uuid)}
           Name : any:{block.name}
     Raid Level : {block.level}
   Raid Devices : {block.slots}
    Update Time : Mon Nov 23 14:00:00 2026
         Events : {block.events}
    Device Role : {role}
    Array State : {block.view} ('A' == active, '.' == missing, 'R' == replacing)
"""


def _colons(uuid: str) -> str:
    digits = uuid.replace("-", "")
    return ":".join(digits[at : at + 8] for at in range(0, 32, 8))
