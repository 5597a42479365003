"""How the demo speaks: chapters, calls with their answers, and what must hold."""

import json
from typing import Any

from .client import Reply


class DemoFailed(Exception):
    """A step did not come out as documented."""


def title(text: str) -> None:
    """A chapter."""
    print(f"\n{text}\n{'-' * len(text)}")


def show(method: str, path: str, reply: Reply, body: Any = None) -> None:
    """One call and its answer."""
    print(f"  {method} {path}" + ("" if body is None else f"\n    {json.dumps(body)}"))
    print(f"  -> {reply.status} {_laid_out(reply.body)}")


def _laid_out(body: Any) -> str:
    """JSON in one line if short, else a line for each field and for each item of a list."""
    text = json.dumps(body)
    if len(text) < 110 or not isinstance(body, dict):
        return text
    fields = ",\n       ".join(
        f"{json.dumps(name)}: {_field(value)}" for name, value in body.items()
    )
    return f"{{\n       {fields}\n     }}"


def _field(value: Any) -> str:
    if not isinstance(value, list) or len(json.dumps(value)) < 70:
        return json.dumps(value)
    items = ",\n         ".join(json.dumps(item) for item in value)
    return f"[\n         {items}\n       ]"


def check(good: bool, what: str, seen: object) -> None:
    """Raise DemoFailed unless the step came out well."""
    if not good:
        raise DemoFailed(f"Not so: {what}. Seen: {seen}")
