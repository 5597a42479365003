"""A pool's life, and the agent killed at every moment of it, with two layers over the device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from backy_mdadm import hooks

from backy_core.testing import KernelContract
from backy_core.testing.crashes import CrashContract
from backy_core.testing.site import Site
from backy_core.testing.tap import QUICK
from tests import linear_layer


class TestLayers(CrashContract):
    """Between each two steps, the core's own included."""

    backend = hooks
    redundant = ("raid1", 2)
    layers = ((linear_layer.KIND, linear_layer),)
    stack = (linear_layer.request(0), linear_layer.request(1))

    test_a_pools_life = (
        KernelContract.test_a_pools_life_planned_dry_then_run_with_every_call_repeated
    )

    @pytest.fixture(autouse=True)
    def nothing_mapped(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.setenv(QUICK, "0")
        yield
        uuids = [path.read_text().strip() for path in Path("/sys/block").glob("dm-*/dm/uuid")]
        assert not uuids, f"device-mapper devices are left: {uuids}"
