"""The completion scripts, installed as docs/cli.md says, at the prompt of each shell."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

LABEL = "my pool's"
STUB = f"""#!/bin/sh
case "$1" in complete | completion) ;; *) printf '%s\\n' "$@" >"$HOME/asked"; exit ;; esac
case "$*" in
*"pools show"*) for last; do :; done; case "{LABEL}" in "$last"*) echo "{LABEL}" ;; esac ;;
*) exec {sys.executable} -m backy_core "$@" ;;
esac
"""
"""The real completion but for one label, which needs quotes in every shell. Any other command only
notes its arguments: those that the shell made of the completed line."""
_COMPINIT = "autoload compinit; compinit -u"
SHELLS = {
    "bash": (["bash", "--norc", "-i"], "bash/_backy", ". ~/bash/_backy"),
    "zsh": (
        ["zsh", "-f", "-i"],
        "zsh/_backy",
        "fpath=(~/zsh $fpath); autoload compinit && compinit -u",
    ),
    "fish": (["fish", "-i"], "fish/completions/backy.fish", "true"),
}
"""How each is started, where the script lies, and what reads it."""
_PATIENCE_S = 60.0


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin" / "backy"
    program.parent.mkdir()
    program.write_text(STUB)
    program.chmod(0o755)
    home = {name: str(tmp_path) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    path = f"{program.parent}:{os.environ['PATH']}"
    return {**os.environ, **home, "PATH": path, "TERM": "dumb", "PS1": "> "}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("po", ["pools"]),
        ("pools delete --dr", ["pools", "delete", "--dry-run"]),
        ("pools show ", ["pools", "show", LABEL]),
        ("pools show my\\ p", ["pools", "show", LABEL]),
        ("pools show other", ["pools", "show", "other"]),
    ],
)
def test_a_tab_completes(
    shell: str, line: str, arguments: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    start, place, setup = SHELLS[shell]
    completion = ["backy", "completion", shell]
    written = subprocess.run(completion, env=env, capture_output=True, check=True).stdout
    file = tmp_path / place
    file.parent.mkdir(parents=True)
    file.write_bytes(written)
    asked = tmp_path / "asked"
    shown = type_into(start, env, f"{setup}\rbacky {line}\t\r", until=asked)
    assert asked.exists(), shown
    assert asked.read_text().splitlines() == arguments, shown


def type_into(shell: list[str], env: dict[str, str], keys: str, until: Path) -> str:
    """Type ``keys`` at a terminal, and wait for the file; what the terminal shows."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(shell[0], shell, env)
    shown, deadline = b"", time.monotonic() + _PATIENCE_S
    try:
        os.write(terminal, keys.encode())
        while not (until.exists() and until.stat().st_size) and time.monotonic() < deadline:
            if select.select([terminal], [], [], 0.05)[0]:
                shown += os.read(terminal, 4096)
    finally:
        os.kill(child, 9)
        os.close(terminal)
        os.waitpid(child, 0)
    return shown.decode(errors="replace")
