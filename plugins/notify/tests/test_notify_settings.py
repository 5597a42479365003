"""The settings, and what is loaded without and with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from backy_notify.hooks import listener
from backy_notify.settings import EVENTS, Settings

from backy_core.config.errors import ConfigurationError
from backy_core.config.plugin_tables import PluginTables
from backy_core.plugins.loading import load_backends

from .notify_pools import FAILED, change

SECRET_URL = "json://user:s3cr3t@127.0.0.1/t0ken"


def settings_from(table: dict[str, Any], env: dict[str, str] | None = None) -> Settings:
    tables = PluginTables.read("backy.toml", {"notify": table}, env or {})
    return tables.settings_of("notify", Settings)


def test_without_a_table_nothing_is_sent_and_every_event_would_be() -> None:
    settings = settings_from({})
    assert (settings.targets, settings.events) == ((), EVENTS)


def test_a_variable_holds_words() -> None:
    env = {"BACKY_PLUGIN_NOTIFY_TARGETS": f"{SECRET_URL} mailto://nas.example"}
    settings = settings_from({}, env)
    assert [target.get_secret_value() for target in settings.targets] == [
        SECRET_URL,
        "mailto://nas.example",
    ]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"targets": ["t0ken"]}, "a target is an apprise URL"),
        ({"events": ["degradation"]}, "plugins.notify.events"),
        ({"debounce_s": -1}, "plugins.notify.debounce_s"),
        ({"target": [SECRET_URL]}, "Unknown setting 'plugins.notify.target'"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        settings_from(table)
    assert words in str(refusal.value)
    assert "t0ken" not in str(refusal.value)


def test_the_agent_loads_it_and_without_targets_makes_no_file(tmp_path: Path) -> None:
    plugins_dir = tmp_path / "plugins"
    host = load_backends((), installed_layers=(), plugins_dir=plugins_dir)
    assert host.failed == ()
    (loaded,) = (plugin for plugin in host.listeners if plugin.name == "notify")
    assert loaded.directory == plugins_dir / "notify"
    listener.backy_pool_changed(change(FAILED), Settings(), loaded.directory)
    assert not plugins_dir.exists() and not listener.desks


def test_apprise_is_not_loaded_before_a_message() -> None:
    program = (
        f"import sys; sys.path += {sys.path!r}\n"
        "from pathlib import Path\n"
        "from tempfile import mkdtemp\n"
        "from backy_notify.hooks import listener\n"
        "before = [name for name in ('apprise', 'requests', 'sqlite3') if name in sys.modules]\n"
        "from backy_notify.settings import Settings\n"
        "settings = Settings(targets=['json://127.0.0.1:1/'])\n"
        "listener.backy_pools_found((), settings, Path(mkdtemp()))\n"
        "print(before, 'apprise' in sys.modules)\n"
    )
    shown = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert shown == "[] False\n"
