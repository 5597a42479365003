"""The plugin author's page is held to the code: every hook, every field, every piece of code."""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import pytest
from pydantic import BaseModel

from backy_core.sdk import events, hookspecs, layers, models, plan, scope

DOCS = Path(__file__).parents[1] / "docs"
LAYERS_PAGE = DOCS / "writing-a-layer.md"
PAGE = (DOCS / "writing-a-plugin.md").read_text() + LAYERS_PAGE.read_text()
EXAMPLES = DOCS / "examples"
EXAMPLE = EXAMPLES / "backy-btrfs"
MOST_LINES = 150
CORES_OWN = {
    *(plan.Plan, plan.WipeSignatures, plan.MakeFilesystem, plan.Mount, plan.Unmount),
    *(plan.MakeDir, plan.RemoveDir, models.Model),
}
"""Not a backend's to write."""


def hooks(specs: type) -> dict[str, list[str]]:
    """Argument names by hook."""
    return {
        name: [each for each in inspect.signature(function).parameters if each != "self"]
        for name, function in inspect.getmembers(specs, inspect.isfunction)
        if name.startswith("backy_")
    }


def documented_hooks() -> dict[str, list[str]]:
    found = re.findall(r"^### (backy_\w+)\((.*)\)$", PAGE, re.MULTILINE)
    return {name: [each.strip() for each in args.split(",") if each] for name, args in found}


def sections() -> dict[str, str]:
    parts = re.split(r"^#{2,4} (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def models_of(module: object) -> set[type[BaseModel]]:
    return {
        each
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, models.Model)
    }


WRITTEN = sorted(
    set().union(*map(models_of, (models, plan, events, layers, scope))) - CORES_OWN,
    key=lambda each: each.__name__,
)


def test_every_hook_is_there_with_exactly_its_arguments() -> None:
    assert documented_hooks() == {
        **hooks(hookspecs.BackendSpecs),
        **hooks(hookspecs.LayerSpecs),
        **hooks(hookspecs.ListenerSpecs),
    }


def test_every_hook_says_what_it_answers_and_what_it_may_not_do() -> None:
    for name in hooks(hookspecs.BackendSpecs):
        (text,) = [body for heading, body in sections().items() if heading.startswith(f"{name}(")]
        assert text.strip().startswith("Answers"), name
    specs = (hookspecs.BackendSpecs, hookspecs.LayerSpecs, hookspecs.ListenerSpecs)
    for name in dict.fromkeys(name for spec in specs for name in hooks(spec)):
        (text,) = [body for heading, body in sections().items() if heading.startswith(f"{name}(")]
        assert "May not:" in text, name
    required = set(hooks(hookspecs.BackendSpecs)) - set(hookspecs.REQUIRED_HOOKS)
    optional = {
        *("backy_settings", "backy_poll", "backy_explain"),
        *("backy_plan_teardown", "backy_plan_add_drive"),
    }
    assert required == optional, "the page says: the last five"


@pytest.mark.parametrize("model", WRITTEN, ids=lambda model: model.__name__)
def test_every_model_is_there_with_exactly_its_fields(model: type[BaseModel]) -> None:
    table = re.findall(r"^\| `(\w+)` \|", sections()[model.__name__], re.MULTILINE)
    assert table == list(model.model_fields)


def test_the_probe_is_there_with_exactly_its_members() -> None:
    table = re.findall(r"^\| `(\w+)(?:\(.*\))?` \|", sections()["Probe"], re.MULTILINE)
    public = [name for name in vars(models.Probe) if not name.startswith("_")]
    assert table == public


def test_every_piece_of_code_is_from_an_example() -> None:
    files = [path.read_text() for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".toml")]
    pieces = re.findall(r"^```(?:python|toml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(pieces) >= 8
    for piece in pieces:
        assert any(piece in text for text in files), piece


def test_the_example_is_as_small_as_it_says() -> None:
    lines = sum(path.read_text().count("\n") for path in (EXAMPLE / "backy_btrfs").rglob("*.py"))
    assert 50 < lines <= MOST_LINES


def test_the_examples_import_the_sdk_alone() -> None:
    for path in EXAMPLES.glob("*/backy_*/*.py"):
        core = re.findall(r"^(?:from|import) (backy_core[\w.]*)", path.read_text(), re.MULTILINE)
        assert core
        assert all(f"{name}.".startswith("backy_core.sdk.") for name in core)


def test_the_times_are_the_settings() -> None:
    from backy_core.config.settings import Settings

    settings = Settings()
    assert f"have {settings.plugin_deadline_s:g} seconds" in PAGE
    assert f"inspect {settings.inspect_deadline_s:g} (" in PAGE


def test_the_backlog_of_a_listener_is_what_it_is() -> None:
    from backy_core.plugins.listeners import BACKLOG

    assert f"Up to {BACKLOG} calls wait" in " ".join(sections()["A listener"].split())
    assert f"up to {BACKLOG} calls wait" in " ".join(str(hookspecs.ListenerSpecs.__doc__).split())


def test_what_programs_start_with_is_what_they_get() -> None:
    from backy_core.system import child

    text = sections()["How programs are started"]
    assert f"umask {child.UMASK:03o}" in text
    for name, value in child.ENVIRONMENT.items():
        assert f"`{name}`" in text or f"`{name}={value}`" in text


def test_the_lab_is_called_as_it_can_be() -> None:
    from tests.kernel.lab.__main__ import _parser

    (shell,) = re.findall(r"^```sh\n(.*?)^```$", sections()["In the lab"], re.MULTILINE | re.DOTALL)
    words = shlex.split(shell.replace("\\\n", " ").split("tests.kernel.lab ")[1])
    given = _parser().parse_args(words)
    assert given.scsi
    assert len(given.drive) == 4
    assert {"BACKY_CONTRACT_DRIVES=drive-*", "BACKY_REQUIRE_KERNEL=1"} <= set(given.command)


def test_how_a_step_is_tried_names_what_a_step_has() -> None:
    text = sections()["How a step is tried"]
    for field in ("retry_s", "expect_s", "stable_s", "if_satisfied", "device_lock", "expect"):
        assert field in plan.Step.model_fields
        assert f"`{field}" in text
    for field in ("ok_codes", "final_words"):
        assert field in plan.Exec.model_fields
        assert f"`{field}`" in text
