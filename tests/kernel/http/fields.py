"""The wire contract's exact sets of fields, written down apart from the product's models."""

from collections.abc import Mapping
from typing import Any

CREATED = {"success", "poolGroupGuid", "state"}
CREATING = {"state", "poolStatus", "drives"}
DELETED = CREATING
FAILED = {"state", "errorMessage"}
STANDING = {
    *("state", "poolStatus", "size", "used", "available", "usePercent", "mountPath", "drives"),
    *("poolGroupGuid", "label", "backend", "level", "filesystem", "poolId", "mdDeviceName"),
    *("createdAt", "portability", "opensOn"),
}
SYNC = {"resyncPercentage", "resyncTimeEstimate"}
SYNCING = {"resync", "recovering", "check", "reshape"}
MEMBER = {"serial", "label", "status", "state"}
LISTED_MEMBER = MEMBER | {"isConnected"}
LISTED = {
    *("poolGroupGuid", "label", "state", "poolStatus", "status", "poolId", "mdDeviceName"),
    *("isMounted", "mountPath", "driveCount", "drives"),
}
BLOCK = {
    *("name", "size", "type", "mountpoint", "uuid", "serial", "vendor", "model", "fstype"),
    *("path", "id-link", "children"),
}
DRIVE = BLOCK | {
    *("available", "unavailableBecause", "unavailableCode", "poolGroupGuid"),
    *("protected", "identifiedBy", "sectorSize"),
}
UNMOUNT = {"success", "busy", "state", "commandOutputs"}
MOUNT = {"success", "state", "mountPath", "commandOutputs"}
DELETE = UNMOUNT
PROCESS = {"pid", "command", "user", "path", "name"}
IMPORTABLE = {
    *("poolGroupGuid", "backend", "nativeId", "label", "level", "filesystem", "drives"),
    *("opensOn", "cannotOpenBecause"),
}
OPENS_ON = {"kernel", "tools", "because", "checked"}
METADATA = {
    *("poolGroupGuid", "label", "backend", "level", "filesystem", "mdDeviceName"),
    *("driveSerials", "driveLabels", "createdAt", "lastMountPath", "isMounted", "nativeId"),
}

Json = Mapping[str, Any]


def check_standing(pool: Json, more: frozenset[str] = frozenset()) -> None:
    """The fields of a pool that exists: those, and progress only while something is in progress."""
    assert set(pool) - SYNC == STANDING | more
    if SYNC & set(pool):
        assert pool["poolStatus"] in SYNCING
        assert isinstance(pool["resyncPercentage"], float)
    assert pool["usePercent"].endswith("%") and pool["usePercent"][:-1].isdigit()
    assert pool["poolId"] == pool["mdDeviceName"]
    for drive in pool["drives"]:
        assert set(drive) == (LISTED_MEMBER if set(pool) >= LISTED else MEMBER)
        assert drive["state"] == drive["status"]


def check_listed(pool: Json) -> None:
    """A pool of the list: what its state's detail has, and what all listed ones have."""
    if pool["state"] == "creating":
        assert set(pool) == LISTED
        return
    check_standing(pool, frozenset(LISTED))
    assert pool["status"] == pool["poolStatus"]
    assert pool["driveCount"] == len(pool["drives"])


def check_error(reply: Json, code: str) -> str:
    """An error envelope with this code; returns its message."""
    assert set(reply) <= {"error", "busy"}, reply
    error = reply["error"]
    assert {"code", "message"} <= set(error) <= {"code", "message", "details"}
    assert error["code"] == code, error
    message: str = error["message"]
    assert message and "\n" not in message and "pydantic" not in message
    return message
