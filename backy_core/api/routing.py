"""How paths and methods reach handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache, wraps
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from pydantic import BaseModel
from quart import Quart, Response, request
from quart.routing import QuartRule
from quart_schema import document_response, hide, validate_querystring, validate_request
from werkzeug.routing import BaseConverter

from backy_core.api import scopes
from backy_core.api.scopes import needs
from backy_core.api.wire.base import parse_guid
from backy_core.store.keys import Scope

BASE_PATH = "/api/v1"
MOUNTS_PATH = f"{BASE_PATH}/mounts/"
DRIVES_PATH = f"{BASE_PATH}/drives/"
_MOUNTS, _DRIVES = MOUNTS_PATH.encode(), DRIVES_PATH.encode()
_TAGGED = "_backy_tagged"
_MEDIA_TYPE = "_backy_media_type"
JSON = "application/json"
_MOUNT_SUFFIXES = frozenset({"processes", "size"})
_DRIVE_SUFFIXES = frozenset({"status", "protection", "blink"})
View = TypeVar("View", bound=Callable[..., Awaitable[Response]])
AsgiScope = dict[str, Any]
AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


class PoolGuidConverter(BaseConverter):
    """A segment that may be a GUID. The names of fixed neighbours are left to their routes,
    so that a wrong method on those is answered as one."""

    regex = r"(?!(?:importable|metadata)\Z)[^/]+"
    part_isolating = True


class MountPathConverter(BaseConverter):
    """A mount path as one percent-encoded segment, as :class:`FoldedPaths` writes it."""

    def to_python(self, value: str) -> str:
        return "/" + unquote(value).strip("/")


class SerialConverter(BaseConverter):
    """A drive's serial as one percent-encoded segment, as :class:`FoldedPaths` writes it."""

    def to_python(self, value: str) -> str:
        return unquote(value)


class Route(QuartRule):
    """A route that no URL is built of: to prepare that takes a twentieth of the agent's start."""

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return _not_built


def _not_built(route: Route, **_: object) -> tuple[str, str]:
    raise NotImplementedError(f"No URL is built of {route}")


class FoldedPaths:
    """Keeps the slashes of a mount path or a serial inside one path segment.

    ASGI servers decode ``%2F``, after which ``/mounts/%2Fmnt%2Fsize`` and ``/mounts/mnt/size``
    look alike. The raw path still tells them apart; a path sent with plain slashes is folded
    into one segment here.
    """

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Any, send: Any) -> None:
        raw: bytes = scope.get("raw_path") or b""
        if scope["type"] == "http" and raw.startswith(_MOUNTS):
            scope = {**scope, "path": MOUNTS_PATH + fold_mount_path(raw[len(MOUNTS_PATH) :])}
        elif scope["type"] == "http" and raw.startswith(_DRIVES):
            folded = fold_serial(raw[len(DRIVES_PATH) :])
            scope = scope if folded is None else {**scope, "path": DRIVES_PATH + folded}
        await self._app(scope, receive, send)


def fold_mount_path(raw: bytes) -> str:
    """``%2Fmnt%2Fa/size`` and ``mnt/a/size`` both as ``%2Fmnt%2Fa/size``."""
    segments = raw.decode("latin-1").strip("/").split("/")
    suffix = segments.pop() if len(segments) > 1 and segments[-1] in _MOUNT_SUFFIXES else None
    path = "/".join(unquote(segment) for segment in segments).strip("/")
    folded = quote("/" + path, safe="")
    return f"{folded}/{suffix}" if suffix else folded


def fold_serial(raw: bytes) -> str | None:
    """``a%2Fb/status`` and ``a/b/status`` both as ``a%2Fb/status``; None for any other path."""
    serial, _, suffix = raw.decode("latin-1").rstrip("/").rpartition("/")
    if suffix not in _DRIVE_SUFFIXES or not serial:
        return None
    return f"{quote(unquote(serial), safe='')}/{suffix}"


def configure_routing(app: Quart) -> None:
    """Both slash forms everywhere, no redirects. Must run before any route is added."""
    app.url_rule_class = Route
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.converters["guid"] = PoolGuidConverter
    app.url_map.converters["mount"] = MountPathConverter
    app.url_map.converters["serial"] = SerialConverter


class Routes:
    """The routes of one noun, collected by its module and added to each application.

    Quart's own blueprints cost each request, whatever it asks for, a twentieth of its time.
    """

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._rules: list[tuple[str, str, Callable[..., Any]]] = []

    def add(self, method: str, path: str, handler: Callable[..., Any]) -> None:
        self._rules.append((method, self._prefix + path, handler))

    def get(self, path: str, scope: Scope | None) -> Callable[[View], View]:
        """Register a handler of a page, which is not in the document; ``scope`` as for
        :func:`endpoint`."""

        def register(view: View) -> View:
            self.add("GET", path, hide(needs(scope)(view)))
            return view

        return register

    def add_to(self, app: Quart) -> None:
        for method, path, handler in self._rules:
            app.add_url_rule(path, handler.__name__, handler, methods=[method])


def endpoint(
    routes: Routes,
    method: str,
    path: str,
    *,
    scope: Scope | None,
    replies: Mapping[int, type[BaseModel]],
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    tagged: bool = False,
    admin_for: Mapping[str, object] | None = None,
    media_type: str = JSON,
) -> Callable[[View], View]:
    """Register a handler with what it takes and gives, for routing, checking and the document.

    ``scope``: what the caller's key must permit; None: open to everyone, without a key.
    ``admin_for``: fields of the body with the value that only an admin may send.
    ``media_type`` is that of its reply with status 200.
    ``tagged``: its replies have a tag, and a client that sends it back gets 304 until they change.

    The handler gets ``data`` for a ``body`` and ``query_args`` for a ``query``; GUIDs in the
    path arrive checked and in lower case.
    """

    def register(view: View) -> View:
        handler: Any = _with_checked_guid(view)
        if admin_for is not None:
            handler = scopes.admin_for(handler, admin_for)
        if query is not None:
            handler = _with_query(query, handler)
        if body is not None:
            handler = _with_body(body, handler)
        for status, model in replies.items():
            handler = document_response(model, status)(handler)
        setattr(handler, _TAGGED, tagged)
        setattr(handler, _MEDIA_TYPE, media_type)
        routes.add(method, path, needs(scope)(handler))
        return view

    return register


def is_tagged(view: object) -> bool:
    """Whether the replies of a registered handler have a tag."""
    return getattr(view, _TAGGED, False)


def media_type_of(view: object) -> str:
    """The media type of a registered handler's reply with status 200."""
    return getattr(view, _MEDIA_TYPE, JSON)


def _with_body(body: type[BaseModel], view: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(view)
    async def noted(**values: Any) -> Any:
        current: Any = request
        if current.call is not None:
            current.call.body = values["data"]
        return await view(**values)

    checked = validate_request(body)(noted)

    @wraps(checked)
    async def handler(**values: Any) -> Any:
        _build(body)
        return await checked(**values)

    return handler


def _with_query(query: type[BaseModel], view: Callable[..., Any]) -> Callable[..., Any]:
    """Most requests have no query string: those get the defaults, made once.

    ``query`` has a default for each of its fields.
    """
    checked = validate_querystring(query)(view)
    defaults = cache(query)

    @wraps(checked)
    async def handler(**values: Any) -> Any:
        if request.query_string:
            _build(query)
            return await checked(**values)
        return await view(query_args=defaults(), **values)

    return handler


def _build(model: type[BaseModel]) -> None:
    """At its first request, and then for good: quart-schema would do it anew for each."""
    model.model_rebuild()


def _with_checked_guid(view: Callable[..., Awaitable[Response]]) -> Callable[..., Any]:
    @wraps(view)
    async def checked(**values: Any) -> Response:
        if "guid" in values:
            values["guid"] = parse_guid(values["guid"])
        return await view(**values)

    return checked
