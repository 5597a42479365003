"""Runs in the guest: a RAID1 with ext4, mounted, through UDisks2; prints the milliseconds."""

from __future__ import annotations

import time
from typing import Any

import dbus  # type: ignore[import-not-found]

_NAME = "org.freedesktop.UDisks2"
_DEVICES = "/org/freedesktop/UDisks2/block_devices"
_LONG_S = 60


def interface(bus: Any, path: str, name: str) -> Any:
    return dbus.Interface(bus.get_object(_NAME, path, introspect=False), f"{_NAME}.{name}")


def options(**given: Any) -> Any:
    return dbus.Dictionary(given, signature="sv")


def main() -> None:
    bus = dbus.SystemBus()
    manager = interface(bus, "/org/freedesktop/UDisks2/Manager", "Manager")
    members = dbus.Array([f"{_DEVICES}/ubda", f"{_DEVICES}/ubdb"], signature="o")
    array, block = None, f"{_DEVICES}/md127"
    began = time.perf_counter()
    array = manager.MDRaidCreate(
        members,
        "raid1",
        "bench",
        dbus.UInt64(0),
        options(),
        signature="aossta{sv}",
        timeout=_LONG_S,
    )
    interface(bus, block, "Block").Format("ext4", options(), signature="sa{sv}", timeout=_LONG_S)
    interface(bus, block, "Filesystem").Mount(options(), timeout=_LONG_S)
    print((time.perf_counter() - began) * 1000)
    interface(bus, block, "Filesystem").Unmount(options(), timeout=_LONG_S)
    interface(bus, array, "MDRaid").Delete(
        dbus.Dictionary({"tear-down": True}, signature="sv"), timeout=_LONG_S
    )


main()
