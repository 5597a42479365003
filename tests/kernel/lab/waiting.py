"""Waiting for a guest that is a process of this machine."""

import subprocess
import time
from collections.abc import Callable


class GuestFailed(AssertionError):
    """The guest did not come up, or a command in it failed."""


def wait_until(
    check: Callable[[], bool],
    guest: subprocess.Popen[bytes] | None,
    seconds: float,
    what: str,
    log: Callable[[], str],
) -> None:
    """Wait until ``check`` holds. Raise GuestFailed if the guest ends first, or after ``seconds``.

    ``what`` completes "the guest did not ..."; ``log`` gives what the error shows of its output.
    """
    deadline = time.monotonic() + seconds
    while not check():
        if guest is None or guest.poll() is not None:
            raise GuestFailed(f"the guest ended before it could {what}: {log()}")
        if time.monotonic() > deadline:
            raise GuestFailed(f"the guest did not {what} in {seconds:g} s: {log()}")
        time.sleep(0.05)
