"""The states of arrays differ by what matters, and not by what changes all the time."""

from __future__ import annotations

from pathlib import Path

from backy_core.system.md_arrays import differing, read_states

MDSTAT = """\
Personalities : [raid1]
md127 : active raid1 sdb[1] sda[0]
      65472 blocks super 1.2 [2/2] [UU]
      [==>..................]  resync = 12.6% (8256/65472) finish=0.2min speed=4128K/sec
      bitmap: 1/1 pages [4KB], 65536KB chunk

md126 : active raid1 sdd[1](F) sdc[0]
      65472 blocks super 1.2 [2/1] [U_]

unused devices: <none>
"""


def states(mdstat: str | None = MDSTAT, state: str = "clean\n") -> dict[str, str]:
    def read(path: Path) -> str | None:
        return mdstat if path == Path("/proc/mdstat") else state

    return dict(read_states(read))


def test_no_md_no_arrays() -> None:
    assert states(None) == {}


def test_progress_and_writes_change_nothing() -> None:
    later = MDSTAT.replace("12.6%", "50.0%").replace("1/1 pages", "0/1 pages")
    assert set(states()) == {"md126", "md127"}
    assert differing(states(), states(later, "active\n")) == frozenset()


def test_members_and_states_change_it() -> None:
    failed = MDSTAT.replace("sdb[1]", "sdb[1](F)")
    assert differing(states(), states(failed)) == {"md127"}
    assert differing(states(), states(MDSTAT.partition("md126")[0])) == {"md126"}
    assert differing(states(), states(state="broken\n")) == {"md126", "md127"}
    done = "".join(line for line in MDSTAT.splitlines(keepends=True) if "==>" not in line)
    delayed = MDSTAT.replace("[==>..................]  resync = 12.6%", "resync=DELAYED")
    assert differing(states(done), states(delayed)) == {"md127"}
