"""``backy backends`` and ``backy config``."""

from __future__ import annotations

from backy_core.cli.exits import Exit
from backy_core.cli.session import Session
from backy_core.cli.stop import Stop
from backy_core.client import calls


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
