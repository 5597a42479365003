"""Reading the source as a tree of imports and calls, for test_architecture.py."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SKIPPED = frozenset({".git", ".venv", "__pycache__", "node_modules", "build", "dist"})


@dataclass(frozen=True)
class Module:
    """One source file under its dotted name."""

    name: str
    path: Path
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))


def modules(folder: Path, package: str) -> tuple[Module, ...]:
    """Every module below ``folder``, which is the package ``package``."""
    return tuple(
        Module(_dotted(path.relative_to(folder), package), path, path.read_text())
        for path in sorted(folder.rglob("*.py"))
        if not SKIPPED.intersection(path.parts)
    )


def imports(module: Module) -> Iterator[str]:
    """Dotted names of what it imports, those for the type checker alone included."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, module)


def circles(known: Sequence[Module]) -> list[list[str]]:
    """Return the groups of modules that import each other, those for the type checker too."""
    names = {module.name for module in known}
    graph: dict[str, set[str]] = {}
    for module in known:
        targets = {_enclosing_module(name, names) for name in imports(module)}
        graph[module.name] = {name for name in targets if name and name != module.name}
    reach = {name: _reached(name, graph) for name in graph}
    groups = {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in graph
        if name in reach[name]
    }
    return sorted(sorted(group) for group in groups)


def attribute_uses(module: Module) -> Iterator[str]:
    """Dotted texts of attribute accesses, as ``os.system``."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


def statements_at_import(module: Module) -> Iterator[str]:
    """Bare calls a module makes when it is imported."""
    for node in module.tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield ast.unparse(node.value)


def text_files(root: Path) -> Iterator[tuple[Path, str]]:
    """Every text file of the repository that is not built, vendored or a sample."""
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if SKIPPED.intersection(inside.parts) or not path.is_file() or _is_other(inside):
            continue
        try:
            yield inside, path.read_text()
        except UnicodeDecodeError:
            continue


def _enclosing_module(dotted: str, names: Collection[str]) -> str:
    while dotted and dotted not in names:
        dotted = dotted.rpartition(".")[0]
    return dotted


def _reached(name: str, graph: Mapping[str, set[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        more = graph[waiting.pop()] - reached
        reached |= more
        waiting += more
    return reached


def _is_other(inside: Path) -> bool:
    hidden = inside.parts[0].startswith(".") and inside.parts[0] != ".ci"
    return hidden or "static" in inside.parts or "samples" in inside.parts


def _dotted(relative: Path, package: str) -> str:
    parts = [package, *relative.with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported_from(node: ast.ImportFrom, module: Module) -> Iterator[str]:
    base = node.module or ""
    if node.level:
        package = module.name.split(".")
        is_package = module.path.name == "__init__.py"
        above = package[: len(package) - node.level + is_package]
        base = ".".join([*above, *([node.module] if node.module else [])])
    yield from (f"{base}.{alias.name}" for alias in node.names)
