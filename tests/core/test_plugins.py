"""The plugin host: what gets in, what is left out, and that no plugin can do more harm."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backy_core.plugins.host import PluginHost
from backy_core.plugins.loading import load_backends
from backy_core.sdk import hookimpl
from backy_core.sdk.errors import BackendFailure, Conflict, InvalidRequest, PlanRefused
from backy_core.sdk.models import (
    BackendInfo,
    DriveId,
    Level,
    MemberReport,
    PoolReport,
    PoolSpec,
    Probe,
    Requirement,
    SignatureMatch,
    Tool,
)
from backy_core.sdk.plan import BackendPlan, DriveRef, Exec, MemberIs, Step, WipeMember

GUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
DRIVE = DriveId(serial="drive-scsi1", size=1 << 28)
OTHER = DriveId(serial="drive-scsi2", size=1 << 28)
PROBE = cast(Probe, SimpleNamespace())

POOL = PoolSpec(
    guid=GUID,
    label="shelf",
    level="single",
    filesystem="ext4",
    fs_uuid=GUID,
    mount_path="/mnt/backy/x",
    drives=(DRIVE,),
)
REPORT = PoolReport(
    native_id=GUID,
    guid=GUID,
    level="single",
    presence="active",
    health="active",
    expected_members=1,
    members=(MemberReport(device="sdz", drive=OTHER, state="spare"),),
)
INFO = BackendInfo(
    name="toy",
    version="1",
    levels=(Level(name="single", min_drives=1),),
    filesystems=("ext4",),
    tools=(Tool(name="toyadm", package="toy-tools"),),
    signature_types=("toy_member",),
)
STAMP = SignatureMatch(type="toy_member", uuid=GUID)


def plan(drive: DriveId = DRIVE, effect: str = "reversible") -> BackendPlan:
    step = Step.model_validate(
        {
            "id": "make",
            "title": "Making the toy",
            "run": Exec(argv=("toyadm", DriveRef(drive=drive))),
            "undo": (WipeMember(drive=drive, bears=()),),
            "effect": effect,
        }
    )
    return BackendPlan(steps=(step,), stamps=(STAMP,))


class Toy:
    """A whole backend; tests replace one hook each."""

    @hookimpl
    def backy_backend(self) -> BackendInfo:
        return INFO

    @hookimpl
    def backy_plan_create(self, pool: PoolSpec) -> BackendPlan:
        return plan()

    @hookimpl
    async def backy_inspect(self, probe: Probe) -> Sequence[PoolReport]:
        return [REPORT]

    @hookimpl
    def backy_plan_open(self, pool: PoolSpec, report: PoolReport) -> BackendPlan:
        return plan(OTHER)

    @hookimpl
    def backy_plan_close(self) -> BackendPlan:
        return BackendPlan(steps=())

    @hookimpl
    def backy_plan_teardown(self) -> BackendPlan:
        return BackendPlan(steps=())


def toy(**hooks: Callable[..., object] | None) -> object:
    """A toy backend with these hooks instead; None removes one."""
    members = {name: hook and hookimpl(hook) for name, hook in hooks.items()}
    return type("Custom", (Toy,), members)()


def hosting(*plugins: object, **options: Any) -> PluginHost:
    named = tuple(("toy", plugin) for plugin in plugins)
    return load_backends((), named, installed_listeners=(), **options)


def left_out(host: PluginHost) -> str:
    (failed,) = host.failed
    return failed.reason


def with_info(**changes: object) -> object:
    return toy(backy_backend=lambda self: INFO.model_copy(update=changes))


def test_a_good_backend_is_loaded() -> None:
    host = hosting(Toy())
    assert host.failed == ()
    assert host.backends["toy"].info is INFO
    assert host.backends["toy"].origin == "builtin"


def test_tools_that_are_not_installed_are_named() -> None:
    info = {
        "tools": (Tool(name="ls", package="coreutils"), Tool(name="toyadm", package="toy-tools"))
    }
    backend = hosting(with_info(**info)).backends["toy"]
    assert [tool.package for tool in backend.missing_tools()] == ["toy-tools"]


def test_installed_entry_points_are_found_by_default() -> None:
    assert "mdadm" in load_backends().backends


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (toy(backy_inspect=None), "does not implement backy_inspect"),
        (toy(backy_plan_close=None), "does not implement backy_plan_close"),
        (toy(backy_backend=lambda self: {"name": "toy"}), "answered dict, not BackendInfo"),
        (toy(backy_backend=lambda self: None), "answered NoneType, not BackendInfo"),
        (toy(backy_plan_creat=lambda self: plan()), "unknown hook 'backy_plan_creat'"),
        (toy(backy_plan_close=lambda self, wrong: plan()), "wrong"),
        (with_info(name="other"), "calls itself other"),
        (with_info(levels=()), "names no level"),
        (with_info(levels=(Level(name="a", min_drives=1, aliases=("a",)),)), "or one twice"),
        (with_info(levels=(Level(name="a", min_drives=0),)), "needs no drive"),
        (with_info(levels=(Level(name="a", min_drives=2, max_drives=1),)), "fewer drives than"),
        (with_info(filesystems=()), "names no filesystem"),
        (with_info(tools=(Tool(name="/bin/sh", package="dash"),)), "not a plain program name"),
        (with_info(tools=(Tool(name="bash", package="bash"),)), "bash as a tool"),
        (with_info(capabilities=frozenset({"add_drive"})), "without backy_plan_add_drive"),
        (object(), "does not implement"),
        ({}, "TypeError"),
    ],
)
def test_a_backend_that_breaks_a_rule_is_left_out(plugin: object, reason: str) -> None:
    host = hosting(plugin)
    assert not host.backends
    assert reason in left_out(host)


def test_an_async_plan_hook_is_left_out() -> None:
    async def backy_plan_create(self: object, pool: PoolSpec) -> BackendPlan:
        return plan()

    assert "must not be async" in left_out(hosting(toy(backy_plan_create=backy_plan_create)))


def test_an_inspect_that_is_not_async_is_left_out() -> None:
    reason = left_out(hosting(toy(backy_inspect=lambda self, probe: ())))
    assert reason == "backy_inspect must be async: define it with `async def`"


def test_a_backend_that_raises_at_load_is_left_out() -> None:
    def backy_backend(self: object) -> BackendInfo:
        raise SystemExit("goodbye")

    assert "goodbye" in left_out(hosting(toy(backy_backend=backy_backend)))


def test_a_backend_that_hangs_at_load_is_left_out() -> None:
    never = threading.Event()
    host = hosting(toy(backy_backend=lambda self: never.wait()), load_deadline_s=0.05)
    assert left_out(host) == "it did not answer in time"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module_anywhere:plugin", "ModuleNotFoundError"),
        ("backy_core.sdk:no_such_name", "AttributeError"),
    ],
)
def test_a_broken_entry_point_takes_no_other_with_it(target: str, reason: str) -> None:
    broken = EntryPoint("broken", target, "backy.backends")
    host = load_backends([broken], [("toy", Toy())], installed_listeners=())
    assert tuple(host.backends) == ("toy",)
    assert left_out(host).startswith(reason)
    assert host.failed[0].origin == target


def test_of_two_backends_with_one_name_the_first_stays() -> None:
    first, second = Toy(), Toy()
    host = hosting(first, second)
    assert host.backends["toy"].manager.is_registered(first)
    assert left_out(host) == "builtin already provides a plugin of this name"


def test_a_name_that_is_no_name_is_left_out() -> None:
    host = load_backends((), [("Toy/..", Toy())], installed_listeners=())
    assert "lower-case letters" in left_out(host)


async def test_plans_are_asked_for_with_what_the_hook_wants() -> None:
    host = hosting(Toy())
    assert await host.plan_create("toy", POOL, (DRIVE,)) == plan()
    assert await host.plan_open("toy", POOL, REPORT, degraded=False) == plan(OTHER)
    assert (await host.plan_close("toy", POOL, REPORT)).steps == ()
    assert (await host.plan_teardown("toy", POOL, REPORT)).steps == ()


async def test_a_backend_without_a_teardown_of_its_own_releases_by_closing() -> None:
    closing = plan(DRIVE)
    host = hosting(toy(backy_plan_teardown=None, backy_plan_close=lambda self: closing))
    assert await host.plan_teardown("toy", POOL, REPORT) == closing


async def test_what_a_backend_cannot_handle_is_never_planned_for() -> None:
    host = hosting(Toy())
    seen = REPORT.model_copy(update={"usable": False, "detail": "Firmware RAID is no pool."})
    for asked in (
        host.plan_open("toy", POOL, seen, degraded=True),
        host.plan_close("toy", POOL, seen),
        host.plan_teardown("toy", POOL, seen),
    ):
        with pytest.raises(Conflict, match="Firmware RAID is no pool"):
            await asked


async def test_a_pool_whose_members_were_used_apart_is_opened_on_request_only() -> None:
    host = hosting(Toy())
    (good, *_) = REPORT.members
    apart = REPORT.model_copy(
        update={"members": (good, good.model_copy(update={"state": "diverged"}))}
    )
    with pytest.raises(Conflict, match="used separately"):
        await host.plan_open("toy", POOL, apart, degraded=False)
    assert await host.plan_open("toy", POOL, apart, degraded=True) == plan(OTHER)


async def test_a_plan_with_a_foreign_drive_is_refused() -> None:
    host = hosting(toy(backy_plan_create=lambda self: plan(OTHER)))
    with pytest.raises(
        PlanRefused, match=r"toy \(backy_plan_create\) breaks a rule: .*drive-scsi2"
    ):
        await host.plan_create("toy", POOL, (DRIVE,))


@pytest.mark.parametrize("answer", [None, [], {"steps": []}, "plan"])
async def test_a_plan_of_the_wrong_type_is_a_failure(answer: object) -> None:
    host = hosting(toy(backy_plan_create=lambda self: answer))
    with pytest.raises(BackendFailure, match="toy answered backy_plan_create with"):
        await host.plan_create("toy", POOL, (DRIVE,))


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), StopIteration(), KeyError()])
async def test_a_raising_plan_hook_is_named(error: BaseException) -> None:
    def backy_plan_create(self: object) -> BackendPlan:
        raise error

    host = hosting(toy(backy_plan_create=backy_plan_create))
    with pytest.raises(BackendFailure, match="toy failed in backy_plan_create"):
        await host.plan_create("toy", POOL, (DRIVE,))


async def test_a_refusal_in_the_plugins_own_words_passes() -> None:
    def backy_plan_create(self: object) -> BackendPlan:
        raise InvalidRequest("An odd number of drives does not make a toy")

    host = hosting(toy(backy_plan_create=backy_plan_create))
    with pytest.raises(InvalidRequest, match="odd number"):
        await host.plan_create("toy", POOL, (DRIVE,))


async def test_a_hanging_plan_hook_blocks_neither_loop_nor_host() -> None:
    release = threading.Event()
    host = hosting(toy(backy_plan_create=lambda self: release.wait()), plan_deadline_s=0.2)
    asking = asyncio.create_task(host.plan_create("toy", POOL, (DRIVE,)))
    await asyncio.sleep(0.01)
    assert (await host.plan_close("toy", POOL, REPORT)).steps == ()
    with pytest.raises(BackendFailure, match="did not answer backy_plan_create in time"):
        await asking
    release.set()


async def test_adding_needs_the_backend_to_offer_it() -> None:
    host = hosting(Toy())
    with pytest.raises(BackendFailure, match="cannot add drives"):
        await host.plan_add_drive("toy", POOL, REPORT, OTHER, None)


async def test_a_backend_that_adds_drives_is_asked() -> None:
    new = DriveId(serial="new", size=1)
    goal = (MemberIs(drive=new, states=("active",)),)
    addition = plan(new, "pivot").model_copy(update={"goal": goal})
    capable = toy(
        backy_backend=lambda self: INFO.model_copy(
            update={"capabilities": frozenset({"add_drive"})}
        ),
        backy_plan_add_drive=lambda self, drive: addition,
    )
    host = hosting(capable)
    assert await host.plan_add_drive("toy", POOL, REPORT, new, OTHER) == addition


async def test_an_unknown_backend_is_told_from_a_broken_one() -> None:
    host = hosting(toy(backy_inspect=None))
    with pytest.raises(BackendFailure, match="No plugin for backend zfs is installed"):
        await host.inspect("zfs", PROBE)
    with pytest.raises(BackendFailure, match="toy cannot be used: it does not implement"):
        await host.inspect("toy", PROBE)


async def test_inspect_gives_reports() -> None:
    assert await hosting(Toy()).inspect("toy", PROBE) == (REPORT,)


async def test_a_pool_that_is_not_there_is_not_reported() -> None:
    gone = REPORT.model_copy(update={"presence": "absent"})
    with pytest.raises(BackendFailure, match=r"toy answered backy_inspect with pool .* as absent"):
        await hosting(inspecting([gone])).inspect("toy", PROBE)


def inspecting(answer: object) -> object:
    async def backy_inspect(self: object) -> object:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return toy(backy_inspect=backy_inspect)


@pytest.mark.parametrize("answer", [None, 5, [None], [{"native_id": GUID}], iter([REPORT])])
async def test_reports_of_the_wrong_type_are_a_failure(answer: object) -> None:
    with pytest.raises(BackendFailure, match="toy answered backy_inspect with"):
        await hosting(inspecting(answer)).inspect("toy", PROBE)


@pytest.mark.parametrize("error", [OSError("gone"), SystemExit(1), KeyboardInterrupt()])
async def test_a_raising_inspect_is_named(error: BaseException) -> None:
    with pytest.raises(BackendFailure, match="toy failed in backy_inspect"):
        await hosting(inspecting(error)).inspect("toy", PROBE)


async def test_an_inspect_that_ignores_its_cancellation_does_not_hold_up() -> None:
    ended = asyncio.Event()

    async def backy_inspect(self: object) -> Sequence[PoolReport]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await ended.wait()
        return []

    host = hosting(toy(backy_inspect=backy_inspect), inspect_deadline_s=0.05)
    before = time.monotonic()
    with pytest.raises(BackendFailure, match="did not answer backy_inspect in time"):
        await host.inspect("toy", PROBE)
    assert time.monotonic() - before < 10
    ended.set()


async def test_an_inspect_that_blocks_holds_up_its_own_backend_alone() -> None:
    release = threading.Event()
    looks: list[int] = []

    async def backy_inspect(self: object) -> Sequence[PoolReport]:
        looks.append(1)
        release.wait(30)
        return [REPORT]

    host = hosting(toy(backy_inspect=backy_inspect), inspect_deadline_s=0.2)
    asking = asyncio.create_task(host.inspect("toy", PROBE))
    await asyncio.sleep(0.01)
    assert (await host.plan_close("toy", POOL, REPORT)).steps == ()
    for refused in (asking, host.inspect("toy", PROBE)):
        with pytest.raises(BackendFailure, match="did not answer backy_inspect in time"):
            await refused
    assert len(looks) == 1, "a second thread hangs beside the first"
    release.set()
    async with asyncio.timeout(10):
        while await _refuses(host):
            await asyncio.sleep(0.01)
    assert await host.inspect("toy", PROBE) == (REPORT,)


async def _refuses(host: PluginHost) -> bool:
    try:
        await host.inspect("toy", PROBE)
    except BackendFailure:
        return True
    return False


async def test_programs_are_run_in_the_agents_own_loop_and_files_read_in_the_plugins() -> None:
    """A plugin's loop may be blocked, and then nobody would wait for its programs."""
    home, seen = threading.get_ident(), []

    class Probing:
        drives, signatures = (), ()

        async def read(self, *paths: str) -> tuple[str | None, ...]:
            seen.append(threading.get_ident())
            return paths

        async def run(self, *argv: str) -> str:
            seen.append(threading.get_ident())
            return argv[0]

    async def backy_inspect(self: object, probe: Probe) -> Sequence[PoolReport]:
        seen.append(threading.get_ident())
        assert await probe.read("/proc/mdstat") == ("/proc/mdstat",)
        assert await probe.run("lsblk") == "lsblk"  # type: ignore[comparison-overlap]
        return []

    host = hosting(toy(backy_inspect=backy_inspect))
    assert await host.inspect("toy", cast(Probe, Probing())) == ()
    assert [each == home for each in seen] == [False, False, True]


def test_the_thread_of_a_host_that_is_gone_ends() -> None:
    threads: list[threading.Thread] = []

    async def backy_inspect(self: object) -> Sequence[PoolReport]:
        threads.append(threading.current_thread())
        return []

    host = hosting(toy(backy_inspect=backy_inspect))
    asyncio.run(host.inspect("toy", PROBE))
    assert threads[0].is_alive()
    del host
    gc.collect()
    threads[0].join(10)
    assert not threads[0].is_alive()


def stamped(make: Callable[[PoolSpec], SignatureMatch]) -> PluginHost:
    """A backend whose plans have this stamp."""

    def marked(pool: PoolSpec) -> BackendPlan:
        return plan().model_copy(
            update={"steps": (bare,), "stamps": (make(pool),), "enclosing": ()}
        )

    bare = plan().steps[0].model_copy(update={"undo": (), "effect": "none"})
    return hosting(
        toy(
            backy_plan_create=lambda self, pool: marked(pool),
            backy_plan_teardown=lambda self, pool: marked(pool),
        )
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda pool: SignatureMatch(type="toy_member", uuid=pool.guid),
        lambda pool: SignatureMatch(type="toy_member", uuid=pool.guid.replace("-", ":").upper()),
        lambda pool: SignatureMatch(type="toy_member", label=f"toy-{pool.guid}"),
        lambda pool: SignatureMatch(type="toy_member", uuid=f"from {hash(pool.guid)}"),
    ],
    ids=["uuid", "other form", "label", "derived"],
)
async def test_a_stamp_that_tells_the_pool_from_others_is_accepted(
    make: Callable[[PoolSpec], SignatureMatch],
) -> None:
    host = stamped(make)
    assert (await host.plan_create("toy", POOL, (DRIVE,))).stamps
    adopted = POOL.model_copy(update={"native_id": "123456789"})
    assert (await host.plan_teardown("toy", adopted, REPORT)).stamps


async def test_a_stamp_that_every_pool_has_is_refused() -> None:
    host = stamped(lambda pool: SignatureMatch(type="toy_member", label="backy"))
    reason = r"toy \(backy_plan_\w+\) breaks a rule: .*label 'backy' is the same for every pool"
    for asked in (
        host.plan_create("toy", POOL, (DRIVE,)),
        host.plan_teardown("toy", POOL, REPORT),
    ):
        with pytest.raises(PlanRefused, match=reason) as refused:
            await asked
        assert "PoolSpec.identity" in str(refused.value.hint)


async def test_a_member_that_the_report_names_is_the_pools() -> None:
    host = stamped(lambda pool: SignatureMatch(type="toy_member", uuid="PV-1"))
    (member,) = REPORT.members
    named = member.model_copy(update={"handle": "PV-1"})
    seen = REPORT.model_copy(update={"members": (named,)})
    assert (await host.plan_teardown("toy", POOL, seen)).stamps


@pytest.mark.parametrize("native_id", ["1", "---"])
async def test_a_short_identity_is_in_no_stamp_by_accident(native_id: str) -> None:
    host = stamped(lambda pool: SignatureMatch(type="toy_member", label="backy-11"))
    adopted = POOL.model_copy(update={"native_id": native_id})
    with pytest.raises(PlanRefused, match="is the same for every pool"):
        await host.plan_teardown("toy", adopted, REPORT)


async def test_a_backend_explains_what_a_program_said() -> None:
    lacking = Requirement(feature="toys\nof 2030", kernel="9.1")
    told = hosting(toy(backy_explain=lambda self, output: [lacking] if "new" in output else []))
    assert await told.explain("toy", "too new") == (
        lacking.model_copy(update={"feature": "toysof 2030"}),
    )
    assert await told.explain("toy", "too old") == ()
    assert await hosting(Toy()).explain("toy", "too new") == ()


@pytest.mark.parametrize("answer", [None, "toys", ["toys"], ZeroDivisionError])
async def test_one_that_cannot_explain_leaves_the_failure_as_it_is(answer: Any) -> None:
    def explain(self: object, output: str) -> Any:
        if answer is ZeroDivisionError:
            raise ZeroDivisionError
        return answer

    assert await hosting(toy(backy_explain=explain)).explain("toy", "too new") == ()
