"""Rules for the content of a backend's plan.

Plans run as root on drives that may hold the only copy of something. A plan is refused before it
runs if it names a drive that the backend was not given, a node by a kernel name, which changes
between boots, or a program that the backend did not declare.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator

from backy_core.plugins.stamp_rules import HINT, check_stamps
from backy_core.sdk.errors import PlanRefused
from backy_core.sdk.layers import LayerInfo
from backy_core.sdk.models import BackendInfo, DriveId, Model
from backy_core.sdk.plan import (
    Arg,
    BackendPlan,
    Bears,
    Blank,
    Exec,
    Join,
    LayerIs,
    PlanKind,
    PoolDevice,
    PoolIs,
    Step,
    WipeMember,
    drives_of_conditions,
    drives_of_step,
)

Info = BackendInfo | LayerInfo

_KERNEL_NAME = (
    r"(?:(?:[shv]d|xvd|ubd)[a-z]{1,3}\d*|dasd[a-z]{1,4}\d*|nvme\d+(?:c\d+)?n\d+(?:p\d+)?"
    r"|mmcblk\d+(?:p\d+|boot\d+)?|md\d+(?:p\d+)?|md_d\d+|dm-\d+|loop\d+(?:p\d+)?"
    r"|nbd\d+(?:p\d+)?|zd\d+(?:p\d+)?|pmem\d+(?:p\d+)?|z?ram\d+|sr\d+|sg\d+)"
)
_BARE = re.compile(_KERNEL_NAME)
_NODE = re.compile(rf"/dev/(?:{_KERNEL_NAME}(?![\w-])|block/|disk/by-[\w-]+/)")
_SYSFS = re.compile(r"/sys/(?:block|class/block|dev/block)/")
_HOLE = "\N{OBJECT REPLACEMENT CHARACTER}"


def validate_plan(
    info: BackendInfo, kind: PlanKind, plan: BackendPlan, drives: Iterable[DriveId]
) -> None:
    """Raise :class:`PlanRefused` naming the step and the rule it breaks.

    ``drives`` are all the drives the backend was told of in this call.
    """
    allowed = frozenset(drives)
    _check_ids(plan.steps)
    if kind == "create" and plan.delivers != info.delivers:
        raise PlanRefused(f"The plan delivers {plan.delivers}, {info.name} says {info.delivers}")
    if kind == "add" and not any(step.effect == "pivot" for step in plan.steps):
        raise PlanRefused("A plan that adds a drive needs a pivot step")
    if kind == "add" and not plan.goal:  # after a crash it tells whether the drive was taken
        raise PlanRefused("A plan that adds a drive needs a goal")
    if kind == "create" and not plan.stamps:
        raise PlanRefused("The plan has no stamps, so nothing tells the pool's drives", hint=HINT)
    check_stamps(info, plan)
    _check_no_layer(plan)
    for step in plan.steps:
        for rule in _STEP_RULES:
            rule(info, kind, step)
        _check_drives(f"Step {step.id}", drives_of_step(step), allowed)
    _check_drives("The goal", drives_of_conditions(plan.goal), allowed)


def validate_layer_plan(
    info: LayerInfo, kind: PlanKind, steps: tuple[Step, ...], number: int
) -> None:
    """Raise :class:`PlanRefused` for a plan of the ``number``-th layer that names anything but this
    layer and the device below it."""
    _check_ids(steps)
    for step in steps:
        for rule in _STEP_RULES:
            rule(info, kind, step)
        for part in _parts(step):
            if not _is_of_layer(part, number):
                raise PlanRefused(
                    f"Step {step.id} names more than its layer and the device below it",
                    hint=f"Use PoolDevice(layer={number - 1}), PoolDevice(layer={number}) and "
                    f"LayerIs(layer={number}).",
                )


def _is_of_layer(part: Model, number: int) -> bool:
    if isinstance(part, PoolDevice):
        return part.layer in (number - 1, number)
    if isinstance(part, LayerIs):
        return part.layer == number
    return isinstance(part, Step | Exec | Join | Bears | Blank)


def _check_no_layer(plan: BackendPlan) -> None:
    for part in _parts(plan):
        layered = isinstance(part, PoolDevice) and part.layer is not None
        if layered or isinstance(part, LayerIs) or (isinstance(part, PoolIs) and part.container):
            raise PlanRefused("A backend's plan names a layer, which is the core's to add")


def _parts(value: object) -> Iterator[Model]:
    """Every model inside ``value``, itself included."""
    if isinstance(value, tuple):
        for element in value:
            yield from _parts(element)
    elif isinstance(value, Model):
        yield value
        for name in type(value).model_fields:
            yield from _parts(getattr(value, name))


def _check_ids(steps: tuple[Step, ...]) -> None:
    ids = [step.id for step in steps]
    if not all(ids):
        raise PlanRefused("A step has no id")
    if len(set(ids)) != len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise PlanRefused(f"Two steps have the id {twice}")


def _check_drives(where: str, named: Iterable[DriveId], allowed: frozenset[DriveId]) -> None:
    for drive in named:
        if drive not in allowed:
            raise PlanRefused(f"{where} names drive {drive}, which is not part of the request")


def _check_times(info: Info, kind: PlanKind, step: Step) -> None:
    times = (step.retry_s, step.expect_s, step.stable_s, step.soft_timeout_s)
    if not all(math.isfinite(time) and time >= 0 for time in times):
        raise PlanRefused(f"Step {step.id} has a time that is negative or endless")


def _check_effect(info: Info, kind: PlanKind, step: Step) -> None:
    if kind == "create" and not step.undo and step.effect != "none":
        raise PlanRefused(f"Step {step.id} of a creation changes something and cannot be undone")
    if kind != "add" and step.effect == "pivot":
        raise PlanRefused(f"Step {step.id} is a pivot, which only adding a drive has")


def _check_actions(info: Info, kind: PlanKind, step: Step) -> None:
    for action in (step.run, *step.undo):
        if isinstance(action, Exec):
            _check_command(info, step, action)
        elif not isinstance(action, WipeMember):
            raise PlanRefused(f"Step {step.id} plans {action.do}, which is the core's to plan")


def _check_command(info: Info, step: Step, command: Exec) -> None:
    program = command.argv[0] if command.argv else None
    if program not in {tool.name for tool in info.tools}:
        raise PlanRefused(f"Step {step.id} runs {program!r}, which {info.name} did not declare")
    if not command.ok_codes:
        raise PlanRefused(f"Step {step.id} has no exit status that means success")
    if not all(words.strip() for words in command.final_words):
        raise PlanRefused(f"Step {step.id} has empty final words, which every output contains")
    for arg in command.argv:
        _check_text(step, _text(arg))


def _check_text(step: Step, text: str) -> None:
    if "\0" in text:
        raise PlanRefused(f"Step {step.id} has an argument with a NUL character")
    if _BARE.fullmatch(text) or _NODE.search(text) or _SYSFS.search(text):
        raise PlanRefused(
            f"Step {step.id} names a device as {text!r}",
            hint="Name drives by DriveRef and the pool's device by PoolDevice.",
        )


_STEP_RULES: tuple[Callable[[Info, PlanKind, Step], None], ...] = (
    _check_times,
    _check_effect,
    _check_actions,
)


def _text(arg: Arg) -> str:
    """The argument as written, references shown as a hole."""
    if isinstance(arg, str):
        return arg
    if isinstance(arg, Join):
        return arg.sep.join(_text(part) for part in arg.parts)
    return _HOLE
