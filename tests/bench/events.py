"""From an event of the machine until a client knows, with few pools and with many.

The client runs in the guest, so that one clock times both ends. It asks every 20 ms, which is part
of the figure, or follows the events.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.bench.figures import Amount
from tests.bench.guests import Bench
from tests.bench.subjects import MDADM, make_others, other_drives
from tests.kernel.lab.agent import AgentGuest
from tests.kernel.lab.supervisor import AGENT_PORT

_CLIENT = Path(__file__).with_name("event_client.py")
_LINK = "/sys/kernel/config/target/loopback/naa.6001405000000010/tpgt_0/lun/lun_1/drive"
"""What plugs the second drive in: one of the first pool's."""
_LIMITS_MS = (100.0, 300.0)
"""The median, and the worst."""
_SHOWN = {"ask": "until the API shows it", "follow": "until a client of the events knows"}
_LIFETIME_S = 7200.0
_TITLES = {
    "failed": "Member failed",
    "pulled": "Drive pulled",
    "plugged": "Drive plugged",
}


def measure(repetitions: int, pools: int) -> list[Amount]:
    drives = other_drives(pools)
    with (
        tempfile.TemporaryDirectory(prefix="backy-bench-") as directory,
        AgentGuest(Path(directory), drives, lifetime=_LIFETIME_S) as guest,
    ):
        bench = Bench(guest)
        first, *_ = make_others(bench, [MDADM] * pools, drives)
        bench.rest()
        address = f"127.0.0.1:{AGENT_PORT}"
        words = (address, guest.api_key, first, drives[1].serial, _LINK, str(repetitions))
        rows: list[Amount] = []
        for how, shown in _SHOWN.items():
            argv = [sys.executable, str(_CLIENT), how, *words]
            client = guest.exec(argv, timeout=3600, check=True)
            times: dict[str, list[float]] = json.loads(client.out)
            rows += [
                Amount(f"{_TITLES[event]} {shown}, {pools} pools", "ms", figures, *_LIMITS_MS)
                for event, figures in times.items()
            ]
    return rows
