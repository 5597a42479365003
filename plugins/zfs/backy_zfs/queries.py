"""The commands that read zpools; they change nothing."""

from __future__ import annotations

from backy_zfs.naming import LINKS

STATUS = ("zpool", "status")
AS_JSON = ("-j", "-p")
"""From OpenZFS 2.3 on; numbers in full."""
IDS = ("zpool", "list", "-H", "-o", "name,guid")
PROPERTIES = ("zpool", "get", "-H", "-o", "name,property,value", "all")
"""Of OpenZFS: with the state of each feature."""
DATASETS = ("zfs", "list", "-H", "-o", "name", "-t", "filesystem,volume,snapshot", "-r")
LABEL = ("zdb", "-l")
STATES = (*LABEL, "-u")
"""With the label each state of the pool that it names."""
NEWEST = ("zdb", "-e", "-p", LINKS, "-u")
"""Open a zpool that is not imported, in a process of its own, and show which state that is."""
EARLIER = ("zdb", "-F", *NEWEST[1:])
"""The same with the newest state that can be read."""
PREFIXES = (STATUS, IDS, PROPERTIES, DATASETS, LABEL, NEWEST, EARLIER)
"""How each of them begins."""
