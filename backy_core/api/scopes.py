"""The scope that a handler asks of its caller: declared with its route, and enforced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

from quart import request

from backy_core.sdk.errors import BackyError
from backy_core.store.keys import Caller, Scope

_SCOPE = "_backy_scope"
_ADMIN_FOR = "_backy_admin_for"
View = TypeVar("View", bound=Callable[..., Any])


class InsufficientScope(BackyError):
    """The key is right, and does not permit this call."""

    code = "INSUFFICIENT_SCOPE"


def needs(scope: Scope | None) -> Callable[[View], View]:
    """Let a handler be called with this scope; None: by everyone, without a key."""

    def declare(view: View) -> View:
        setattr(view, _SCOPE, scope)
        return view

    return declare


def needed_scope(view: object) -> Scope | None:
    """The scope that a handler needs: the largest if it declares none. Without a handler there is
    nothing to protect, and any key will do."""
    return Scope.READ if view is None else getattr(view, _SCOPE, Scope.ADMIN)


def admin_for(view: View, fields: Mapping[str, object]) -> View:
    """Have ``view`` refuse a body in which one of ``fields`` has this value, but for an admin."""

    @wraps(view)
    async def handler(**values: Any) -> Any:
        if any(getattr(values["data"], name) == value for name, value in fields.items()):
            caller: Caller = request.caller  # type: ignore[attr-defined]
            refuse_below(Scope.ADMIN, caller)
        return await view(**values)

    setattr(handler, _ADMIN_FOR, fields)
    return handler  # type: ignore[return-value]


def admin_fields(view: object) -> Mapping[str, object]:
    """The fields of the body, with their values, for which a handler needs an admin."""
    return getattr(view, _ADMIN_FOR, {})


def refuse_below(needed: Scope, caller: Caller) -> None:
    """Raise :class:`InsufficientScope` unless the caller may do what needs this scope."""
    if not caller.scope.covers(needed):
        raise InsufficientScope(
            f"This call needs a key of scope {needed}; the scope of this one is {caller.scope}"
        )
