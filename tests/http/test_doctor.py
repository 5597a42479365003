"""The doctor's findings over HTTP."""

from __future__ import annotations

from backy_core.pools.doctor.doctor import Diagnosis
from backy_core.pools.doctor.findings import Finding, Severity
from backy_core.sdk.advice import Hint, Verb
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent, FakeRepair
from tests.http.fake_pools import GUID


async def test_a_finding_says_what_to_do(client: Client, agent: FakeAgent) -> None:
    assert (await client.get("/api/v1/doctor")).json == {"findings": []}
    hint = Hint(Verb.IMPORT, GUID)
    finding = Finding(Severity.WARNING, GUID, "It is alone", ("a drive",), "Import it", hint)
    agent.doctor.diagnoses = (Diagnosis("unowned-pools", finding),)
    assert (await client.get("/api/v1/doctor")).json["findings"] == [
        {
            "check": "unowned-pools",
            "severity": "warning",
            "subject": GUID,
            "message": "It is alone",
            "evidence": ["a drive"],
            "remedy": "Import it",
            "request": {
                "verb": "import",
                "subject": GUID,
                "method": "POST",
                "path": f"/api/v1/pools/{GUID}/import",
            },
            "repairable": False,
        }
    ]


URL = "/api/v1/doctor/repair"
ASKED = {"check": "quarantined", "subject": "A"}


def lost(agent: FakeAgent, repair: FakeRepair | None) -> None:
    finding = Finding(Severity.ERROR, "A", "Drive A is quarantined", remedy="Wait", repair=repair)
    agent.doctor.diagnoses = (Diagnosis("quarantined", finding),)


async def test_a_repair_is_planned_and_run(client: Client, agent: FakeAgent) -> None:
    repair = FakeRepair("none")
    lost(agent, repair)
    assert (await client.get("/api/v1/doctor")).json["findings"][0]["repairable"] is True
    planned = await client.post(URL + "?dryRun=true", json=ASKED)
    step = {"title": "Mending it", "command": "mend --now", "undo": None, "effect": "none"}
    assert planned.json == {"success": True, "plan": {"steps": [step]}}
    assert repair.done == 0
    done = await client.post(URL, json=ASKED)
    assert done.json == {"success": True, "commandOutputs": ["$ mend --now"]}
    watched = await client.post(URL, json=ASKED, headers={"Prefer": "respond-async"})
    assert (watched.status, watched.json["operation"]["kind"]) == (202, "repair")


async def test_what_erases_wants_its_subject_repeated(client: Client, agent: FakeAgent) -> None:
    repair = FakeRepair("destroys")
    lost(agent, repair)
    refused = await client.post(URL, json=ASKED)
    assert (refused.status, refused.json["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert "Mending it" in refused.json["error"]["message"]
    wrong = await client.post(URL, json={**ASKED, "confirm": "B"})
    assert (wrong.status, repair.done) == (409, 0)
    assert (await client.post(URL, json={**ASKED, "confirm": "A"})).status == 200
    assert repair.done == 1


async def test_what_cannot_be_repaired_says_what_helps(client: Client, agent: FakeAgent) -> None:
    assert (await client.post(URL, json=ASKED)).status == 404
    lost(agent, None)
    refused = await client.post(URL, json=ASKED)
    assert refused.status == 409
    assert "Wait" in refused.json["error"]["details"]
