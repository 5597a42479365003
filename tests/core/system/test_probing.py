"""Reading wipefs, and never taking silence for blank."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_subprocess import FakeProcess

from backy_core.system.probing import ProbeFailed, parse_wipefs, probe, probe_each

SAMPLES = Path(__file__).parents[2] / "samples/system"


def sample(name: str) -> str:
    return (SAMPLES / f"wipefs-{name}.json").read_text()


@pytest.mark.parametrize(
    ("name", "device", "types"),
    [
        ("blank", "ubda", []),
        ("ext4", "ubda", ["ext4"]),
        ("xfs", "ubdb", ["xfs"]),
        ("btrfs", "ubdc", ["btrfs"]),
        ("member", "ubda1", ["linux_raid_member"]),
        ("partitioned", "ubda", ["gpt", "gpt", "PMBR"]),
        ("lvmpv", "ubdc", ["LVM2_member"]),
    ],
)
def test_samples(name: str, device: str, types: list[str]) -> None:
    text = sample(name)
    names = {row["device"] for row in json.loads(text)["signatures"]} or {device}
    found = parse_wipefs(text, dict(zip(names, names, strict=True)))
    (signatures,) = found.values()
    assert [signature.type for signature in signatures] == types


def test_fields() -> None:
    (found,) = parse_wipefs(sample("member"), {"ubda1": "sda1"}).values()
    (member,) = found
    assert member.device == "sda1", "shown under the kernel's name"
    assert member.uuid == "ac3b0936-f03f-8f09-1049-aa1ac1982be2"
    assert (member.label, member.offset) == ("(none):0", 0x1000)


@given(st.text())
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(ProbeFailed):
        parse_wipefs(text, {"sda": "sda"})


@given(st.data())
def test_mangled_samples_are_read_or_refused(data: st.DataObject) -> None:
    text = sample(data.draw(st.sampled_from(["ext4", "partitioned", "member"])))
    position = data.draw(st.integers(0, len(text) - 1))
    replacement = data.draw(st.text(max_size=3))
    mangled = text[:position] + replacement + text[position + 1 :]
    try:
        found = parse_wipefs(mangled, {"ubda": "ubda", "ubda1": "ubda1"})
    except ProbeFailed:
        return
    assert set(found) == {"ubda", "ubda1"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(json_values)
def test_other_json_is_refused(value: object) -> None:
    with pytest.raises(ProbeFailed):
        parse_wipefs(json.dumps(value), {"sda": "sda"})
    with pytest.raises(ProbeFailed):
        parse_wipefs(json.dumps({"signatures": [value]}), {"sda": "sda"})


def test_a_signature_of_a_device_nobody_asked_for_is_refused() -> None:
    with pytest.raises(ProbeFailed):
        parse_wipefs(sample("ext4"), {"sdx": "sdx"})


def answer(fake: FakeProcess, nodes: list[str], **reply: object) -> None:
    command = ["wipefs", "--no-act", "--json", "--output", "DEVICE,OFFSET,TYPE,UUID,LABEL", "--"]
    fake.register([*command, *nodes], **reply)  # type: ignore[arg-type]


async def test_one_bad_node_does_not_hide_the_others(fp: FakeProcess) -> None:
    error = "wipefs: error: /dev/nosuchb: probing initialization failed"
    answer(fp, ["/dev/nosucha", "/dev/nosuchb"], returncode=1, stderr=error)
    answer(fp, ["/dev/nosucha"], stdout=sample("blank"))
    answer(fp, ["/dev/nosuchb"], returncode=1, stderr=error)
    probed = await probe_each(["/dev/nosucha", "/dev/nosuchb"])
    assert probed.found == {"nosucha": ()}
    assert probed.failed == {"nosuchb": error}


@pytest.mark.parametrize(
    "reply",
    [
        {"returncode": 0, "stdout": ""},
        {"returncode": 0, "stdout": "{}"},
        {"returncode": 0, "stdout": '{"signatures": [{"device": "other"}]}'},
        {"returncode": 1, "stdout": '{"signatures": []}'},
        {"returncode": -9, "stdout": '{"signatures": []}'},
    ],
)
async def test_no_good_answer_is_not_blank(fp: FakeProcess, reply: dict[str, object]) -> None:
    answer(fp, ["/dev/nosucha"], **reply)
    with pytest.raises(ProbeFailed, match="nosucha"):
        await probe(["/dev/nosucha"])


async def test_nothing_asked_nothing_run() -> None:
    assert (await probe_each([])).found == {}
