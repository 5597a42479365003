"""The kernel's messages about a device, since one began to listen."""

from __future__ import annotations

import socket

from backy_core.system.kernel_log import KernelLog, open_kernel_log

RECORDS = (
    "6,1,2,-;sdc: something else\n SUBSYSTEM=block\n DEVICE=b8:32\n",
    "3,2,3,-;md: sdc: incompatible logical_block_size, can not add\n",
    "6,3,4,-;sdcx: another drive\n",
    "6,4,5,-;sdc1: a partition\n",
    "6,5,6,-;md127: array\n",
)


def listening(*records: str) -> KernelLog:
    """/dev/kmsg gives a record with each read, as a socket of this kind does."""
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    reader.setblocking(False)
    for record in records:
        writer.send(record.encode())
    return KernelLog(reader.detach())


def test_messages_that_name_the_device_alone() -> None:
    log = listening(*RECORDS)
    assert log.about(("sdc",)) == (
        "sdc: something else",
        "md: sdc: incompatible logical_block_size, can not add",
    )
    assert log.about(("sdc",)) == (), "each is told once"
    log.close()


def test_only_the_last_few_and_none_twice() -> None:
    log = listening(*(f"3,{n},0,-;sdc: error {n // 2}\n" for n in range(20)))
    assert log.about(("sdc", "md0")) == tuple(f"sdc: error {n}" for n in range(5, 10))
    log.close()


def test_without_a_log_nothing_is_said() -> None:
    assert KernelLog(None).about(("sda",)) == ()
    log = open_kernel_log()  # as much as this machine lets us see
    assert log.about(()) == ()
    log.close()
    log.close()
