"""What operations there are."""

from __future__ import annotations

from enum import StrEnum


class OperationKind(StrEnum):
    """What an operation does, as a rule to a pool, in the words of the API and of the journal."""

    CREATE = "create"
    MOUNT = "mount"
    UNMOUNT = "unmount"
    DELETE = "delete"
    ADD = "add"
    IMPORT = "import"
    KILL = "kill"
    REPAIR = "repair"
