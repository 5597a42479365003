"""Signing in by a browser."""

from __future__ import annotations

from pydantic import SecretStr

from backy_core.api.wire.base import ReplyModel, RequestModel, Success


class SignInBody(RequestModel):
    """The key to sign in with."""

    key: SecretStr


class SessionReply(ReplyModel):
    """The sender of the request as the agent knows it. ``key`` is null for root at its socket."""

    key: str | None
    scope: str


class SignInReply(Success, SessionReply):
    """The browser is signed in: the reply sets its cookie."""
