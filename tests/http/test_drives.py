"""Drives as the app reads them."""

from __future__ import annotations

import pytest

from backy_core.api.wording import request_of
from backy_core.sdk.advice import Hint, Verb
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
from tests.http.fake_drives import available_drive
from tests.http.fake_pools import GUID

SERIAL = "0x5000c500a1b2c3d4"
DRIVES = "/api/v1/drives"
LSBLK = {
    "name",
    "size",
    "type",
    "mountpoint",
    "uuid",
    "serial",
    "vendor",
    "model",
    "fstype",
    "path",
    "id-link",
    "children",
}


@pytest.mark.parametrize("path", [DRIVES, DRIVES + "/"])
async def test_drives_in_the_shape_of_lsblk(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert set(answer.json) == {"blockdevices"}
    [drive] = answer.json["blockdevices"]
    more = {"available", "unavailableBecause", "unavailableCode", "poolGroupGuid"}
    more |= {"protected", "identifiedBy", "sectorSize"}
    assert set(drive) == LSBLK | more
    assert drive["serial"] == SERIAL
    assert drive["id-link"] == "wwn-0x5000c500a1b2c3d4"
    assert drive["path"] == "/dev/sda"
    assert drive["identifiedBy"] == "wwn"
    assert (drive["available"], drive["poolGroupGuid"]) == (False, GUID)
    assert drive["unavailableBecause"] == "It is a member of pool backup-1"
    [array] = drive["children"]
    assert set(array) == LSBLK
    assert (array["name"], array["mountpoint"], array["children"]) == ("md127", "/mnt/x", [])


async def test_drive_status(client: Client) -> None:
    answer = await client.get(f"{DRIVES}/{SERIAL}/status")
    assert answer.json == {
        "status": "in_pool",
        "state": "in_pool",
        "inPool": True,
        "poolGroupGuid": GUID,
        "poolId": "md127",
        "mdDeviceName": "md127",
        "mountPoint": "/mnt/x",
        "processes": [
            {
                "pid": 4242,
                "command": "tail -f /mnt/x/log",
                "user": "root",
                "path": "/mnt/x/log",
                "name": "tail",
            }
        ],
    }


async def test_refresh(client: Client, agent: FakeAgent) -> None:
    answer = await client.post(f"{DRIVES}/refresh")
    assert answer.status == 200
    assert set(answer.json) == {"success", "message"}
    assert agent.drives_service.refreshes == 1


async def test_protection(client: Client, agent: FakeAgent) -> None:
    answer = await client.put(f"{DRIVES}/{SERIAL}/protection")
    assert answer.json == {"success": True, "serial": SERIAL, "protected": True}
    answer = await client.get(f"{DRIVES}/{SERIAL}/status")
    assert (answer.json["status"], answer.json["inPool"]) == ("protected", False)
    answer = await client.delete(f"{DRIVES}/{SERIAL}/protection/")
    assert answer.json == {"success": True, "serial": SERIAL, "protected": False}
    assert agent.drives_service.protected == set()


async def test_unknown_drives(client: Client) -> None:
    for method, suffix in (("GET", "status"), ("PUT", "protection"), ("DELETE", "protection")):
        answer = await client(method, f"{DRIVES}/nope/{suffix}")
        assert (answer.status, answer.error["message"]) == (404, "There is no drive nope")


SLASHED = "S/N 1%2F?#/status"


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("S%2FN%201%252F%3F%23%2Fstatus", id="encoded"),
        pytest.param("S/N%201%252F%3F%23/status", id="plain slashes"),
    ],
)
async def test_a_serial_may_hold_any_character(
    client: Client, agent: FakeAgent, written: str
) -> None:
    agent.drives_service.listings.append(available_drive(SLASHED))
    answer = await client.put(f"{DRIVES}/{written}/protection")
    assert (answer.status, answer.json["serial"]) == (200, SLASHED)
    answer = await client.get(f"{DRIVES}/{written}/status/")
    assert (answer.status, answer.json["status"]) == (200, "protected")
    answer = await client.delete(f"{DRIVES}/{written}/protection")
    assert (answer.status, agent.drives_service.protected) == (200, set())
    told = request_of(Hint(Verb.UNPROTECT, SLASHED))
    assert told.path == f"{DRIVES}/S%2FN%201%252F%3F%23%2Fstatus/protection"


@pytest.mark.parametrize("path", [f"{DRIVES}/{SERIAL}/blink", f"{DRIVES}/{SERIAL}/blink/"])
async def test_a_drive_is_made_to_blink(client: Client, agent: FakeAgent, path: str) -> None:
    answer = await client.post(path)
    assert answer.json["success"] is True
    assert agent.drives_service.blinked == [SERIAL]
    assert (await client.post(f"{DRIVES}/nowhere/blink")).status == 404
