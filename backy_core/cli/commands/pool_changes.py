"""``backy pools``: the verbs that change something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backy_core.cli.commands.pools import pool_text
from backy_core.cli.consent import agree, confirm, content, named
from backy_core.cli.finding import find_drive, find_importable, find_pool, member_serial
from backy_core.cli.following import follow
from backy_core.cli.planning import show_plan
from backy_core.cli.screen import short
from backy_core.cli.session import Session
from backy_core.cli.wording import in_commands
from backy_core.client import calls

if TYPE_CHECKING:
    from backy_core.client.replies import Accepted, Drive, ListedPool

_MOUNTS = "/mnt/backy/"


def create(session: Session) -> None:
    arguments = session.arguments
    drives = [find_drive(session, serial) for serial in arguments.serials]
    asked: dict[str, Any] = {
        "mount_path": session.option("at") or _path_of(arguments.label),
        "backend": session.option("backend"),
        "level": session.option("level"),
        "filesystem": session.option("filesystem"),
        "wipe": True if session.flag("wipe") else None,
        "portability": "native" if session.flag("native") else None,
    }
    serials = [drive["serial"] or "" for drive in drives]
    if session.flag("dry_run"):
        planned = session.send(calls.plan_pool(arguments.label, serials, **asked))
        show_plan(session, planned, planned["plan"])
        return
    if full := [drive for drive in drives if content(drive)]:
        rows = [[*named(drive), content(drive)] for drive in full]
        confirm(session, "This erases for good what is on:", rows, arguments.label)
    answer = session.client.ask(calls.create_pool(arguments.label, serials, **asked))
    guid = answer.body["poolGroupGuid"]
    if session.flag("detach"):
        _accepted(session, answer.body, guid)
        return
    if answer.operation:
        follow(session, answer.operation, guid)
    _result(session, guid)


def _path_of(label: str) -> str | None:
    """A path by the label, if that can be the name of a directory."""
    plain = label.isascii() and label.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return _MOUNTS + label if plain and label[0] not in ".-" and len(label) < 64 else None


def mount(session: Session) -> None:
    pool = find_pool(session, session.arguments.pool)
    guid, path, force = pool["poolGroupGuid"], session.option("at"), session.flag("force")
    if session.flag("dry_run") or force:
        planned = session.send(calls.plan_mount(guid, path, force=force))
        if session.flag("dry_run"):
            show_plan(session, planned, planned["plan"])
            return
        rows = [
            [one["serial"], "", "", one["behind"] or one["state"]] for one in planned["members"]
        ]
        lost = planned.get("mayBeLost") or "It is mounted read-only, as it is on these drives"
        confirm(session, in_commands(lost), rows, pool["label"])
    label = pool["label"] if force else None
    _watch(session, guid, session.send(calls.watch_mount(guid, path, force_label=label)))


def unmount(session: Session) -> None:
    pool = find_pool(session, session.arguments.pool)
    guid = pool["poolGroupGuid"]
    if session.flag("dry_run"):
        planned = session.send(calls.plan_unmount(guid))
        show_plan(session, planned, planned["plan"])
        return
    accepted = session.send(calls.watch_unmount(guid))
    if session.flag("detach"):
        _accepted(session, accepted, guid)
        return
    follow(session, accepted["operation"]["id"], guid)
    if session.json:
        session.show(session.send(calls.show_pool(guid)))
    else:
        session.say(f"Pool {pool['label']} is unmounted; its drives may be unplugged.")


def delete(session: Session) -> None:
    pool = find_pool(session, session.arguments.pool)
    guid = pool["poolGroupGuid"]
    copies = [
        find_drive(session, serial)["serial"] or "" for serial in session.option("wipe_copy", ())
    ]
    drives = {
        drive["serial"] or "": drive for drive in session.send(calls.list_drives())["blockdevices"]
    }
    rows = _wiped(pool, drives, copies)
    what = f"This erases pool {pool['label']} for good ({_described(pool)}):"
    consents = {
        "wipe": session.flag("wipe"),
        "wipe_copies": copies,
        "destroy_others": session.option("destroy_other", ()),
    }
    if session.flag("dry_run"):
        planned = session.send(calls.plan_delete(guid, **consents))
        if not session.json:
            session.say(what)
            print(session.screen.table(("SERIAL", "MODEL", "SIZE", "ON IT"), rows))
        show_plan(session, planned, planned["plan"])
        return
    confirm(session, what, rows, pool["label"])
    accepted = session.send(calls.watch_delete(guid, **consents))
    if session.flag("detach"):
        _accepted(session, accepted, guid)
        return
    follow(session, accepted["operation"]["id"], guid)
    deleted = session.send(calls.delete_pool(guid))  # once more: it tells how it ended
    if session.json:
        session.show(deleted)
    elif message := deleted.get("message"):
        session.say(f"Pool {pool['label']} is deleted. {in_commands(message)}")
    else:
        session.say(f"Pool {pool['label']} is deleted; its drives are blank.")


def _described(pool: ListedPool) -> str:
    created = (pool.get("createdAt") or "")[:10]
    facts = (pool.get("level"), pool.get("filesystem"), created and f"made on {created}")
    return ", ".join(filter(None, facts))


def _wiped(pool: ListedPool, drives: Mapping[str, Drive], more: list[str]) -> list[list[str]]:
    """A row for each drive that is wiped; absent ones, too."""
    rows = []
    for serial in dict.fromkeys([*(member["serial"] for member in pool["drives"]), *more]):
        drive = drives.get(serial)
        if drive is None:
            rows.append([serial, "-", "-", "not connected: cannot be wiped now"])
        else:
            rows.append([*named(drive), f"pool {pool['label']}"])
    return rows


def rename(session: Session) -> None:
    pool = find_pool(session, session.arguments.pool)
    renamed = session.send(calls.rename_pool(pool["poolGroupGuid"], session.arguments.label))
    session.tell(renamed, f"Pool {pool['label']} is now called {renamed['label']}.")


def add_drive(session: Session) -> None:
    pool = find_pool(session, session.arguments.pool)
    _take(session, pool, find_drive(session, session.arguments.serial), None)


def replace(session: Session) -> None:
    pool = find_pool(session, session.arguments.pool)
    old = member_serial(pool, session.arguments.old)
    _take(session, pool, find_drive(session, session.arguments.serial), old)


def _take(session: Session, pool: ListedPool, drive: Drive, replaces: str | None) -> None:
    guid, serial = pool["poolGroupGuid"], drive["serial"] or ""
    wipe = True if session.flag("wipe") else None
    if session.flag("dry_run"):
        planned = session.send(calls.plan_add_drive(guid, serial, replaces=replaces, wipe=wipe))
        show_plan(session, planned, planned["plan"])
        return
    if wipe and (on_it := content(drive)):
        rows = [[*named(drive), on_it]]
        confirm(session, "This erases for good what is on:", rows, pool["label"])
    accepted = session.send(calls.watch_add_drive(guid, serial, replaces=replaces, wipe=wipe))
    if session.flag("detach"):
        _accepted(session, accepted, guid)
        return
    follow(session, accepted["operation"]["id"], guid)
    if session.json:
        session.show(session.send(calls.show_pool(guid)))
        return
    session.say(f"Pool {pool['label']} takes {serial} in; it may be used meanwhile.")
    if replaces:
        session.say(f"Drive {replaces} keeps its data: a deletion wipes it with --wipe-copy only.")
    session.say(f"See how far it is: backy pools show {short(guid)} --watch")


def import_(session: Session) -> None:
    if session.arguments.pool is None:
        _list_importable(session)
        return
    found = find_importable(session, session.arguments.pool)
    guid = found["poolGroupGuid"]
    imported = session.send(calls.import_pool(guid, session.option("label"), session.option("at")))
    if session.json:
        session.show(imported)
        return
    session.say(f"Pool {imported['label']} is known now; nothing was written to its drives.")
    if imported["state"] != "ready":
        session.say(f"Mount it: backy pools mount {short(guid)}")


def _list_importable(session: Session) -> None:
    pools = session.send(calls.list_importable())
    if session.json:
        session.show(pools)
        return
    if not pools:
        session.say("No pool that this agent does not know is on the drives.")
        return
    rows = [
        [
            pool["label"] or "-",
            short(pool["poolGroupGuid"]),
            " ".join(filter(None, (pool["backend"], pool["level"], pool["filesystem"]))),
            pool["cannotOpenBecause"] or ", ".join(pool["drives"]),
        ]
        for pool in pools
    ]
    print(session.screen.table(("LABEL", "ID", "KIND", "DRIVES"), rows))


def forget(session: Session) -> None:
    pool = find_pool(session, session.arguments.pool)
    agree(session, f"Forget pool {pool['label']}? Its drives stay as they are.")
    done = session.send(calls.forget_pool(pool["poolGroupGuid"]))
    session.tell(done, f"Pool {pool['label']} is forgotten. To take it back: backy pools import")


def _watch(session: Session, guid: str, accepted: Accepted) -> None:
    if session.flag("detach"):
        _accepted(session, accepted, guid)
        return
    follow(session, accepted["operation"]["id"], guid)
    _result(session, guid)


def _accepted(session: Session, reply: object, guid: str) -> None:
    session.tell(reply, f"Accepted. See how it goes: backy pools show {short(guid)} --watch")


def _result(session: Session, guid: str) -> None:
    if session.json:
        session.show(session.send(calls.show_pool(guid)))
    else:
        print(pool_text(session, guid))
