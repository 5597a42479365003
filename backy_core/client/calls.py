"""Every call of the API as data: what to send, and the type of its reply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from backy_core.client.replies import (
        Accepted,
        Backends,
        Commands,
        Created,
        CreationDryRun,
        Deleted,
        DriveList,
        DriveStatus,
        DryRun,
        Examination,
        Importable,
        Imported,
        Keys,
        ListedPool,
        Message,
        MountDryRun,
        Mounted,
        MountedPool,
        NotificationTest,
        Operation,
        Outputs,
        PoolDetail,
        Processes,
        Protection,
        Renamed,
        Secret,
        Status,
        Unmounted,
    )

BASE_PATH = "/api/v1"
T = TypeVar("T")
Json = Mapping[str, Any]
_READ_S = 10.0
_CHANGE_S = 600.0
"""A change is answered when it is done, unless the caller prefers to watch its operation."""
_WATCHED = (("Prefer", "respond-async"),)


class Call(NamedTuple, Generic[T]):
    """A request of which the reply has a body of type ``T``. ``path`` is below the base path."""

    method: str
    path: str
    body: Json | None = None
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float = _READ_S

    @property
    def changes(self) -> bool:
        return self.method != "GET"


def _quoted(part: str) -> str:
    if part.isascii() and part.replace("-", "").isalnum():
        return part
    from urllib.parse import quote

    return quote(part, safe="")


def _query(*parameters: tuple[str, str | bool | int | None]) -> str:
    given = [
        f"{name}={_quoted(str(value).lower() if isinstance(value, bool) else str(value))}"
        for name, value in parameters
        if value not in (None, False)
    ]
    return "?" + "&".join(given) if given else ""


def _given(**fields: object) -> Json:
    """The fields of a body, without those that are left to the agent."""
    return {name: value for name, value in fields.items() if value is not None}


def _change(method: str, path: str, body: Json | None = None, watched: bool = False) -> Call[Any]:
    return Call(method, path, body, _WATCHED if watched else (), _CHANGE_S)


# the agent


def status() -> Call[Status]:
    return Call("GET", "/status")


def list_backends() -> Call[Backends]:
    return Call("GET", "/backends")


def examine() -> Call[Examination]:
    return Call("GET", "/doctor")


def send_test_message() -> Call[NotificationTest]:
    return _change("POST", "/notify/test")


def plan_repair(check: str, subject: str) -> Call[DryRun]:
    """The plan of :func:`repair`, without running it."""
    return _change("POST", "/doctor/repair?dryRun=true", {"check": check, "subject": subject})


def repair(check: str, subject: str, confirm: str | None = None) -> Call[Commands]:
    """``confirm`` repeats the subject, where anything is erased."""
    return _change("POST", "/doctor/repair", _repair(check, subject, confirm))


def watch_repair(check: str, subject: str, confirm: str | None = None) -> Call[Accepted]:
    return _change("POST", "/doctor/repair", _repair(check, subject, confirm), watched=True)


def _repair(check: str, subject: str, confirm: str | None) -> Json:
    return _given(check=check, subject=subject, confirm=confirm)


# access keys


def list_keys() -> Call[Keys]:
    return Call("GET", "/keys")


def create_key(name: str, scope: str) -> Call[Secret]:
    return _change("POST", "/keys", {"name": name, "scope": scope})


def rotate_key(name: str) -> Call[Secret]:
    return _change("POST", f"/keys/{_quoted(name)}/rotate")


def revoke_key(name: str) -> Call[Message]:
    return _change("DELETE", f"/keys/{_quoted(name)}")


# drives


def list_drives() -> Call[DriveList]:
    return Call("GET", "/drives")


def show_drive(serial: str) -> Call[DriveStatus]:
    return Call("GET", f"/drives/{_quoted(serial)}/status")


def refresh_drives() -> Call[Message]:
    return _change("POST", "/drives/refresh")


def blink_drive(serial: str) -> Call[Message]:
    return _change("POST", f"/drives/{_quoted(serial)}/blink")


def protect_drive(serial: str) -> Call[Protection]:
    return _change("PUT", f"/drives/{_quoted(serial)}/protection")


def unprotect_drive(serial: str) -> Call[Protection]:
    return _change("DELETE", f"/drives/{_quoted(serial)}/protection")


# pools


def list_pools(*, state: str | None = None, backend: str | None = None) -> Call[list[ListedPool]]:
    return Call("GET", "/pools" + _query(("backend", backend), ("state", state)))


def show_pool(guid: str) -> Call[PoolDetail]:
    return Call("GET", f"/pools/{guid}", timeout_s=5)


def create_pool(
    label: str,
    drive_serials: Iterable[str],
    *,
    drive_labels: Mapping[str, str] | None = None,
    mount_path: str | None = None,
    guid: str | None = None,
    backend: str | None = None,
    level: str | None = None,
    filesystem: str | None = None,
    wipe: bool | None = None,
    portability: str | None = None,
) -> Call[Created]:
    """None: the agent chooses."""
    return _change("POST", "/pools", _creation(locals()))


def plan_pool(label: str, drive_serials: Iterable[str], **options: Any) -> Call[CreationDryRun]:
    """The plan of :func:`create_pool`, without running it."""
    creation = create_pool(label, drive_serials, **options)
    return _change("POST", "/pools?dryRun=true", creation.body)


def _creation(chosen: Mapping[str, Any]) -> Json:
    return _given(
        label=chosen["label"],
        driveSerials=list(chosen["drive_serials"]),
        driveLabels=chosen["drive_labels"],
        mountPath=chosen["mount_path"],
        poolGroupGuid=chosen["guid"],
        backend=chosen["backend"],
        level=chosen["level"],
        filesystem=chosen["filesystem"],
        wipe=chosen["wipe"],
        portability=chosen["portability"],
    )


def mount_pool(
    guid: str, mount_path: str | None = None, *, force_label: str | None = None
) -> Call[Mounted]:
    """``force_label``: the pool's label; mounts it read-only with drives that are behind."""
    return _change("POST", f"/pools/{guid}/mount", _mount(mount_path, force_label))


def watch_mount(
    guid: str, mount_path: str | None = None, *, force_label: str | None = None
) -> Call[Accepted]:
    return _change("POST", f"/pools/{guid}/mount", _mount(mount_path, force_label), watched=True)


def plan_mount(
    guid: str, mount_path: str | None = None, *, force: bool = False
) -> Call[MountDryRun]:
    body = _given(mountPath=mount_path, force=force or None)
    return _change("POST", f"/pools/{guid}/mount?dryRun=true", body)


def _mount(mount_path: str | None, force_label: str | None) -> Json:
    force = None if force_label is None else True
    return _given(mountPath=mount_path, force=force, label=force_label)


def unmount_pool(guid: str) -> Call[Unmounted]:
    return _change("DELETE", f"/pools/{guid}/mount")


def watch_unmount(guid: str) -> Call[Accepted]:
    return _change("DELETE", f"/pools/{guid}/mount", watched=True)


def plan_unmount(guid: str) -> Call[DryRun]:
    return _change("DELETE", f"/pools/{guid}/mount?dryRun=true")


def delete_pool(guid: str, **consents: Any) -> Call[Deleted]:
    return _change("DELETE", _deletion(guid, **consents))


def watch_delete(guid: str, **consents: Any) -> Call[Accepted]:
    return _change("DELETE", _deletion(guid, **consents), watched=True)


def plan_delete(guid: str, **consents: Any) -> Call[DryRun]:
    return _change("DELETE", _deletion(guid, dry_run=True, **consents))


def _deletion(
    guid: str,
    *,
    dry_run: bool = False,
    wipe: bool = False,
    wipe_copies: Iterable[str] = (),
    destroy_others: Iterable[str] = (),
) -> str:
    copies = [("wipeCopies", serial) for serial in wipe_copies]
    others = [("destroyOthers", name) for name in destroy_others]
    return f"/pools/{guid}" + _query(("dryRun", dry_run), ("wipe", wipe), *copies, *others)


def rename_pool(
    guid: str, label: str | None = None, drive_labels: Mapping[str, str] | None = None
) -> Call[Renamed]:
    return _change("PATCH", f"/pools/{guid}", _given(label=label, driveLabels=drive_labels))


def add_drive(
    guid: str, serial: str, *, replaces: str | None = None, wipe: bool | None = None
) -> Call[Commands]:
    return _change("POST", f"/pools/{guid}/drives/add", _addition(serial, replaces, wipe))


def watch_add_drive(
    guid: str, serial: str, *, replaces: str | None = None, wipe: bool | None = None
) -> Call[Accepted]:
    body = _addition(serial, replaces, wipe)
    return _change("POST", f"/pools/{guid}/drives/add", body, watched=True)


def plan_add_drive(
    guid: str, serial: str, *, replaces: str | None = None, wipe: bool | None = None
) -> Call[DryRun]:
    body = _addition(serial, replaces, wipe)
    return _change("POST", f"/pools/{guid}/drives/add?dryRun=true", body)


def _addition(serial: str, replaces: str | None, wipe: bool | None) -> Json:
    return _given(serial=serial, replaces=replaces, wipe=wipe)


def pool_outputs(guid: str, offset: int | None = None) -> Call[Outputs]:
    return Call("GET", f"/pools/{guid}/outputs" + _query(("offset", offset)))


def pool_processes(guid: str) -> Call[Processes]:
    return Call("GET", f"/pools/{guid}/processes")


def mounted_pool(path: str) -> Call[MountedPool]:
    """The pool that is mounted at a path, and who holds it; 404 says what is there instead."""
    return Call("GET", f"/mounts/{_quoted(path)}")


def kill_processes(guid: str, pids: Iterable[int], action: str | None = None) -> Call[Commands]:
    body = _given(poolGroupGuid=guid, pids=list(pids), action=action)
    return _change("POST", "/processes/kill", body)


def list_importable() -> Call[list[Importable]]:
    return Call("GET", "/pools/importable")


def import_pool(
    guid: str, label: str | None = None, mount_path: str | None = None
) -> Call[Imported]:
    return _change("POST", f"/pools/{guid}/import", _given(label=label, mountPath=mount_path))


def forget_pool(guid: str) -> Call[Message]:
    return _change("DELETE", f"/pools/metadata/{guid}")


# operations


def list_operations() -> Call[list[Operation]]:
    return Call("GET", "/operations")


def show_operation(identifier: str) -> Call[Operation]:
    return Call("GET", f"/operations/{_quoted(identifier)}")


def cancel_operation(identifier: str) -> Call[Accepted]:
    return _change("POST", f"/operations/{_quoted(identifier)}/cancel")


def forget_operation(identifier: str) -> Call[Message]:
    return _change("DELETE", f"/operations/{_quoted(identifier)}")
