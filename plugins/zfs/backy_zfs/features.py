"""Features of a zpool that the oldest supported OpenZFS, 2.1, lacks.

A label names those without which not even the pool's own structures can be read. The others are
known of an imported zpool, and of one that is not when its import is refused. Source: the lists of
features by version in OpenZFS 2.4 (its ``compatibility.d``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from backy_core.sdk import hookimpl
from backy_core.sdk.models import Requirement
from backy_zfs.labels import Label

OLDEST = "2.1"
COMPATIBILITY = "openzfs-2.1-linux"
"""The value of the property ``compatibility`` that means the features of 2.1."""
OF_OLDEST = (
    *("allocation_classes", "async_destroy", "bookmark_v2", "bookmark_written", "bookmarks"),
    *("device_rebuild", "device_removal", "draid", "edonr", "embedded_data", "empty_bpobj"),
    *("enabled_txg", "encryption", "extensible_dataset", "filesystem_limits", "hole_birth"),
    *("large_blocks", "large_dnode", "livelist", "log_spacemap", "lz4_compress"),
    *("multi_vdev_crash_dump", "obsolete_counts", "project_quota", "redacted_datasets"),
    *("redaction_bookmarks", "resilver_defer", "sha512", "skein", "spacemap_histogram"),
    *("spacemap_v2", "userobj_accounting", "zpool_checkpoint", "zstd_compress"),
)
PACKAGE = "zfsutils-linux"
UNSUPPORTED = "unsupported version or feature"
"""How ``zpool import`` refuses."""

_SINCE = {
    "blake3": "2.2",
    "block_cloning": "2.2",
    "head_errlog": "2.2",
    "vdev_zaps_v2": "2.2",
    "zilsaxattr": "2.2",
    "fast_dedup": "2.3",
    "large_microzap": "2.3",
    "longname": "2.3",
    "raidz_expansion": "2.3",
    "redaction_list_spill": "2.3",
    "block_cloning_endian": "2.4",
    "dynamic_gang_header": "2.4",
    "physical_rewrite": "2.4",
}
_HEADING = re.compile(r"uses the following\s+feature\(s\) not supported (?:by|on) this system:?$")
_NAME = re.compile(r"\s+[\w.-]+:([\w-]{1,100})(?: \(.*\))?$")
_MOST = 64
_CALLED = "zpool feature "
_PROPERTY = "feature@"


def of_labels(labels: Sequence[Label]) -> tuple[Requirement, ...] | None:
    """Requirements of the features in labels; None without a label."""
    if not labels:
        return None
    return required(short(name) for label in labels for name in label.features)


def short(name: str) -> str:
    """A feature's name without the organisation that made it."""
    return name.rpartition(":")[2]


def required(names: Iterable[str]) -> tuple[Requirement, ...]:
    """The requirements of those features that 2.1 lacks."""
    return tuple(_requirement(name) for name in dict.fromkeys(names) if name not in OF_OLDEST)


@hookimpl
def backy_explain(output: str) -> tuple[Requirement, ...]:
    """The features that ``zpool import`` names as those that this machine lacks."""
    return tuple(_requirement(name) for name in dict.fromkeys(_listed(output)))


def active(output: str) -> dict[str, list[str]]:
    """Active features by zpool, from the output of ``zpool get``."""
    by_zpool: dict[str, list[str]] = {}
    for line in output.splitlines():
        zpool, _, rest = line.partition("\t")
        setting, _, value = rest.partition("\t")
        if setting.startswith(_PROPERTY):
            names = by_zpool.setdefault(zpool, [])
            if value == "active":
                names.append(setting.removeprefix(_PROPERTY))
    return by_zpool


def _listed(output: str) -> Iterator[str]:
    below, count = False, 0
    for line in output.splitlines():
        if _HEADING.search(line.rstrip()):
            below = True
        elif below and (name := _NAME.match(line.rstrip())) and count < _MOST:
            count += 1
            yield name[1]
        elif below:
            return


def _requirement(name: str) -> Requirement:
    return Requirement(feature=f"{_CALLED}{name}", tool=PACKAGE, tool_version=_SINCE.get(name))


def name_of(requirement: Requirement) -> str:
    """The feature's name."""
    return requirement.feature.removeprefix(_CALLED)
