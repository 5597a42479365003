"""Routes of the backends."""

from __future__ import annotations

from quart import Response

from backy_core.api.content import tagged
from backy_core.api.replies import agent
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.operations import (
    BackendReply,
    BackendsReply,
    FailedPluginReply,
    LevelReply,
    ToolReply,
    ToolStateReply,
)
from backy_core.plugins.host import LoadedBackend
from backy_core.store.keys import Scope

routes = Routes(BASE_PATH)


@endpoint(routes, "GET", "/backends", scope=Scope.READ, replies={200: BackendsReply}, tagged=True)
async def list_backends() -> Response:
    """List the backends, and the plugins that could not be loaded."""
    host, problems = agent().host, agent().backend_problems
    failed = tuple(
        FailedPluginReply(
            name=failed_plugin.name, reason=failed_plugin.reason, origin=failed_plugin.origin
        )
        for failed_plugin in host.failed
    )
    backends = tuple(
        _backend_reply(backend, problems.get(name)) for name, backend in host.backends.items()
    )
    return tagged(BackendsReply(backends=backends, failed_plugins=failed))


def _backend_reply(backend: LoadedBackend, problem: str | None) -> BackendReply:
    info = backend.info
    missing = backend.missing_tools()
    return BackendReply(
        name=info.name,
        default=info.name == agent().pools.default_backend,
        version=info.version,
        levels=tuple(
            LevelReply(
                name=level.name,
                min_drives=level.min_drives,
                max_drives=level.max_drives,
                parity=level.parity,
                copies=level.copies,
            )
            for level in info.levels
        ),
        filesystems=info.filesystems,
        capabilities=tuple(sorted(info.capabilities)),
        tools_installed=not missing,
        missing_tools=tuple(ToolReply(name=tool.name, package=tool.package) for tool in missing),
        tools=tuple(
            ToolStateReply(name=tool.name, package=tool.package, installed=tool not in missing)
            for tool in info.tools
        ),
        origin=backend.origin,
        problem=problem,
    )
