"""Arguments of a step's commands."""

from __future__ import annotations

from typing import Any

from backy_core.sdk.plan import Exec, Join, Step, references


def references_of(step: Step) -> list[Any]:
    """The drives and devices that its commands name."""
    return [ref for command in _commands(step) for arg in command.argv for ref in references(arg)]


def words(step: Step) -> list[str]:
    """The arguments as text, references left out."""
    return [_text(arg) for command in _commands(step) for arg in command.argv]


def options(step: Step, label: str) -> list[str]:
    """The arguments that a program would take for options, for the sake of the pool's label."""
    return [arg for arg in words(step) if label.startswith("-") and arg.startswith(label)]


def _commands(step: Step) -> list[Exec]:
    return [action for action in (step.run, *step.undo) if isinstance(action, Exec)]


def _text(arg: object) -> str:
    if isinstance(arg, Join):
        return arg.sep.join(map(_text, arg.parts))
    return arg if isinstance(arg, str) else ""
