"""The drives an administrator has put out of reach. Survives restarts."""

from __future__ import annotations

import json
from pathlib import Path

from backy_core.sdk.errors import SystemFailure
from backy_core.system.files import PREVIOUS_SUFFIX, write_atomically


class ProtectionStore:
    """Protected serials in a small JSON file: ``{"version": 1, "serials": […]}``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._serials: frozenset[str] = frozenset()

    def load(self) -> None:
        """Read the file; none is an empty list.

        Raises :class:`SystemFailure` if it does not parse: going on without it would take the
        protection off every drive in silence.
        """
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            self._serials = frozenset()
            return
        except (OSError, UnicodeDecodeError) as error:
            raise self._unusable(str(error)) from error
        self._serials = self._parse(text)

    def serials(self) -> frozenset[str]:
        return self._serials

    def protect(self, serial: str) -> None:
        """On disk when it returns."""
        self._save(self._serials | {serial})

    def unprotect(self, serial: str) -> None:
        """On disk when it returns."""
        self._save(self._serials - {serial})

    def _parse(self, text: str) -> frozenset[str]:
        try:
            serials = json.loads(text)["serials"]
            if not isinstance(serials, list) or not all(isinstance(it, str) for it in serials):
                raise TypeError("serials is not a list of texts")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._unusable(str(error)) from error
        return frozenset(serials)

    def _unusable(self, reason: str) -> SystemFailure:
        return SystemFailure(
            f"The list of protected drives {self._path} cannot be read",
            details=reason,
            hint=f"Repair it, or put {self._path}{PREVIOUS_SUFFIX} in its place",
        )

    def _save(self, serials: frozenset[str]) -> None:
        if serials == self._serials:
            return
        data = json.dumps({"version": 1, "serials": sorted(serials)}, indent=2).encode()
        write_atomically(self._path, data + b"\n", keep_previous=True)
        self._serials = serials
