"""The only part of the core that plugins may import."""

from backy_core.sdk.hookspecs import hookimpl

__all__ = ["hookimpl"]
