"""The agent's advice in the words of this edge: the command to type."""

from __future__ import annotations

from backy_core.cli.screen import short
from backy_core.client.advised import Advised, advised_in

_COMMANDS = {
    ("POST", "/pools/{}/mount"): "pools mount",
    ("DELETE", "/pools/{}/mount"): "pools unmount",
    ("DELETE", "/pools/{}"): "pools delete",
    ("POST", "/pools/{}/import"): "pools import",
    ("DELETE", "/pools/metadata/{}"): "pools forget",
    ("GET", "/pools/{}/outputs"): "pools outputs",
    ("GET", "/pools/{}/processes"): "pools processes",
    ("GET", "/pools/importable"): "pools import",
    ("GET", "/operations"): "operations",
    ("GET", "/drives"): "drives",
    ("DELETE", "/drives/{}/protection"): "drives unprotect",
    ("POST", "/processes/kill"): "pools processes --kill",
    ("GET", "/doctor"): "doctor",
}
_OPTIONS = {
    "wipe": "--wipe",
    "wipeCopies": "--wipe-copy",
    "destroyOthers": "--destroy-other",
    "force": "--force",
    "dryRun": "--dry-run",
    "mountPath": "--at",
    "label": "--label",
}
_PHRASES = (
    ('allow wiping with "wipe": true', "add --wipe"),
    ("allow that with wipe: true", "add --wipe to allow that"),
    ('with "wipe": true', "with --wipe"),
    ("Name the member to replace in `replaces`", "Use `backy pools replace`"),
    ("Name the connected member to replace in `replaces`", "Use `backy pools replace`"),
    ("Name at least one in driveSerials", "Name at least one"),
    ("Leave it out of wipeCopies", "Leave out its --wipe-copy"),
    ("Send serial or devPath", "Name its serial"),
    ("Use another GUID, or leave poolGroupGuid out", "Choose another label"),
)
"""Where a hint names a field of a body in passing."""
_FOR_CODE = {
    "DRIVE_NOT_EMPTY": "Add --wipe to erase it for good, or choose another drive: backy drives",
    "UNAUTHORIZED": "Set BACKY_API_KEY, or remember the key: backy context add",
    "INSUFFICIENT_SCOPE": "Use a key that permits it: BACKY_API_KEY",
    "OVERLOADED": "Try again in a moment.",
    "SHUTTING_DOWN": "Try again in a moment.",
    "INTERNAL_ERROR": "The agent's log tells more: journalctl -u backy",
}


def in_commands(text: str) -> str:
    """``text`` with each request that it names as a command."""
    parts = (part if isinstance(part, str) else _command(part) for part in advised_in(text))
    whole = "".join(parts)
    for said, here in _PHRASES:
        whole = whole.replace(said, here)
    return whole


def advice_for(code: str) -> str:
    """Advice that fits every error of this code."""
    return _FOR_CODE.get(code, "")


def _command(advised: Advised) -> str:
    for (method, path), words in _COMMANDS.items():
        before, _, after = path.partition("{}")
        named = advised.path.removeprefix(before).removesuffix(after)
        if method == advised.method and before + named + after == advised.path:
            if "{}" not in path:
                return f"backy {words}"
            if named and "/" not in named and named != "importable":
                subject = [subject_word(advised.subject)] if advised.subject else []
                return " ".join(["backy", words, *subject, *_options(advised)])
    return f"{advised.method} {advised.path}"


def subject_word(subject: str) -> str:
    """A pool, drive or path as an argument."""
    is_guid = len(subject) == 36 and subject.count("-") == 4
    return quoted(short(subject) if is_guid else subject)


def _options(advised: Advised) -> list[str]:
    words: list[str] = []
    for name, value in advised.options:
        flag = _OPTIONS.get(name, f"--{name}")
        if value not in ("true", "false"):
            words += [flag, quoted(value)]
        elif value == "true":
            words.append(flag)
    return words


def quoted(word: str) -> str:
    """As a shell takes it."""
    if (
        word
        and word.isascii()
        and word.replace("-", "").replace("_", "").replace(".", "").isalnum()
    ):
        return word
    from shlex import quote

    return quote(word)
