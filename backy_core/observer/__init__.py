"""The machine as last seen, kept fresh by what the kernel announces."""

from backy_core.observer.observer import Observer

__all__ = ["Observer"]
