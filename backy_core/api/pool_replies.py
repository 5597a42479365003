"""A pool as the wire shows it: exactly the fields of its state.

Clients poll, and pools rarely change: a view keeps the bytes that were made of it, and a list is
those of its pools joined.
"""

from __future__ import annotations

from typing import Any

from backy_core.api.content import Content
from backy_core.api.wire.base import percent
from backy_core.api.wire.pools import (
    CreatingPool,
    DeletedPool,
    ErrorPool,
    FailedPool,
    ListedCreatingPool,
    ListedDeletedPool,
    ListedErrorPool,
    ListedFailedPool,
    ListedMemberReply,
    ListedReadyPool,
    ListedUnmountedPool,
    ListItem,
    MemberReply,
    OpensOnReply,
    ReadyPool,
    UnmountedPool,
)
from backy_core.api.wording import worded
from backy_core.pools.views import PoolState, PoolView, PoolViews
from backy_core.store.opens_on import OpensOn
from backy_core.system.usage import Usage

_UNEXPLAINED = "The reason is not known"


def detail_content(pool: PoolView) -> Content:
    """A :class:`~backy_core.api.wire.pools.PoolDetail` as JSON."""
    return pool.once(_write_detail)


def list_content(pools: PoolViews) -> Content:
    """A :class:`~backy_core.api.wire.pools.PoolList` as JSON."""
    return pools.once(_join)


def _write_detail(pool: PoolView) -> Content:
    return Content.of_model(_detail(pool))


def item_json(pool: PoolView) -> bytes:
    """An item of the list of pools."""
    return pool.once(_write_item)


def _write_item(pool: PoolView) -> bytes:
    return _item(pool).model_dump_json().encode()


def _join(pools: PoolViews) -> Content:
    return Content.of(b"[%b]" % b",".join(map(item_json, pools)))


def _detail(
    pool: PoolView,
) -> CreatingPool | ReadyPool | UnmountedPool | ErrorPool | FailedPool | DeletedPool:
    match pool.state:
        case PoolState.CREATING:
            return CreatingPool()
        case PoolState.DELETED:
            return DeletedPool()
        case PoolState.FAILED:
            return FailedPool(error_message=_reason(pool))
        case PoolState.READY:
            return ReadyPool(**_standing_detail(pool), error_message=worded(pool.error_message))
        case PoolState.UNMOUNTED:
            return UnmountedPool(**_standing_detail(pool), error_message=worded(pool.error_message))
        case PoolState.ERROR:
            reason = _reason(pool)
            return ErrorPool(**_standing_detail(pool), error_message=reason)


def _item(pool: PoolView) -> ListItem:
    common = _listed(pool)
    match pool.state:
        case PoolState.CREATING:
            return ListedCreatingPool(**common)
        case PoolState.DELETED:
            return ListedDeletedPool(**common)
        case PoolState.FAILED:
            return ListedFailedPool(**common, error_message=_reason(pool))
        case PoolState.READY:
            note = worded(pool.error_message)
            return ListedReadyPool(**common, **_standing(pool), error_message=note)
        case PoolState.UNMOUNTED:
            note = worded(pool.error_message)
            return ListedUnmountedPool(**common, **_standing(pool), error_message=note)
        case PoolState.ERROR:
            reason = _reason(pool)
            return ListedErrorPool(**common, **_standing(pool), error_message=reason)


def _reason(pool: PoolView) -> str:
    return worded(pool.error_message or _UNEXPLAINED)


def opens_on_reply(opens_on: OpensOn | None) -> OpensOnReply | None:
    if opens_on is None:
        return None
    return OpensOnReply(
        kernel=opens_on.kernel,
        tools=opens_on.tools,
        because=opens_on.because,
        checked=opens_on.checked,
    )


def _standing(pool: PoolView) -> dict[str, Any]:
    """Fields of an existing pool that detail and list share.

    Without a known usage, clients expect zeros.
    """
    usage = pool.usage or Usage(size=0, used=0, available=0)
    return {
        "size": usage.size,
        "used": usage.used,
        "available": usage.available,
        "use_percent": percent(usage.use_percent),
        "backend": pool.backend,
        "level": pool.level,
        "filesystem": pool.filesystem,
        "created_at": pool.created_at,
        "portability": pool.portability,
        "opens_on": opens_on_reply(pool.opens_on),
        "resync_percentage": pool.sync_percent,
        "resync_time_estimate": pool.sync_minutes,
        "stale_because": pool.stale_because,
    }


def _standing_detail(pool: PoolView) -> dict[str, Any]:
    return _standing(pool) | {
        "pool_status": pool.pool_status,
        "mount_path": pool.mount_path,
        "pool_group_guid": pool.guid,
        "label": pool.label,
        "pool_id": pool.device,
        "md_device_name": pool.device,
        "drives": tuple(
            MemberReply(
                serial=drive.serial, label=drive.label, status=drive.status, state=drive.status
            )
            for drive in pool.drives
        ),
    }


def _listed(pool: PoolView) -> dict[str, Any]:
    return {
        "pool_group_guid": pool.guid,
        "label": pool.label,
        "pool_status": pool.pool_status,
        "status": pool.pool_status,
        "pool_id": pool.device,
        "md_device_name": pool.device,
        "is_mounted": pool.is_mounted,
        "mount_path": pool.mount_path,
        "drive_count": len(pool.drives),
        "drives": tuple(
            ListedMemberReply(
                serial=drive.serial,
                label=drive.label,
                status=drive.status,
                state=drive.status,
                is_connected=drive.is_connected,
            )
            for drive in pool.drives
        ),
    }
