"""Word that something changed, for readers that keep what they made of it."""

from __future__ import annotations

from collections.abc import Callable


class Changes:
    """Told by every part whose state replies show; it does not say what changed.

    To be used in the event loop alone.
    """

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back at each change, often and from within it, so ``callback`` returns at once and
        reads later. The returned function ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    def tell(self) -> None:
        for callback in self._listeners:
            callback()
