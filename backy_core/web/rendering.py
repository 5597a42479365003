"""Templates and words of the dashboard."""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from backy_core import __version__
from backy_core.store.keys import Scope

_FOLDER = Path(__file__).parent


def page(name: str, scope: Scope | None) -> str:
    """The frame of a page for callers with ``scope``; None: not signed in."""
    permitted = {needed.value: scope is not None and scope.covers(needed) for needed in Scope}
    return (
        _templates()
        .get_template(f"{name}.html")
        .render(page=name, may=permitted, scope=scope, words=words(), version=__version__)
    )


def words_module() -> str:
    """What the scripts say, as a module of theirs."""
    text = json.dumps(words()["script"], ensure_ascii=False)
    return f"export default {text};\n"


@cache
def words() -> dict[str, Any]:
    """Every text of the dashboard: those of the pages by page, and those of the scripts."""
    return tomllib.loads((_FOLDER / "english.toml").read_text())


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
