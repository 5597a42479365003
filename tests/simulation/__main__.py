"""Simulate: ``python -m tests.simulation --seeds 2000``, or one seed again: ``--seed 17``."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.simulation.running import Violation, simulate

_FIXED_HASHES = "0"


def main() -> int:
    """Exit status 1 if any seed violates an invariant; each is named with how to replay it."""
    arguments = _arguments()
    if os.environ.get("PYTHONHASHSEED") != _FIXED_HASHES:  # the order of sets is the seed's too
        os.environ["PYTHONHASHSEED"] = _FIXED_HASHES
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    logging.disable()
    first = arguments.first if arguments.seed is None else arguments.seed
    count = arguments.seeds if arguments.seed is None else 1
    directory = Path(tempfile.mkdtemp(prefix="backy-"))
    begun, operations, violations = time.process_time(), 0, []
    try:
        for seed in range(first, first + count):
            try:
                operations += simulate(
                    seed, directory / "seeds" / str(seed), arguments.acts
                ).operations
            except Violation as violation:
                violations.append(seed)
                print(violation, flush=True)
            shutil.rmtree(directory / "seeds" / str(seed), ignore_errors=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    seconds = time.process_time() - begun
    print(
        f"{count} seeds from {first}, {operations} operations in {seconds:.1f} s of one core "
        f"({operations / seconds:.0f} a second), violations: {len(violations)}"
    )
    return 1 if violations else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--acts", type=int, default=40, help="of each seed")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
