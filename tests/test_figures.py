"""The code's shape gets no worse: these figures only fall, and their limits with them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture import ROOT
from tests.figures import code_lines, functions, lines_to_plan, typed_percent

LONGEST_FUNCTION = 42
LINES_TO_PLAN = {"backy_mdadm": 402, "backy_lvm": 654, "backy_zfs": 495}
"""Lower them with every improvement; never raise them."""

PLUGINS = sorted((ROOT / "plugins").glob("*/backy_*"))


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: plugin.name)
def test_a_backend_takes_few_lines_to_plan(plugin: Path) -> None:
    assert 0 < lines_to_plan(plugin) <= LINES_TO_PLAN[plugin.name]


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
