"""The OpenAPI 3.1 document: quart-schema's, made exact where it is too vague."""

from __future__ import annotations

import json
from typing import Any

from quart import Quart, Response
from quart_schema import APIKeySecurityScheme, Info, OpenAPIProvider, QuartSchema, hide
from werkzeug.routing import Rule

from backy_core.api.auth import HEADER
from backy_core.api.content import Content
from backy_core.api.routing import BASE_PATH, JSON, is_tagged, media_type_of
from backy_core.api.scopes import admin_fields, needed_scope, needs
from backy_core.api.static_replies import StaticReply
from backy_core.api.wire.errors import ErrorReply
from backy_core.store.keys import Scope

_FAILURE = {
    "description": "Any failure",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorReply"}}},
}
_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "Changes when the reply does"}}
_UNCHANGED = {"description": "The client has this reply already", "headers": _ETAG}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of the reply that the client has",
}
_DESCRIPTION = """Creates, inspects, mounts, unmounts and tears down pools of whole drives.

Sizes are bytes, times RFC 3339 UTC. Every reply with a status of 400 or more is the error
envelope. A changing call may be sent again: it joins the running one."""


class ExactProvider(OpenAPIProvider):
    """Adds the error envelope, what path parameters look like and which bodies are required."""

    def schema(self) -> dict[str, Any]:
        document = super().schema()
        error = ErrorReply.model_json_schema(
            ref_template="#/components/schemas/{model}", mode="serialization"
        )
        document["components"]["schemas"] |= error.pop("$defs") | {"ErrorReply": error}
        return document

    def build_paths(self, rule: Rule) -> tuple[dict[str, Any], dict[str, Any]]:
        paths, components = super().build_paths(rule)
        view = self._app.view_functions[rule.endpoint]
        for path, methods in paths.items():
            for operation in methods.values():
                operation["tags"] = [_noun(path)]
                _complete(operation)
                _add_scope(operation, view)
                if is_tagged(view):
                    _add_tag(operation)
                if (media_type := media_type_of(view)) != JSON:
                    content = operation["responses"]["200"]["content"]
                    content[media_type] = content.pop(JSON)
        return paths, components

    def build_path_parameter(self, name: str, converter: Any) -> dict[str, Any]:
        parameter = super().build_path_parameter(name, converter)
        if name == "guid":
            parameter["schema"] = {"type": "string", "format": "uuid"}
        if name == "serial":
            parameter["description"] = "Percent-encoded serial of a drive"
        if name == "mount_path":
            parameter["description"] = "Percent-encoded absolute path of a pool's mount"
        return parameter


def _noun(path: str) -> str:
    """The first word of a path, to group calls by."""
    word = path.removeprefix(BASE_PATH).split("/")[1]
    return "service" if word in ("status", "health", "metrics") else word


def _complete(operation: dict[str, Any]) -> None:
    answers = {str(status): answer for status, answer in operation["responses"].items()}
    operation["responses"] = answers | {"default": _FAILURE}
    body = operation.get("requestBody")
    if body is not None:
        schema = body["content"]["application/json"]["schema"]
        body["required"] = bool(schema.get("required"))


def _add_scope(operation: dict[str, Any], view: object) -> None:
    """As roles of the key, which OpenAPI 3.1 permits, and in words."""
    scope = needed_scope(view)
    operation["security"] = [] if scope is None else [{"apiKey": [str(scope)]}]
    sentences = [operation.get("description", "")]
    if scope is not None:
        sentences.append(f"Needs a key of scope `{scope}`.")
    for name, value in admin_fields(view).items():
        sentences.append(f"`{name}`: {json.dumps(value)} needs scope `{Scope.ADMIN}`.")
    operation["description"] = " ".join(filter(None, sentences))


def _add_tag(operation: dict[str, Any]) -> None:
    operation["responses"]["200"]["headers"] = _ETAG
    operation["responses"]["304"] = _UNCHANGED
    operation["parameters"].append(_IF_NONE_MATCH)


def add_document(app: Quart, version: str) -> None:
    """Serve the document at ``/openapi.json`` without a key."""
    make_response = app.make_response
    schema = QuartSchema(
        app,
        openapi_path=None,
        swagger_ui_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
        info=Info(title="Backy agent", version=version, description=_DESCRIPTION),
        security_schemes={"apiKey": APIKeySecurityScheme(name=HEADER, in_="header")},
        security=[{"apiKey": []}],
        conversion_preference="pydantic",
        openapi_provider_class=ExactProvider,
    )
    # It would look at every reply for a model to convert, and ours are responses already.
    app.make_response = make_response  # type: ignore[method-assign]

    def make() -> Content:
        text: str = app.json.dumps(schema.openapi_provider.schema())
        return Content.of(text.encode(), JSON)

    document = StaticReply(make)

    @app.get("/openapi.json")
    @hide
    @needs(None)
    async def openapi() -> Response:
        return await document()
