#!/bin/bash
# An ext4 that gave up (errors=remount-ro) refuses every write, and mountinfo still shows it "rw".
#
# Seen with Linux 6.12 (Debian 13's User Mode Linux). Until 2024 the kernel set the superblock's
# read-only flag after an error, so /proc/self/mountinfo and findmnt showed "ro"; now it sets a flag
# of ext4's own. Whoever watches for "ro" to learn that a filesystem gave up learns nothing.
# /sys/fs/ext4/DEVICE/errors_count tells, and so does a write.
. "$(dirname "$0")/lib/guest.sh"
suite trixie user-mode-linux=6.12um1+b22 e2fsprogs=1.47.2-3+b12
drive 0 64M
guest trixie <<'G'
r mkfs.ext4 -q -F /dev/ubda
r mount -o errors=remount-ro /dev/ubda /mnt/x
r touch /mnt/x/before
echo 1 > /sys/fs/ext4/ubda/trigger_fs_error
r touch /mnt/x/after
echo "mountinfo: $(grep ' /mnt/x ' /proc/self/mountinfo)"
echo "errors_count: $(cat /sys/fs/ext4/ubda/errors_count)"
G
holds "a write is refused after the error" "after': Input/output error"
holds "mountinfo shows mount and superblock as rw" '^mountinfo: .* /mnt/x rw.* - ext4 /dev/ubda rw'
holds "the error is counted in sysfs" '^errors_count: [1-9]'
verdict
