"""Replace tools for a while, by a program that waits or by one that fails; occupy a pool."""

import contextlib
from collections.abc import Iterator

from .backends import Backend
from .site import Pool, Site

_HOLD = """touch /run/maker-began
while ! [ -e /run/maker-may-go ]; do sleep 0.05; done
exec "$real" "$@"
"""


@contextlib.contextmanager
def replaced_maker(site: Site, backend: Backend, script: str) -> Iterator[None]:
    """This script instead of it; `$real` is the program. What else the program does, it does."""
    name, _, word = backend.making.partition(" ")
    path, real = f"/sbin/{name}", f"/run/real/{name}"
    head = f'#!/bin/sh\nreal={real}\ncase "$1" in {word}*) ;; *) exec "$real" "$@";; esac'
    # mke2fs makes what the name it is called by says.
    site.output(
        f"mkdir -p /run/real && mv {path} {path}.kept && ln -sf {path}.kept {real}\n"
        f"cat > {path} <<'END'\n{head}\n{script}\nEND\nchmod a+x {path}"
    )
    try:
        yield
    finally:
        site.output(f"mv -f {path}.kept {path}")


class Held:
    """A program that waits at its start."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def began(self) -> None:
        """Wait until it was started."""
        self._site.output("while ! [ -e /run/maker-began ]; do sleep 0.05; done")

    def go(self) -> None:
        """Let it do its work."""
        self._site.output("touch /run/maker-may-go")


@contextlib.contextmanager
def held_maker(site: Site, backend: Backend) -> Iterator[Held]:
    """One that waits until it is let go, at the latest at the end."""
    site.output("rm -f /run/maker-began /run/maker-may-go")
    held = Held(site)
    with replaced_maker(site, backend, _HOLD):
        try:
            yield held
        finally:
            held.go()


def occupy(pool: Pool, how: str = "cd {path} && exec sleep 1000") -> int:
    """A process that keeps the mount busy; its pid."""
    script = how.format(path=pool.path)
    return int(pool.site.output(f"(setsid sh -c '{script}' >/dev/null 2>&1 & echo $!); sleep 0.3"))
