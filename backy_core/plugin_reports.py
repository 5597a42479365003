"""What a backend reports holds names that a stranger may have written: they enter here."""

from __future__ import annotations

from typing import TypeVar

from backy_core.sdk.models import Model, PoolReport, Unreadable
from backy_core.system.text import MAX_LINE, MAX_NAME, clean_name

M = TypeVar("M", bound=Model)

_SENTENCES = frozenset({"detail", "doubt", "behind", "needs_force", "release", "reason"})
_NOTHING_LEFT = "?"


def cleaned(report: PoolReport | Unreadable) -> PoolReport | Unreadable:
    """``report`` with every name and sentence on one line, bounded, and without what turns the
    direction of writing."""
    if isinstance(report, Unreadable):
        return _with_names(report)
    members = tuple(map(_with_names, report.members))
    others = tuple(_name(each) for each in report.others)
    if members != report.members or others != report.others:
        report = report.model_copy(update={"members": members, "others": others})
    return _with_names(report)


def _with_names(model: M) -> M:
    changed = {
        field: clean
        for field, text in vars(model).items()
        if isinstance(text, str)
        and (clean := _name(text, MAX_LINE if field in _SENTENCES else MAX_NAME)) != text
    }
    return model.model_copy(update=changed) if changed else model


def _name(text: str, limit: int = MAX_NAME) -> str:
    return clean_name(text, limit) or _NOTHING_LEFT
