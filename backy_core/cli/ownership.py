"""Nothing is read from files that another user may change, nor written into their directories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from backy_core.cli.exits import Exit
from backy_core.cli.refusal import StartRefused
from backy_core.config.settings import Settings
from backy_core.sdk.errors import SystemFailure
from backy_core.system import ownership
from backy_core.system.own_files import PREVIOUS_SUFFIX


def refuse_others_files(settings: Settings) -> None:
    """StartRefused names the first directory or file that is not root's alone."""
    try:
        for directory in (*settings.own_directories, settings.journal_dir):
            ownership.check_directory(directory)
        for file in _files(settings):
            ownership.check_file(file)
    except (SystemFailure, OSError) as error:
        hint = error.hint if isinstance(error, SystemFailure) else None
        raise StartRefused(
            f"The agent's files are not safe: {error}", Exit.CONFIG, hint=hint
        ) from error


def _files(settings: Settings) -> Iterator[Path]:
    yield settings.api_key_path
    yield settings.keys_path
    yield settings.audit_path
    for document in (settings.metadata_path, settings.tombstones_path, settings.protection_path):
        yield document
        yield document.with_name(document.name + PREVIOUS_SUFFIX)
    if settings.journal_dir.is_dir():
        yield from sorted(settings.journal_dir.iterdir())
