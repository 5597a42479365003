"""The rules that keep the parts apart, held to every module there is."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from backy_core.sdk.plan import PlanKind
from tests.architecture import (
    ROOT,
    Module,
    attribute_uses,
    circles,
    imports,
    modules,
    statements_at_import,
    text_files,
)

CORE = modules(ROOT / "backy_core", "backy_core")
ENGINE = [module for module in CORE if module.name.startswith("backy_core.operations.")]
POOLS = [module for module in CORE if module.name.startswith("backy_core.pools.")]
PLUGIN_FOLDERS = sorted((ROOT / "plugins").glob("*/backy_*"))
MAX_LINES = 400

LAYERS = (
    {"sdk"},
    {"system"},
    {"config", "logs"},
    {"store"},
    {"plugins"},
    {"machine"},
    {"operations"},
    {"pools"},
    {"runtime"},
    {"api", "client"},
    {"web"},
    {"cli", "__main__"},
    {"testing"},
)
"""From the bottom: a module may import from its own layer and from those before it."""

WITHIN_POOLS = (
    {"views"},
    {"core", "blinking"},
    {"reading"},
    {"admission"},
    {"lifecycle"},
    {"service", "drive_service"},
    {"startup", "doctor"},
)
"""The same for the packages and modules of ``backy_core.pools``."""

MAY_SEE_THE_MACHINE = re.compile(
    r"^(subprocess|pty|multiprocessing)\b|^os\.(system|popen|fork\w*|posix_spawn\w*|exec[lv]\w*|"
    r"spawn\w+)$|^asyncio\.create_subprocess_\w+$|^asyncio\.subprocess\b"
)
EDGES = {"api", "client", "cli", "web", "__main__", "testing"}
SPEAKS_HTTP = re.compile(r"/api/|\b(GET|POST|PUT|PATCH|DELETE)\b")
NAMES_A_BACKEND = re.compile(r"\b(?:mdadm|md|lvm|zfs|zpool)\b", re.IGNORECASE)
MAY_NAME_A_BACKEND = {
    "backy_core.config.settings": "the default of default_backend",
    "backy_core.store.metadata": "what the earlier agent's entries leave out",
    "backy_core.plugins.plan_rules": "the kernel's names of devices, which no plan may contain",
    "backy_core.sdk.models": "the kernel's names of partitions",
    "backy_core.cli.manual": "the manual's references",
}
"""Beside ``system``, which knows the names that kernel and udev use, and ``testing``."""
CALLS_HOOKS = re.compile(r"(^|\.)(pm|manager|_manager|plugin_manager)\.hook\b")


def part_of(dotted: str, package: str = "backy_core") -> str | None:
    """The first name below the package; None for the package itself and for other packages."""
    below = dotted.removeprefix(f"{package}.")
    return None if below == dotted else below.split(".")[0]


def rank(part: str, layers: tuple[set[str], ...] = LAYERS) -> int:
    return next(rank for rank, parts in enumerate(layers) if part in parts)


def upward_imports(
    module: Module, layers: tuple[set[str], ...] = LAYERS, package: str = "backy_core"
) -> list[str]:
    part = part_of(module.name, package)
    if part is None:
        return []
    targets = {(name, part_of(name, package)) for name in imports(module)}
    return sorted(
        name
        for name, target in targets
        if target not in (None, "__version__") and rank(target, layers) > rank(part, layers)
    )


def forbidden_in_plugin(module: Module, own: str) -> list[str]:
    ours = [name for name in imports(module) if name.split(".")[0].startswith("backy_")]
    allowed = ("backy_core.sdk.", f"{own}.")
    return [name for name in ours if not f"{name}.".startswith(allowed)]


def machine_uses(module: Module) -> list[str]:
    names = [*imports(module), *attribute_uses(module)]
    return sorted({name for name in names if MAY_SEE_THE_MACHINE.search(name)})


def spoken_http(module: Module) -> list[str]:
    values = (node.value for node in ast.walk(module.tree) if isinstance(node, ast.Constant))
    return [text for text in values if isinstance(text, str) and SPEAKS_HTTP.search(text)]


def texts(module: Module) -> list[str]:
    """Every string that is not a docstring."""
    nodes = list(ast.walk(module.tree))
    docs = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    constants = (n for n in nodes if isinstance(n, ast.Constant) and id(n) not in docs)
    return [node.value for node in constants if isinstance(node.value, str)]


def verbs_compared(module: Module) -> list[str]:
    """Comparisons with the kind of a certain plan or operation."""
    compares = ast.Compare | ast.MatchValue
    kinds = {repr(kind) for kind in get_args(PlanKind)}
    return [
        ast.unparse(node)
        for node in ast.walk(module.tree)
        if isinstance(node, compares)
        for part in ast.walk(node)
        if ast.unparse(part) in kinds or ast.unparse(part).startswith("OperationKind.")
    ]


def synthetic(name: str, text: str) -> Module:
    return Module(name, Path(f"{name}.py"), text)


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.name)
def test_every_module_has_its_layer_and_imports_point_down(module: Module) -> None:
    part = part_of(module.name)
    assert part is None or any(part in parts for parts in LAYERS), "give it a layer"
    assert upward_imports(module) == []


@pytest.mark.parametrize("module", POOLS, ids=lambda module: module.name)
def test_the_use_cases_import_down_among_themselves(module: Module) -> None:
    assert upward_imports(module, WITHIN_POOLS, "backy_core.pools") == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(CORE) == []
    for folder in PLUGIN_FOLDERS:
        assert circles(modules(folder, folder.name)) == []


def test_the_documented_order_is_the_one_that_is_held() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    order = re.search(r"Imports point down only \(`([^`]+)`", page)
    assert order is not None
    rooms = [re.split(r",\s+", room) for room in re.split(r"\s+→\s+", order[1])]
    ranks = [{rank(part) for part in room} for room in rooms]
    assert all(min(upper) > max(lower) for upper, lower in pairwise(ranks))


@pytest.mark.parametrize("module", ENGINE, ids=lambda module: module.name)
def test_the_engine_knows_no_verb(module: Module) -> None:
    assert verbs_compared(module) == []


def test_the_edge_and_the_composition_root_do_not_know_each_other() -> None:
    for one, other in (("api", "runtime"), ("runtime", "api")):
        seen = {
            part_of(name)
            for module in CORE
            if part_of(module.name) == one
            for name in imports(module)
        }
        assert other not in seen


def test_the_core_names_no_backend() -> None:
    naming = {
        module.name: named
        for module in CORE
        if part_of(module.name) not in ("system", "testing")
        if (named := [text for text in texts(module) if NAMES_A_BACKEND.search(text)])
    }
    assert {name: named for name, named in naming.items() if name not in MAY_NAME_A_BACKEND} == {}
    assert set(MAY_NAME_A_BACKEND) == set(naming), "an exception that nothing needs"


def test_the_core_imports_no_plugin() -> None:
    names = {folder.name for folder in PLUGIN_FOLDERS}
    found = {
        f"{module.name}: {name}"
        for module in CORE
        for name in imports(module)
        if name.split(".")[0] in names
    }
    assert found == set()


@pytest.mark.parametrize("folder", PLUGIN_FOLDERS, ids=lambda folder: folder.name)
def test_a_plugin_imports_the_sdk_alone(folder: Path) -> None:
    for module in modules(folder, folder.name):
        assert forbidden_in_plugin(module, folder.name) == [], module.name
        assert machine_uses(module) == [], module.name


def test_there_are_plugins_to_check() -> None:
    assert "backy_mdadm" in [folder.name for folder in PLUGIN_FOLDERS]


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.name)
def test_programs_are_run_in_one_package_only(module: Module) -> None:
    if part_of(module.name) not in ("system", "testing"):  # testing is no part of the agent
        assert machine_uses(module) == []


def test_no_url_stands_below_the_edges() -> None:
    """What a person can ask for is a verb there; each edge has words of its own for it."""
    plugins = [module for folder in PLUGIN_FOLDERS for module in modules(folder, folder.name)]
    below = [module for module in CORE if part_of(module.name) not in EDGES]
    texts = {module.name: spoken_http(module) for module in (*below, *plugins)}
    assert {name: said for name, said in texts.items() if said} == {}


@pytest.mark.parametrize(
    "text", ["f'Unmount it: DELETE {url}'", "'/api/v1/pools'", '"""On POST."""']
)
def test_a_url_below_the_edges_would_be_seen(text: str) -> None:
    assert spoken_http(synthetic("backy_core.pools.x", text))


def test_no_pool_of_threads_is_shared_with_what_may_hang() -> None:
    uses = {
        f"{module.name}: {use}"
        for module in modules(ROOT / "backy_core", "backy_core")
        if part_of(module.name) != "testing"
        for use in attribute_uses(module)
        if use.endswith((".to_thread", ".run_in_executor")) or "ThreadPoolExecutor" in use
    }
    assert not uses


def test_hooks_are_called_where_plugins_are_loaded_and_hosted_only() -> None:
    callers = {
        module.name
        for module in CORE
        if any(CALLS_HOOKS.search(use) for use in attribute_uses(module))
    }
    of_plugins = {"host", "layer_host", "loading"}
    assert callers == {f"backy_core.plugins.{name}" for name in of_plugins}


def test_nothing_happens_at_import() -> None:
    allowed = re.compile(r"\.(model_rebuild|update_forward_refs)\(")
    calls = {
        f"{module.name}: {call}"
        for module in CORE
        for call in statements_at_import(module)
        if not allowed.search(call)
    }
    assert calls == set()


def test_no_module_is_longer_than_it_can_be_read() -> None:
    plugins = modules(ROOT / "plugins", "plugins")
    tests = modules(ROOT / "tests", "tests")
    long = {
        module.name: lines
        for module in (*CORE, *plugins, *tests)
        if (lines := module.text.count("\n")) > MAX_LINES
    }
    assert long == {}
    assert plugins and tests, "the walk found nothing"


def test_the_repository_stands_alone() -> None:
    """No path outside the clone, and no registry: the clone is all a reader has."""
    outside = re.compile(
        r"(?<![\w.])/(?:work/|root/\.|home/\w+/)|\.\./"
        + r"shared|(?:files\.)?python"
        + r"hosted\.org"
        r"|https?://[\w.-]*(?:pypi|npmjs)\.\w+"
    )
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in text_files(ROOT)
        if path != Path("tests/test_architecture.py")
        for number, line in enumerate(text.splitlines(), 1)
        if outside.search(line)
    ]
    assert found == []


def test_an_upward_import_would_be_seen() -> None:
    below = "from backy_core.sdk import errors\nimport backy_core.system"
    assert upward_imports(synthetic("backy_core.config.settings", below)) == []
    above = synthetic(
        "backy_core.system.exec",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from backy_core.pools import x",
    )
    assert upward_imports(above) == ["backy_core.pools.x"]
    relative = synthetic("backy_core.machine", "from .api import app")
    assert upward_imports(relative) == ["backy_core.api.app"]


def test_a_circle_for_types_alone_would_be_seen() -> None:
    one = synthetic("backy_core.pools.a", "from backy_core.pools import b")
    other = synthetic(
        "backy_core.pools.b",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from backy_core.pools.a import X",
    )
    assert circles([one, other])
    assert not circles([one, synthetic("backy_core.pools.b", "import backy_core")])


@pytest.mark.parametrize(
    "text",
    [
        "plan.kind == 'create'",
        "plan.kind not in ('add', 'new')",
        "op.kind is OperationKind.DELETE",
        "match plan.kind:\n    case 'open': pass",
    ],
)
def test_a_verb_that_the_engine_knows_would_be_seen(text: str) -> None:
    assert verbs_compared(synthetic("backy_core.operations.x", text))
    assert not verbs_compared(synthetic("backy_core.operations.x", "plan.kind == other.kind"))


def test_a_plugin_that_reaches_too_far_would_be_seen() -> None:
    text = "from backy_core.sdk.plan import Step\nfrom backy_toy import argv\nfrom . import parse"
    assert forbidden_in_plugin(synthetic("backy_toy.hooks", text), "backy_toy") == []
    bad = synthetic("backy_toy.hooks", "from backy_core import sdk, config\nimport backy_lvm")
    assert forbidden_in_plugin(bad, "backy_toy") == ["backy_core.config", "backy_lvm"]


@pytest.mark.parametrize(
    "text",
    [
        "import subprocess",
        "from subprocess import run",
        "import os\nos.system('x')",
        "import os\nos.execvp('x', [])",
        "from os import system",
        "import asyncio\nasyncio.create_subprocess_exec('x')",
        "from asyncio import create_subprocess_shell",
    ],
)
def test_running_a_program_elsewhere_would_be_seen(text: str) -> None:
    assert machine_uses(synthetic("backy_core.pools.x", text))


def test_a_hook_called_elsewhere_would_be_seen() -> None:
    uses = attribute_uses(synthetic("x", "self.manager.hook.backy_inspect(probe=1)"))
    assert any(CALLS_HOOKS.search(use) for use in uses)
