"""Putting together the snapshot from looks that overlap in time.

Looks run side by side, one backend may take long, and what began later is newer: a part that
began before the one already shown is dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from types import MappingProxyType

from backy_core.machine.snapshot import Snapshot
from backy_core.machine.survey import Answer, Survey
from backy_core.sdk.models import BackendInfo, PoolReport, Signature
from backy_core.sdk.stack import LayerReport
from backy_core.system.blocks import BlockDevice
from backy_core.system.mounts import MountEntry

_log = logging.getLogger(__name__)

OnChange = Callable[[Snapshot, Snapshot], None]


class Board:
    """Holds the latest snapshot and tells subscribers when it changed."""

    def __init__(self, backends: Mapping[str, BackendInfo]) -> None:
        owned = {name: frozenset(info.signature_types) for name, info in backends.items()}
        self.snapshot = Snapshot(owned_types=owned)
        self._survey_ticket = 0
        self._answer_tickets: dict[str, int] = {}
        self._subscribers: list[OnChange] = []

    def subscribe(self, callback: OnChange) -> Callable[[], None]:
        """Call back after each change; the returned function ends that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    def post(
        self,
        survey: Survey,
        answers: Mapping[str, Answer | str],
        elsewhere: tuple[MountEntry, ...] | None = None,
        *,
        layers: Mapping[str, tuple[LayerReport, ...] | str] = MappingProxyType({}),
    ) -> Snapshot:
        """Take over what is newer than what is shown. A text says why a plugin cannot answer.

        ``elsewhere``: None if not looked for. ``layers``: answers of layer plugins.
        """
        draft = self._answered(survey.ticket, answers)
        draft = self._with_layers(draft, survey.ticket, layers)
        if survey.ticket >= self._survey_ticket:
            self._survey_ticket = survey.ticket
            draft = replace(
                draft,
                drives=survey.drives,
                devices=survey.devices,
                mounts=survey.mounts,
                swaps=survey.swaps,
                signatures={
                    **_pool_devices(draft, survey.devices),
                    **survey.signatures,
                },
                unprobed=survey.unprobed,
                given_up=survey.given_up,
            )
        if elsewhere is not None:
            draft = replace(draft, elsewhere=elsewhere)
        return self._show(draft)

    def doubt(self, reason: str) -> None:
        """Keep what was seen last, and say of every backend why it is old."""
        backends = self.snapshot.owned_types
        self._show(replace(self.snapshot, problems=dict.fromkeys(backends, reason)))

    def _show(self, draft: Snapshot) -> Snapshot:
        before = self.snapshot
        self.snapshot = after = draft.following(before)
        if after.differs_from(before):
            self._tell(before, after)
        return after

    def _answered(self, ticket: int, answers: Mapping[str, Answer | str]) -> Snapshot:
        reports, problems = dict(self.snapshot.reports), dict(self.snapshot.problems)
        unreadable, kept = dict(self.snapshot.unreadable), dict(self.snapshot.kept)
        for backend, answer in answers.items():
            if not self._accept(backend, ticket):
                continue
            problems.pop(backend, None)
            if isinstance(answer, str):
                problems[backend] = answer
                continue
            stay = answer.keeps(reports.get(backend, ()))
            reports[backend] = (*answer.reports, *stay)
            unreadable[backend] = answer.unreadable
            kept[backend] = frozenset(report.native_id for report in stay)
        return replace(
            self.snapshot, reports=reports, problems=problems, unreadable=unreadable, kept=kept
        )

    def _with_layers(
        self, draft: Snapshot, ticket: int, answers: Mapping[str, tuple[LayerReport, ...] | str]
    ) -> Snapshot:
        newer = {kind: answers[kind] for kind in answers if self._accept(kind, ticket)}
        if not newer:
            return draft
        layers, problems = dict(draft.layers), dict(draft.layer_problems)
        for kind, answer in newer.items():
            problems.pop(kind, None)
            if isinstance(answer, str):
                problems[kind] = answer
            else:
                layers[kind] = answer
        return replace(draft, layers=layers, layer_problems=problems)

    def _accept(self, plugin: str, ticket: int) -> bool:
        """Remember an answer's ticket. False: one of a later look was accepted before. No two
        plugins share a name."""
        if ticket < self._answer_tickets.get(plugin, 0):
            return False
        self._answer_tickets[plugin] = ticket
        return True

    def _tell(self, before: Snapshot, after: Snapshot) -> None:
        for callback in tuple(self._subscribers):
            try:
                callback(before, after)
            except Exception:
                _log.exception("A subscriber of the observer failed")


def _pool_devices(
    draft: Snapshot, devices: tuple[BlockDevice, ...]
) -> dict[str, tuple[Signature, ...]]:
    """udev's view of the pools' own devices: opening them could keep them from stopping."""
    reports: chain[PoolReport | LayerReport] = chain(
        *draft.reports.values(), *draft.layers.values()
    )
    names = {report.device for report in reports}
    return {
        device.name: (Signature(device=device.name, type=device.fstype, uuid=device.uuid),)
        for device in devices
        if device.name in names and device.fstype
    }
