"""A guest with Debian's own kernel and real OpenZFS, for what zfs-fuse cannot show."""
