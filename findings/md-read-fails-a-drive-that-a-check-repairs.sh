#!/bin/bash
# Reading a mirror fails the drive whose 21st unreadable sector it meets, with the 20 before repaired; a
# check of the same array repairs all 30, counts none of them, and keeps the drive.
#
# Seen with Linux 6.12 and 7.2. max_read_errors (20) limits what ordinary reads find, a
# check's finds are exempt. So a backup that reads everything can take the redundancy away that a scrub
# before it would have restored: of the drive that is left, a single unreadable sector is then lost,
# although the failed drive holds it. `errors` of the member stays 0 after the check, whatever was repaired.
. "$(dirname "$0")/lib/guest.sh"
cat >"$T/sectors" <<'G'
modprobe -a raid1 dm-dust
try() { # NAME COMMAND
  for d in a b; do dmsetup create $d --table "0 131072 dust /dev/ubd$d 0 512"; done
  # Reads go to the first drive as long as it is in.
  mdadm --create /dev/md0 --run --quiet --level=1 --raid-devices=2 --metadata=1.2 --assume-clean /dev/mapper/a --write-mostly /dev/mapper/b
  tr '\0' n </dev/zero | dd of=/dev/md0 bs=1M count=34 iflag=fullblock oflag=direct status=none
  start=$(cat /sys/block/md0/md/dev-dm-0/offset)
  for i in $(seq 1 30); do dmsetup message a 0 addbadblock $((start + i * 2048)); done
  dmsetup message b 0 addbadblock $((start + 33 * 2048))
  for d in a b; do dmsetup message $d 0 quiet; dmsetup message $d 0 enable; done
  $2
  sleep 1
  echo "$1: $(grep -A1 ^md0 /proc/mdstat | grep -o '\[[U_]*\]') a: $(cat /sys/block/md0/md/dev-dm-0/state), errors $(cat /sys/block/md0/md/dev-dm-0/errors)"
  echo "$1: unreadable on a: $(dmsetup message a 0 countbadblocks)"
  dd if=/dev/md0 of=/dev/null bs=1M count=34 iflag=direct status=none; echo "$1: reading all: status $?"
  mdadm --stop /dev/md0; for d in a b; do dmsetup remove $d; mdadm --zero-superblock /dev/ubd$d; done
}
read_all() { dd if=/dev/md0 of=/dev/null bs=1M count=32 iflag=direct status=none; echo "a plain read: status $?"; }
check() {
  echo check >/sys/block/md0/md/sync_action
  for i in $(seq 1 60); do sleep 1; [ "$(cat /sys/block/md0/md/sync_action)" = idle ] && break; done
}
try read read_all
try check check
G
look() {
  for n in 0 1; do rm -f "$T/drives/$n.img"; drive $n 64M; done
  guest "$1" <"$T/sectors"
  holds "$1: the read succeeds" '^a plain read: status 0'
  holds "$1: and fails the drive" '^read: \[_U\] a: faulty'
  holds "$1: the sector that only the failed drive holds is lost" '^read: reading all: status 1'
  holds "$1: a check keeps the drive, and has counted nothing" '^check: \[UU\] a: in_sync, errors 0'
  holds "$1: and has repaired all sectors" '^check: unreadable on a: countbadblocks: 0'
  holds "$1: so all can be read" '^check: reading all: status 0'
  : >"$T/out"
}
suite trixie user-mode-linux=6.12um1+b22 mdadm=4.4-11+deb13u1 dmsetup=2:1.02.205-2
look trixie
suite forky user-mode-linux=7.2um1 mdadm=4.6-3 dmsetup=2:1.02.205-2+b2
look forky
verdict
