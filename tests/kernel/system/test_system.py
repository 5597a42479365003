"""The code that touches the machine, on a real kernel: one guest, all of ``inside``."""

from __future__ import annotations

import re
from pathlib import Path

from tests.kernel.conftest import GuestFactory
from tests.kernel.lab.drives import numbered
from tests.kernel.lab.state import REPOSITORY
from tests.kernel.lab.systems import chosen

INSIDE = Path(__file__).with_name("inside")
LEAST_TESTS = 25


def test_system_on_a_real_kernel(guest_factory: GuestFactory) -> None:
    guest = guest_factory(numbered(4, 128 << 20))
    modules = [path for path in sorted(INSIDE.glob("*.py")) if "def test_" in path.read_text()]
    options = "-q -p no:cacheprovider -p no:xdist -o asyncio_mode=auto -rA"
    pytest = f"{chosen().python} -m pytest {options} --confcutdir={INSIDE}"

    done = guest.exec(f"cd {REPOSITORY} && {pytest} {' '.join(map(str, modules))}", timeout=300)

    assert done.rc == 0, done.out[-12000:] + done.err[-2000:]
    passed = re.search(r"(\d+) passed", done.out)
    assert passed is not None and int(passed[1]) >= LEAST_TESTS
    assert "skipped" not in done.out.splitlines()[-1]
