"""Run what a seed makes, always in the same way."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.simulation.time import SimulatedLoop
from tests.simulation.world import World

_LAST = 40


class Violation(AssertionError):
    """An invariant that a seed broke, with what led to it."""


def simulate(seed: int, directory: Path, acts: int) -> World:
    """Raises :class:`Violation`."""
    directory.mkdir(parents=True)
    with _chosen_identifiers(seed):
        loop = SimulatedLoop()
        world = World(seed, directory)
        try:
            loop.run_until_complete(world.live(acts))
        except Exception as error:
            history = "\n  ".join(world.history[-_LAST:])
            again = f"make simulate SEED={seed}"
            message = f"Seed {seed}: {type(error).__name__}: {error}\n  {history}\n  {again}"
            raise Violation(message) from error
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
    return world


@contextmanager
def _chosen_identifiers(seed: int) -> Iterator[None]:
    """Identifiers name files and order operations, so the seed chooses them as well."""
    numbers, original = random.Random(seed), uuid.uuid4
    uuid.uuid4 = lambda: uuid.UUID(int=numbers.getrandbits(128), version=4)
    try:
        yield
    finally:
        uuid.uuid4 = original
