#!/bin/bash
# After a wipefs that failed with an I/O error, blkid -p finds nothing on the drive, although its
# signature is still there and every read of the drive works.
#
# wipefs writes through the page cache. A page whose write-back failed is kept, clean and with the
# new content, for as long as any process has the drive open (udev, a monitor, a reader). A probe
# reads that page. When the last one closes the drive, the page goes and the signature is back.
# Only a read around the page cache (O_DIRECT, or POSIX_FADV_DONTNEED before it) sees what is there.
. "$(dirname "$0")/lib/guest.sh"
suite trixie user-mode-linux=6.12um1+b22 dmsetup=2:1.02.205-2 e2fsprogs=1.47.2-3+b12
drive 0 64M
guest trixie <<'G'
modprobe dm-flakey
mkfs.ext4 -q /dev/ubda
dmsetup create failing --table "0 131072 flakey /dev/ubda 0 0 3600 1 error_writes"
drive=/dev/mapper/failing
exec 9< $drive
echo "before: $(blkid -p -s TYPE -o value $drive)"
wipefs -a $drive; echo "wipefs: status $?"
blkid -p $drive; echo "while a reader has it open: blkid status $?"
echo "magic around the page cache: $(dd if=$drive bs=4k count=1 iflag=direct status=none | od -An -tx1 -j 1080 -N 2)"
exec 9<&-
echo "when nobody has it open: $(blkid -p -s TYPE -o value $drive)"
G
holds "wipefs fails" '^wipefs: status 1'
holds "blkid finds nothing while somebody has the drive open" '^while a reader has it open: blkid status 2'
holds "the drive bears ext4's magic" '^magic around the page cache:  53 ef'
holds "blkid finds ext4 once everybody has closed it" '^when nobody has it open: ext4'
verdict
