"""The pages' weight, and their speed with many pools, on an agent that believes in these."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.bench.many_pools import KEY

from .conftest import Open
from .dashboard import Dashboard
from .measures import Transfer, stalls_while_scrolling, usable_after_ms

POOLS = 1000
FEW = 100
"""Of two drives each."""
MOST_BYTES = 60 << 10
USABLE_MS = 300


@pytest.fixture(params=[POOLS])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an agent with so many pools."""
    command = [sys.executable, "-m", "tests.bench.servers", "agent", str(request.param)]
    with subprocess.Popen(
        [*command, str(tmp_path / "agent"), "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.terminate()


@pytest.mark.parametrize("address", [FEW], indirect=True)
def test_the_first_page_is_light(address: str, open_tab: Open) -> None:
    tab = open_tab(address, traced=False)
    board = Dashboard(tab, KEY)
    transfer = Transfer(tab.page)
    board.sign_in()
    pages = {
        url: transfer.sizes[number] for number, url in transfer.urls.items() if "/api/" not in url
    }
    assert transfer.total() and len(pages) > 3
    assert sum(pages.values()) <= MOST_BYTES, pages
    assert usable_after_ms(tab.page) <= USABLE_MS


def test_a_thousand_pools_scroll(address: str, open_tab: Open) -> None:
    tab = open_tab(address, traced=False)
    board = Dashboard(tab, KEY)
    board.sign_in()
    expect(board.card(f"pool {POOLS - 1}")).to_be_attached()
    # Known: a single step may stall, when all cards are drawn again.
    assert len(stalls_while_scrolling(tab.page)) <= 1


@pytest.mark.parametrize("address", [FEW], indirect=True)
def test_two_hundred_drives_scroll(address: str, open_tab: Open) -> None:
    tab = open_tab(address, traced=False)
    board = Dashboard(tab, KEY)
    board.sign_in("/drives")
    expect(board.drive(f"BENCH-{FEW - 1:04}-B")).to_be_attached()
    assert stalls_while_scrolling(tab.page) == []
