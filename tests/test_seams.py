"""The agent meets the machine where it is handed one: neither it nor a test goes round that."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backy_core.system import machine
from tests.architecture import ROOT, Module, imports, modules

CORE = [
    module
    for module in modules(ROOT / "backy_core", "backy_core")
    if module.name.split(".")[1:2] not in (["system"], ["testing"])
]
ASKS_ITSELF = {
    "backy_core.runtime": [
        "backy_core.system.clock.SystemClock",
        "backy_core.system.machine.LINUX",
    ],
    "backy_core.cli.serve": ["backy_core.system.machine.LINUX"],
    "backy_core.cli.notify": ["backy_core.system.clock.SystemClock"],
    "backy_core.plugins.loading": ["backy_core.system.exec"],
    "backy_core.api.static_replies": ["backy_core.system.threads.apart"],
}
"""Three have this machine as their default. ``notify`` keeps systemd's watchdog quiet, whatever
clock the agent has; the last reads files of the package itself."""
TESTS = [
    *modules(ROOT / "tests", "tests"),
    *(
        module
        for folder in sorted((ROOT / "plugins").glob("*/tests"))
        for module in modules(folder, f"{folder.parent.name}.tests")
    ),
]
OWN_TIME = {
    "backy_core.logs": "is there before anything that could be handed a clock",
    **dict.fromkeys(
        (
            *("backy_core.client.aio", "backy_core.client.sync"),
            *("backy_core.cli.following", "backy_core.cli.commands.events"),
        ),
        "is no part of the agent, but a client of it",
    ),
}
"""Modules that take the time themselves, and why. The kit is left out: its machine is real."""
TELLS_TIME = re.compile(r"^(?:datetime\.)?datetime\.(?:now|utcnow|today)$|^asyncio\.sleep$")
BELOW_THE_SEAM = ("tests.core.system.", "tests.kernel.system.")
"""Tests of the package itself, whose modules are handed nothing."""
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


def own_time(module: Module) -> list[str]:
    """What it takes from this machine's clock. ``asyncio.sleep(0)`` waits for no time."""
    nodes = list(ast.walk(module.tree))
    turns = {id(node.func) for node in nodes if isinstance(node, ast.Call) and _is_turn(node)}
    used = (ast.unparse(n) for n in nodes if isinstance(n, ast.Attribute) and id(n) not in turns)
    imported = [name for name in imports(module) if re.match(r"time(\.|$)", name)]
    return imported + [name for name in used if TELLS_TIME.search(name)]


def system_patches(module: Module) -> list[str]:
    """Patches of what is in ``backy_core.system``, or of ``time``."""
    names = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    targets = [
        node.args[0].value if isinstance(node.args[0], ast.Constant) else ast.unparse(node.args[0])
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and PATCHES.search(ast.unparse(node.func)) and node.args
    ]
    dotted = (names.get(name.partition(".")[0], name) for name in map(str, targets))
    return [name for name in dotted if f"{name}.".startswith(("backy_core.system.", "time."))]


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


def _is_turn(call: ast.Call) -> bool:
    return ast.unparse(call) == "asyncio.sleep(0)"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)


def _root(node: ast.expr) -> str:
    return ast.unparse(node).partition(".")[0]


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.name)
def test_the_machine_is_asked_where_it_was_handed_in(module: Module) -> None:
    assert directly_asked(module) == ASKS_ITSELF.get(module.name, [])


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.name)
def test_the_time_is_told_by_the_clock_handed_in(module: Module) -> None:
    assert bool(own_time(module)) is (module.name in OWN_TIME)


@pytest.mark.parametrize("module", TESTS, ids=lambda module: module.name)
def test_no_test_patches_the_machine(module: Module) -> None:
    assert module.name.startswith(BELOW_THE_SEAM) or system_patches(module) == []


@pytest.mark.parametrize("module", STAND_INS, ids=lambda module: module.name)
def test_kit_and_fakes_touch_no_private_name(module: Module) -> None:
    assert private_uses(module) == []


@pytest.mark.parametrize("module", STAND_INS, ids=lambda module: module.name)
def test_kit_and_fakes_patch_nothing(module: Module) -> None:
    assert module.name == OF_PLUGINS or patches(module) == []


def test_there_is_something_to_check() -> None:
    assert {"backy_core.system.exec", "backy_core.system.libmount"} & QUESTIONS
    assert "backy_core.system.mountinfo.read_mounts" in QUESTIONS
    assert len(CORE) > 100 and len(STAND_INS) > 20


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


@pytest.mark.parametrize(
    "text",
    [
        "import time",
        "from time import monotonic",
        "datetime.now(UTC)",
        "datetime.datetime.now()",
        "await asyncio.sleep(1)",
    ],
)
def test_a_clock_of_its_own_would_be_seen(text: str) -> None:
    assert own_time(Module("backy_core.pools.x", Path("x.py"), text))
    assert not own_time(Module("backy_core.pools.x", Path("x.py"), "asyncio.sleep(0)"))


@pytest.mark.parametrize(
    "text",
    [
        "from backy_core.system import blocks\nmonkeypatch.setattr(blocks, 'holders', None)",
        "from backy_core.system.own_files import OwnFile\np.setattr(OwnFile, 'write', None)",
        "monkeypatch.setattr('backy_core.system.exec.run', None)",
        "import time\nmonkeypatch.setattr(time, 'monotonic', None)",
    ],
)
def test_a_patched_machine_would_be_seen(text: str) -> None:
    assert system_patches(Module("tests.core.x", Path("x.py"), text))


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
