"""The doctor's findings over HTTP."""

from __future__ import annotations

from backy_core.pools.doctor.doctor import Diagnosis
from backy_core.pools.doctor.findings import Finding, Severity
from backy_core.sdk.advice import Hint, Verb
from tests.http.conftest import Client
from tests.http.fake_agent import FakeAgent
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
        }
    ]
