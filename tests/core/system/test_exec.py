"""Running programs, with real children."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backy_core.sdk.errors import SystemFailure
from backy_core.system import exec
from backy_core.system.exec import CommandFailed, process_start_time, run, wait_for_exit


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def started_child(pid_file: Path) -> int:
    """The pid a child wrote once it was ready."""
    for _ in range(500):
        if pid_file.exists() and pid_file.read_text().strip():
            return int(pid_file.read_text())
        await asyncio.sleep(0.02)
    raise AssertionError("the child never started")


def writes_pid(path: Path) -> str:
    return f"import os, signal, time, sys\nopen({str(path)!r}, 'w').write(str(os.getpid()))\n"


async def test_outcome() -> None:
    outcome = await run(python("print('out'); import sys; print('err', file=sys.stderr)"))
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "out\n", "err\n")
    assert outcome.argv[0] == sys.executable
    assert outcome.seconds > 0
    assert "succeeded" in repr(outcome)


async def test_failure_carries_status_and_last_words() -> None:
    code = "import sys; print('why it failed', file=sys.stderr); sys.exit(3)"
    with pytest.raises(CommandFailed) as caught:
        await run(python(code))
    assert caught.value.outcome.code == 3
    assert caught.value.message.endswith("exited with status 3")
    assert caught.value.details == "why it failed"
    assert isinstance(caught.value, SystemFailure)


async def test_ok_codes_and_unchecked() -> None:
    assert (await run(python("raise SystemExit(3)"), ok_codes=(0, 3))).code == 3
    assert (await run(python("raise SystemExit(4)"), check=False)).code == 4


async def test_missing_program_is_named() -> None:
    with pytest.raises(CommandFailed, match="no-such-program is not installed"):
        await run(["no-such-program", "--version"])
    with pytest.raises(CommandFailed, match="not installed"):
        await run(["no-such-program"], check=False)


async def test_program_without_permission(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    with pytest.raises(CommandFailed, match="could not be started") as caught:
        await run([str(tmp_path / "tool")])
    assert "Permission denied" in str(caught.value)


async def test_death_by_signal() -> None:
    outcome = await run(python("import os; os.kill(os.getpid(), 9)"), check=False)
    assert outcome.code == -signal.SIGKILL
    assert "SIGKILL" in outcome.sentence


async def test_working_directory_and_umask_are_not_the_agents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o077)
    try:
        outcome = await run(python("import os; print(os.getcwd(), os.umask(0))"))
    finally:
        os.umask(before)
    assert outcome.stdout.split() == ["/", str(0o022)]


async def test_environment_is_built_and_stdin_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKY_SECRET", "x")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    code = "import os, sys; print(sorted(os.environ), os.environ['LC_ALL'], repr(sys.stdin.read()))"
    outcome = await run(python(code))
    assert "BACKY_SECRET" not in outcome.stdout
    assert outcome.stdout.endswith("C.UTF-8 ''\n")


async def test_session_of_its_own_and_no_inherited_descriptors() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        code = "import os; print(os.getsid(0) == os.getpid(), sorted(os.listdir('/proc/self/fd')))"
        outcome = await run(python(code))
    finally:
        os.close(reading)
        os.close(writing)
    assert outcome.stdout.startswith("True")
    assert outcome.stdout.count("'") == 2 * 4, "0, 1, 2 and the listing itself"


async def test_a_program_does_not_die_of_talking_to_a_dead_agent(tmp_path: Path) -> None:
    """The agent is killed; its program writes to a pipe that nobody reads, and goes on."""
    done = tmp_path / "done"
    script = f"sleep 1; echo anybody there; echo $? >{done}"
    agent = (
        "import asyncio, os, signal\n"
        "from backy_core.system.exec import run\n"
        "kill = lambda pid, since: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"asyncio.run(run(['/bin/sh', '-c', {script!r}], on_start=kill))"
    )
    subprocess.run(python(agent), check=False)
    for _ in range(500):
        if done.exists() and done.read_text():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the program died")


def test_the_end_waits_for_programs_that_have_just_been_started() -> None:
    """asyncio's own end hangs where it cancels a program that is being started."""
    script = (
        "import asyncio\n"
        "from backy_core.system.exec import all_ended, run\n"
        "async def main(turns):\n"
        "    task = asyncio.create_task(run(['sleep', '0.1'], cancel='term'))\n"
        "    for _ in range(turns):\n"
        "        await asyncio.sleep(0)\n"
        "    task.cancel()\n"
        "    await all_ended()\n"
        "for turns in range(10):\n"
        "    asyncio.run(main(turns))\n"
    )
    assert subprocess.run(python(script), check=False, timeout=60).returncode == 0


async def test_lines_come_live_and_clean() -> None:
    code = (
        "import sys, time\n"
        "print('first\\x1b[1m bold', flush=True); time.sleep(0.6)\n"
        "sys.stdout.buffer.write(b'caf\\xff \\b\\bX\\rlast')"
    )
    lines: list[tuple[float, str]] = []
    outcome = await run(python(code), on_line=lambda line: lines.append((time.monotonic(), line)))
    assert [line for _, line in lines] == ["first bold", "cafX", "last"]
    assert lines[1][0] - lines[0][0] > 0.4
    assert outcome.stdout.startswith("first\x1b[1m bold")


async def test_output_is_bounded_and_marked() -> None:
    code = "import sys; sys.stdout.write('a' * 50_000 + 'b' * 3_000_000 + 'c' * 50_000)"
    outcome = await run(python(code), output_limit=100_000)
    assert outcome.stdout.startswith("a" * 50_000 + "\n[3000000 bytes left out]\n")
    assert outcome.stdout.endswith("c" * 50_000)
    assert len(outcome.stdout) < 101_000


async def test_endless_line_does_not_grow() -> None:
    longest = 0

    def measure(line: str) -> None:
        nonlocal longest
        longest = max(longest, len(line))

    await run(python("import sys; sys.stdout.write('x' * 1_000_000)"), on_line=measure)
    assert 0 < longest <= 4096


async def test_on_start_gets_pid_and_start_time(tmp_path: Path) -> None:
    """The child lives until it was called: one that has ended has no start time any more."""
    seen: list[tuple[int, float]] = []
    called = tmp_path / "called"
    code = (
        f"import os, time\nwhile not os.path.exists({str(called)!r}): time.sleep(0.01)\n"
        "print(os.getpid(), open('/proc/self/stat').read().split()[21])"
    )

    def on_start(pid: int, start_time: float) -> None:
        seen.append((pid, start_time))
        called.touch()

    outcome = await run(python(code), on_start=on_start)
    assert [f"{pid} {int(start_time)}\n" for pid, start_time in seen] == [outcome.stdout]


async def test_error_in_on_start_is_raised_after_the_child_ended(tmp_path: Path) -> None:
    done = tmp_path / "done"

    def failing(pid: int, start_time: float) -> None:
        raise OSError("disk full")

    code = f"import time; time.sleep(0.3); open({str(done)!r}, 'w')"
    with pytest.raises(OSError, match="disk full"):
        await run(python(code), on_start=failing)
    assert done.exists()


async def test_time_out_terminates_then_kills_the_whole_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    stubborn = (
        writes_pid(pid_file) + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)"
    )
    parent = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {stubborn!r}]); time.sleep(60)"
    )
    began = time.monotonic()
    task = asyncio.create_task(run(python(parent), timeout_s=1.5, grace_s=0.5, check=False))
    grandchild = await started_child(pid_file)
    outcome = await task
    assert outcome.timed_out
    assert outcome.code is None
    assert "in time" in outcome.sentence
    assert time.monotonic() - began < 10
    assert await wait_for_exit(grandchild, process_start_time(grandchild) or 0, 2)


async def test_time_out_is_an_error_when_checked() -> None:
    with pytest.raises(CommandFailed, match="did not end in time"):
        await run(python("import time; time.sleep(60)"), timeout_s=0.2, grace_s=2)


async def test_cancel_wait_lets_the_child_end(tmp_path: Path) -> None:
    pid_file, done = tmp_path / "pid", tmp_path / "done"
    code = writes_pid(pid_file) + f"time.sleep(0.7)\nopen({str(done)!r}, 'w')"
    task = asyncio.create_task(run(python(code)))
    pid = await started_child(pid_file)
    task.cancel()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.exists()
    assert not alive(pid)


async def test_cancel_term_ends_the_child(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    task = asyncio.create_task(
        run(python(writes_pid(pid_file) + "time.sleep(60)"), cancel="term", grace_s=5)
    )
    pid = await started_child(pid_file)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 4
    assert not alive(pid)


async def test_a_group_that_is_gone_is_not_signalled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its number may be another group's by then."""
    sent: list[int] = []
    send = os.killpg

    def note(pid: int, number: int) -> None:
        sent.append(number)
        send(pid, number)

    monkeypatch.setattr(os, "killpg", note)
    with pytest.raises(CommandFailed):
        await run(python("import time; time.sleep(60)"), timeout_s=0.2, grace_s=2)
    assert sent[0] == signal.SIGTERM and signal.SIGKILL not in sent


async def test_cancel_term_kills_after_the_grace_time(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        + writes_pid(pid_file)
        + "time.sleep(60)"
    )
    task = asyncio.create_task(run(python(code), cancel="term", grace_s=0.4))
    pid = await started_child(pid_file)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not alive(pid)


async def test_cancel_while_starting_loses_no_child(tmp_path: Path) -> None:
    done = tmp_path / "done"
    task = asyncio.create_task(run(python(f"open({str(done)!r}, 'w')")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.exists()


async def test_cancelled_start_of_a_missing_program_is_a_cancellation() -> None:
    task = asyncio.create_task(run(["no-such-program"]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_daemon_that_keeps_the_pipe_open_does_not_block() -> None:
    daemon = "import time; time.sleep(30)"
    code = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen([sys.executable, '-c', {daemon!r}], start_new_session=True)\n"
        "print(p.pid, flush=True)"
    )
    began = time.monotonic()
    outcome = await run(python(code))
    pid = int(outcome.stdout)
    assert time.monotonic() - began < 8
    assert alive(pid)
    descriptor = os.pidfd_open(pid)
    try:
        # The daemon was re-parented away from this process, but is this test's own.
        subprocess.run(["kill", "-9", str(pid)], check=True)
    finally:
        os.close(descriptor)


async def test_many_at_once() -> None:
    outcomes = await asyncio.gather(*(run(["echo", str(number)]) for number in range(20)))
    assert [outcome.stdout for outcome in outcomes] == [f"{number}\n" for number in range(20)]


async def test_wait_for_exit_of_a_stranger() -> None:
    child = subprocess.Popen(python("import time; time.sleep(0.6)"))
    start_time = process_start_time(child.pid)
    assert start_time is not None
    assert await wait_for_exit(child.pid, start_time + 1, 5), "another process with this pid"
    assert not await wait_for_exit(child.pid, start_time, 0.05)
    assert await wait_for_exit(child.pid, start_time, 10)
    child.wait()
    assert await wait_for_exit(child.pid, start_time, 0.05)


async def test_a_zombie_is_gone() -> None:
    child = subprocess.Popen(python("pass"))
    start_time = process_start_time(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_time is not None
    assert await wait_for_exit(child.pid, start_time, 0.5)
    assert not exec.process_start_time(-1)
    child.wait()
