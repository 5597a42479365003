"""The ZFS backend of Backy: zpools with one filesystem each as pools."""

__version__ = "0.1.0"
