"""The modules that a start loads. Each costs time and memory before the first reply."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = {
    *("pluggy", "pydantic", "pydantic_core", "annotated_types"),
    *("typing_extensions", "typing_inspection", "quart", "quart_schema", "h11"),
    # Quart's own
    *("aiofiles", "blinker", "click", "flask", "h2", "hpack", "hypercorn", "hyperframe"),
    *("itsdangerous", "jinja2", "markupsafe", "priority", "werkzeug", "wsproto"),
}
"""Besides these there is pyudev, which is loaded when the agent begins to listen."""
NOT_NEEDED = ("backy_core.testing", "backy_core.cli.manual", "backy_core.cli.reference")
_LOADED = (
    "import sys; sys.modules['attrs'] = None; import backy_core.cli.main, backy_core.cli.serve;"
    " print(*(name for name in sys.modules if sys.modules[name]))"
)
"""quart-schema loads attrs if it is there, which only development brings (aiosmtpd)."""


@pytest.fixture(scope="module")
def loaded() -> frozenset[str]:
    program = [sys.executable, "-S", "-c", f"import sys; sys.path += {sys.path!r}; {_LOADED}"]
    return frozenset(subprocess.check_output(program, text=True).split())


def test_a_start_loads_these_libraries_and_no_others(loaded: frozenset[str]) -> None:
    packages = {name.partition(".")[0] for name in loaded if not name.startswith("_")}
    assert packages - sys.stdlib_module_names - {"backy_core"} == LIBRARIES


def test_a_start_loads_nothing_for_authors_or_pages(loaded: frozenset[str]) -> None:
    assert [name for name in loaded if name.startswith(NOT_NEEDED)] == []
