"""mkfs.ext4 of the guest replaced for a while: by one that waits, or by one that fails."""

import contextlib
from collections.abc import Iterator

from .site import Site

_MKFS = "/sbin/mkfs.ext4"
# mke2fs makes what the name it is called by says.
_REAL = "/run/real/mkfs.ext4"
_HOLD = f"""#!/bin/sh
touch /run/mkfs-began
while ! [ -e /run/mkfs-may-go ]; do sleep 0.05; done
exec {_REAL} "$@"
"""


@contextlib.contextmanager
def replaced_mkfs(site: Site, script: str) -> Iterator[None]:
    """This script instead of it."""
    site.output(
        f"mkdir -p /run/real && ln -sf $(readlink -e {_MKFS}) {_REAL}\n"
        f"mv {_MKFS} {_MKFS}.kept && cat > {_MKFS} <<'END'\n{script}\nEND\nchmod a+x {_MKFS}"
    )
    try:
        yield
    finally:
        site.output(f"mv -f {_MKFS}.kept {_MKFS}")


class Held:
    """An mkfs that waits at its start."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def began(self) -> None:
        """Wait until it was started."""
        self._site.output("while ! [ -e /run/mkfs-began ]; do sleep 0.05; done")

    def go(self) -> None:
        """Let it do its work."""
        self._site.output("touch /run/mkfs-may-go")


@contextlib.contextmanager
def held_mkfs(site: Site) -> Iterator[Held]:
    """One that waits until it is let go, at the latest at the end."""
    site.output("rm -f /run/mkfs-began /run/mkfs-may-go")
    held = Held(site)
    with replaced_mkfs(site, _HOLD):
        try:
            yield held
        finally:
            held.go()
