"""The guard of conftest.py, tried on processes that cannot be hurt."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest


def test_a_foreign_pid_is_not_signalled() -> None:
    with pytest.raises(AssertionError, match="no test started"):
        os.kill(1, signal.SIGCONT)
    with pytest.raises(AssertionError, match="no test started"):
        os.killpg(1, signal.SIGCONT)


def test_a_foreign_process_is_not_signalled_by_descriptor() -> None:
    descriptor = os.pidfd_open(1)
    try:
        with pytest.raises(AssertionError, match="no test started"):
            signal.pidfd_send_signal(descriptor, signal.SIGCONT)
    finally:
        os.close(descriptor)


def test_own_children_can_be_ended_with_their_group() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        os.killpg(child.pid, signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL


def test_looking_whether_a_process_lives_is_allowed() -> None:
    os.kill(1, 0)
