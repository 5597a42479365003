"""Plan hooks are pure: while one runs, its thread may not look at anything.

Calls go through the real plugin host, which gives each plan hook a thread of its own, so only
that thread is watched. Opening files, listing directories, starting programs and sockets are seen
by Python's audit events; clocks and randomness raise none and are replaced meanwhile.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_MARK = "-backy_plan_"
_FORBIDDEN = ("open", "os.", "subprocess.", "socket.", "shutil.", "glob.", "urllib.", "tempfile.")
_HARMLESS = ("os.putenv", "os.unsetenv")
_IMPURE: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (time, ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep", "localtime")),
    (random, ("random", "randint", "choice", "shuffle", "randrange", "getrandbits")),
    (uuid, ("uuid1", "uuid4")),
    (os, ("urandom", "stat", "lstat", "getpid")),
)


class ImpurePlan(AssertionError):
    """A plan hook looked at the machine, the clock or chance."""


_watch: set[str] = set()
"""Prefixes of the thread names that are watched now."""


@contextmanager
def pure(backend: str) -> Iterator[None]:
    """Plan hooks of ``backend`` called meanwhile fail if they are not pure."""
    _audit()
    saved = [(module, name, getattr(module, name)) for module, names in _IMPURE for name in names]
    mark = f"{backend}{_MARK}"
    _watch.add(mark)
    for module, name, real in saved:
        setattr(module, name, _refusing(f"{module.__name__}.{name}", real))
    try:
        yield
    finally:
        _watch.discard(mark)
        for module, name, real in saved:
            setattr(module, name, real)


def _refusing(call_name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def refuse(*args: Any, **options: Any) -> Any:
        if _watched():
            raise ImpurePlan(f"a plan hook called {call_name}")
        return real(*args, **options)

    return refuse


def _watched() -> bool:
    return bool(_watch) and threading.current_thread().name.startswith(tuple(_watch))


@cache
def _audit() -> None:
    """Python cannot take an audit hook away again; this one is idle outside :func:`pure`."""
    sys.addaudithook(_refuse_event)


def _refuse_event(event: str, args: object) -> None:
    if _watch and event.startswith(_FORBIDDEN) and event not in _HARMLESS and _watched():
        raise ImpurePlan(f"a plan hook caused {event} {args!r}")
