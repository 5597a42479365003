"""The client knows every call of the agent, and the types of its replies are those on the wire."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any, NotRequired, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel, RootModel
from quart import Quart
from quart_schema.validation import QUART_SCHEMA_RESPONSE_ATTRIBUTE

from backy_core.client import calls, replies
from backy_core.client.calls import BASE_PATH, Call
from tests.http.fake_pools import GUID

NOT_IN_THE_CLIENT = {
    "GET /events": "a stream, which is followed by its own means",
    "GET /health": "for monitors",
    "GET /metrics": "for monitors, and no JSON",
    "GET /openapi.json": "for tools",
    "GET /docs": "for people",
    "GET /docs/static/{filename}": "for people",
    "GET /session": "for browsers",
    "POST /session": "for browsers",
    "DELETE /session": "for browsers",
    "GET /mounts/{mount_path}/processes": "the same as without its last part",
    "GET /mounts/{mount_path}/size": "the pool says it",
    "DELETE /pools/metadata": "forgets everything",
    "POST /pools/metadata/validate": "nothing needs it",
    "PUT /pools/metadata/validate": "nothing needs it",
}
ARGUMENTS: dict[str, Any] = {
    **{
        "guid": GUID,
        "serial": "S1",
        "identifier": "op-1",
        "label": "shelf",
        "path": "x",
        "name": "app",
        "scope": "read",
        "check": "quarantined",
        "subject": "S1",
    },
    **{"drive_serials": ["S1"], "pids": [4242]},
}
NAMES = {**vars(replies), **vars(calls), **vars(typing), "Any": Any}


def every_call() -> Iterator[tuple[str, Call[Any], Any]]:
    """Its name, what it sends, and the type of the reply."""
    for name, function in inspect.getmembers(calls, inspect.isfunction):
        if name.startswith("_") or function.__module__ != calls.__name__:
            continue
        needed = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        ]
        returned = eval(inspect.signature(function).return_annotation, NAMES)
        yield name, function(*(ARGUMENTS[each] for each in needed)), get_args(returned)[0]


@pytest.fixture
def routes(app: Quart) -> Any:
    return app.url_map.bind("localhost")


def models_of(app: Quart, routes: Any, call: Call[Any]) -> dict[int, type[BaseModel]]:
    path = (BASE_PATH + call.path).partition("?")[0]
    endpoint, _ = routes.match(path, method=call.method)
    declared = getattr(app.view_functions[endpoint], QUART_SCHEMA_RESPONSE_ATTRIBUTE)
    return {status: model for status, (model, _) in declared.items()}


def test_every_call_of_the_agent_is_in_the_client(app: Quart, routes: Any) -> None:
    known = set()
    for _, call, _ in every_call():
        path = (BASE_PATH + call.path).partition("?")[0]
        rule, _ = routes.match(path, method=call.method, return_rule=True)
        known.add((call.method, rule.rule))
    served = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith("page_")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    missing = {_worded(method, rule) for method, rule in served - known}
    assert missing == set(NOT_IN_THE_CLIENT)


def _worded(method: str, rule: str) -> str:
    import re

    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.removeprefix(BASE_PATH))
    return f"{method} {path}"


@pytest.mark.parametrize(
    ("name", "call", "said"), [*every_call()], ids=lambda value: str(value)[:20]
)
def test_the_type_of_a_reply_is_the_one_on_the_wire(
    app: Quart, routes: Any, name: str, call: Call[Any], said: Any
) -> None:
    sent = models_of(app, routes, call)
    if name.startswith("watch_"):
        assert_same(said, [sent[202]])
    elif name.startswith("plan_"):
        models = [model for one in sent.values() for model in _models(one)]
        assert_same(said, [model for model in models if "plan" in model.model_fields])
    else:
        models = _models(sent[202 if name == "create_pool" else 200])
        assert_same(said, [model for model in models if "plan" not in model.model_fields])


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models among which a reply is."""
    if isinstance(annotation, type) and issubclass(annotation, RootModel):
        return _models(annotation.model_fields["root"].annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def assert_same(said: Any, models: list[type[BaseModel]]) -> None:
    """The fields of a TypedDict are those that the models have, required where all have them."""
    if get_origin(said) is list:
        (said,) = get_args(said)
    if not typing.is_typeddict(said):
        return
    hints = get_type_hints(said, include_extras=True)
    on_wire: dict[str, list[Any]] = {}
    always: set[str] = set()
    for number, model in enumerate(models):
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        for name, field in fields.items():
            on_wire.setdefault(name, []).append(field)
        here = {name for name, field in fields.items() if field.exclude_if is None}
        always = here if number == 0 else always & here
    assert set(hints) == set(on_wire), said
    optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
    if len(models) > 1 or optional:
        assert set(hints) - optional <= always, said
    for name, hint in hints.items():
        inner = get_args(hint)[0] if get_origin(hint) is NotRequired else hint
        nested = [model for field in on_wire[name] for model in _models(field.annotation)]
        for part in _parts(inner):
            if typing.is_typeddict(part) and part is not said:
                assert_same(part, nested)
        nullable = any(
            type(None) in get_args(field.annotation) and field.exclude_if is None
            for field in on_wire[name]
        )
        assert (type(None) in get_args(inner)) or not nullable, (
            f"{said.__name__}.{name} may be null"
        )


def _parts(hint: Any) -> list[Any]:
    if get_origin(hint) in (list, types.UnionType, typing.Union):
        return [part for inner in get_args(hint) for part in _parts(inner)]
    return [hint]
