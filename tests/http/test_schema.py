"""Requests made up from the OpenAPI document, against the real server with a fake agent."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.http.fake_agent import KEY
from tests.kernel.availability import thorough

EXAMPLES = 200 if thorough() else 6
"""For each operation, with the key and without."""
REPLY_S = 10
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a serving process."""
    command = [sys.executable, "-m", "tests.http.serving", "{}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@pytest.mark.parametrize("headers", [{"X-Api-Key": KEY}, {}], ids=["with the key", "without"])
def test_whatever_the_document_allows(url: str, headers: dict[str, str]) -> None:
    """All but the events, whose reply does not end."""
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    operations = [operation for operation in operations if operation.path != "/api/v1/events"]
    assert len(operations) > 20
    for operation in operations:
        _try_out(operation.as_strategy(), url, headers)


def _try_out(
    cases: SearchStrategy[schemathesis.Case[Any]], url: str, headers: dict[str, str]
) -> None:
    @given(cases)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case[Any]) -> None:
        case.headers.pop("X-Api-Key", None)
        response = case.call(base_url=url, headers=headers, timeout=REPLY_S)
        case.validate_response(response, checks=CHECKS)

    check()
