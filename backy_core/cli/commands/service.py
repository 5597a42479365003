"""``backy backends``, ``backy doctor`` and ``backy config``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backy_core.cli.exits import Exit
from backy_core.cli.session import Session
from backy_core.cli.stop import Stop
from backy_core.client import calls

if TYPE_CHECKING:
    from backy_core.client.replies import Finding


def backends(session: Session) -> None:
    reply = session.send(calls.list_backends())
    if session.json:
        session.show(reply)
        return
    rows = []
    for backend in reply["backends"]:
        missing = ", ".join(tool["package"] for tool in backend["missingTools"])
        ready = "yes" if backend["toolsInstalled"] else f"install {missing}"
        levels = " ".join(level["name"] for level in backend["levels"])
        filesystems = " ".join(backend["filesystems"])
        rows.append([backend["name"], backend["problem"] or ready, levels, filesystems])
    print(session.screen.table(("NAME", "READY", "LEVELS", "FILESYSTEMS"), rows))
    for plugin in reply["failedPlugins"]:
        session.say(f"Plugin {plugin['name']} could not be loaded: {plugin['reason']}")


def doctor(session: Session) -> Exit:
    """Say what is wrong, the most severe first; it fails if there is an error."""
    reply = session.send(calls.examine())
    findings = reply["findings"]
    if session.json:
        session.show(reply)
    elif not findings:
        session.say("Nothing is wrong.")
    for finding in () if session.json else findings:
        _say(session, finding)
    return Exit.FAILURE if any(one["severity"] == "error" for one in findings) else Exit.OK


def _say(session: Session, finding: Finding) -> None:
    from backy_core.cli.wording import in_commands

    request = finding["request"]
    command = in_commands(f"{request['method']} {request['path']}") if request else ""
    remedy = in_commands(finding["remedy"] or "")
    lines = [
        f"{finding['severity']}: {finding['message']}",
        *(f"    {line}" for line in finding["evidence"]),
        *(f"    To do: {line}" for line in filter(None, (remedy, command))),
    ]
    for line in lines:
        print(session.screen.prose(line, "      "))


def config(session: Session) -> None:
    """Print the settings that an agent started here would have."""
    from backy_core.config.settings import load_settings
    from backy_core.sdk.errors import BackyError

    file = session.option("config")
    try:
        settings = load_settings({"config": file} if file else {}, session.env)
    except BackyError as error:
        raise Stop(str(error), str(error.hint or ""), status=Exit.CONFIG) from error
    values = settings.model_dump(mode="json", exclude={"plugins"})
    if session.json:
        session.show(values)
        return
    defaults = type(settings)().model_dump(mode="json", exclude={"plugins"})
    for name, value in values.items():
        mark = "" if value == defaults[name] else session.screen.bold("  # set")
        print(f"{name} = {_toml(value)}{mark}")


def _toml(value: object) -> str:
    import json

    return json.dumps(value)
