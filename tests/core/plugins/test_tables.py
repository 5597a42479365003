"""The tables of plugins: who gets them, what is refused and how that is said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import Field

from backy_core.config.errors import ConfigurationError
from backy_core.config.plugin_tables import PluginTables, variable_of
from backy_core.config.settings import Settings, load_settings, unknown_variables
from backy_core.plugins.host import PluginHost
from backy_core.plugins.loading import load_backends
from backy_core.sdk import hookimpl
from backy_core.sdk.events import OperationRecord
from backy_core.sdk.models import PoolReport, PoolSpec, Probe
from backy_core.sdk.plan import BackendPlan
from backy_core.sdk.settings import PluginSettings
from tests.core.plugins.test_listeners import Attentive, operation
from tests.core.plugins.toys import DRIVE, POOL, PROBE, Toy, plan


class ToySettings(PluginSettings):
    chunk_kib: int = Field(64, gt=0, description="Size of a chunk.")
    hosts: tuple[str, ...] = ()


class SetToy(Toy):
    """A backend that keeps the settings its hooks were handed."""

    def __init__(self, model: object = ToySettings) -> None:
        self.model = model
        self.handed: list[PluginSettings] = []

    @hookimpl
    def backy_settings(self) -> object:
        return self.model

    @hookimpl
    def backy_plan_create(  # type: ignore[override]
        self, pool: PoolSpec, settings: ToySettings
    ) -> BackendPlan:
        self.handed.append(settings)
        return plan()

    @hookimpl
    async def backy_inspect(  # type: ignore[override]
        self, probe: Probe, settings: ToySettings
    ) -> Sequence[PoolReport]:
        self.handed.append(settings)
        return []


class SetListener(Attentive):
    @hookimpl
    def backy_settings(self) -> type[PluginSettings]:
        return ToySettings

    @hookimpl
    def backy_operation_finished(  # type: ignore[override]
        self, operation: OperationRecord, settings: ToySettings
    ) -> None:
        self._keep(operation.model_copy(update={"note": str(settings.chunk_kib)}))


def configured(text: str, folder: Path, env: dict[str, str] | None = None) -> Settings:
    file = folder / "backy.toml"
    file.write_text(text)
    return load_settings({"config": str(file)}, env or {})


def hosting(tables: PluginTables, toy: object, /, **listeners: object) -> PluginHost:
    return load_backends(
        (), [("toy", toy)], installed_listeners=(), listeners=listeners.items(), tables=tables
    )


async def test_a_backend_is_handed_its_table(tmp_path: Path) -> None:
    toy = SetToy()
    settings = configured("[plugins.toy]\nchunk_kib = 128\nhosts = ['a', 'b']\n", tmp_path)
    host = hosting(settings.plugins, toy)
    assert await host.plan_create("toy", POOL, (DRIVE,)) == plan()
    await host.inspect("toy", PROBE)
    assert toy.handed == [ToySettings(chunk_kib=128, hosts=("a", "b"))] * 2


async def test_without_a_table_a_plugin_gets_its_defaults() -> None:
    toy = SetToy()
    await hosting(PluginTables(), toy).plan_create("toy", POOL, (DRIVE,))
    assert toy.handed == [ToySettings()]


def test_a_listener_is_handed_its_table(tmp_path: Path) -> None:
    listener = SetListener()
    tables = configured("[plugins.ear]\nchunk_kib = 7\n", tmp_path).plugins
    hosting(tables, Toy(), ear=listener).notify_operation_finished(operation())
    (told,) = listener.operations(1)
    assert told.note == "7"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    env = {"BACKY_PLUGIN_TOY_CHUNK_KIB": "32"}
    tables = configured("[plugins.toy]\nchunk_kib = 128\n", tmp_path, env).plugins
    assert tables.settings_of("toy", ToySettings).chunk_kib == 32
    assert variable_of("my-hook", "url") == "BACKY_PLUGIN_MY_HOOK_URL"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plugins = 5\n", r"'plugins' \(.*backy\.toml\) must be a table"),
        ("[plugins]\ntoy = 5\n", r"'plugins\.toy' \(.*backy\.toml\) must be a table"),
        ("[plugins.toy]\nchunk = 1\n", r"Unknown setting 'plugins\.toy\.chunk' \(.*backy\.toml\)"),
        ("[plugins.toy]\nchunk_kib = 'x'\n", r"'plugins\.toy\.chunk_kib' .*cannot be used: "),
        ("[plugins.toy]\nhosts = [1]\n", r"'plugins\.toy\.hosts\.0' \(.*toml\) cannot be used: "),
        ("[plugins.tox]\n", r"Unknown plugin 'tox': table \[plugins\.tox\] \(.*backy\.toml\)"),
        ("[plugins.deaf]\nx = 1\n", r"Unknown setting 'plugins\.deaf\.x' \(.*backy\.toml\)"),
    ],
)
def test_a_wrong_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        hosting(configured(text, tmp_path).plugins, SetToy(), deaf=Attentive())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[plugins]\ntoy = 'tok3n'\n", "[plugins.toy]\nchunk_kib = 'tok3n'\n"]
)
def test_a_wrong_value_is_not_repeated(tmp_path: Path, text: str) -> None:
    """It may be a secret in the wrong place, and the message goes to the log."""
    with pytest.raises(ConfigurationError) as caught:
        hosting(configured(text, tmp_path).plugins, SetToy())
    assert "tok3n" not in str(caught.value)


def test_a_wrong_variable_is_named() -> None:
    settings = load_settings(
        {}, {"BACKY_CONFIG_DIR": "/nonexistent", "BACKY_PLUGIN_TOY_CHUNK_KIB": "0"}
    )
    with pytest.raises(ConfigurationError, match="environment variable BACKY_PLUGIN_TOY_CHUNK_KIB"):
        hosting(settings.plugins, SetToy())


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    class Demanding(PluginSettings):
        url: str

    tables = configured("", tmp_path).plugins
    with pytest.raises(ConfigurationError, match=r"'plugins\.toy\.url' is missing \(.*toml\)"):
        hosting(tables, SetToy(Demanding))


def test_a_mistyped_variable_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    env = {"BACKY_PLUGIN_TOY_CHUNK": "1", "BACKY_PLUGIN_TOY_CHUNK_KIB": "1"}
    assert unknown_variables(env) == ()
    hosting(PluginTables(variables=env), SetToy())
    assert "BACKY_PLUGIN_TOY_CHUNK sets nothing" in caplog.text
    assert "CHUNK_KIB" not in caplog.text


@pytest.mark.parametrize("model", [dict, ToySettings(), None])
def test_a_plugin_that_names_no_class_of_settings_is_left_out(model: object) -> None:
    host = hosting(PluginTables(tables={"toy": {}}), SetToy(model))
    (failed,) = host.failed
    assert failed.reason == "backy_settings answered no subclass of PluginSettings"


def test_no_two_plugins_have_one_name() -> None:
    host = hosting(PluginTables(), Toy(), toy=Attentive())
    (failed,) = host.failed
    assert failed.reason == "builtin already provides a plugin of this name"
    assert host.listeners == ()
