"""A guest with the agent, seen as its user sees it: over HTTP, and by what is on the machine."""

import json
import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import httpx

from ..lab.guest import Result
from . import fields
from .machine import JOURNAL, METADATA_FILE, AnyGuest, Look, look

LOOK_SECONDS = 0.2
PATIENCE = 180.0
"""Seconds that anything may take on a machine that others use as well; nothing waits for them."""
TELL_UDEV = "udevadm trigger --settle"
"""And the node: udev does not see a writer that closes it while it still handles the last event."""


class Site:
    """One guest and a client of its API. `call` never follows, never raises for a status."""

    def __init__(self, guest: AnyGuest, flush: str) -> None:
        self.guest = guest
        self.flush = flush
        # No connection outlives a request: agents come and go under the client.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.Client(limits=limits)

    def close(self) -> None:
        """Close the client and cut the guest's power."""
        self._client.close()
        self.guest.cut()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout: float = PATIENCE,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request to `/api/v1` + `path`, with the key."""
        return self._client.request(
            method,
            f"{self.guest.url}/api/v1{path}",
            json=body,
            headers={"X-Api-Key": self.guest.api_key, **(headers or {})},
            timeout=timeout * self.guest.slower,
        )

    def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        reply = self.call("GET", path)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def done(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The JSON of a changing call that must succeed at once."""
        reply = self.call(method, path, body)
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        assert answer["success"] is True
        return answer

    def refused(
        self, method: str, path: str, body: Any = None, *, status: int, code: str
    ) -> dict[str, Any]:
        """The JSON of a call that must be refused like this."""
        reply = self.call(method, path, body)
        assert reply.status_code == status, reply.text
        answer: dict[str, Any] = reply.json()
        fields.check_error(answer, code)
        return answer

    def create(self, *serials: str, **options: Any) -> "Pool":
        """Ask for a pool; the reply must be the documented 202."""
        pool = Pool.plan(self, serials, **options)
        reply = self.call("POST", "/pools", pool.request)
        assert reply.status_code == 202, reply.text
        assert reply.json() == {"success": True, "poolGroupGuid": pool.guid, "state": "creating"}
        return pool

    def made(self, *serials: str, **options: Any) -> "Pool":
        """A pool that is ready."""
        pool = self.create(*serials, **options)
        pool.until("ready")
        return pool

    def check_adopted(self, guid: str, *serials: str) -> None:
        """A pool made by hand is imported and lives on like one of ours, to its end."""
        answer = self.done("POST", f"/pools/{guid}/import", {"label": "by hand"})
        assert answer["poolGroupGuid"] == guid
        pool = Pool(self, guid, {"driveSerials": list(serials), "mountPath": f"/mnt/backy/{guid}"})
        pool.mount()
        written = pool.write()
        pool.unmount()
        pool.mount()
        assert pool.read() == written
        pool.check_ready()
        pool.delete()
        self.check_clean(serials)

    def drives(self) -> dict[str, dict[str, Any]]:
        """GET /drives by serial; each drive has exactly the documented fields."""
        listed = self.get("/drives")["blockdevices"]
        for drive in listed:
            assert set(drive) == fields.DRIVE
            assert drive["available"] is (drive["unavailableBecause"] is None)
        found = {drive["serial"]: drive for drive in listed}
        assert len(found) == len(listed)
        return found

    def look(self) -> Look:
        """The machine's current state."""
        return look(self.guest)

    def metadata(self) -> dict[str, dict[str, Any]]:
        """The metadata file's pools by GUID; empty when there is no file."""
        read = self.run(f"cat {METADATA_FILE} 2>/dev/null")
        pools = json.loads(read.out)["pools"] if read.rc == 0 else []
        return {pool["poolGroupGuid"]: pool for pool in pools}

    def run(self, script: str) -> Result:
        """A shell script as root, whatever it comes to."""
        return self.guest.exec(script)

    def output(self, script: str) -> str:
        """The output of a script that must succeed, without the last newline."""
        return self.guest.exec(script, check=True).out.strip()

    def node(self, serial: str) -> str:
        """Today's device node of a drive."""
        return self.output(f"readlink -e /dev/disk/by-id/*-*{serial}")

    def wipe_leftover(self, serial: str, **alone: Any) -> None:
        """Clean a replaced drive by making a pool on it, with consent, and deleting the pool."""
        self.made(serial, **alone, wipe=True).delete()
        self.check_clean([serial])

    def check_clean(self, serials: Iterable[str]) -> Look:
        """Each drive is blank on the disk, held by nothing, and offered for new pools."""
        named, listed, seen = list(serials), self.drives(), self.look()
        for serial in named:
            assert seen.drives[serial] == []
            drive = listed[serial]
            assert drive["available"], self._why_not(serial)
            assert (drive["poolGroupGuid"], drive["children"]) == (None, [])
            assert drive["mountpoint"] is None
        # What lsblk shows as fstype is udev's, which looks when the wiping is over.
        deadline = time.monotonic() + PATIENCE
        while shown := [s for s, drive in self.drives().items() if s in named and drive["fstype"]]:
            assert time.monotonic() < deadline, shown
            time.sleep(LOOK_SECONDS)
        return seen

    def _why_not(self, serial: str) -> str:
        """The whole reason, which only a creation is told; the list has its first sentence."""
        because = self.drives()[serial]["unavailableBecause"]
        asked = self.call("POST", "/pools?dryRun=true", Pool.plan(self, [serial]).request)
        return f"{because}; asked again: {asked.text}"

    def journal(self) -> list[str]:
        """Files of operations that are not settled."""
        return self.run(f"ls {JOURNAL} 2>/dev/null").out.split()

    def restart(self, verb: Literal["stop", "kill"] = "kill") -> None:
        """End the agent and start it again."""
        self.guest.agent(verb)
        self.guest.agent("start")

    def plug(self, *serials: str) -> None:
        """Put drives back and have the agent look."""
        for serial in serials:
            self.guest.plug(serial)
        self.done("POST", "/drives/refresh")

    def unplug(self, *serials: str) -> None:
        """Pull drives and have the agent look."""
        for serial in serials:
            self.guest.unplug(serial)
        self.done("POST", "/drives/refresh")

    def boot(self, order: Sequence[str] | None = None, without: Collection[str] = ()) -> None:
        """Boot the guest that was cut or shut down, drives found in this order, some unplugged."""
        everything = self.guest.spec
        connected = tuple(drive for drive in everything.drives if drive.name not in without)
        self.guest.spec = replace(everything, drives=connected)
        try:
            self.guest.start(order)
        finally:
            self.guest.spec = everything


@dataclass(frozen=True)
class Pool:
    """A pool by its GUID, and the request that makes it."""

    site: Site
    guid: str
    request: dict[str, Any]

    @classmethod
    def plan(cls, site: Site, serials: Iterable[str], **options: Any) -> Self:
        """The request as the app sends it, with `options` (JSON names) put in."""
        guid = options.get("poolGroupGuid") or str(uuid.uuid4())
        request = {
            "label": f"pool-{guid[:4]}",
            "driveSerials": list(serials),
            "driveLabels": {serial: f"{serial}-label" for serial in serials},
            "mountPath": f"/mnt/backy/{guid}",
            "poolGroupGuid": guid,
        }
        return cls(site, guid, {**request, **options})

    @property
    def url(self) -> str:
        """Path of the pool below `/api/v1`."""
        return f"/pools/{self.guid}"

    @property
    def path(self) -> str:
        """The requested mount path."""
        path: str = self.request["mountPath"]
        return path

    @property
    def serials(self) -> list[str]:
        """The drives it was asked for."""
        serials: list[str] = self.request["driveSerials"]
        return serials

    def detail(self) -> dict[str, Any]:
        """GET of the pool, which must answer 200."""
        reply: dict[str, Any] = self.site.get(self.url)
        return reply

    def state(self) -> str:
        """`state` of the detail."""
        return str(self.detail()["state"])

    def until(self, *states: str, within: float = PATIENCE) -> dict[str, Any]:
        """Poll the detail until it is in one of these states."""
        deadline = time.monotonic() + within * self.site.guest.slower
        while (detail := self.detail())["state"] not in states:
            assert detail["state"] != "failed", detail
            assert time.monotonic() < deadline, detail
            time.sleep(LOOK_SECONDS)
        return detail

    def until_health(self, *words: str, within: float = PATIENCE) -> dict[str, Any]:
        """Poll the detail until `poolStatus` is one of these words."""
        deadline = time.monotonic() + within * self.site.guest.slower
        while (detail := self.detail())["poolStatus"] not in words:
            assert time.monotonic() < deadline, detail
            time.sleep(LOOK_SECONDS)
        return detail

    def listed(self) -> dict[str, Any] | None:
        """This pool in the list, None if it is not there."""
        pools = self.site.get("/pools")
        return next((pool for pool in pools if pool["poolGroupGuid"] == self.guid), None)

    def mount(self) -> dict[str, Any]:
        """Mount it where it was last."""
        return self.site.done("POST", f"{self.url}/mount", {"mountPath": None})

    def unmount(self) -> dict[str, Any]:
        """Unmount it."""
        return self.site.done("DELETE", f"{self.url}/mount")

    def delete(self) -> dict[str, Any]:
        """Tear it down."""
        return self.site.done("DELETE", self.url)

    def outputs(self) -> list[str]:
        """Command outputs of the last operation."""
        reply = self.site.get(f"{self.url}/outputs")
        assert set(reply) == {"success", "outputs"}
        lines: list[str] = reply["outputs"]
        return lines

    def write(self, kilobytes: int = 512) -> str:
        """Put a file of random data on it, flushed to the drives; returns its checksum."""
        file = f"{self.path}/data"
        flush = self.site.flush.format(path=self.path)
        return self.site.output(
            f"head -c {kilobytes}K /dev/urandom > {file}"
            f" && sync {file} && {flush} && sha256sum < {file}"
        )

    def read(self) -> str:
        """The file's checksum, read from the drives."""
        drop = "echo 3 > /proc/sys/vm/drop_caches"
        return self.site.output(f"{drop}; sha256sum < {self.path}/data")

    def mounted(self) -> bool:
        """Whether the kernel has something mounted at its path."""
        return self.site.run(f"mountpoint -q {self.path}").rc == 0

    def members(self) -> dict[str, str]:
        """Status of each drive, by serial."""
        return {drive["serial"]: drive["status"] for drive in self.detail()["drives"]}

    def until_member(self, serial: str, *words: str, within: float = PATIENCE) -> None:
        """Poll the detail until the drive's status is one of these words."""
        deadline = time.monotonic() + within * self.site.guest.slower
        while (status := self.members()[serial]) not in words:
            assert time.monotonic() < deadline, status
            time.sleep(LOOK_SECONDS)

    def check_ready(self) -> None:
        """Detail, list, drives, metadata and kernel agree that it is ready."""
        detail, listed = self.detail(), self.listed()
        fields.check_standing(detail)
        assert listed is not None
        fields.check_listed(listed)
        drives, entry = self.site.drives(), self.site.metadata()[self.guid]
        assert (detail["state"], listed["state"]) == ("ready", "ready")
        assert set(entry) >= fields.METADATA
        assert entry["isMounted"] is True and listed["isMounted"] is True
        assert detail["mountPath"] == listed["mountPath"] == entry["lastMountPath"] == self.path
        assert detail["poolId"] == listed["poolId"] == entry["mdDeviceName"]
        assert detail["size"] > 0 and detail["used"] + detail["available"] <= detail["size"]
        members = {drive["serial"] for drive in detail["drives"]}
        assert members == {d["serial"] for d in listed["drives"]} == set(entry["driveSerials"])
        for serial in members:
            assert drives[serial]["poolGroupGuid"] == self.guid
            assert not drives[serial]["available"]
        assert self.mounted()

    def check_gone(self) -> None:
        """Nothing is left of it: not on its drives, not in the metadata, not on the mount path."""
        seen = self.site.check_clean(self.serials)
        assert self.guid not in seen.metadata and seen.journal == ()
        assert self.listed() is None
        assert self.path not in seen.mounted
        assert self.site.run(f"test -e {self.path}").rc == 1
