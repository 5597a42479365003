"""Clean the names in a backend's reports, which a stranger may have written."""

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
        return with_clean_names(report)
    members = tuple(map(with_clean_names, report.members))
    other_names = tuple(_name(other_name) for other_name in report.others)
    requires = report.requires and tuple(map(with_clean_names, report.requires))
    if (members, other_names, requires) != (report.members, report.others, report.requires):
        update = {"members": members, "others": other_names, "requires": requires}
        report = report.model_copy(update=update)
    return with_clean_names(report)


def with_clean_names(model: M) -> M:
    """``model`` with each of its own texts as :func:`cleaned` has them."""
    changed = {
        field: clean
        for field, text in vars(model).items()
        if isinstance(text, str)
        and (clean := _name(text, MAX_LINE if field in _SENTENCES else MAX_NAME)) != text
    }
    return model.model_copy(update=changed) if changed else model


def _name(text: str, limit: int = MAX_NAME) -> str:
    return clean_name(text, limit) or _NOTHING_LEFT
