#!/bin/bash
# mdadm --replace of a good RAID10 drive whose partner has an unreadable sector leaves that block unwritten on the
# new drive, and the array then reads whatever was there before, without an error.
#
# Seen with Linux 6.12 and 7.2. md copies from the first drive of the pair, be it the one to replace or its
# partner. Where that cannot be read it does not try the other one, which holds the data. It records the block as
# bad on both drives that it had, and not on the new one, which it takes for written. The array is clean, all
# members are in sync, and the only drive with the data is the one that was replaced. If the first drive is the
# one to replace, its partner and the new drive differ. A RAID1 reads the other drive, and nothing is lost.
. "$(dirname "$0")/lib/guest.sh"
cat >"$T/replace" <<'G'
modprobe -a raid1 raid10 dm-dust
try() { # NAME LEVEL REPLACED OTHER-DRIVES...: the first drive, a, has an unreadable sector
  name=$1 level=$2 old=$3; shift 3
  tr '\0' x </dev/zero | dd of=/dev/ubde bs=1M count=48 iflag=fullblock oflag=direct status=none
  for d in a b; do dmsetup create $d --table "0 98304 dust /dev/ubd$d 0 512"; done
  mdadm --create /dev/md0 --run --quiet --level=$level --raid-devices=$((2 + $#)) --metadata=1.2 --assume-clean /dev/mapper/a /dev/mapper/b "$@"
  tr '\0' n </dev/zero | dd of=/dev/md0 bs=1M count=16 iflag=fullblock oflag=direct status=none
  sector=$(($(cat /sys/block/md0/md/dev-dm-0/offset) + 4096))
  dmsetup message a 0 addbadblock $sector; dmsetup message a 0 enable
  mdadm /dev/md0 --add /dev/ubde --replace /dev/mapper/$old --with /dev/ubde; echo "$name: replacing: status $?"
  for i in $(seq 1 60); do sleep 1; [ "$(cat /sys/block/md0/md/sync_action)" = idle ] && break; done; sleep 1
  echo "$name: $(grep -A1 ^md0 /proc/mdstat | grep -o '\[[U_]*\]')$(mdadm --detail /dev/md0 | grep 'State :')"
  for m in dm-0 dm-1 ubde; do echo "$name: $m: $(cat /sys/block/md0/md/dev-$m/state), bad blocks: $(cat /sys/block/md0/md/dev-$m/bad_blocks)"; done
  wrong() { dd if=$1 bs=4k count=$2 skip=$3 iflag=direct status=none | tr -d n | wc -c; }
  echo "$name: wrong bytes on the new drive: $(wrong /dev/ubde 1 $((sector / 8)))"
  echo "$name: wrong bytes on b: $(wrong /dev/mapper/b 1 $((sector / 8)))"
  dd if=/dev/md0 of=/dev/null bs=1M count=16 iflag=direct status=none; echo "$name: reading the array: status $?, wrong bytes $(wrong /dev/md0 4096 0)"
  mdadm --stop /dev/md0; for d in a b; do dmsetup remove $d; done; for d in /dev/ubd[a-e]; do mdadm --zero-superblock $d 2>/dev/null; done
}
try raid1 1 b
try raid10-good 10 b /dev/ubdc /dev/ubdd
try raid10-bad 10 a /dev/ubdc /dev/ubdd
G
look() {
  for n in 0 1 2 3 4; do rm -f "$T/drives/$n.img"; drive $n 48M; done
  guest "$1" <"$T/replace"
  holds "$1: replacing a good drive of a RAID1 loses nothing" '^raid1: reading the array: status 0, wrong bytes 0$'
  holds "$1: replacing a good drive of a RAID10 succeeds" '^raid10-good: replacing: status 0'
  holds "$1: the array is clean" '^raid10-good: \[UUUU\] *State : clean *$'
  holds "$1: the replaced drive holds the data" '^raid10-good: wrong bytes on b: 0$'
  holds "$1: the new one does not" '^raid10-good: wrong bytes on the new drive: 4096$'
  holds "$1: and is not recorded as bad there" '^raid10-good: ubde: in_sync, bad blocks: $'
  holds "$1: the array reads it without an error" '^raid10-good: reading the array: status 0, wrong bytes 4096$'
  holds "$1: nor does it when the bad drive is replaced" '^raid10-bad: wrong bytes on the new drive: 4096$'
  holds "$1: though its partner holds the data" '^raid10-bad: wrong bytes on b: 0$'
  : >"$T/out"
}
suite forky user-mode-linux=7.2um1 mdadm=4.6-3 dmsetup=2:1.02.205-2+b2
look forky
suite trixie user-mode-linux=6.12um1+b22 mdadm=4.4-11+deb13u1 dmsetup=2:1.02.205-2
look trixie
verdict
