"""The shape of the code in figures: `python -m tests.figures [CHECKOUT]`."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median, quantiles

from tests.architecture import ROOT, SKIPPED, circles, modules
from tests.language import bindings, marked_per_1000_words, prose, vague_percent

_FAKING = re.compile(r"\b(?:monkeypatch|mock|Mock|MagicMock|patch)\b")
_NO_CODE = frozenset(
    {
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
        *(tokenize.ENCODING, tokenize.ENDMARKER),
    }
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(text: str) -> int:
    """Count the lines that are neither blank, comment nor docstring."""
    used = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                used -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(used)


def lines_to_plan(plugin: Path) -> int:
    """Count the code of a backend that its inspection does without: every module that it does not
    import."""
    own = {path.stem: path for path in plugin.glob("*.py")}
    return sum(code_lines(own[name].read_text()) for name in own.keys() - reading_modules(plugin))


def reading_modules(plugin: Path) -> frozenset[str]:
    """Modules that a backend needs to inspect: ``inspect``, and all that it imports of its own."""
    reached, ahead = {"__init__"}, ["inspect"]
    while ahead:
        name = ahead.pop()
        reached.add(name)
        ahead += _own_imports(plugin, name) - reached
    return frozenset(reached)


def _own_imports(plugin: Path, name: str) -> set[str]:
    """Modules of its own package that a plugin's module imports."""
    imported = set()
    for node in ast.walk(ast.parse((plugin / f"{name}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == plugin.name:
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            package, _, module = node.module.partition(".")
            imported |= {module} if package == plugin.name else set()
    return {module for module in imported if (plugin / f"{module}.py").exists()}


def functions(folders: Iterable[Path]) -> Iterator[Function]:
    """Yield every function below ``folders``."""
    for folder in folders:
        for path in _sources(folder):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, Function):
                    yield node


def typed_percent(found: Iterable[Function]) -> float:
    """Return how many of the functions' arguments and results have a type."""
    marks = []
    for node in found:
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        marks += [arg.annotation is not None for arg in every if arg.arg not in ("self", "cls")]
        marks.append(node.returns is not None)
    return 100 * sum(marks) / len(marks)


def _sources(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.rglob("*.py")) if not SKIPPED.intersection(p.parts)]


def main(root: Path) -> None:
    """Print the figures of the checkout ``root``."""
    plugins = sorted((root / "plugins").glob("*/backy_*"))
    code = [root / "backy_core", *plugins]
    core = modules(root / "backy_core", "backy_core")
    found = list(functions(code))
    lengths = [(node.end_lineno or node.lineno) - node.lineno + 1 for node in found]
    tests = [p.read_text() for at in (root / "tests", root / "plugins") for p in _sources(at)]
    faking = sum(len(_FAKING.findall(text)) for text in tests)
    texts = [text for at in (*code, root / "docs", root / "README.md") for text in prose(at)]
    names = [name for folder in code for name in bindings(folder)]
    rows = [
        ("modules of the core", f"{len(core)}"),
        (
            "lines of a function: median, 90 %, longest",
            f"{median(lengths):.0f}, {quantiles(lengths, n=10)[-1]:.0f}, {max(lengths)}",
        ),
        ("arguments and results with a type", f"{typed_percent(found):.1f} %"),
        (
            "circles of imports, types included",
            f"{len(circles(core))}",
        ),
        (
            "mentions of mocks per 1000 lines of tests",
            f"{1000 * faking / sum(text.count(chr(10)) for text in tests):.1f}",
        ),
        ("marked phrases per 1000 words", f"{marked_per_1000_words(texts):.2f}"),
        ("vague names", f"{vague_percent(names):.2f} %"),
    ]
    rows += [(f"lines to plan, {plugin.name}", f"{lines_to_plan(plugin)}") for plugin in plugins]
    for name, figure in rows:
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
