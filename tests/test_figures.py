"""The code's shape gets no worse: these figures only fall, and their limits with them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture import ROOT
from tests.figures import code_lines, functions, lines_to_plan, reading_modules, typed_percent

LONGEST_FUNCTION = 42
LINES_TO_PLAN = {"backy_mdadm": 212, "backy_lvm": 299, "backy_zfs": 297}
"""Lower them with every improvement; never raise them."""

PLUGINS = sorted((ROOT / "plugins").glob("*/backy_*"))
BACKENDS = [plugin for plugin in PLUGINS if plugin.name in LINES_TO_PLAN]


@pytest.mark.parametrize("plugin", BACKENDS, ids=lambda plugin: plugin.name)
def test_a_backend_takes_few_lines_to_plan(plugin: Path) -> None:
    assert 0 < lines_to_plan(plugin) <= LINES_TO_PLAN[plugin.name]


@pytest.mark.parametrize("plugin", BACKENDS, ids=lambda plugin: plugin.name)
def test_what_a_backend_reads_with_makes_no_step(plugin: Path) -> None:
    """So no planning escapes the count above."""
    makes_steps = ("backy_core.sdk.plan", "backy_core.sdk.steps")
    for name in reading_modules(plugin):
        text = (plugin / f"{name}.py").read_text()
        assert not any(module in text for module in makes_steps), name


def test_only_what_the_inspection_imports_is_for_reading(tmp_path: Path) -> None:
    texts = {
        "__init__": "",
        "inspect": "from backy_toy import parse\nimport re",
        "parse": "from backy_toy.names import NAME",
        "names": "NAME = 1\n",
        "hooks": "from backy_toy.inspect import look\nFIRST = 1\nSECOND = 2\n",
    }
    plugin = tmp_path / "backy_toy"
    plugin.mkdir()
    for name, text in texts.items():
        (plugin / f"{name}.py").write_text(text)
    assert reading_modules(plugin) == {"__init__", "inspect", "parse", "names"}
    assert lines_to_plan(plugin) == 3


def test_functions_are_short_and_typed() -> None:
    found = list(functions([ROOT / "backy_core", *PLUGINS]))
    assert typed_percent(found) == 100
    longest = max(found, key=lambda node: (node.end_lineno or 0) - node.lineno)
    lines = (longest.end_lineno or 0) - longest.lineno + 1
    assert lines <= LONGEST_FUNCTION, longest.name


def test_only_code_is_counted() -> None:
    source = '"""Doc\n\nstring."""\n\n# why\nx = (\n    1,\n)\n\n\ndef f():\n    """Doc."""\n'
    assert code_lines(source) == 4
    node = ast.parse("def f(self, a, b: int) -> None: ...").body[0]
    assert isinstance(node, ast.FunctionDef)
    assert typed_percent([node]) == pytest.approx(200 / 3)
