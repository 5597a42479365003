"""Settings: what wins, what is refused and how that is said; the page written from them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from backy_core.cli import manual
from backy_core.cli.exits import Exit
from backy_core.cli.parser import build_parser
from backy_core.cli.reference import render
from backy_core.cli.serve_flags import given_flags
from backy_core.config.errors import ConfigurationError
from backy_core.config.settings import (
    Settings,
    load_settings,
    single_settings,
    unknown_variables,
    variable_of,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "backy.toml"


def parse(*words: str) -> dict[str, object]:
    return given_flags(build_parser(["serve"]).parse_args(["serve", *words]))


def test_defaults_are_the_safe_ones() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.port == 5151
    assert settings.wipe_policy == "request"
    assert settings.allow_loop is False
    assert settings.api_key_path == Path("/etc/backy/api-key")
    assert settings.metadata_path == Path("/var/lib/backy/pool-metadata.json")


def test_constructing_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKY_PORT", "1")
    assert Settings().port == 5151


def test_flag_wins_over_environment_wins_over_file(toml: Path) -> None:
    toml.write_text('port = 1\nhost = "::1"\nlog_level = "debug"\n')
    env = {"BACKY_CONFIG": str(toml), "BACKY_PORT": "2", "BACKY_HOST": "127.0.0.2"}
    settings = load_settings(parse("--port", "3"), env)
    assert (settings.port, settings.host, settings.log_level) == (3, "127.0.0.2", "debug")


def test_config_flag_wins_over_its_variable(toml: Path, tmp_path: Path) -> None:
    toml.write_text("port = 1\n")
    env = {"BACKY_CONFIG": str(tmp_path / "none.toml")}
    assert load_settings(parse("--config", str(toml)), env).port == 1


def test_the_default_file_lies_in_the_config_directory(toml: Path) -> None:
    toml.write_text("port = 7\n")
    assert load_settings({}, {"BACKY_CONFIG_DIR": str(toml.parent)}).port == 7


def test_the_default_file_may_be_absent(tmp_path: Path) -> None:
    assert load_settings({}, {"BACKY_CONFIG_DIR": str(tmp_path)}).port == 5151


def test_a_file_asked_for_must_exist(toml: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"backy\.toml does not exist"):
        load_settings({"config": str(toml)}, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 5\n", r"Unknown setting 'prot' \(.*backy\.toml\)"),
        ("[serve]\nport = 5\n", r"Unknown setting 'serve'"),
        ("port = 70000\n", r"Setting 'port' \(.*backy\.toml\) cannot be 70000: "),
        ('wipe_policy = "sometimes"\n', r"'wipe_policy' .* 'request' or 'always'"),
        ('state_dir = "var/lib"\n', r"'state_dir' .* must be an absolute path"),
        ('state_dir = "/var/../etc"\n', r"'state_dir' .* without '\.\.'"),
        ("open_wait_s = -1\n", r"'open_wait_s'"),
        ("open_wait_s = nan\n", r"'open_wait_s'"),
        ("max_operations = 0\n", r"'max_operations'"),
        ("port = \n", r"is not valid TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(toml: Path, text: str, said: str) -> None:
    toml.write_text(text)
    with pytest.raises(ConfigurationError, match=said) as caught:
        load_settings({"config": str(toml)}, {})
    assert "pydantic" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused(toml: Path) -> None:
    toml.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="is not valid TOML"):
        load_settings({"config": str(toml)}, {})


def test_a_directory_as_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a regular file"):
        load_settings({"config": str(tmp_path)}, {})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mount_roots": ()}, "mount_roots"),
        ({"mount_roots": ("/",)}, "over the system"),
        ({"mount_roots": ("/etc/backy",)}, "over the system"),
        ({"mount_roots": ("data",)}, "absolute"),
        ({"mount_roots": ("/data",)}, "mount_root.*must lie below one of mount_roots"),
        ({"mount_root": "/var/backy"}, "must lie below one of mount_roots"),
    ],
)
def test_pools_are_not_mounted_over_the_system(given: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        load_settings(given, {})


def test_mount_roots_can_be_anywhere_else() -> None:
    given = {"BACKY_MOUNT_ROOTS": "/data,/mnt", "BACKY_MOUNT_ROOT": "/data"}
    settings = load_settings({}, given)
    assert (settings.mount_roots, settings.mount_root) == (
        (Path("/data"), Path("/mnt")),
        Path("/data"),
    )


def test_what_is_wrong_elsewhere_is_named() -> None:
    with pytest.raises(ConfigurationError, match="environment variable BACKY_PORT"):
        load_settings({}, {"BACKY_PORT": "many"})
    with pytest.raises(ConfigurationError, match="flag --open-wait-s"):
        load_settings(parse("--open-wait-s", "soon"), {})


def test_lists_are_arrays_in_the_file_and_comma_separated_elsewhere(toml: Path) -> None:
    toml.write_text('exclude_drives = ["WD-*", "sda"]\n')
    assert load_settings({"config": str(toml)}, {}).exclude_drives == ("WD-*", "sda")
    env = {"BACKY_EXCLUDE_DRIVES": " WD-* , sda,"}
    assert load_settings({}, env).exclude_drives == ("WD-*", "sda")
    assert load_settings({}, {"BACKY_EXCLUDE_DRIVES": ""}).exclude_drives == ()


def test_switches_go_both_ways(toml: Path) -> None:
    toml.write_text("allow_loop = true\n")
    assert load_settings(parse("--config", str(toml)), {}).allow_loop is True
    assert load_settings(parse("--config", str(toml), "--no-allow-loop"), {}).allow_loop is False


def test_flags_not_given_are_absent() -> None:
    assert parse() == {}


def test_every_setting_has_its_flag_and_can_be_given_by_it() -> None:
    for name in single_settings():
        flag = "--" + name.replace("_", "-")
        words = [flag] if name in ("allow_loop", "root_socket") else [flag, "x"]
        assert name in parse(*words)


def test_mistyped_variables_are_noticed() -> None:
    env = {"BACKY_WIPE_POLCY": "always", "BACKY_PORT": "1", "BACKY_CONFIG": "x", "PATH": "/bin"}
    assert unknown_variables(env) == ("BACKY_WIPE_POLCY",)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1  # type: ignore[misc]


def test_the_page_is_what_the_settings_say() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == render(), "run `make docs-write`"


def test_the_page_describes_every_setting() -> None:
    page = render()
    for name in single_settings():
        assert f"\n## `{name}`\n" in page
        assert f"`{variable_of(name)}`" in page


@given(st.dictionaries(st.sampled_from(sorted(single_settings())), st.text(), max_size=3))
def test_any_environment_gives_settings_or_a_sentence(texts: dict[str, str]) -> None:
    env = {variable_of(name): text for name, text in texts.items()}
    try:
        load_settings({}, {"BACKY_CONFIG_DIR": "/nonexistent", **env})
    except ConfigurationError as error:
        assert error.message


def test_a_list_in_the_environment_may_be_written_as_in_the_file() -> None:
    settings = load_settings({}, {"BACKY_EXCLUDE_DRIVES": '["keep-*", "WD-1"]'})
    assert settings.exclude_drives == ("keep-*", "WD-1")


@pytest.mark.parametrize("text", ['["keep-*"', "[1]", "[keep-*]"])
def test_a_mistyped_list_of_drives_is_refused_not_taken_for_a_pattern(text: str) -> None:
    with pytest.raises(ConfigurationError, match="exclude_drives"):
        load_settings({}, {"BACKY_EXCLUDE_DRIVES": text})


def test_the_placeholder_of_the_example_is_refused(toml: Path) -> None:
    example = (ROOT / "packaging" / "backy.toml").read_text()
    toml.write_text(example)
    assert load_settings({"config": str(toml)}, {}).exclude_drives == ()
    toml.write_text(example.replace("#exclude_drives", "exclude_drives"))
    with pytest.raises(ConfigurationError, match=r"exclude_drives.*placeholder.*lsblk"):
        load_settings({"config": str(toml)}, {})


def test_the_manual_pages_describe_every_setting_and_status() -> None:
    pages = manual.render()
    described = set(re.findall(r"^\.B ([a-z_]+)$", pages["backy.toml.5"], re.MULTILINE))
    assert described == set(single_settings())
    statuses = set(re.findall(r"^\.B (\d+)$", pages["backy.8"], re.MULTILINE))
    assert statuses == {str(status.value) for status in Exit}


def test_the_manual_pages_are_roff_without_mistakes() -> None:
    """A line that begins with a dot, and is not meant as a request, would be lost."""
    requests = {".TH", ".SH", ".PP", ".TP", ".B"}
    for page in manual.render().values():
        dotted = [line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))]
        assert set(dotted) <= requests
