"""The Debian package's copyright file: the agent's licence, and that of each library it brings.

``copyright.py FOLDER`` prints it, from what is installed in the folder.
"""

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

COMMON = {
    "Apache License": "Apache-2.0",
    "GNU LESSER GENERAL PUBLIC LICENSE": "LGPL-2.1",
}
"""Licences that Debian wants named, not copied, by what their texts hold."""

HEAD = """\
Backy is Copyright the Backy maintainers, under the Apache License, version 2.0.
On Debian systems, its text is in /usr/share/common-licenses/Apache-2.0.

In /usr/lib/backy are these libraries as well, under the licences given here.
"""


def render(folder: Path) -> str:
    """One section for each library, in the order of their names."""
    libraries = sorted(distributions(path=[str(folder)]), key=lambda it: it.name.lower())
    return HEAD + "".join(
        _section(library) for library in libraries if not library.name.startswith("backy")
    )


def _section(library: Distribution) -> str:
    name = f"{library.name} {library.version}"
    home = next(iter(library.metadata.get_all("Project-URL", [])), "").rpartition(" ")[2]
    lines = [name, "-" * len(name), *([home] if home else []), "", _licence(library)]
    return "\n" + "\n".join(lines) + "\n"


def _licence(library: Distribution) -> str:
    files = [it for it in library.files or () if ".dist-info" in str(it)]
    texts = [file.read_text() for file in files if file.stem in ("LICENSE", "COPYING")]
    if not texts:
        raise SystemExit(f"{library.name} comes without its licence")
    return "\n".join(map(_named_or_whole, texts))


def _named_or_whole(text: str) -> str:
    for words, name in COMMON.items():
        if words in text:
            return f"{name}: on Debian systems, its text is in /usr/share/common-licenses/{name}."
    return text.strip()


if __name__ == "__main__":
    sys.stdout.write(render(Path(sys.argv[1])))
