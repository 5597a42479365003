"""The table of `make test-portability`."""

import pytest

from . import portability
from .http.backends import LVM, MDADM
from .portability import Kind


def test_each_reason_is_told_once() -> None:
    kinds = [Kind(MDADM, "raid1", "ext4"), Kind(LVM, "raid1", "ext4")]
    suites = ("bookworm", "forky")
    verdicts = {
        (kind, maker, opener): "" for kind in kinds for maker in suites for opener in suites
    }
    for kind in kinds:
        verdicts[kind, "forky", "bookworm"] = "mount: too old"
    verdicts[kinds[1], "bookworm", "forky"] = "opens (unforeseen: opensOn has 7.3)"

    assert portability.table(kinds, suites, verdicts).splitlines() == [
        "| pool | made on | on Debian 12 | on testing |",
        "|---|---|---|---|",
        "| mdadm raid1, ext4 | Debian 12 | opens | opens |",
        "| mdadm raid1, ext4 | testing | no (1) | opens |",
        "| lvm raid1, ext4 | Debian 12 | opens | opens (2) |",
        "| lvm raid1, ext4 | testing | no (1) | opens |",
        "",
        "1. mount: too old",
        "2. opens (unforeseen: opensOn has 7.3)",
    ]


def test_without_arguments_every_suite_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert portability.main(["--only", "no such kind"]) == 0
    assert "| on Debian 12 | on Debian 13 | on testing |" in capsys.readouterr().out
