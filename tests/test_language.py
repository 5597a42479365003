"""The project's English gets no worse: both figures only fall, and their limits with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.language import ROOT, bindings, marked_per_1000_words, prose, vague_percent

MARKED_PER_1000_WORDS = 1.5
VAGUE_PERCENT = 2.4
"""Lower them with every improvement; never raise them."""


def test_marked_phrases(capsys: pytest.CaptureFixture[str]) -> None:
    measured = marked_per_1000_words(list(prose(ROOT)))
    _show(capsys, f"{measured:.1f} marked phrases per 1000 words of docstrings and docs")
    assert measured <= MARKED_PER_1000_WORDS, "python -m tests.language lists them"


def test_vague_names(capsys: pytest.CaptureFixture[str]) -> None:
    measured = vague_percent(list(bindings(ROOT)))
    _show(capsys, f"{measured:.1f} % of all bindings have a vague name")
    assert measured <= VAGUE_PERCENT, "python -m tests.language lists them"


def test_a_marked_docstring_is_counted(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text('"""What it bears; ``bears`` is code."""\n')
    (tmp_path / "page.md").write_text("It is no drive.\n\n```sh\nthe look\n```\nWhat now?\n")
    marked = [phrase for text in prose(tmp_path) for _line, phrase in text.marked()]
    assert sorted(marked) == ["What", "bears", "is no"]


def test_each_kind_of_binding_is_counted(tmp_path: Path) -> None:
    source = "def f(it, ok):\n    for each in it:\n        found = each\n    ok.seen = 1\n"
    (tmp_path / "module.py").write_text(source)
    names = [name.name for name in bindings(tmp_path) if name.vague]
    assert sorted(names) == ["each", "found", "it"]


def _show(capsys: pytest.CaptureFixture[str], figure: str) -> None:
    with capsys.disabled():
        print(f"\n{figure}")
