"""Enter a guest's network namespace."""

import ctypes
import os
import socket
import threading

_CLONE_NEWNET = 0x40000000


def enter(pid: int) -> None:
    """setns(2) of the calling thread into the network namespace of a process."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns to process {pid}: {os.strerror(number)}")
    finally:
        os.close(descriptor)


def connect(pid: int, address: tuple[str, int], timeout: float) -> socket.socket:
    """A TCP connection made inside that namespace; the caller stays in its own.

    A socket belongs to the namespace it was made in, so a short-lived thread makes it.
    """
    made: list[socket.socket] = []
    failed: list[OSError] = []

    def attempt() -> None:
        try:
            enter(pid)
            made.append(socket.create_connection(address, timeout))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]
