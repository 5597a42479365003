"""Validation of requests, without reading the machine."""

from __future__ import annotations

from pathlib import Path

import backy_zfs.hooks
import pytest

from backy_core.config.settings import Settings
from backy_core.plugins.loading import load_backends
from backy_core.pools.admission.requests import complete
from backy_core.pools.views import CreateRequest
from backy_core.sdk.errors import InvalidRequest


def asked(level: str, *serials: str) -> None:
    host = load_backends((), (("zfs", backy_zfs.hooks),), installed_listeners=())
    path = "/mnt/backy/shelf"
    complete(CreateRequest("shelf", serials, path, backend="zfs", level=level), host, Settings())


def test_a_request_that_names_no_backend_gets_the_default() -> None:
    host = load_backends((), (("zfs", backy_zfs.hooks),), installed_listeners=())
    request = CreateRequest("shelf", ("A", "B"), "/mnt/backy/shelf")
    assert complete(request, host, Settings(default_backend="zfs")).backend == "zfs"
    with pytest.raises(InvalidRequest, match="no backend mdadm"):
        complete(request, host, Settings())


@pytest.mark.parametrize("guid", [None, "3fa85f64-5717-4562-b3fc-2c963f66afa6"])
def test_a_request_that_names_no_path_gets_the_one_of_its_guid(guid: str | None) -> None:
    host = load_backends((), (("zfs", backy_zfs.hooks),), installed_listeners=())
    settings = Settings(default_backend="zfs", mount_root=Path("/srv/pools"))
    creation = complete(CreateRequest("shelf", ("A", "B"), guid=guid), host, settings)
    assert creation.mount_path == f"/srv/pools/{creation.guid}"
    assert creation.guid == (guid or creation.guid)


def test_a_level_takes_the_drives_it_says() -> None:
    asked("single", "A")
    asked("mirror", "A", "B", "C", "D")
    with pytest.raises(InvalidRequest, match="mirror needs at least 2 drives, 1 given"):
        asked("mirror", "A")
    with pytest.raises(InvalidRequest, match="single takes at most 1 drive, 2 given") as refused:
        asked("single", "A", "B")
    assert "another level" in str(refused.value.hint)
