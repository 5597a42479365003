"""Advice: sentences in which what to do next is data, to be worded by whoever shows them.

A pool is unmounted by one request over HTTP and by another command in a shell. So a text names
the request by a verb and what it is about, and each edge puts it in its own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class Verb(StrEnum):
    """What the agent can be asked to do. Each has one subject, or none."""

    OPEN = "open"
    CLOSE = "close"
    TEARDOWN = "teardown"
    IMPORT = "import"
    FORGET = "forget"
    SHOW_OUTPUTS = "show-outputs"
    LIST_PROCESSES = "list-processes"
    LIST_IMPORTABLE = "list-importable"
    LIST_OPERATIONS = "list-operations"
    LIST_DRIVES = "list-drives"
    UNPROTECT = "unprotect"
    EXAMINE = "examine"


class Hint(NamedTuple):
    """One request. ``subject``: a pool's GUID or a drive's serial. ``options``: those of the
    request, by name; a name may be given more than once."""

    verb: Verb
    subject: str = ""
    options: tuple[tuple[str, str | bool], ...] = ()

    def __str__(self) -> str:
        """As a log has it, where no edge says how to ask."""
        given = (f"{name}={value}" for name, value in self.options)
        return " ".join(filter(None, (self.verb, self.subject, *given)))


@dataclass(frozen=True)
class Advice:
    """A text with hints in it, made by :func:`advise`."""

    parts: tuple[str | Hint, ...]

    def worded(self, word: Callable[[Hint], str]) -> str:
        """The text with each hint as ``word`` puts it."""
        return "".join(word(part) if isinstance(part, Hint) else part for part in self.parts)

    def __str__(self) -> str:
        return self.worded(str)


Text: TypeAlias = str | Advice
"""What people read: a plain sentence, or one that names a request."""


def advise(*parts: Text | Hint) -> Advice:
    """Join texts and hints as they come, without any space between them."""
    flat: list[str | Hint] = []
    for part in parts:
        flat += part.parts if isinstance(part, Advice) else (part,)
    return Advice(tuple(flat))


def join(texts: Iterable[Text], separator: str) -> Advice:
    """As ``str.join``, of texts that may have hints in them."""
    parts = [part for text in texts for part in (separator, text)]
    return advise(*parts[1:])


def plain(text: Text | None) -> str | None:
    """``text`` for those who show it without an edge, as a log does."""
    return None if text is None else str(text)
