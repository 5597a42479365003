"""Arrays that the kernel has assembled, by mdstat and sysfs, without a process."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from backy_core.sdk.models import Probe
from backy_core.sdk.scope import Scope
from backy_mdadm import parse
from backy_mdadm.parse import KernelArray


async def kernel_arrays(probe: Probe, only: Scope | None = None) -> tuple[KernelArray, ...]:
    """Every array that the kernel has assembled; ``only``: those on one of its devices."""
    arrays = [
        await _kernel_array(probe, listed)
        for listed in await _listed(probe)
        if only is None or only.concerns(listed.name, *listed.members)
    ]
    if all(array.state for array in arrays):
        return tuple(arrays)
    # One whose state is unreadable was stopped between the two reads, or is in doubt.
    still = {listed.name for listed in await _listed(probe)}
    return tuple(array for array in arrays if array.state or array.name in still)


async def _listed(probe: Probe) -> tuple[parse.Listed, ...]:
    """All that mdstat lists. It answers nobody while md waits to write the bitmap of an array
    whose drive does not answer (Linux 6.1.176, 6.12); sysfs does, and lacks the progress alone."""
    try:
        (mdstat,) = await probe.read("/proc/mdstat")
    except TimeoutError:
        names = [name for name in await probe.listdir("/sys/block") if name.startswith("md")]
        listed = [parse.parse_listing(n, await probe.listdir(f"/sys/block/{n}/md")) for n in names]
        return tuple(array for array in listed if array.members)
    return parse.parse_mdstat(mdstat or "")


async def _kernel_array(probe: Probe, listed: parse.Listed) -> KernelArray:
    base = f"/sys/block/{listed.name}"
    own = [f"dev-{member}/{file}" for member in listed.members for file in parse.MEMBER_FILES]
    names = (*parse.ARRAY_FILES, *own)
    paths = (*(f"{base}/md/{name}" for name in names), f"{base}/{parse.SECTOR_FILE}")
    files = dict(zip((*names, parse.SECTOR_FILE), await probe.read(*paths), strict=True))
    members = tuple(
        parse.parse_member(member, *(files[f"dev-{member}/{file}"] for file in parse.MEMBER_FILES))
        for member in listed.members
    )
    return parse.parse_array(listed, files, members)


def stop_command(names: Sequence[str]) -> str:
    """The command that stops these arrays, in this order."""
    return shlex.join(["mdadm", "--stop", *(f"/dev/{name}" for name in names)])
