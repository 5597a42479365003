"""Replies that a client may have already (RFC 9110, If-None-Match)."""

from __future__ import annotations

import gzip
import hashlib
from typing import NamedTuple

from pydantic import BaseModel
from quart import Response
from werkzeug.datastructures import Headers

from backy_core.api.replies import current_request
from backy_core.api.routing import JSON


class Content(NamedTuple):
    """Bytes with the header fields that describe them; their ETag changes when the bytes do."""

    body: bytes
    headers: Headers

    @classmethod
    def of(cls, body: bytes, media_type: str = JSON) -> Content:
        tag = hashlib.blake2b(body, digest_size=12).hexdigest()
        return cls(body, Headers({"Content-Type": media_type, "ETag": f'"{tag}"'}))

    def squeezed(self) -> Content:
        """The same by gzip, under a tag of its own."""
        body = gzip.compress(self.body, mtime=0)
        headers = self.headers.copy()
        headers["ETag"] = Content.of(body).headers["ETag"]
        headers["Content-Encoding"] = "gzip"
        return Content(body, headers)

    @classmethod
    def of_model(cls, model: BaseModel) -> Content:
        return cls.of(model.model_dump_json().encode())


def unless_known(content: Content) -> Response:
    """A reply with ``content``, or 304 if the client says that it has it."""
    headers = content.headers.copy()
    if _is_known(headers["ETag"]):
        return Response(None, 304, headers)
    return Response(content.body, 200, headers)


def _is_known(etag: str) -> bool:
    current = current_request()
    if "If-None-Match" not in current.headers:
        return False
    return current.if_none_match.contains_weak(etag.strip('"'))


def tagged(model: BaseModel) -> Response:
    """``model`` as JSON, unless the client has it already."""
    return unless_known(Content.of_model(model))
