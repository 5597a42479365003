"""Every setting, described once.

Reference page, command-line flags, environment names and validation derive from the fields of
:class:`Settings`. Constructing it reads nothing, so tests build one for each agent;
:func:`load_settings` merges file < environment < flags.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo

from backy_core.config.errors import ConfigurationError, first_problem
from backy_core.config.plugin_tables import VARIABLE_PREFIX, PluginTables
from backy_core.sdk.errors import SystemFailure
from backy_core.system import ownership
from backy_core.system.directories import DirectoryMissing

ENV_PREFIX = "BACKY_"
CONFIG_FILE_VARIABLE = "BACKY_CONFIG"
CONFIG_FILE_NAME = "backy.toml"
_OTHER_VARIABLES = frozenset(
    {CONFIG_FILE_VARIABLE, "BACKY_REQUIRE_KERNEL", "BACKY_URL", "BACKY_API_KEY", "BACKY_CONTEXT"}
)

PLACEHOLDER_SERIAL = "SERIAL-OF-A-DRIVE-TO-KEEP"
"""Stands in `packaging/backy.toml` where the reader's own serials belong."""

_SYSTEM_TREES = tuple(
    Path("/", name)
    for name in (
        *("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "sys"),
        "usr",
    )
)
"""No pool is mounted in them, nor over them."""


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts:
        raise ValueError("must be an absolute path without '..'")
    return path


def _not_the_systems(path: Path) -> Path:
    if path == Path("/") or any(tree in (path, *path.parents) for tree in _SYSTEM_TREES):
        raise ValueError("pools are not mounted over the system")
    return path


def _split(value: object) -> object:
    """Environment and flags give lists as comma-separated text, or as the file writes them."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return tuple(part for part in (word.strip() for word in value.split(",")) if part)


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Directory = AbsolutePath
Directories = Annotated[
    tuple[Annotated[Directory, AfterValidator(_not_the_systems)], ...], BeforeValidator(_split)
]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Settings(BaseModel):
    """All settings with their defaults. Paths are absolute, times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address to listen on. Anything but a loopback address lets other machines "
        "reach the agent, unencrypted without `tls_certificate` or a TLS proxy in front.",
    )
    port: int = Field(5151, ge=0, le=65535, description="TCP port to listen on; 0: any free one.")
    allowed_hosts: Patterns = Field(
        (),
        description="Names under which clients may reach the agent, beside loopback names, the "
        "address it listens on and this machine's own name: the one that a proxy passes on, say.",
    )
    max_connections: int = Field(
        256,
        ge=8,
        le=4096,
        description="Connections served at a time. A further one displaces one that has not "
        "asked for anything yet, or not for the longest. Seven eighths may follow events.",
    )
    tls_certificate: AbsolutePath | None = Field(
        None,
        description="PEM file with the certificate and those that it was issued by. With it, TCP "
        "clients speak TLS. Read again when it changes.",
    )
    tls_key: AbsolutePath | None = Field(
        None,
        description="PEM file with the certificate's key, not encrypted. Without it the key is "
        "taken from `tls_certificate`.",
    )
    state_dir: Directory = Field(
        Path("/var/lib/backy"),
        description="What must survive a restart: pool metadata, journal, tombstones, protection, "
        "keys.",
    )
    runtime_dir: Directory = Field(
        Path("/run/backy"), description="What is only true until the next boot."
    )
    root_socket: bool = Field(
        True,
        description="Listen on `backy.sock` in the runtime directory as well, for root alone, who "
        "needs no key there. The command line uses it.",
    )
    config_dir: Directory = Field(
        Path("/etc/backy"), description="Where the API key and, by default, `backy.toml` lie."
    )
    default_backend: str = Field(
        "mdadm",
        min_length=1,
        description="Backend of a new pool whose request names none. If it is not installed or "
        "cannot be loaded, such a request is refused.",
    )
    wipe_policy: Literal["request", "always"] = Field(
        "request",
        description="Consent to wipe foreign signatures when a pool is created: `request` asks "
        "for `wipe: true` in the request; `always` wipes without asking, for clients that "
        "cannot. Drives of known pools are taken by neither.",
    )
    allow_loop: bool = Field(
        False, description="Offer loop devices as drives. For trials and tests only."
    )
    exclude_drives: Patterns = Field(
        (),
        description="Drives never to be touched nor shown: shell patterns on the serial, kernel "
        "name or `/dev/disk/by-id` name.",
    )
    mount_roots: Directories = Field(
        (Path("/mnt"), Path("/media"), Path("/srv")),
        min_length=1,
        description="Directories below which pools may be mounted. Every directory of a mount "
        "path must be root's, and writable by root alone.",
    )
    mount_root: Directory = Field(
        Path("/mnt/backy"),
        validate_default=True,
        description="Below it pools are mounted for which no path is given. Lies below one of "
        "`mount_roots`, or is one.",
    )
    open_wait_s: Seconds = Field(
        30, description="How long to wait at start for the late drives of a pool."
    )
    failed_output_grace_s: Seconds = Field(
        300, description="How long the outputs of a failure are kept after they were read."
    )
    deleted_retention_s: Seconds = Field(
        300, description="How long a deleted pool answers `deleted` before it is not found."
    )
    success_retention_s: Seconds = Field(
        3600, description="How long a successful operation keeps its outputs."
    )
    unread_failure_min_age_s: Seconds = Field(
        3600, description="An unread failure younger than this is never dropped to make room."
    )
    max_operations: int = Field(
        500, ge=1, description="How many finished operations are remembered."
    )
    max_output_bytes: int = Field(
        16 * 1024 * 1024, ge=65536, description="Bytes of command output kept in all."
    )
    max_output_lines: int = Field(
        2000, ge=10, description="Lines of command output kept of one operation."
    )
    shutdown_grace_s: Seconds = Field(
        90, description="How long running operations may take to end once the agent is stopped."
    )
    plugin_deadline_s: Seconds = Field(5, description="How long a plugin may think about a plan.")
    inspect_deadline_s: Seconds = Field(
        30, description="How long a backend may take to look at its pools."
    )
    drives_rescan_s: Seconds = Field(
        60, description="How often drives are looked for without a kernel event; 0: never."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least serious messages to log."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Log lines for people or, one object a line, for programs."
    )
    plugins: PluginTables = PluginTables()

    @field_validator("exclude_drives")
    @classmethod
    def _not_the_placeholder(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if PLACEHOLDER_SERIAL in patterns:
            raise ValueError(
                "it names the example's placeholder; put in the serials that "
                "`lsblk --nodeps -o NAME,SERIAL,SIZE,MODEL` shows"
            )
        return patterns

    @field_validator("mount_root")
    @classmethod
    def _below_a_root(cls, path: Path, info: ValidationInfo) -> Path:
        roots = info.data.get("mount_roots", (path,))  # absent if it is wrong itself
        if not any(root in (path, *path.parents) for root in roots):
            raise ValueError("must lie below one of mount_roots")
        return path

    @field_validator("tls_key")
    @classmethod
    def _of_a_certificate(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and info.data.get("tls_certificate", path) is None:
            raise ValueError("tls_certificate is not set")
        return path

    @property
    def own_directories(self) -> tuple[Path, ...]:
        """Directories of the agent's own, where no pool is mounted."""
        return self.state_dir, self.config_dir, self.runtime_dir

    def default_mount_path(self, guid: str) -> str:
        """Where the pool is mounted if nobody says where."""
        return str(self.mount_root / guid)

    @property
    def root_socket_path(self) -> Path:
        return self.runtime_dir / "backy.sock"

    @property
    def api_key_path(self) -> Path:
        return self.config_dir / "api-key"

    @property
    def audit_path(self) -> Path:
        return self.state_dir / "audit.log"

    @property
    def keys_path(self) -> Path:
        return self.state_dir / "keys.json"

    @property
    def metadata_path(self) -> Path:
        return self.state_dir / "pool-metadata.json"

    @property
    def journal_dir(self) -> Path:
        return self.state_dir / "journal"

    @property
    def plugins_dir(self) -> Path:
        """Where plugins keep files, each in a directory of its own."""
        return self.state_dir / "plugins"

    @property
    def tombstones_path(self) -> Path:
        return self.state_dir / "tombstones.json"

    @property
    def protection_path(self) -> Path:
        return self.state_dir / "protection.json"


def single_settings() -> dict[str, FieldInfo]:
    """The settings that are one key, one variable and one flag each: all but plugins' tables."""
    return {name: field for name, field in Settings.model_fields.items() if name != "plugins"}


def variable_of(setting: str) -> str:
    """The environment variable of a setting."""
    return ENV_PREFIX + setting.upper()


def load_settings(flags: Mapping[str, object], env: Mapping[str, str]) -> Settings:
    """Merge the configuration file, ``BACKY_*`` variables and flags, later ones winning.

    ``flags`` holds only what was given, by setting name, and optionally ``config``, the file's
    path. Raises :class:`ConfigurationError` naming the key and where it stands.
    """
    variables = {name: variable_of(name) for name in single_settings()}
    from_env = {name: env[var] for name, var in variables.items() if var in env}
    from_flags = {name: value for name, value in flags.items() if name != "config"}
    path, from_file = _read_file(flags, env, {**from_env, **from_flags})
    plugins = PluginTables.read(str(path), from_file.pop("plugins", {}), env)
    origins = {
        **dict.fromkeys(from_file, str(path)),
        **{name: f"environment variable {variables[name]}" for name in from_env},
        **{name: f"flag --{name.replace('_', '-')}" for name in from_flags},
    }
    try:
        merged = {**from_file, **from_env, **from_flags, "plugins": plugins}
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise first_problem(error, lambda key: origins.get(key, "defaults")) from None


def unknown_variables(env: Mapping[str, str]) -> tuple[str, ...]:
    """``BACKY_*`` variables that set nothing: worth a warning, for they may be mistyped.

    Those of plugins are known only once the plugins are loaded.
    """
    known_variables = {variable_of(name) for name in single_settings()} | _OTHER_VARIABLES
    named = {name for name in env if name.startswith(ENV_PREFIX)}
    return tuple(
        sorted(name for name in named - known_variables if not name.startswith(VARIABLE_PREFIX))
    )


def _read_file(
    flags: Mapping[str, object], env: Mapping[str, str], merged: Mapping[str, object]
) -> tuple[Path, dict[str, object]]:
    """The file that was asked for must be there; the default one may be absent."""
    named_file = flags.get("config") or env.get(CONFIG_FILE_VARIABLE)
    directory = merged.get("config_dir", Settings.model_fields["config_dir"].default)
    path = Path(str(named_file)) if named_file else Path(str(directory)) / CONFIG_FILE_NAME
    try:
        return path, tomllib.loads(ownership.read_file(path).decode())
    except (FileNotFoundError, DirectoryMissing) as error:
        if named_file:
            raise ConfigurationError(f"The configuration file {path} does not exist") from error
        return path, {}
    except SystemFailure as error:
        message = f"The configuration file cannot be used: {error.message}"
        raise ConfigurationError(message, hint=error.hint) from error
    except OSError as error:
        raise ConfigurationError(f"Cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # bad TOML and bad UTF-8 alike
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from error
