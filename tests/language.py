"""The measure of the project's English: marked phrases in prose, vague names in code.

``python -m tests.language [FOLDER…]`` lists every place that counts.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SKIPPED = frozenset({".git", ".venv", "__pycache__", "build", "dist"})

NEGATIONS = (
    r"\b(?:is|are|was|were) no(?:body)?\b(?! longer| more)",
    r"\bnothing but\b",
    r"\ball the same\b",
    r"\bnot\b(?! only)[^.:;()|]{1,60}?,? but\b",
)
RELATIVE_OPENINGS = r"\A(?:What|Who|Whoever|Whose|Where|Which|Whatever)\b"
GLOSSARY = (
    r"\bset(?:s|ting)? apart\b",
    r"\bdoubtful\b|\bin doubt\b",
    r"\b(?:a|an|the|this|each|every|one|fresh|first|next|last|second|own|its) looks?\b",
    r"\b(?:look|looks|looked|looking) (?:in)?to\b",
    r"\b(?:sight|survey|ticker|board)s?\b",
    r"\bwish(?:es|ed)?\b",
    r"\blearn(?:s|ed|ing)?\b",
    r"\bstones?\b",
    r"\bleft behind\b|\bused apart\b",
    r"\bbear(?:s|ing)?\b|\bbore\b",
    r"\b(?:undo|undoes|undoing|undone)\b",
    r"\bsweep(?:s|ing)?\b|\bswept\b",
    r"\bgrowth\b",
    r"\b(?:an|the|each|every|its) (?:opening|closing|removal)\b",
)
ONCE_SAID = (
    r"\bsince a moment ago\b",
    r"\b(?:can|could)(?:not| not) look at\b",
    r"\bdid not succeed\b",
    r"\bmade a mistake\b",
    r"\bfor a person to\b",
    r"\bconsent of nobody\b|\bnobody's\b",
    r"\bmore decides\b",
    r"\bcomes? along\b",
    r"\bshin(?:es?|ing) through\b",
    r"\b(?:known|protected) is done\b",
    r"\bat work\b",
    r"\bunder way\b",
    r"\bgoes for\b|\bof its own accord\b",
)
MARKED = tuple(re.compile(text, re.IGNORECASE) for text in (*NEGATIONS, *GLOSSARY, *ONCE_SAID))
OPENING = re.compile(RELATIVE_OPENINGS)

VAGUE_NAMES = """
    found each it known seen wanted them one they these those this that thing things other others
    asked given told said got had made what here there
"""
VAGUE = frozenset(VAGUE_NAMES.split())
"""Names that do not say what they hold."""

_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"``[^`]+``|`[^`]+`")
_WORD = re.compile(r"[\w'-]*[A-Za-z][\w'-]*")


@dataclass(frozen=True)
class Prose:
    """One docstring or one page, without its code."""

    path: Path
    line: int
    text: str
    docstring: bool

    @property
    def words(self) -> int:
        return len(_WORD.findall(self.text))

    def marked(self) -> Iterator[tuple[int, str]]:
        """Line and phrase of each match."""
        patterns = (*MARKED, OPENING) if self.docstring else MARKED
        for pattern in patterns:
            for match in pattern.finditer(self.text):
                yield self.line + self.text.count("\n", 0, match.start()), match[0]


@dataclass(frozen=True)
class Binding:
    """A name that an assignment, a loop, a pattern or a parameter binds."""

    path: Path
    line: int
    name: str

    @property
    def vague(self) -> bool:
        return self.name.strip("_") in VAGUE


def prose(root: Path) -> Iterator[Prose]:
    for path in _files(root, "*.md"):
        yield Prose(path, 1, _without_code(path.read_text()), docstring=False)
    for path in _files(root, "*.py"):
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _docstring(path, node)


def bindings(root: Path) -> Iterator[Binding]:
    for path in _files(root, "*.py"):
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            match node:
                case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                    yield Binding(path, node.lineno, name)
                case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                    yield Binding(path, node.lineno, name)


def marked_per_1000_words(texts: list[Prose]) -> float:
    return 1000 * sum(len(list(text.marked())) for text in texts) / sum(t.words for t in texts)


def vague_percent(names: list[Binding]) -> float:
    return 100 * sum(name.vague for name in names) / len(names)


def _docstring(
    path: Path, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
) -> Iterator[Prose]:
    text = ast.get_docstring(node, clean=False)
    if text:
        yield Prose(path, node.body[0].lineno, _without_code(text), docstring=True)


def _without_code(text: str) -> str:
    """Blank fenced blocks and code spans; line numbers stay."""
    for pattern in (_FENCED, _SPAN):
        text = pattern.sub(lambda match: "\n" * match[0].count("\n"), text)
    return text


def _files(root: Path, pattern: str) -> Iterator[Path]:
    paths = sorted(root.rglob(pattern)) if root.is_dir() else [root]
    return (path for path in paths if path.match(pattern) and not SKIPPED.intersection(path.parts))


def _list_places(roots: list[Path]) -> None:
    for root in roots:
        for text in prose(root):
            for line, phrase in text.marked():
                print(f"{text.path.relative_to(ROOT)}:{line}: {' '.join(phrase.split())}")
        for name in bindings(root):
            if name.vague:
                print(f"{name.path.relative_to(ROOT)}:{name.line}: binds {name.name}")


if __name__ == "__main__":
    _list_places([Path(name).resolve() for name in sys.argv[1:]] or [ROOT])
