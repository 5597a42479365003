"""Owner of one guest, a process of its own: boots it, forwards its port, ends it in time.

The guest lives exactly as long as this process: its first process is told to die with it
(PR_SET_PDEATHSIG), and everything in the guest's pid namespace dies with that one.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from . import kernel, netns, wire, xstate
from .errors import LabError
from .state import Running, Spec, State, hidden_directories, place_at_boot, start_time

AGENT_PORT = 5151
"""Where the agent listens inside the guest."""
_BOOT_SECONDS = 120
_CONFINE = Path(__file__).with_name("confine.sh")


def main(argv: list[str]) -> int:
    """`supervisor STATE SPEC OWNER`: OWNER is a descriptor whose end of file ends the guest, or -1.

    Errors go to stderr in one line; the record in STATE appears when the guest takes commands.
    """
    state, spec, owner = State(Path(argv[0])), Spec.from_json(json.loads(argv[1])), int(argv[2])
    try:
        return asyncio.run(_supervise(state, spec, owner))
    except LabError as error:
        print(error, file=sys.stderr, flush=True)
        return 1


async def _supervise(state: State, spec: Spec, owner: int) -> int:
    lock = state.lock()
    listener = _listen(spec.port)
    state.forget()
    state.prepare(spec)
    guest = _boot(state, spec)
    inner = 0
    try:
        inner = await _inner_process(guest)
        netns.enter(inner)
        await _await_server(guest, state)
        port = listener.getsockname()[1] if listener else None
        own = os.getpid()
        state.record(Running(own, start_time(own), inner, start_time(inner), port, spec.suite))
        await _until_the_end(guest, spec, owner, listener)
        return 0
    finally:
        _end(guest, inner)
        state.forget()
        os.close(lock)


def _listen(port: int | None) -> socket.socket | None:
    if port is None:
        return None
    try:
        # SO_REUSEADDR is create_server's default: connections of the last guest do not block.
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except OSError as error:
        raise LabError(f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}.") from error


def _boot(state: State, spec: Spec) -> subprocess.Popen[bytes]:
    shim = xstate.library()
    preload = "" if shim is None else place_at_boot(shim, spec.system)
    console = os.open(state.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    said = os.open(state.path / kernel.OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
    try:
        return subprocess.Popen(
            [
                *(
                    "unshare",
                    "--pid",
                    "--fork",
                    "--kill-child",
                    "--mount",
                    "--net",
                    "--ipc",
                    "--uts",
                ),
                *("--propagation", "private", "/bin/sh", str(_CONFINE)),
                *(str(state.path), str(spec.system.root), preload),
                *(f"{name}={path}" for name, path in hidden_directories(spec.system).items()),
                "--",
                *kernel.command_line(console, list(spec.drives), spec.memory, spec.raid6),
            ],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=[console],
            preexec_fn=_prepare,
            start_new_session=True,
        )
    finally:
        os.close(console)
        os.close(said)


def _prepare() -> None:
    """Have the guest die with its owner. Beside other workers of pytest it stays on one processor:
    it is made of processes that hand over to each other, which is slower from one to the other."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if worker.isdecimal():
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[int(worker) % len(processors)]})


def _end(guest: subprocess.Popen[bytes], inner: int) -> None:
    """Kill everything and return when it is gone."""
    if inner and guest.poll() is None:
        # unshare waits for it, and it ends only after all others in its pid namespace.
        with contextlib.suppress(ProcessLookupError):
            os.kill(inner, signal.SIGKILL)
    else:
        guest.kill()
    guest.wait()


async def _inner_process(guest: subprocess.Popen[bytes]) -> int:
    """The child of unshare, first process of the namespaces."""
    children = Path(f"/proc/{guest.pid}/task/{guest.pid}/children")
    while guest.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if found := children.read_text().split():
                return int(found[0])
        await asyncio.sleep(0.005)
    raise LabError("The guest's namespaces could not be made; vm.log in its state says why.")


async def _await_server(guest: subprocess.Popen[bytes], state: State) -> None:
    """Wait until the guest takes commands."""
    for _ in range(_BOOT_SECONDS * 50):
        if state.ready.exists():
            return
        if guest.poll() is not None:
            raise LabError(f"The guest ended while booting: {_last_words(state)}")
        await asyncio.sleep(0.02)
    raise LabError(f"The guest did not boot in {_BOOT_SECONDS} s: {_last_words(state)}")


def _last_words(state: State) -> str:
    texts = [
        path.read_text(errors="replace") for path in (state.path / kernel.OUTPUT, state.console)
    ]
    return " | ".join(line for text in texts for line in text.splitlines()[-4:])


async def _until_the_end(
    guest: subprocess.Popen[bytes], spec: Spec, owner: int, listener: socket.socket | None
) -> None:
    """Return when the guest, its time, its owner or this process' welcome is at an end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    loop.add_reader(os.pidfd_open(guest.pid), ended.set)
    if owner >= 0:
        loop.add_reader(owner, ended.set)
    if listener is not None:
        await asyncio.start_server(_forward, sock=listener)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), spec.lifetime)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection from the host's port to the agent's."""
    try:
        inward, outward = await asyncio.open_connection(wire.ADDRESS, AGENT_PORT)
    except OSError:
        writer.transport.abort()  # a reset, as from a port where nobody listens
        return
    try:
        await asyncio.gather(_pump(reader, outward), _pump(inward, writer))
        outward.close()
        writer.close()
    except OSError:  # one side vanished: so does the other
        outward.transport.abort()
        writer.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
