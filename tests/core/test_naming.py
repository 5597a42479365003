"""The name that stamps a GUID."""

from __future__ import annotations

import pytest

from backy_core.sdk.naming import derived_id, guid_of, pool_name

GUID = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"


def test_a_name_gives_its_guid_back() -> None:
    assert guid_of(pool_name(GUID)) == guid_of(pool_name(GUID.upper())) == GUID


@pytest.mark.parametrize(
    "name", ["", "tank", "backy-", GUID, f"backy-{GUID.upper()}", f"backy-{GUID[1:]}", "backy-\n"]
)
def test_no_other_name_has_one(name: str) -> None:
    assert guid_of(name) is None


def test_a_derived_id_belongs_to_one_identity() -> None:
    ids = [derived_id("abc", 40, GUID, serial) for serial in ("one", "two", "one")]
    assert ids[0] == ids[2] != ids[1]
    assert all(len(text) == 40 and set(text) <= set("abc") for text in ids)
