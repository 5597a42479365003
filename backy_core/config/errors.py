"""Settings that cannot be used, told with where they stand. Never leaves the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import ValidationError

from backy_core.sdk.errors import BackyError


class ConfigurationError(BackyError):
    """A setting is unknown or has a value that cannot be used."""

    code: ClassVar[str] = "CONFIGURATION_ERROR"


def first_problem(
    error: ValidationError, origin_of: Callable[[str], str], table: str = ""
) -> ConfigurationError:
    """One sentence for the first problem, in our words where the library's would not do.

    ``origin_of`` tells where a key was set; ``table`` is the TOML table that the keys stand in.
    """
    problem = error.errors(include_url=False)[0]
    where = [str(part) for part in problem["loc"]] or ["settings"]
    key = ".".join(([table] if table else []) + where)
    origin = origin_of(where[0])
    if problem["type"] == "extra_forbidden":
        return ConfigurationError(f"Unknown setting '{key}' ({origin})")
    if problem["type"] == "missing":
        return ConfigurationError(f"Setting '{key}' is missing ({origin})")
    reason = problem["msg"].removeprefix("Value error, ")
    # A plugin's settings may be secrets, and the message reaches the log.
    value = "used" if table else repr(problem["input"])
    return ConfigurationError(f"Setting '{key}' ({origin}) cannot be {value}: {reason}")
