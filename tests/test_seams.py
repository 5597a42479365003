"""The agent meets the machine where it is handed one: neither it nor a test goes round that."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backy_core.system import machine
from tests.architecture import ROOT, Module, imports, modules

HANDED = [
    module
    for module in modules(ROOT / "backy_core", "backy_core")
    if module.name.split(".")[1:2]
    in (["store"], ["plugins"], ["machine"], ["operations"], ["pools"])
]
STAND_INS = [
    *modules(ROOT / "backy_core" / "testing", "backy_core.testing"),
    *modules(ROOT / "tests" / "fakes", "tests.fakes"),
]
OWN = {"self", "cls", "super()", "os"}
"""``os._exit`` is public in all but its name."""
PATCHES = re.compile(r"(^|\.)(setattr|delattr|patch)$")
OF_PLUGINS = "backy_core.testing.purity"
"""Its stand-ins are for what plugins must not call, which are handed no machine."""


def questions() -> set[str]:
    """What can be asked of a machine or done to it, as dotted names of the functions that do."""
    names = set()
    for part, protocol in machine.Machine.__annotations__.items():
        methods = [name for name in vars(getattr(machine, protocol)) if not name.startswith("_")]
        real = getattr(machine.LINUX, part)
        names.add(real.__name__)
        for method in methods:
            function = getattr(real, method)
            names |= {f"{real.__name__}.{method}", f"{function.__module__}.{method}"}
    return names


QUESTIONS = questions()


def directly_asked(module: Module) -> list[str]:
    """Imports that ask this machine instead of the one handed in."""
    forbidden = QUESTIONS | {
        "backy_core.system.machine.LINUX",
        "backy_core.system.clock.SystemClock",
    }
    return sorted(forbidden.intersection(imports(module)))


def private_uses(module: Module) -> list[str]:
    """Private names of others."""
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            found += [] if ast.unparse(node.value) in OWN else [ast.unparse(node)]
        if isinstance(node, ast.ImportFrom):
            found += [alias.name for alias in node.names if _is_private(alias.name)]
    return found


def patches(module: Module) -> list[str]:
    """Assignments to what was imported, and calls that do the same."""
    names = {name for node in ast.walk(module.tree) for name in _bound(node)}
    found = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and PATCHES.search(ast.unparse(node.func)):
            found.append(ast.unparse(node))
        targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else []
        if isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets = [node.target]
        found += [
            ast.unparse(target)
            for target in targets
            for part in ast.walk(target)
            if isinstance(part, ast.Attribute) and _root(part) in names
        ]
    return found


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)


def _root(node: ast.expr) -> str:
    return ast.unparse(node).partition(".")[0]


@pytest.mark.parametrize("module", HANDED, ids=lambda module: module.name)
def test_the_machine_is_asked_where_it_was_handed_in(module: Module) -> None:
    default = {"backy_core.plugins.loading": ["backy_core.system.exec"]}
    assert directly_asked(module) == default.get(module.name, [])


@pytest.mark.parametrize("module", STAND_INS, ids=lambda module: module.name)
def test_kit_and_fakes_touch_no_private_name(module: Module) -> None:
    assert private_uses(module) == []


@pytest.mark.parametrize("module", STAND_INS, ids=lambda module: module.name)
def test_kit_and_fakes_patch_nothing(module: Module) -> None:
    assert module.name == OF_PLUGINS or patches(module) == []


def test_there_is_something_to_check() -> None:
    assert {"backy_core.system.exec", "backy_core.system.libmount"} & QUESTIONS
    assert "backy_core.system.mountinfo.read_mounts" in QUESTIONS
    assert len(HANDED) > 40 and len(STAND_INS) > 20


@pytest.mark.parametrize(
    "text",
    [
        "from backy_core.system import blocks",
        "from backy_core.system.mountinfo import read_mounts",
        "from backy_core.system.machine import LINUX",
    ],
)
def test_asking_this_machine_would_be_seen(text: str) -> None:
    assert directly_asked(Module("backy_core.pools.x", Path("x.py"), text))


@pytest.mark.parametrize("text", ["agent.runtime._core", "from backy_core.pools import _x"])
def test_a_private_name_would_be_seen(text: str) -> None:
    assert private_uses(Module("backy_core.testing.x", Path("x.py"), text))
    assert not private_uses(Module("backy_core.testing.x", Path("x.py"), "self._core"))


@pytest.mark.parametrize(
    "text",
    [
        "from backy_core.system import exec\nexec.run = None",
        "from backy_core.operations.journal import JournalEntry\nJournalEntry.write = None",
        "monkeypatch.setattr(blocks, 'holders', None)",
        "from unittest import mock\nmock.patch('x')",
    ],
)
def test_a_patch_would_be_seen(text: str) -> None:
    assert patches(Module("tests.fakes.x", Path("x.py"), text))
