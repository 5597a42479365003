"""Agents by name, with their addresses and keys: a file of the user's own.

Read at nearly every start, so without pathlib, which takes a tenth of it to load.
"""
# ruff: noqa: PTH103, PTH105, PTH118, PTH120, PTH123

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from backy_core.cli.exits import Exit
from backy_core.cli.stop import Stop

Contexts = dict[str, Any]


def path(env: Mapping[str, str]) -> str:
    folder = env.get("XDG_CONFIG_HOME") or os.path.join(env.get("HOME") or "/root", ".config")
    return os.path.join(folder, "backy", "contexts.json")


def read(env: Mapping[str, str]) -> Contexts:
    """``current`` and ``contexts``, each with ``url`` and ``key``."""
    try:
        with open(path(env), encoding="utf-8") as file:
            known: Contexts = json.load(file)
        if not isinstance(known["contexts"], dict):
            raise TypeError
    except FileNotFoundError:
        return {"current": None, "contexts": {}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"{path(env)} cannot be read"
        raise Stop(message, "Mend it or remove it.", status=Exit.CONFIG) from error
    return known


def write(env: Mapping[str, str], known: Contexts) -> None:
    """For the user alone: it holds keys."""
    target = path(env)
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    descriptor = os.open(
        f"{target}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600
    )
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        json.dump(known, file, indent=2)
    os.replace(f"{target}.new", target)


def chosen(name: str | None, env: Mapping[str, str]) -> dict[str, str] | None:
    """The context of this name, or else the one in use; None if there is none."""
    known = read(env)
    name = name or known.get("current")
    if name is None:
        return None
    if name not in known["contexts"]:
        advice = "See them all: backy context list"
        raise Stop(f"There is no context {name}", advice, status=Exit.CONFIG)
    context: dict[str, str] = known["contexts"][name]
    return context
