"""``backy`` as a client of an agent, in the words that people type."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from backy_core.cli.exits import Exit
from backy_core.sdk.errors import Conflict
from backy_core.sdk.events import TargetAnswer
from tests.http.conftest import DRIVE, Run
from tests.http.fake_agent import FakeAgent
from tests.http.fake_pools import GUID, standing_pool


async def test_pools_are_listed_in_80_columns(backy: Run, agent: FakeAgent) -> None:
    agent.pools.add(replace(standing_pool(), label="a label that is much longer than others"))
    for words in (["pools"], ["pools", "list"]):
        status, out, _ = await backy(*words)
        assert status == Exit.OK
        assert max(map(len, out.splitlines())) <= 80
        assert GUID[:8] in out and "ready" in out and "\x1b" not in out


@pytest.mark.parametrize("name", ["backup-1", GUID, GUID[:4], GUID[:8].upper()])
async def test_a_pool_is_named_by_label_or_beginning(
    backy: Run, agent: FakeAgent, name: str
) -> None:
    agent.pools.add(standing_pool())
    status, out, _ = await backy("pools", "show", name)
    assert status == Exit.OK
    assert f"id          {GUID}" in out and "drive-scsi2" in out
    assert "1.0 TB, 948 GB free (5% used)" in out


async def test_a_beginning_of_two_names_is_refused(backy: Run, agent: FakeAgent) -> None:
    for number in (1, 2):
        guid = GUID[:-1] + str(number)
        agent.pools.add(replace(standing_pool(guid=guid), label=f"pool {number}"))
    status, _, err = await backy("pools", "show", GUID[:8])
    assert status == Exit.USAGE
    assert "pool 1" in err and "pool 2" in err


async def test_a_label_wins_over_a_beginning(backy: Run, agent: FakeAgent) -> None:
    agent.pools.add(replace(standing_pool(guid=GUID), label="other"))
    named = GUID[:-1] + "0"
    agent.pools.add(replace(standing_pool(guid=named), label=GUID[:4]))
    _, out, _ = await backy("pools", "show", GUID[:4])
    assert named in out


async def test_a_drive_is_named_by_the_beginning_of_its_serial(backy: Run) -> None:
    status, out, _ = await backy("drives", "show", DRIVE[:6])
    assert status == Exit.OK and DRIVE in out
    status, _, err = await backy("drives", "show", "WD")
    assert status == Exit.NOT_FOUND
    assert err == "backy: There is no drive WD\n       See them all: backy drives\n"


@pytest.mark.parametrize(
    "words",
    [
        "drives",
        f"drives show {DRIVE}",
        f"drives protect {DRIVE}",
        f"drives unprotect {DRIVE}",
        "drives refresh",
        "pools",
        "pools show backup-1",
        f"pools create new {DRIVE} --dry-run",
        f"pools create new {DRIVE} --yes",
        f"pools create new {DRIVE} --yes --detach",
        "pools mount backup-1",
        "pools mount backup-1 --dry-run",
        "pools unmount backup-1",
        "pools unmount backup-1 --detach",
        "pools delete backup-1 --dry-run",
        "pools delete backup-1 --yes",
        "pools rename backup-1 new",
        f"pools add-drive backup-1 {DRIVE}",
        f"pools replace backup-1 drive-scsi1 {DRIVE}",
        "pools import",
        "pools forget backup-1 --yes",
        "pools processes backup-1",
        "operations",
        "backends",
        "doctor",
        "keys",
        "keys create monitor",
        "config",
        "context list",
    ],
)
async def test_every_command_speaks_json(backy: Run, agent: FakeAgent, words: str) -> None:
    agent.pools.add(standing_pool())
    status, out, err = await backy(*words.split(), "--json")
    assert status == Exit.OK, err
    json.loads(out)
    assert err == ""


async def test_a_test_message_tells_what_each_target_answered(backy: Run, agent: FakeAgent) -> None:
    status, out, err = await backy("notify", "test")
    assert status == Exit.FAILURE and out.startswith("No target is set"), err
    agent.notify(TargetAnswer(target="target 1 (json)", delivered=True))
    assert await backy("notify", "test") == (Exit.OK, "target 1 (json): delivered\n", "")
    agent.notify(TargetAnswer(target="target 1 (ntfy)", delivered=False, reason="It is down."))
    status, out, _ = await backy("notify", "test")
    assert (status, out) == (Exit.FAILURE, "target 1 (ntfy): not delivered: It is down.\n")
    status, out, _ = await backy("notify", "test", "--json")
    assert json.loads(out)["targets"][0]["reason"] == "It is down."


async def test_an_error_is_json_too(backy: Run, agent: FakeAgent) -> None:
    agent.pools.broken = Conflict("Something is in the way")
    agent.pools.add(standing_pool())
    status, out, err = await backy("pools", "show", GUID, "--json")
    assert (status, out) == (Exit.REFUSED, "")
    assert json.loads(err)["error"]["code"] == "CONFLICT"


async def test_creating_shows_the_steps_and_then_the_pool(backy: Run, agent: FakeAgent) -> None:
    status, out, err = await backy("pools", "create", "new", DRIVE, "--yes")
    assert status == Exit.OK
    assert "/6] Creating the array\n" in err
    assert "state       ready" in out
    [request] = agent.pools.requests
    assert (request.label, request.mount_path) == ("new", "/mnt/backy/new")


@pytest.mark.parametrize("label", ["a b", "../x", "-x", ".x", "ä", "x" * 64])
async def test_a_label_that_is_no_safe_name_is_no_path(
    backy: Run, agent: FakeAgent, label: str
) -> None:
    await backy("pools", "create", "--yes", "--", label, DRIVE)
    assert [request.mount_path for request in agent.pools.requests] == [None]


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("unmount backup-1", "1. Unmount it"),
        ("delete backup-1", "1. Wipe it  erases"),
        (f"add-drive backup-1 {DRIVE}", f"1. Add {DRIVE}"),
        (f"replace backup-1 drive-scsi1 {DRIVE}", f"1. Add {DRIVE}"),
    ],
)
async def test_every_change_shows_its_plan(
    backy: Run, agent: FakeAgent, words: str, title: str
) -> None:
    agent.pools.add(standing_pool())
    status, out, err = await backy("pools", *words.split(), "--dry-run")
    assert status == Exit.OK, err
    assert title in out.splitlines() and out.endswith("Nothing was changed.\n")
    assert agent.pools.finished == [] and agent.pools.added == []


async def test_adding_a_drive_shows_its_steps(backy: Run, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    status, out, err = await backy("pools", "add-drive", "backup-1", DRIVE)
    assert status == Exit.OK, err
    assert f"takes {DRIVE} in" in out.replace("\n", " ")
    assert "[1/1] Adding the drive\n" in err


async def test_a_plan_is_shown_and_nothing_done(backy: Run, agent: FakeAgent) -> None:
    status, out, _ = await backy("pools", "create", "new", DRIVE, "--dry-run")
    assert status == Exit.OK
    assert "1. Create the array  erases\n   $ mdadm --create …\n" in out
    assert "if it fails: mdadm --stop" in out and out.endswith("Nothing was changed.\n")
    assert agent.pools.requests == []


async def test_what_erases_names_it_and_wants_the_label(backy: Run, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    status, _, err = await backy("pools", "delete", "backup-1", typed="backup\n")
    assert status == Exit.REFUSED and "Nothing was changed" in err
    assert GUID in agent.pools.known
    assert "erases pool backup-1 for good (raid1, ext4, made on 2026-01-02):" in err
    assert "drive-scsi1" in err and "drive-scsi2" in err
    status, out, _ = await backy("pools", "delete", GUID[:8], typed="backup-1\n")
    assert status == Exit.OK and "is deleted" in out


async def test_nobody_to_ask_is_no_consent(backy: Run, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    status, _, err = await backy("pools", "delete", "backup-1")
    assert status == Exit.USAGE and "--yes" in err
    assert GUID in agent.pools.known


async def test_advice_comes_in_commands(backy: Run, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    agent.pools.busy.add(GUID)
    status, _, err = await backy("pools", "unmount", "backup-1")
    assert status == Exit.BUSY
    assert "tail (pid 4242)" in err and f"backy pools processes {GUID[:8]}" in err


async def test_processes_are_ended_after_a_yes(backy: Run, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    agent.pools.busy.add(GUID)
    status, out, _ = await backy("pools", "processes", "backup-1")
    assert status == Exit.OK and "4242" in out and agent.pools.killed == []
    status, _, _ = await backy("pools", "processes", "backup-1", "--kill", typed="n\n")
    assert status == Exit.REFUSED and agent.pools.killed == []
    status, _, _ = await backy("pools", "processes", "backup-1", "--kill", typed="y\n")
    assert status == Exit.OK and agent.pools.killed == [((4242,), "UnmountPool")]


async def test_a_hostile_name_does_not_reach_the_terminal(backy: Run, agent: FakeAgent) -> None:
    evil = "x\x1b]0;owned\x07\x9b31m\u202e\r\n"
    agent.pools.add(replace(standing_pool(), label=evil))
    for words in (["pools"], ["pools", "show", GUID], ["pools", "delete", GUID, "--dry-run"]):
        _, out, err = await backy(*words)
        assert not [sign for sign in out + err if sign != "\n" and not sign.isprintable()]
    _, out, err = await backy("pools", "show", evil + "y")
    assert not [sign for sign in out + err if sign != "\n" and not sign.isprintable()]


async def test_an_agent_that_is_not_there(
    backy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKY_RUNTIME_DIR", str(tmp_path / "nowhere"))
    status, _, err = await backy("pools")
    assert status == Exit.UNAVAILABLE and "systemctl start backy" in err


async def test_a_context_leads_elsewhere(
    backy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKY_RUNTIME_DIR", str(tmp_path / "nowhere"))
    url = f"unix:{tmp_path}/backy.sock"
    assert (await backy("context", "add", "nas2", "--url", url))[0] == Exit.OK
    assert (await backy("pools"))[0] == Exit.OK
    monkeypatch.setenv("BACKY_API_KEY", "k")
    assert (await backy("context", "add", "far", "--url", "http://127.0.0.1:1"))[0] == Exit.OK
    assert (await backy("pools", "--context", "far"))[0] == Exit.UNAVAILABLE
    assert (await backy("pools", "--context", "none"))[0] == Exit.CONFIG
    assert (await backy("pools", "--url", "nonsense"))[0] == Exit.USAGE
    file = tmp_path / "config" / "backy" / "contexts.json"
    assert file.stat().st_mode & 0o777 == 0o600
    for words in (["use", "far"], ["list"], ["remove", "nas2"], ["remove", "far"]):
        assert (await backy("context", *words))[0] == Exit.OK
    assert (await backy("pools"))[0] == Exit.UNAVAILABLE


async def test_names_are_completed(backy: Run, agent: FakeAgent) -> None:
    agent.pools.add(standing_pool())
    for words, found in (
        (["po"], ["pools"]),
        (["pools", "sh"], ["show"]),
        (["pools", "show", ""], ["backup-1"]),
        (["pools", "create", "x", "0x"], [DRIVE]),
        (["pools", "replace", "backup-1", ""], [DRIVE]),
        (["pools", "delete", "--dr"], ["--dry-run"]),
        (["pools", "delete", "--wipe-copy", ""], [DRIVE]),
        (["pools", "show", "--context", "nas2", ""], ["backup-1"]),
        (["keys", "create", "--scope", ""], ["read", "operate", "admin"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
    ):
        _, out, _ = await backy("complete", "--", *words)
        assert out.split() == found


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch, agent: FakeAgent) -> None:
    """A creation runs, and Ctrl-C is pressed once while it is watched."""
    agent.pools.gate.clear()
    pressed: list[float] = []

    def press(seconds: float) -> None:
        pressed.append(seconds)
        if len(pressed) == 1:
            raise KeyboardInterrupt
        agent.pools.gate.set()

    monkeypatch.setattr("backy_core.cli.following.time.sleep", press)


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("typed", [None, "l\n", "\n"])
async def test_ctrl_c_leaves_the_operation_running(
    backy: Run, agent: FakeAgent, typed: str | None
) -> None:
    status, _, err = await backy("pools", "create", "new", DRIVE, "--yes", typed=typed)
    assert status == Exit.INTERRUPTED
    assert "It goes on without you" in err and "backy pools show" in err
    assert [operation.running for operation in agent.operations.all()] == [True]
    agent.pools.gate.set()


@pytest.mark.usefixtures("interrupted")
async def test_ctrl_c_can_cancel(backy: Run, agent: FakeAgent) -> None:
    status, _, err = await backy("pools", "create", "new", DRIVE, "--yes", typed="c\n")
    assert status == Exit.FAILURE and "Cancelled and rolled back" in err
    assert [operation.state for operation in agent.operations.all()] == ["cancelled"]


@pytest.mark.usefixtures("interrupted")
async def test_after_ctrl_c_one_can_watch_on(backy: Run) -> None:
    status, out, _ = await backy("pools", "create", "new", DRIVE, "--yes", typed="w\n")
    assert status == Exit.OK and "ready" in out


async def test_a_bar_shows_each_step_once(capsys: pytest.CaptureFixture[str]) -> None:
    from backy_core.cli.bar import Bar

    with Bar(coloured=False) as bar:
        for step, percent in (("[1/2] Do", 10), ("[1/2] Do", 20), ("[2/2] End", 60)):
            bar.show(step, percent, done=False)
    assert capsys.readouterr().err.count("✓ [1/2] Do") == 1


async def test_a_hostile_title_does_not_reach_the_terminal(backy: Run, agent: FakeAgent) -> None:
    agent.pools.gate.clear()
    running = asyncio.create_task(backy("pools", "create", "new", DRIVE, "--yes"))
    while not agent.operations.all():
        await asyncio.sleep(0.01)
    agent.operations.all()[0].report(2, 6, "\x1b]0;owned\x07")
    await asyncio.sleep(0.5)
    agent.pools.gate.set()
    _, _, err = await running
    assert "owned" in err and "\x1b" not in err
