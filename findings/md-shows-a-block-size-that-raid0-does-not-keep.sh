#!/bin/bash
# md/logical_block_size of a running RAID0 says nothing about its members.
#
# Linux 7.2 shows a logical block size in sysfs for every array, and 6.18 and older refuse members with
# one in the superblock. A mirror gets it there as soon as it runs. A RAID0 never does: its superblocks
# stay as mdadm wrote them, so sysfs shows the same figure for an array that older kernels assemble and
# for one that they refuse. Whoever wants to know which it is has to read the superblock.
. "$(dirname "$0")/lib/guest.sh"
suite forky user-mode-linux=7.2um1 mdadm=4.6-3
for n in 0 1; do drive $n 64M; done
guest forky <<'G'
modprobe -a raid0 raid1
size() { od -An -tu4 -j$((4096 + 224)) -N4 "$1" | tr -d ' '; }
try() {
  mdadm --create /dev/md0 --run --level=$1 --raid-devices=2 --metadata=1.2 $2 /dev/ubda /dev/ubdb
  dd if=/dev/zero of=/dev/md0 bs=64k count=1 oflag=direct status=none; sleep 1
  echo "raid$1: sysfs $(cat /sys/block/md0/md/logical_block_size)"
  mdadm --stop /dev/md0; sync; echo 3 >/proc/sys/vm/drop_caches
  echo "raid$1: superblock $(size /dev/ubda)"
  for d in /dev/ubda /dev/ubdb; do mdadm --zero-superblock $d; done
}
try 1 --assume-clean
try 0
G
holds "sysfs shows a block size of the mirror" '^raid1: sysfs 512'
holds "which its superblock has" '^raid1: superblock 512'
holds "sysfs shows the same of the RAID0" '^raid0: sysfs 512'
holds "whose superblock has none" '^raid0: superblock 0'
verdict
