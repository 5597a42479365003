"""Judge a plugin's answer: its refusals pass, anything else it raises is its failure."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from backy_core.plugins.registry import reason_of
from backy_core.sdk.errors import BackendFailure, BackyError

_log = logging.getLogger(__name__)


def require(plugin: str, hook: str, answer: object, expected_type: type) -> None:
    """Raise :class:`BackendFailure` unless the answer has this type. ``plugin``: "Backend x"."""
    if not isinstance(answer, expected_type):
        actual, expected = type(answer).__name__, expected_type.__name__
        raise BackendFailure(f"{plugin} answered {hook} with {actual}, not {expected}")


@contextmanager
def blaming(plugin: str, hook: str) -> Iterator[None]:
    """Refusals that the plugin worded itself pass; anything else is its failure."""
    try:
        yield
    except BackyError:
        raise
    except TimeoutError as error:
        raise BackendFailure(f"{plugin} did not answer {hook} in time") from error
    except Exception as error:
        _log.exception("%s failed in %s", plugin, hook)
        raise BackendFailure(f"{plugin} failed in {hook}", details=reason_of(error)) from error
