"""What gets in, what is left out, and that one plugin takes no other with it."""

from __future__ import annotations

import threading
from importlib.metadata import EntryPoint

import pytest

from backy_core.plugins.loading import load_backends
from backy_core.sdk.models import (
    BackendInfo,
    Level,
    PoolSpec,
    Tool,
)
from backy_core.sdk.plan import BackendPlan
from tests.core.plugins.toys import INFO, Toy, hosting, left_out, plan, toy, with_info


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
        (with_info(capabilities=frozenset({"scoped_inspect"})), "has no argument `only`"),
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
