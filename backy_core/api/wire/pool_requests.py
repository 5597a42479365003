"""Bodies and query parameters of the pool calls."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from backy_core.api.wire.base import Guid, RequestModel, Text, broken_rule
from backy_core.sdk.models import Portability

_ACTIONS = {"unmountpool": "UnmountPool", "removepoolgroup": "RemovePoolGroup"}
_MAX_NUMBER = 2**63 - 1


def _whole_number(value: object) -> object:
    """Query parameters are texts: plain digits are a number, all else is not."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    raise broken_rule("must be a whole number, 0 or more")


def _true_or_false(value: object) -> object:
    if value not in ("true", "false"):
        raise broken_rule("must be true or false")
    return value == "true"


def _pool_state(value: str) -> str:
    states = ("creating", "ready", "unmounted", "error", "failed", "deleted")
    if value not in states:
        raise broken_rule(f"must be one of {', '.join(states)}")
    return value


def _kill_action(value: str) -> str:
    if value.lower() not in _ACTIONS:
        raise broken_rule(f"must be one of {', '.join(_ACTIONS.values())}")
    return _ACTIONS[value.lower()]


def _one_or_more(value: object) -> object:
    """A query parameter that may come several times; only then it arrives as a list."""
    names = value if isinstance(value, list) else [value]
    if not all(names):
        raise broken_rule("must not be empty")
    return tuple(names)


Names = Annotated[tuple[Text, ...], BeforeValidator(_one_or_more), Field(max_length=1000)]


class CreatePoolBody(RequestModel):
    """A pool to make. What is absent is chosen by the agent."""

    label: Text
    drive_serials: list[Text] = Field(max_length=1000)
    drive_labels: dict[Text, Text] = Field(default_factory=dict)
    mount_path: Text | None = None
    pool_group_guid: Guid | None = None
    backend: Text | None = None
    level: Text | None = None
    filesystem: Text | None = None
    wipe: bool = False
    portability: Portability = "portable"


class DryRunQuery(RequestModel):
    """``dryRun=true``: say what would be done and do nothing."""

    dry_run: Annotated[bool, BeforeValidator(_true_or_false)] = False


class ListPoolsQuery(RequestModel):
    """Filters of the pool list."""

    backend: Text | None = None
    state: Annotated[str, AfterValidator(_pool_state)] | None = None


class DeletePoolQuery(DryRunQuery):
    """Consent to destroy more than the pool. ``wipe=true``: content written to a pool after its
    creation was interrupted. The others may be repeated. ``wipeCopies``: serials of drives that
    have the pool's identity but are not its members. ``destroyOthers``: other content of the
    container, by the name in the refusal. ``dryRun=true``: say what would be done."""

    wipe: Annotated[bool, BeforeValidator(_true_or_false)] = False
    wipe_copies: Names = ()
    destroy_others: Names = ()


class OutputsQuery(RequestModel):
    """``offset``: number of the first line wanted."""

    offset: Annotated[int, BeforeValidator(_whole_number)] | None = None


class MountBody(RequestModel):
    """The mount path; null or absent: the last one. ``force``: mount read-only, with drives that
    are behind the others; needs the pool's exact ``label``."""

    mount_path: Text | None = None
    force: bool = False
    label: Text | None = None


class RenameBody(RequestModel):
    """New names. What is absent stays as it is."""

    label: Text | None = None
    drive_labels: dict[Text, Text] | None = None


class AddDriveBody(RequestModel):
    """A drive for a degraded pool, by serial or by a persistent path. ``driveId`` is accepted
    because the app sends it, and means nothing."""

    drive_id: int | None = None
    dev_path: Text | None = None
    serial: Text | None = None
    replaces: Text | None = None
    wipe: bool = False


class ImportBody(RequestModel):
    """How to adopt a pool; its own label and the default mount path if absent."""

    label: Text | None = None
    mount_path: Text | None = None


class KillBody(RequestModel):
    """Processes that hold a pool's mount, and what to do once they are gone."""

    pool_group_guid: Guid
    pids: list[Annotated[int, Field(ge=1, le=_MAX_NUMBER)]] = Field(max_length=10_000)
    action: Annotated[str, AfterValidator(_kill_action)] | None = None
