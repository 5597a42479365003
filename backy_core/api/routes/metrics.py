"""Figures for Prometheus."""

from __future__ import annotations

from collections import Counter
from typing import cast

from quart import Response, current_app

from backy_core.api.live.hub import LiveEvents
from backy_core.api.metrics.tally import Tally
from backy_core.api.replies import agent
from backy_core.api.routes.events import EXTENSION as LIVE_EVENTS
from backy_core.api.routing import Routes, endpoint
from backy_core.api.wire.operations import MetricsText
from backy_core.store.keys import Scope

EXTENSION = "backy_tally"
TEXT = "text/plain"
_FORMAT = f"{TEXT}; version=0.0.4; charset=utf-8"
_USAGE_S = 0.1
"""How long a filesystem that does not answer can hold up a scrape."""
routes = Routes()


@endpoint(routes, "GET", "/metrics", scope=Scope.READ, replies={200: MetricsText}, media_type=TEXT)
async def get_metrics() -> Response:
    """Show figures for Prometheus. No drive is read and no process started for them."""
    from backy_core.api.metrics.families import Facts, text_of

    served, operations = agent(), agent().operations.all()
    facts = Facts(
        version=current_app.config["BACKY_VERSION"],
        pools=await served.pools.list(usage_within_s=_USAGE_S),
        drives=await served.drives_service.list(),
        running=Counter(op.kind for op in operations if op.running),
        tally=cast("Tally", current_app.extensions[EXTENSION]),
        backends=served.host.backends,
        backend_problems=served.backend_problems,
        changed_s=served.clock.monotonic() - served.machine_changed_at,
        event_clients=cast("LiveEvents", current_app.extensions[LIVE_EVENTS]).clients,
    )
    return Response(text_of(facts), 200, content_type=_FORMAT)
