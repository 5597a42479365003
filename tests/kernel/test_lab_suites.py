"""A guest that is another Debian than the host."""

import sys
from pathlib import Path

import pytest

from .conftest import AgentGuestFactory
from .lab import requirements, systems
from .lab.drives import numbered
from .lab.errors import LabUnavailable
from .lab.state import hidden_directories
from .lab.systems import SUITES, System


def test_a_suite_must_be_known() -> None:
    with pytest.raises(LabUnavailable, match="one of bookworm, trixie, forky, not 'woody'"):
        requirements.check(System("woody"))


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_must_be_made(suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems, "_ENVIRONMENT", tmp_path)
    with pytest.raises(LabUnavailable, match=f"make suites SUITES={suite}"):
        requirements.check(System(suite))
    partly = tmp_path / "suites" / suite
    partly.mkdir(parents=True)
    with pytest.raises(LabUnavailable, match="make suites"):
        requirements.check(System(suite))


def test_a_suite_shows_nothing_of_the_host_but_the_repository() -> None:
    shown = hidden_directories(System("trixie")).values()
    environment = Path(sys.prefix).resolve()
    assert Path(sys.base_prefix).resolve() not in shown
    assert any(environment.is_relative_to(top) for top in shown)


def test_the_guest_is_what_the_environment_asks_for(
    agent_guest_factory: AgentGuestFactory,
) -> None:
    guest = agent_guest_factory(numbered(1, 64 << 20))
    system = systems.chosen()
    release = (system.root / "etc/os-release").read_text()
    assert guest.exec(["cat", "/etc/os-release"], check=True).out == release
    kernel = guest.exec(["uname", "-r"], check=True).out.strip()
    assert (system.root / "usr/lib/uml/modules" / kernel).is_dir()
    assert guest.request("GET", "/api/v1/drives")[0] == 200
