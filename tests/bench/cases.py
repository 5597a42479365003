"""Pools to create and delete against a script, by the name that `--only` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.bench.figures import Goal
from tests.bench.life import ALL, Case
from tests.bench.subjects import LVM, MDADM, Kind


def _alone(kind: Kind, creation: float) -> Case:
    goals = dict.fromkeys(ALL, Goal(at_most=1.15))
    return Case(kind, {**goals, "create": Goal(at_most=creation)})


CASES: Mapping[str, Callable[[], Case]] = {
    "mdadm": lambda: _alone(MDADM, 1.1),
    "lvm": lambda: _alone(LVM, 1.15),
}
