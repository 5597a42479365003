"""A thousand clients that mean no good: the agent stays small and answers who has the key."""

from __future__ import annotations

import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.fake_agent import KEY
from tests.http.fake_pools import GUID
from tests.http.test_pools import create_body
from tests.kernel.availability import thorough

CLIENTS = 1000
SECONDS = 60.0 if thorough() else 8.0
PATIENCE_S = 30.0
GROWTH = 20 << 20
SLOWEST_S, MEDIAN_S, KEPT = (1, 0.02, 1.05) if thorough() else (4, 0.5, 1.15)
"""`make test` shares its processors with other tests."""


class Agent:
    """A serving process and what it costs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def cost(self) -> dict[str, float]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        answer: dict[str, float] = json.loads(self._process.stdout.readline())
        return answer

    def ask(self, method: str, path: str, body: Any = None) -> tuple[float, int, Any]:
        """Seconds, status and JSON of one request with the key, on a connection of its own."""
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
            "Connection: close\r\n\r\n"
        )
        began = time.perf_counter()
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(head.encode() + data)
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        seconds = time.perf_counter() - began
        status, _, text = answer.partition(b"\r\n\r\n")
        return seconds, int(status.split()[1]), json.loads(text)


@pytest.fixture
def agent() -> Iterator[Agent]:
    command = [sys.executable, "-m", "tests.http.serving", "{}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Agent(process)
        finally:
            process.kill()


def attack(agent: Agent, seconds: float) -> subprocess.Popen[bytes]:
    words = [str(agent.port), str(CLIENTS), str(seconds)]
    return subprocess.Popen([sys.executable, "-m", "tests.http.hostile", *words])


def settled(agent: Agent, before: dict[str, float]) -> dict[str, float]:
    """The agent's use of resources once all clients are gone."""
    until = time.monotonic() + PATIENCE_S
    while (now := agent.cost())["descriptors"] > before["descriptors"]:
        assert time.monotonic() < until, now
        time.sleep(0.2)
    return now


def test_a_thousand_hostile_clients(agent: Agent) -> None:
    agent.ask("GET", "/api/v1/pools")
    cold = agent.cost()
    attack(agent, SECONDS / 2).wait()  # what is read once and kept is no growth
    before = settled(agent, cold)

    clients = attack(agent, SECONDS)
    time.sleep(1)
    created = agent.ask("POST", "/api/v1/pools", create_body())
    assert created[1] == 202
    taken: list[float] = []
    most = before["resident"]
    while clients.poll() is None:
        seconds, status, _ = agent.ask("GET", "/api/v1/pools")
        assert status == 200
        taken.append(seconds)
        if len(taken) % 10 == 0:
            most = max(most, agent.cost()["resident"])
        time.sleep(0.02)
    assert agent.ask("GET", f"/api/v1/pools/{GUID}")[2]["state"] == "ready"
    after = settled(agent, before)

    assert len(taken) > 20
    assert most - cold["resident"] < GROWTH
    assert max(taken) < SLOWEST_S
    assert after["descriptors"] <= before["descriptors"]
    assert after["resident"] < KEPT * before["resident"]
    assert statistics.median(taken) < MEDIAN_S
