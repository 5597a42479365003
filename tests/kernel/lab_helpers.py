"""Common parts of the lab's tests."""

from pathlib import Path

from .lab.state import start_time
from .lab.systems import chosen

STAND_IN = [chosen().python, "-I", str(Path(__file__).with_name("standin.py"))]
"""An agent's command; -I, or this folder's modules would shadow the standard library's."""


def processes_in(state: Path) -> list[str]:
    """Command lines on the host that name this state directory, and UML processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and start_time(int(entry.name)):
            line = (entry / "cmdline").read_bytes().decode(errors="replace")
            if str(state) in line and "pytest" not in line:
                found.append(line)
    return found
