"""Probes that show what no tool should print, and ones that replay what a real machine showed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backy_core.sdk.models import BackendInfo, ProbedDrive, Signature

CANNED = (
    "",
    "\n",
    "\0\0\0",
    "{",
    "[]",
    "null",
    '{"report": null}',
    '{"report": [{"vg": 5, "pv": [null]}]}',
    "a: b\nc\n: :\n[[[",
    "999999999999999999999999999999999999",
    "\ufffd\u202e\n" * 40,
    "x" * 100_000,
    "Usage: tool [options]\n",
    "pool: pool: pool:\nstate:\nconfig:\n\n\tNAME\n",
    "md0 : active raid1\nmd1 :\n      blocks\n",
)


ODD_VALUES = (
    "",
    "-1",
    "0",
    "18446744073709551616",
    "9" * 400,
    "nan",
    "\0\u202e\u2028\ud800",
    "/dev/sda:",
    "x\n/dev/sda:\n",
    "../../etc",
    "'; reboot; '",
    "x" * 10_000,
)


@dataclass(frozen=True)
class Given:
    """The outcome of a command on a fake machine."""

    code: int | None
    stdout: str
    stderr: str = ""


class UndeclaredLook(AssertionError):
    """A backend looked at what it may not, or ran what it did not declare."""


@dataclass
class Recorded:
    """Everything one inspect was shown."""

    drives: tuple[ProbedDrive, ...] = ()
    signatures: tuple[Signature, ...] = ()
    files: dict[str, str | None] = field(default_factory=dict)
    directories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    commands: dict[tuple[str, ...], Given] = field(default_factory=dict)
    superblocks: dict[Signature, bytes | None] = field(default_factory=dict)


class ReplayProbe:
    """A strict :class:`~backy_core.sdk.models.Probe`: shows ``recorded``, and for everything
    else ``otherwise``."""

    def __init__(self, info: BackendInfo, recorded: Recorded, otherwise: str = "") -> None:
        self._prefixes = info.read_commands
        self._recorded = recorded
        self._otherwise = otherwise
        self.drives = recorded.drives
        self.signatures = recorded.signatures
        self.refused: list[str] = []
        """What it may not do, in words."""

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        return tuple(
            self._recorded.files.get(path, self._otherwise) for path in map(self._readable, paths)
        )

    async def listdir(self, path: str) -> tuple[str, ...]:
        names = tuple(sorted(self._otherwise.split()))[:50]
        return self._recorded.directories.get(self._readable(path), names)

    async def superblock(self, signature: Signature, length: int) -> bytes | None:
        if signature not in self.signatures:
            self._refuse(f"backy_inspect read {signature}, which is not in probe.signatures")
        return self._recorded.superblocks.get(signature, self._otherwise.encode()[:length])

    async def run(self, *argv: str) -> Given:
        if not any(argv[: len(prefix)] == prefix for prefix in self._prefixes if prefix):
            self._refuse(
                f"backy_inspect ran {argv!r}, which is not in read_commands: declare how it "
                "begins, if it changes nothing"
            )
        return self._recorded.commands.get(argv, Given(0, self._otherwise))

    def _readable(self, path: str) -> str:
        if not path.startswith(("/proc/", "/sys/", "/run/")):
            self._refuse(
                f"backy_inspect read {path}: it may read below /proc, /sys and /run; what drives "
                "bear is in probe.signatures"
            )
        return path

    def _refuse(self, subject: str) -> None:
        self.refused.append(subject)
        raise UndeclaredLook(subject)


class RecordingProbe:
    """A probe that passes everything on and remembers it."""

    def __init__(self, real: object) -> None:
        self._real = real
        self.drives = real.drives  # type: ignore[attr-defined]
        self.signatures = real.signatures  # type: ignore[attr-defined]
        self.recorded = Recorded(self.drives, self.signatures)

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        texts = await self._real.read(*paths)  # type: ignore[attr-defined]
        self.recorded.files.update(zip(paths, texts, strict=True))
        return tuple(texts)

    async def listdir(self, path: str) -> tuple[str, ...]:
        names = await self._real.listdir(path)  # type: ignore[attr-defined]
        self.recorded.directories[path] = names
        return tuple(names)

    async def superblock(self, signature: Signature, length: int) -> bytes | None:
        read = await self._real.superblock(signature, length)  # type: ignore[attr-defined]
        self.recorded.superblocks[signature] = read
        return read  # type: ignore[no-any-return]

    async def run(self, *argv: str) -> Given:
        outcome = await self._real.run(*argv)  # type: ignore[attr-defined]
        recorded_outcome = Given(outcome.code, outcome.stdout, outcome.stderr)
        self.recorded.commands[argv] = recorded_outcome
        return recorded_outcome


def invented(info: BackendInfo, drives: Sequence[ProbedDrive]) -> Iterator[tuple[str, Recorded]]:
    """Machines whose tools print nonsense, with drives that have the backend's signatures."""
    signatures = tuple(_stamps(info, drives))
    for text in CANNED:
        yield text, Recorded(tuple(drives), signatures)
        yield text, Recorded(tuple(drives))


def _stamps(info: BackendInfo, drives: Sequence[ProbedDrive]) -> Iterator[Signature]:
    odd: tuple[tuple[str | None, str | None], ...] = (
        (None, None),
        ("", ""),
        ("not a uuid", "host:name"),
        ("7d1b6f0a-93a4-4c3e-8f57-0a6b1c2d3e4f", "backy-7d1b6f0a-93a4-4c3e-8f57-0a6b1c2d3e4f"),
        ("7d1b6f0a-93a4-4c3e-8f57-0a6b1c2d3e4f", None),
    )
    for kind in info.signature_types:
        for drive, (uuid, label) in zip(drives, odd, strict=False):
            yield Signature(device=drive.name, type=kind, uuid=uuid, label=label)


def mangled(real: Recorded, rounds: int, seed: int = 0) -> Iterator[Recorded]:
    """``real`` with its texts cut, shuffled and spoilt; the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311  (repeatable on purpose)
    for _ in range(rounds):
        yield replace(
            real,
            files={path: _spoil(text, chance) for path, text in real.files.items()},
            commands=_spoil_commands(real.commands, chance),
            signatures=tuple(s for s in real.signatures if chance.random() > 0.2),
        )


def crafted(text: str, count: int, seed: int = 0) -> Iterator[str]:
    """``text`` as a stranger might have had it printed: cut, shuffled, spoilt, and with values no
    tool should print. The same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311  (repeatable on purpose)
    for _ in range(count):
        spoilt = _spoil(text, chance) if chance.random() < 0.5 else _with_odd_values(text, chance)
        yield spoilt or ""


def _with_odd_values(text: str, chance: random.Random) -> str:
    """Replace values, which every tool's report puts after a colon."""
    lines = text.split("\n")
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(lines))
        key, colon, value = lines[at].partition(":")
        odd = chance.choice((*ODD_VALUES, value.upper(), value * 3, value[:-1]))
        lines[at] = f"{key}{colon} {odd}"
    return "\n".join(lines)


def silenced(real: Recorded) -> Recorded:
    """``real`` on a machine where each command fails and says nothing."""
    return replace(real, commands={argv: Given(1, "") for argv in real.commands})


def _spoil_commands(
    commands: Mapping[tuple[str, ...], Given], chance: random.Random
) -> dict[tuple[str, ...], Given]:
    return {
        argv: Given(
            chance.choice((recorded_outcome.code, recorded_outcome.code, 1, 5, None)),
            _spoil(recorded_outcome.stdout, chance) or "",
            _spoil(recorded_outcome.stderr, chance) or "",
        )
        for argv, recorded_outcome in commands.items()
    }


def _spoil(text: str | None, chance: random.Random) -> str | None:
    if text is None or chance.random() < 0.3:
        return text
    at = chance.randrange(len(text) + 1)
    lines = text.splitlines(keepends=True)
    chance.shuffle(lines)
    return chance.choice(
        (
            text[:at],
            text[at:],
            text[:at] + "\ufffd\0" + text[at:],
            "".join(lines),
            "".join(line for line in lines if chance.random() > 0.3),
            text.replace(":", ""),
            text.replace('"', "", 3),
            text.translate(str.maketrans("0123456789", "9x81726354")),
            text + text,
            None if at % 2 else "",
        )
    )
