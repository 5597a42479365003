"""Validate requests as far as possible without reading the machine."""

from __future__ import annotations

import re
import uuid
from pathlib import PurePosixPath

from backy_core.config.settings import Settings
from backy_core.operations import filesystems
from backy_core.plugins.host import LoadedBackend, PluginHost
from backy_core.pools.views import CreateRequest, Creation
from backy_core.sdk.errors import InvalidRequest
from backy_core.sdk.models import Level
from backy_core.sdk.naming import layer_identity
from backy_core.sdk.stack import Layer

_LABEL_LIMIT = 255
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NIL = str(uuid.UUID(int=0))


def complete(request: CreateRequest, host: PluginHost, settings: Settings) -> Creation:
    """Fill in defaults and refuse what can never succeed. Raises :class:`InvalidRequest`."""
    backend = _backend(request.backend or settings.default_backend, host)
    level = _level(request.level, backend)
    filesystem = request.filesystem or backend.info.filesystems[0]
    if filesystem not in backend.info.filesystems:
        raise InvalidRequest(
            f"Backend {backend.info.name} does not offer filesystem {filesystem}",
            hint=f"Choose one of {', '.join(backend.info.filesystems)}",
        )
    if backend.info.delivers == "block":
        filesystems.known(filesystem)
    _check_drives(request, backend, level)
    guid = checked_guid(request.guid) if request.guid else str(uuid.uuid4())
    return Creation(
        guid=guid,
        label=checked_label(request.label),
        drive_serials=request.drive_serials,
        drive_labels=dict(request.drive_labels),
        mount_path=checked_mount_path(request.mount_path or settings.default_mount_path(guid)),
        backend=backend.info.name,
        level=level.name,
        filesystem=filesystem,
        wipe=request.wipe,
        portability=request.portability,
        layers=_layers(request, guid, backend, host),
    )


def _layers(
    request: CreateRequest, guid: str, backend: LoadedBackend, host: PluginHost
) -> tuple[Layer, ...]:
    if request.layers and backend.info.delivers != "block":
        raise InvalidRequest(f"Pools of backend {backend.info.name} take no layers")
    layers = tuple(
        Layer(kind=kind, identity=layer_identity(guid, number, kind), options=options)
        for number, (kind, options) in enumerate(request.layers, 1)
    )
    if missing := host.layers.missing_of(layers):
        raise InvalidRequest(missing)
    return layers


def checked_label(label: str) -> str:
    if not label.strip():
        raise InvalidRequest("The label is empty", hint="Give the pool a name")
    if len(label) > _LABEL_LIMIT or not label.isprintable():
        raise InvalidRequest(
            f"The label must be at most {_LABEL_LIMIT} printable characters on one line"
        )
    return label


def checked_guid(guid: str) -> str:
    if not _GUID.fullmatch(guid) or guid == _NIL:
        raise InvalidRequest(
            f"{guid!r} is not a pool GUID", hint="Use 36 characters, lower-case and dashed"
        )
    return guid


def checked_mount_path(path: str) -> str:
    """An absolute, plain path. Normalised, no trailing slash."""
    pure = PurePosixPath(path)
    if not pure.is_absolute() or path.startswith("//"):
        raise InvalidRequest(f"Mount path {path!r} is not absolute")
    if ".." in pure.parts:
        raise InvalidRequest(f"Mount path {path!r} contains '..'")
    if not path.isprintable():
        raise InvalidRequest("The mount path contains control characters")
    return str(pure)


def _backend(name: str, host: PluginHost) -> LoadedBackend:
    if name in host.backends:
        return host.backends[name]
    broken = next((failed.reason for failed in host.failed if failed.name == name), None)
    if broken:
        raise InvalidRequest(f"Backend {name} could not be loaded", details=broken)
    names = ", ".join(sorted(host.backends)) or "none"
    raise InvalidRequest(f"There is no backend {name}", hint=f"Loaded backends: {names}")


def _level(name: str | None, backend: LoadedBackend) -> Level:
    levels = backend.info.levels
    if name is None:
        return levels[0]
    for level in levels:
        if name == level.name or name in level.aliases:
            return level
    raise InvalidRequest(
        f"Backend {backend.info.name} has no level {name}",
        hint=f"Choose one of {', '.join(level.name for level in levels)}",
    )


def _check_drives(request: CreateRequest, backend: LoadedBackend, level: Level) -> None:
    serials = request.drive_serials
    if not serials:
        raise InvalidRequest("No drives are given", hint="Name at least one in driveSerials")
    twice = sorted({serial for serial in serials if serials.count(serial) > 1})
    if twice:
        raise InvalidRequest(f"Drive {twice[0]} is given twice")
    strangers = sorted(set(request.drive_labels) - set(serials))
    if strangers:
        raise InvalidRequest(f"driveLabels names drive {strangers[0]}, which is not given")
    if len(serials) < level.min_drives:
        raise InvalidRequest(
            f"{level.name} needs at least {level.min_drives} drives, {len(serials)} given"
        )
    if level.max_drives is not None and len(serials) > level.max_drives:
        raise InvalidRequest(
            f"{level.name} takes at most {level.max_drives} drive{'s' * (level.max_drives > 1)}, "
            f"{len(serials)} given",
            hint="Name fewer drives, or choose another level",
        )
