"""Events and actions on the machine, kept until every backend has inspected its pools since."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_

_MOST = 1000


@dataclass(frozen=True)
class Touched:
    """Devices and pools that something happened to, or that a caller asks about."""

    devices: frozenset[str] = frozenset()
    """Kernel names."""
    pools: frozenset[str] = frozenset()
    """Native ids."""
    arrays: bool = False
    """md announced a change, without the name of the array."""
    anything: bool = False
    """It may have been anything."""

    @classmethod
    def of(cls, *, devices: Iterable[str] = (), pools: Iterable[str] = ()) -> Touched:
        return cls(frozenset(devices), frozenset(pools))

    def __or__(self, other: Touched) -> Touched:
        return Touched(
            self.devices | other.devices,
            self.pools | other.pools,
            self.arrays or other.arrays,
            self.anything or other.anything,
        )


NOTHING = Touched()
ANYTHING = Touched(anything=True)


class History:
    """Events and actions by number. It is short: what is long ago may have been anything."""

    def __init__(self) -> None:
        self.mark = 0
        """The number of the last one."""
        self._entries: deque[Touched] = deque(maxlen=_MOST)

    def note(self, touched: Touched) -> None:
        self.mark += 1
        self._entries.append(touched)

    def since(self, mark: int) -> Touched:
        """Everything after number ``mark``."""
        count = self.mark - mark
        if count > len(self._entries):
            return ANYTHING
        entries = (self._entries[-number] for number in range(1, count + 1))
        return reduce(or_, entries, NOTHING)
