"""UDisks2 in the guest, and the same pool made and removed through it."""

from __future__ import annotations

from pathlib import Path

from tests.kernel.lab.guest import Guest

_DAEMON = Path("/usr/libexec/udisks2/udisksd")
_PID_FILE = "/tmp/udisksd.pid"
_CLIENT = Path(__file__).with_name("udisks_client.py")
# Without a login manager udisksd waits for one at each mount.
_START = f"""
rm -f /usr/share/dbus-1/system-services/org.freedesktop.login1.service
mkdir -p /run/dbus && dbus-daemon --system --fork
{_DAEMON} --no-debug > /tmp/udisksd.log 2>&1 & echo $! > {_PID_FILE}
i=0
until busctl call org.freedesktop.UDisks2 /org/freedesktop/UDisks2/Manager \\
    org.freedesktop.DBus.Peer Ping > /dev/null 2>&1
do i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done
"""


def installed() -> bool:
    return _DAEMON.exists() and Path("/usr/lib/python3/dist-packages/dbus").exists()


def start(guest: Guest) -> None:
    guest.exec(_START, check=True)


def pid(guest: Guest) -> int | None:
    text = guest.exec(f"cat {_PID_FILE} 2>/dev/null").out.strip()
    return int(text) if text else None


def create(guest: Guest) -> float:
    """Milliseconds from the first call until the filesystem is mounted; removed again after."""
    # The system's Python, for its D-Bus module.
    return float(guest.exec(["/usr/bin/python3", str(_CLIENT)], check=True).out)
