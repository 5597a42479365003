#!/bin/bash
# pytest-xdist keeps no group of tests together under pytest 9.2.0, and says nothing about it.
#
# Seen with pytest 9.2.0 and pytest-xdist 3.8.0, each the newest in November 2026. `--dist loadgroup`
# hands a group from worker to worker by a suffix that it writes into each item's private `_nodeid`,
# and pytest 9.2.0 does not read that any more. Each test goes to whichever worker is free: fixtures of
# a module that were to be set up once are set up on every worker, and what was not to run at the same
# time does. With pytest 9.1.1 the group stays on one worker.
set -u
T=$(mktemp -d) || exit 3
trap 'rm -rf --one-file-system "$T"' EXIT
cat >"$T/test_group.py" <<'P'
import os, time, pytest
@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(8))
def test_group(number):
    time.sleep(0.2)
    print("ran on", os.environ["PYTEST_XDIST_WORKER"])
P
python3 -m venv "$T/venv" || exit 3
workers() { # VERSION of pytest: how many workers ran the one group
    "$T/venv/bin/python" -m pip install -q "pytest==$1" pytest-xdist==3.8.0 >"$T/pip.log" 2>&1 || {
        tail -3 "$T/pip.log" >&2
        exit 4
    }
    (cd "$T" && "$T/venv/bin/python" -m pytest -n 4 --dist loadgroup -rP test_group.py) |
        grep -o 'ran on gw[0-9]' | sort -u | wc -l
}
before=$(workers 9.1.1) || exit 4
after=$(workers 9.2.0) || exit 4
echo "workers that ran the tests of one group: $before with pytest 9.1.1, $after with 9.2.0"
[ "$before" = 1 ] && [ "$after" -gt 1 ] && echo "RESULT: the behaviour is as stated." && exit 0
echo "RESULT: the behaviour changed."
exit 1
