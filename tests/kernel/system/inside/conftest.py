"""Every test inside the guest finds four blank drives and leaves them so."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from backy_core.system.blocks import BlockDevice
from tests.kernel.system.inside.guest import MOUNT, drives, settle, sh, stop_arrays


@pytest.fixture(autouse=True)
def blank_drives() -> Iterator[None]:
    yield
    subprocess.run(["umount", MOUNT], capture_output=True, check=False)
    stop_arrays()
    nodes = [node for drive in drives() for node in parts_of(drive)]
    rows = json.loads(sh(f"wipefs -nJ {' '.join(nodes)}"))["signatures"]
    dirty = {f"/dev/{row['device']}" for row in rows}
    for node in sorted(dirty, reverse=True):
        sh(f"wipefs -aqf {node}")
    settle()


def parts_of(drive: BlockDevice) -> list[str]:
    return [drive.path, *(child.path for child in drive.children if child.type == "part")]
