"""Whether drives fit a pool: their size and their logical sectors, before anything is changed.

What a member must be like the backend says (``PoolReport.member_size``, ``BackendInfo.sectors``);
that a pool's device takes on the largest sector of its members is a matter of its filesystem,
which is the core's.
"""

from __future__ import annotations

from collections.abc import Sequence

from backy_core.machine.inventory import Drive
from backy_core.pools.core import Core
from backy_core.sdk.errors import Conflict, InvalidRequest, SystemFailure
from backy_core.sdk.models import PoolReport
from backy_core.store.metadata import PoolEntry
from backy_core.system.machine import Signatures


async def refuse_unfit(core: Core, entry: PoolEntry, report: PoolReport, drive: Drive) -> None:
    """Raise :class:`Conflict` with both numbers if the drive cannot become a member."""
    pool = entry.title
    least = report.member_size
    if least is not None and drive.id.size < least:
        raise Conflict(
            f"Drive {drive.id} is too small for pool {pool}: it has {drive.id.size} bytes, and a "
            f"member needs {least}",
            hint="Choose a larger drive",
        )
    sector, pool_sector = drive.device.logical_sector, report.sector_size
    rule = core.host.backends[entry.backend].info.sectors
    if pool_sector is None or sector == pool_sector or (rule != "equal" and sector < pool_sector):
        return
    because = f"pool {pool} has sectors of {pool_sector}"
    if rule == "raised":
        block = await _block_size(core.machine.signatures, report)
        if block is not None and block % sector == 0:
            return
        because = f"the filesystem of pool {pool} was made for blocks of {block or pool_sector}"
    raise Conflict(
        f"Drive {drive.id} does not fit: it has sectors of {sector} bytes, and {because}",
        hint=f"Choose a drive with sectors of {pool_sector} bytes",
    )


def refuse_mixed_sectors(core: Core, backend: str, drives: Sequence[Drive]) -> None:
    """Raise :class:`InvalidRequest` if a new pool of these drives would mix sector sizes."""
    if core.host.backends[backend].info.sectors != "equal":
        return
    sizes = {drive.device.logical_sector: drive.id for drive in drives}
    if len(sizes) > 1:
        named = ", ".join(f"{drive} has {size} bytes" for size, drive in sorted(sizes.items()))
        raise InvalidRequest(
            f"Backend {backend} cannot mix drives of different sector sizes: {named}",
            hint="Choose drives with equal sectors",
        )


async def _block_size(signatures: Signatures, report: PoolReport) -> int | None:
    """The least a filesystem on the pool's device reads or writes; None if it cannot be told."""
    if report.device is None:
        return None
    try:
        probed = await signatures.probe([f"/dev/{report.device}"])
    except SystemFailure:
        return None
    sizes = [signature.block_size for signature in probed[report.device]]
    return sizes[0] if len(sizes) == 1 else None
