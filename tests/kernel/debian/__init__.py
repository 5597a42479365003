"""The Debian package in a fresh Debian, with systemd as its first process."""
