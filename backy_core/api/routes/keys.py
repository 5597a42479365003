"""Access keys: listing, making, rotating and revoking them."""

from __future__ import annotations

from quart import Response

from backy_core.api.detached_calls import carry_out
from backy_core.api.replies import agent, reply
from backy_core.api.routing import BASE_PATH, Routes, endpoint
from backy_core.api.wire.base import SuccessMessage
from backy_core.api.wire.keys import CreateKeyBody, KeyList, KeyReply, SecretReply
from backy_core.store.keys import Key, Scope

routes = Routes(BASE_PATH)
_NOT_KEPT = {"Cache-Control": "no-store"}


@endpoint(routes, "GET", "/keys", scope=Scope.ADMIN, replies={200: KeyList})
async def list_keys() -> Response:
    """List the access keys, without their secrets."""
    return reply(KeyList(keys=tuple(_key_reply(key) for key in agent().keys.listed())))


@endpoint(
    routes,
    "POST",
    "/keys",
    scope=Scope.ADMIN,
    body=CreateKeyBody,
    replies={200: SecretReply},
)
async def create_key(data: CreateKeyBody) -> Response:
    """Make an access key and show its secret, this once."""
    return _secret_reply(*await carry_out(agent().keys.create(data.name, Scope(data.scope))))


@endpoint(routes, "POST", "/keys/<name>/rotate", scope=Scope.ADMIN, replies={200: SecretReply})
async def rotate_key(name: str) -> Response:
    """Give a key a new secret and show it, this once. The old one is refused from now on."""
    return _secret_reply(*await carry_out(agent().keys.rotate(name)))


@endpoint(routes, "DELETE", "/keys/<name>", scope=Scope.ADMIN, replies={200: SuccessMessage})
async def revoke_key(name: str) -> Response:
    """Refuse a key from now on and forget it."""
    await carry_out(agent().keys.revoke(name))
    return reply(SuccessMessage(message=f"Key {name} is revoked"))


def _secret_reply(key: Key, secret: str) -> Response:
    return reply(SecretReply(key=_key_reply(key), secret=secret), headers=_NOT_KEPT)


def _key_reply(key: Key) -> KeyReply:
    return KeyReply(
        name=key.name,
        scope=key.scope,
        created_at=key.created_at,
        rotated_at=key.rotated_at,
        last_used_at=key.last_used_at,
    )
