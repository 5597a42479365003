"""C libraries that the agent calls in its own process."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any


def load(name: str, functions: Mapping[str, tuple[Any, tuple[Any, ...]]]) -> ctypes.CDLL:
    """The library with its functions declared: name, and the types of result and arguments.

    Keeps errno of each call. Raises OSError if it is not installed.
    """
    library = ctypes.CDLL(name, use_errno=True)
    for function, (result, arguments) in functions.items():
        declared = getattr(library, function)
        declared.restype, declared.argtypes = result, arguments
    return library
