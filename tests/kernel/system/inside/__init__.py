"""Tests of ``backy_core.system`` and the observer that run as root inside a guest.

Started by ``test_system.py``; not collected on the host.
"""
