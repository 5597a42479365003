"""``backy doctor``, at an agent that finds what it is told to."""

from __future__ import annotations

from backy_core.cli.exits import Exit
from backy_core.pools.doctor.doctor import Diagnosis
from backy_core.pools.doctor.findings import Finding, Severity
from backy_core.sdk.advice import Hint, Verb
from tests.http.conftest import DRIVE, Run
from tests.http.fake_agent import FakeAgent, FakeRepair
from tests.http.fake_pools import GUID


async def test_the_doctor_says_what_is_wrong_and_which_command_helps(
    backy: Run, agent: FakeAgent
) -> None:
    assert await backy("doctor") == (Exit.OK, "Nothing is wrong.\n", "")
    lone = Finding(
        *(Severity.WARNING, GUID, "It belongs to no pool", ("it is active",), "Import it"),
        Hint(Verb.IMPORT, GUID),
    )
    agent.doctor.diagnoses = (Diagnosis("unowned-pools", lone),)
    status, out, _ = await backy("doctor")
    assert (status, out.splitlines()) == (
        Exit.OK,
        [
            "warning: It belongs to no pool",
            "    it is active",
            "    To do: Import it",
            f"    To do: backy pools import {GUID[:8]}",
        ],
    )
    lost = Finding(Severity.ERROR, "A", "Drive A is quarantined")
    agent.doctor.diagnoses = (Diagnosis("quarantined", lost),)
    assert await backy("doctor") == (Exit.FAILURE, "error: Drive A is quarantined\n", "")


async def test_a_finding_is_repaired_after_its_plan_was_shown(backy: Run, agent: FakeAgent) -> None:
    repair = FakeRepair("none")
    lost = Finding(Severity.WARNING, "/run/x", "/run/x was left", repair=repair)
    agent.doctor.diagnoses = (Diagnosis("leftovers", lost),)
    _, out, _ = await backy("doctor")
    assert out.splitlines()[-1] == "    To do: backy doctor --fix /run/x"
    assert (await backy("complete", "--", "doctor", "--fix", "/r"))[1] == "/run/x\n"
    status, out, _ = await backy("doctor", "--fix", "left", "--dry-run")
    assert (status, repair.done) == (Exit.NOT_FOUND, 0), "a check by its whole name"
    status, out, _ = await backy("doctor", "--fix", "leftovers", "--dry-run")
    assert out == "1. Mending it\n   $ mend --now\nNothing was changed.\n"
    assert (await backy("doctor", "--fix", "/run/x", typed="n\n"))[0] == Exit.REFUSED
    assert repair.done == 0
    status, out, err = await backy("doctor", "--fix", "/run", typed="y\n")
    assert (status, out, repair.done) == (Exit.OK, "It is repaired.\n", 1)
    assert "1. Mending it\n   $ mend --now\n" in err and "[1/1] Mending it" in err


async def test_a_repair_that_erases_wants_the_serial_typed(backy: Run, agent: FakeAgent) -> None:
    repair = FakeRepair("destroys")
    lost = Finding(Severity.ERROR, DRIVE, "It is quarantined", repair=repair)
    agent.doctor.diagnoses = (Diagnosis("quarantined", lost),)
    assert (await backy("doctor", "--fix", DRIVE, typed="yes\n"))[0] == Exit.REFUSED
    assert repair.done == 0
    status, _, err = await backy("doctor", "--fix", DRIVE, typed=f"{DRIVE}\n")
    assert (status, repair.done) == (Exit.OK, 1)
    assert "1. Mending it  erases" in err and "This erases for good" in err


async def test_a_finding_that_only_people_can_repair(backy: Run, agent: FakeAgent) -> None:
    lone = Finding(Severity.WARNING, GUID, "It is alone", hint=Hint(Verb.IMPORT, GUID))
    agent.doctor.diagnoses = (Diagnosis("unowned-pools", lone),)
    status, _, err = await backy("doctor", "--fix", GUID[:8], "--yes")
    assert status == Exit.REFUSED
    assert f"backy pools import {GUID[:8]}" in err
