"""The documentation says what is served: every route, every sample, every error code."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from quart import Quart
from quart_schema.validation import (
    QUART_SCHEMA_QUERYSTRING_ATTRIBUTE,
    QUART_SCHEMA_REQUEST_ATTRIBUTE,
    QUART_SCHEMA_RESPONSE_ATTRIBUTE,
)

from backy_core.api.app import create_app
from backy_core.api.errors import STATUS_OF_CODE
from backy_core.api.wire.errors import ErrorReply
from backy_core.cli.refusal import StartRefused
from backy_core.config.errors import ConfigurationError
from backy_core.sdk.errors import BackyError
from tests.architecture import SKIPPED
from tests.http.fake_agent import FakeAgent

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGE = DOCS / "development" / "backy-agent.md"
ERRORS = DOCS / "errors.md"
_CODE = re.compile(r"`([A-Z]+(?:_[A-Z]+)+|CONFLICT|FORBIDDEN|UNAUTHORIZED)`")
_SOURCE = re.compile(r"[\w.*/-]+\.(py|sh|c|md)")
_OF_THE_START = {"CONFIGURATION_ERROR", "START_REFUSED"}


FILES = [
    path.relative_to(ROOT)
    for path in ROOT.glob("[!.]*/**/*")
    if not SKIPPED.intersection(path.parts)
] + [path.relative_to(ROOT) for path in ROOT.glob("*")]
FOLDERS = {path.parts[0] for path in FILES if len(path.parts) > 1}
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*/**/*.md"))
    if path.name != "CHANGELOG.md" and not SKIPPED.intersection(path.parts)
)
"""All but the changelog, which tells of what was."""


@dataclass(frozen=True)
class Section:
    """A section of the page: its text and its samples as (kind, JSON text)."""

    text: str
    samples: tuple[tuple[str, str], ...]

    def of_kind(self, kind: str) -> list[str]:
        return [text for found, text in self.samples if found == kind]


def sections(page: str) -> dict[str, Section]:
    """Sections by heading. No line inside a sample begins with a hash."""
    parts = re.split(r"^#{2,3} (.+)$", page, flags=re.MULTILINE)
    fence = re.compile(r"^```json (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return {
        heading: Section(text, tuple(fence.findall(text)))
        for heading, text in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.fixture
async def app() -> Quart:
    return create_app(FakeAgent())


@pytest.fixture
def routes(app: Quart) -> dict[str, Any]:
    """Handlers by heading."""
    return {
        _heading(method, rule.rule): app.view_functions[rule.endpoint]
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }


def _heading(method: str, rule: str) -> str:
    return f"{method} " + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


@pytest.fixture
def page() -> dict[str, Section]:
    return sections(PAGE.read_text())


def _request_model(view: Any) -> type[BaseModel] | None:
    model: type[BaseModel] | None = getattr(view, QUART_SCHEMA_REQUEST_ATTRIBUTE, (None,))[0]
    return model


def _reply_models(view: Any) -> dict[int, type[BaseModel]]:
    replies = getattr(view, QUART_SCHEMA_RESPONSE_ATTRIBUTE, {})
    return {status: model for status, (model, _) in replies.items()}


def _names(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_every_route_has_its_heading_and_no_other(
    routes: dict[str, Any], page: dict[str, Section]
) -> None:
    documented = {heading for heading in page if re.match(r"[A-Z]+ /", heading)}
    assert documented == set(routes)


def test_every_reply_has_samples_that_are_replies(
    routes: dict[str, Any], page: dict[str, Section]
) -> None:
    checked = 0
    for heading, view in routes.items():
        for status, model in _reply_models(view).items():
            samples = page[heading].of_kind(str(status))
            assert samples, f"{heading} shows no reply of status {status}"
            for sample in samples:
                served = model.model_validate_json(sample).model_dump_json()
                assert json.loads(served) == json.loads(sample), heading
                checked += 1
    assert checked > len(page) / 2


def test_every_body_has_samples_and_names_its_fields(
    routes: dict[str, Any], page: dict[str, Section]
) -> None:
    for heading, view in routes.items():
        model = _request_model(view)
        samples = page[heading].of_kind("request")
        assert bool(samples) == (model is not None), heading
        for sample in samples:
            assert model is not None
            model.model_validate_json(sample)
        for name in _names(model) if model else ():
            assert f'"{name}"' in page[heading].text or f"`{name}`" in page[heading].text, name


def test_every_query_parameter_is_named(routes: dict[str, Any], page: dict[str, Section]) -> None:
    for heading, view in routes.items():
        model = getattr(view, QUART_SCHEMA_QUERYSTRING_ATTRIBUTE, None)
        for name in _names(model) if model else ():
            assert f"`?{name}=" in page[heading].text, f"{heading} is silent about {name}"


def test_error_samples_are_errors(page: dict[str, Section]) -> None:
    samples = [
        (int(kind), text)
        for section in page.values()
        for kind, text in section.samples
        if kind.isdigit() and int(kind) >= 400
    ]
    assert samples
    for status, text in samples:
        error = ErrorReply.model_validate_json(text)
        assert STATUS_OF_CODE[error.error.code] == status
        assert json.loads(error.model_dump_json()) == json.loads(text)


def test_no_sample_goes_unchecked() -> None:
    fences = re.findall(r"^```json(.*)$", PAGE.read_text(), re.MULTILINE)
    assert {kind.strip() for kind in fences} <= {"request", "200", "202", "409"}


def test_every_error_code_has_its_heading_and_status() -> None:
    found = sections(ERRORS.read_text())
    assert set(found) == set(STATUS_OF_CODE) | _OF_THE_START
    for code, section in found.items():
        first = "Never over HTTP" if code in _OF_THE_START else f"Status {STATUS_OF_CODE[code]}."
        assert section.text.strip().startswith(first)


def test_no_error_class_has_an_undocumented_code() -> None:
    assert {StartRefused.code, ConfigurationError.code} == _OF_THE_START
    pending = [BackyError]
    while pending:
        one = pending.pop()
        assert one.code in set(STATUS_OF_CODE) | _OF_THE_START, one
        pending += one.__subclasses__()


def test_only_real_codes_are_named() -> None:
    for path in (PAGE, ERRORS):
        named = set(_CODE.findall(path.read_text()))
        assert named
        assert named <= set(STATUS_OF_CODE)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_headings_and_files(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        page = (path.parent / file) if file else path
        assert page.exists(), f"{path.name} leads to {target}"
        assert not anchor or anchor in _anchors(page.read_text()), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_files_and_folders_it_names_are_there(path: Path) -> None:
    assert not {named for named in _named_paths(path.read_text()) if not _is_there(named)}


def test_a_file_that_is_not_there_is_noticed() -> None:
    named = _named_paths("`tests/test_docs.py`, `pytest tests/gone/test_x.py` and `backy.toml`")
    assert named == {"tests/test_docs.py", "tests/gone/test_x.py"}
    assert [_is_there(each) for each in sorted(named)] == [False, True]


def _named_paths(text: str) -> set[str]:
    """What stands in code type and is a source file or lies in a folder of the repository."""
    words = {word for code in re.findall(r"`([^`\n]+)`", text) for word in code.split()}
    return {
        word
        for word in words
        if _SOURCE.fullmatch(word) or ("/" in word and word.split("/")[0] in FOLDERS)
    }


def _is_there(named: str) -> bool:
    """From the root, or anywhere by its last names, as `api/app.py`."""
    return any(each.match(named.rstrip("/")) for each in FILES)


def _anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }
