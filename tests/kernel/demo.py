"""`make demo`: the agent on a real kernel, step by step.

Boots a guest with six drives, starts the agent in it and creates a RAID1 pool through its API. Then
it leaves the agent up for `curl`; with `--once` it goes through the pool's whole life instead, and
exits 0 only if every step came out as documented.
"""

import argparse
import io
import itertools
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .client import Client, Reply
from .lab.agent import AgentGuest
from .lab.drives import numbered
from .lab.errors import LabError
from .lab.state import REPOSITORY
from .telling import DemoFailed, check, show, title

PORT = 5151
LIFETIME = 4 * 3600.0
WAIT_SECONDS = 120.0
SLOW, FAST = (200, 100), (200_000, 1000)
"""Speed limits of md's resync, KB/s, most and least: one to watch it, one to have it done."""
POOLS = "/api/v1/pools"


class Demo:
    """The story: a guest, its agent's API, and the pool it is about."""

    def __init__(self, guest: AgentGuest) -> None:
        self.guest = guest
        self.client = Client(guest.url, guest.api_key)
        self.guid = str(uuid.uuid4())
        self.pool = f"{POOLS}/{self.guid}"
        self.mount_path = f"/mnt/backy/{self.guid}"

    def create(self) -> None:
        """A RAID1 pool: the 202, the replies while it is being made, its progress, and ready."""
        title("Create a RAID1 pool of two drives")
        accepted = self.say("POST", POOLS, _pool(self.guid, 1, 2))
        wanted = {"success": True, "poolGroupGuid": self.guid, "state": "creating"}
        check(
            accepted.status == 202 and accepted.body == wanted, "the creation is accepted", accepted
        )
        first = self.client.call("GET", self.pool)
        show("GET", self.pool, first)
        self.watch(accepted.link("monitor"))
        ready = self.say("GET", self.pool)
        check(ready.body.get("state") == "ready", "the pool is ready", ready)
        check(ready.body.get("mountPath") == self.mount_path, "it is mounted where we asked", ready)
        self.outputs(self.pool)

    def fail_to_create(self) -> None:
        """A creation whose mkfs refuses: the failed reply, and drives as clean as before."""
        title("A creation that fails: XFS wants more than these small drives have")
        guid = str(uuid.uuid4())
        path = f"{POOLS}/{guid}"
        accepted = self.say("POST", POOLS, {**_pool(guid, 3, 4), "filesystem": "xfs"})
        check(accepted.status == 202, "the creation is accepted", accepted)
        self.until(path, lambda body: body.get("state") != "creating", "the creation to end")
        failed = self.say("GET", path)
        state, fields = failed.body.get("state"), set(failed.body)
        check(
            state == "failed" and fields == {"state", "errorMessage"},
            "it failed, said in exactly two fields",
            failed,
        )
        self.outputs(path)
        self.check_clean("drive-scsi3", "drive-scsi4")

    def use_and_remount(self) -> None:
        """A file written, the pool unmounted and mounted again, the file read back."""
        title("Use it, unmount it, mount it again")
        self.shell(f"echo 'still here' > {self.mount_path}/letter")
        closed = self.say("DELETE", f"{self.pool}/mount")
        check(closed.status == 200 and closed.body.get("state") == "unmounted", "unmounted", closed)
        opened = self.say("POST", f"{self.pool}/mount", {"mountPath": None})
        check(opened.status == 200 and opened.body.get("state") == "ready", "mounted again", opened)
        read = self.shell(f"cat {self.mount_path}/letter")
        check(read == "still here\n", "the file is still there", read)

    def lose_and_replace(self) -> None:
        """A member fails; a new drive takes its place while we watch."""
        title("A drive fails and is replaced")
        self.until(self.pool, _status_is("active"), "the first resync to end")
        node = self.shell("readlink -f /dev/disk/by-id/*drive-scsi2").strip()
        array = self.client.call("GET", self.pool).body["mdDeviceName"]
        self.shell(f"mdadm --quiet /dev/{array} --fail {node}")
        self.until(self.pool, _status_is("degraded"), "the pool to be degraded")
        self.say("GET", self.pool)
        self.resync_speed(SLOW)
        body = {"serial": "drive-scsi5", "replaces": "drive-scsi2"}
        added = self.say("POST", f"{self.pool}/drives/add", body)
        check(added.status == 200, "the replacement is taken", added)
        self.until(self.pool, _status_is("recovering"), "the pool to recover")
        self.say("GET", self.pool)
        self.resync_speed(FAST)
        self.until(self.pool, _status_is("active"), "the recovery to end", _recovery)
        read = self.shell(f"cat {self.mount_path}/letter")
        check(read == "still here\n", "the file is still there", read)

    def delete(self) -> None:
        """Torn down; nothing of it is left on any drive."""
        title("Delete it")
        # What was replaced bears the pool's identity and is no member: it is wiped only if named.
        gone = self.say("DELETE", f"{self.pool}?wipeCopies=drive-scsi2")
        check(gone.status == 200 and gone.body.get("state") == "deleted", "deleted", gone)
        self.check_clean("drive-scsi1", "drive-scsi2", "drive-scsi5")
        path = self.shell(f"test -e {self.mount_path} && echo there || echo gone")
        check(path == "gone\n", "its mount directory is gone", path)

    def say(self, method: str, path: str, body: Any = None) -> Reply:
        """Make a call and show both sides of it."""
        reply = self.client.call(method, path, body)
        show(method, path, reply, body)
        return reply

    def shell(self, script: str) -> str:
        """A command inside the guest, shown; it must succeed."""
        print(f"  guest# {script}")
        done = self.guest.exec(script)
        check(done.rc == 0, f"{script!r} succeeds", done.err)
        for line in done.out.splitlines():
            print(f"    {line}")
        return done.out

    def watch(self, operation: str) -> None:
        """Follow an operation to its end, a line for each step."""
        check(operation != "", "the reply names its operation in a Link header", operation)
        seen: set[str] = set()
        while True:
            body = self.client.call("GET", operation).body
            line = _progress(body)
            if line not in seen:
                print(f"    {line}")
                seen.add(line)
            if body["state"] != "running":
                check(body["state"] == "succeeded", "the operation succeeded", body)
                return
            time.sleep(0.05)

    def until(
        self,
        path: str,
        done: Callable[[dict[str, Any]], bool],
        what: str,
        each: Callable[[dict[str, Any]], str] | None = None,
    ) -> None:
        """Poll until the reply is as wanted."""
        deadline = time.monotonic() + WAIT_SECONDS
        said = ""
        while not done(body := self.client.call("GET", path).body):
            check(time.monotonic() < deadline, f"waited {WAIT_SECONDS:.0f} s for {what}", body)
            if each is not None and (line := each(body)) != said:
                print(f"    {line}")
                said = line
            time.sleep(0.2)
        print(f"    {what}: {body.get('poolStatus') or body.get('state')}")

    def outputs(self, pool: str) -> None:
        """Show the pool's outputs: each command with one line of its output."""
        lines = self.client.call("GET", f"{pool}/outputs").body["outputs"]
        print(f"  GET {pool}/outputs ({len(lines)} lines, of each command the first two)")
        for before, line in itertools.pairwise(["", *lines]):
            if line[:1] in "$#" or before[:1] == "$":
                print(f"    {line}")

    def resync_speed(self, limits: tuple[int, int]) -> None:
        """Set md's speed limits, so that there is something to see."""
        most, least = limits
        self.shell(
            f"echo {least} > /proc/sys/dev/raid/speed_limit_min; "
            f"echo {most} > /proc/sys/dev/raid/speed_limit_max"
        )

    def check_clean(self, *serials: str) -> None:
        """No signature and no holder on these drives, by the kernel's and util-linux's word."""
        for serial in serials:
            node = self.shell(f"readlink -f /dev/disk/by-id/*{serial}").strip()
            left = self.shell(f"wipefs --noheadings {node}; ls /sys/block/{node[5:]}/holders")
            check(left == "", f"{serial} is clean and free", left)


def _pool(guid: str, first: int, second: int) -> dict[str, Any]:
    return {
        "label": "backup-1",
        "driveSerials": [f"drive-scsi{first}", f"drive-scsi{second}"],
        "driveLabels": {f"drive-scsi{first}": "backup-1-1", f"drive-scsi{second}": "backup-1-2"},
        "mountPath": f"/mnt/backy/{guid}",
        "poolGroupGuid": guid,
    }


def _status_is(status: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: body.get("poolStatus") == status


def _recovery(pool: dict[str, Any]) -> str:
    return f"{pool.get('poolStatus')}: {pool.get('resyncPercentage', 100):.0f} %"


def _progress(operation: dict[str, Any]) -> str:
    progress = operation["progress"]
    step = f"step {progress['step']} of {progress['steps']}"
    return f"{step}, {progress['percent']} %: {progress['title']} ({operation['state']})"


def _whole_life(demo: Demo) -> None:
    demo.create()
    demo.fail_to_create()
    demo.use_and_remount()
    demo.lose_and_replace()
    demo.delete()
    title("Every step came out as documented")


def _leave_up(demo: Demo) -> None:
    demo.create()
    demo.fail_to_create()
    title("The agent stays up")
    url, state = demo.client.url, demo.guest.state.path
    interpreter = os.path.relpath(sys.executable, REPOSITORY)
    lab = f"{interpreter} -m tests.kernel.lab"
    print(f"""\
  key={demo.client.key}
  curl -s -H "X-Api-Key: $key" {url}/api/v1/pools
  curl -s -H "X-Api-Key: $key" {url}/api/v1/drives
  curl -s -X DELETE -H "X-Api-Key: $key" {url}{demo.pool}/mount
  open {url}/      the dashboard; it asks for the key
  open {url}/docs  the API

From {REPOSITORY}:
A command inside the guest:   {lab} exec --state {state} -- cat /proc/mdstat
Pull a drive, put it back:    {lab} unplug --state {state} drive-scsi2
Stop it (drives are kept):    {lab} down --state {state}
Throw it away afterwards:     rm -r {state}
It ends by itself in {LIFETIME / 3600:.0f} hours.""")


def main(argv: list[str]) -> int:
    """0 when all came out as documented."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernel.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="the whole life of a pool, then exit")
    parser.add_argument("--port", type=int, help=f"default {PORT}, with --once any free one")
    given = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a pipe shall see the story as it goes
    state = Path(tempfile.mkdtemp(prefix="backy-demo-"))
    try:
        return _tell(state, once=given.once, port=given.port)
    except KeyboardInterrupt:
        shutil.rmtree(state, ignore_errors=True)
        return 130
    except (LabError, DemoFailed, OSError) as error:
        print(f"\ndemo failed: {error}", file=sys.stderr)
        if not isinstance(error, LabError):
            _show_log(state)
        shutil.rmtree(state, ignore_errors=True)
        return 1


def _tell(state: Path, *, once: bool, port: int | None) -> int:
    chosen = port if port is not None else (0 if once else PORT)
    guest = AgentGuest(state, numbered(6), port=chosen, lifetime=LIFETIME, detached=not once)
    began = time.monotonic()
    title("Boot a kernel with six drives, start the agent")
    guest.start()
    try:
        print(f"  {guest.url} answers after {time.monotonic() - began:.1f} s")
        demo = Demo(guest)
        if not once:
            _leave_up(demo)
            return 0
        _whole_life(demo)
    except BaseException:
        guest.cut()
        raise
    guest.down()
    shutil.rmtree(state)
    return 0


def _show_log(state: Path) -> None:
    log = state / "agent.log"
    if log.exists():
        print("The end of the agent's log:", file=sys.stderr)
        print(log.read_text(errors="replace")[-4000:], file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
