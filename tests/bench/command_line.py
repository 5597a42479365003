"""From exec to the end of a command, with an agent that has no drives and no pools."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.figures import Comparison, Goal

_PROGRAM = str(Path(sys.executable).with_name("backy"))
_REFERENCE = [sys.executable, "-c", "import argparse, json"]
_GOALS = {"--version": 1.3, "pools list": 2.5, "pools list --json": 2.5}
_TURNS = 3
"""In each repetition: a turn takes a fraction of a second."""
_PATIENCE_S = 30.0


def compare(repetitions: int) -> list[Comparison]:
    with tempfile.TemporaryDirectory(prefix="backy-bench-") as directory:
        env = {**os.environ, "BACKY_RUNTIME_DIR": f"{directory}/runtime"}
        kinds = [f"--{kind}-dir={directory}/{kind}" for kind in ("state", "config")]
        serve = [_PROGRAM, "serve", "--port=0", "--exclude-drives=*", "--log-level=error", *kinds]
        with subprocess.Popen(serve, env=env) as agent:
            try:
                _await(env)
                return _compared(env, repetitions * _TURNS)
            finally:
                agent.kill()


def _compared(env: Mapping[str, str], turns: int) -> list[Comparison]:
    sides = {name: [_PROGRAM, *name.split()] for name in _GOALS} | {"": _REFERENCE}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, command in sides.items():
            times[name].append(_milliseconds(command, env))
    against = "Python with argparse and json"
    return [
        Comparison(f"`backy {name}`", against, "ms", times[name], times[""], Goal(at_most=most))
        for name, most in _GOALS.items()
    ]


def _milliseconds(command: Sequence[str], env: Mapping[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000


def _await(env: Mapping[str, str]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    command = [_PROGRAM, "pools", "list"]
    while subprocess.run(command, env=env, capture_output=True).returncode != 0:
        if time.monotonic() > deadline:
            raise RuntimeError("The agent did not come up")
        time.sleep(0.1)
