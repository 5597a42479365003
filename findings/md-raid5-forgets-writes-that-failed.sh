#!/bin/bash
# A RAID5 whose member refuses a stretch of a large write reads the old content there afterwards,
# although the write and its fsync succeeded, and calls itself clean, with all members in sync.
#
# Seen with Linux 6.12 and 7.2. md keeps a member after a write error and records the blocks in its bad
# block list, so that they are read from the others. Of whole stripes written together it records only
# the first block of each run, and trusts the member for the rest. The same data written in pieces of
# 4 KiB are all recorded. The parity is that of the new content: once the member is failed by hand, the
# data are there. Without a bad block list (--update=no-bbl) md fails the member at once.
. "$(dirname "$0")/lib/guest.sh"
cat >"$T/refuse" <<'G'
modprobe -a raid456 dm-flakey
all="/dev/mapper/a /dev/ubdb /dev/ubdc"
fill() { tr '\0' "$1" </dev/zero | dd of=/dev/md0 bs="$2" count="$3" iflag=fullblock oflag=direct conv=fsync status=none; }
old() { echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/md0 bs=1M count=8 iflag=direct status=none | tr -d n | wc -c; }
try() { # NAME BLOCKSIZE COUNT [no-bbl]
  dmsetup create a --table "0 131072 linear /dev/ubda 0"
  mdadm --create /dev/md0 --run --quiet --level=5 --raid-devices=3 --metadata=1.2 --assume-clean --bitmap=internal $all
  if [ $# = 4 ]; then mdadm --stop /dev/md0; mdadm --assemble --update=$4 /dev/md0 $all; fi
  fill o 1M 8
  start=$(($(cat /sys/block/md0/md/dev-dm-0/offset) + 4096))
  dmsetup suspend --noflush --nolockfs a
  printf '%s\n' "0 $start linear /dev/ubda 0" "$start 128 flakey /dev/ubda $start 0 3600 1 error_writes" \
    "$((start + 128)) $((131072 - start - 128)) linear /dev/ubda $((start + 128))" | dmsetup load a
  dmsetup resume a
  fill n $2 $3; echo "$1: write and fsync: status $?"
  sleep 1
  echo "$1: bytes that read as before: $(old)"
  echo "$1: $(grep -A1 ^md0 /proc/mdstat | grep -o '\[[U_]*\]')$(mdadm --detail /dev/md0 | grep 'State :')"
  mdadm --detail --test /dev/md0 >/dev/null; echo "$1: mdadm --detail --test: status $?"
  echo "$1: recorded as bad: $(busybox awk '{ n += $2 } END { print n + 0 }' /sys/block/md0/md/dev-dm-0/bad_blocks) sectors"
  echo "$1: member: $(cat /sys/block/md0/md/dev-dm-0/state)"
  echo faulty >/sys/block/md0/md/dev-dm-0/state; sleep 1
  echo "$1: bytes that read as before once the member is failed: $(old)"
  mdadm --stop /dev/md0; dmsetup remove a; for d in /dev/ubd[abc]; do mdadm --zero-superblock $d; done
}
try large 1M 8
try small 4k 2048
try without-list 1M 8 no-bbl
G
check() {
  for n in 0 1 2; do rm -f "$T/drives/$n.img"; drive $n 64M; done
  guest "$1" <"$T/refuse"
  holds "$1: the large write succeeds" '^large: write and fsync: status 0'
  holds "$1: 15 of the 16 refused blocks of 4 KiB read as before" '^large: bytes that read as before: 61440'
  holds "$1: the array is clean, all members in use" '^large: \[UUU\] *State : clean *$'
  holds "$1: mdadm's test finds nothing" '^large: mdadm --detail --test: status 0'
  holds "$1: one block is recorded" '^large: recorded as bad: 8 sectors'
  holds "$1: all of it can be read once the member is failed" '^large: bytes that read as before once the member is failed: 0$'
  holds "$1: of small writes nothing is lost" '^small: bytes that read as before: 0$'
  holds "$1: all 16 blocks are recorded" '^small: recorded as bad: 128 sectors'
  holds "$1: without a bad block list nothing is lost" '^without-list: bytes that read as before: 0$'
  holds "$1: and the member is failed" '^without-list: \[_UU\] *State : clean, degraded *$'
  : >"$T/out"
}
suite trixie user-mode-linux=6.12um1+b22 mdadm=4.4-11+deb13u1 dmsetup=2:1.02.205-2
check trixie
suite forky user-mode-linux=7.2um1 mdadm=4.6-3 dmsetup=2:1.02.205-2+b2
check forky
verdict
