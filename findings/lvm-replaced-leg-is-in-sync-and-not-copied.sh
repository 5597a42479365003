#!/bin/bash
# lvconvert --replace copies a sixteenth of a mirror, meets an unreadable sector, and LVM calls the copy 100 % in
# sync: the rest of that leg is whatever was on the drive before, and is read.
#
# Seen with LVM 2.03.31 on Linux 7.2. lvconvert drops the old drive, loads a table that begins the copy, writes
# its metadata and loads another table. If the drive that is left has an unreadable sector and the copy gets
# there in between, dm-raid fails the new leg and breaks off; with the second table the recovery "is done" at
# once, without copying. Here the drive that is replaced is slow, which gives the copy the time. lvconvert ends
# with status 0, the health is empty, both legs are "A". Only a check, if anybody starts one, says "mismatches
# exist". If the copy gets there later, the leg stays failed and lvs asks for a refresh. On Linux 6.12 it stays
# out of sync, and is not read. The replaced drive still holds everything, and LVM knows it no more.
. "$(dirname "$0")/lib/guest.sh"
cat >"$T/replace" <<'G'
modprobe -a raid1 dm-dust dm-delay dm-raid
mkdir -p /tmp/lvm; export LVM_SYSTEM_DIR=/tmp/lvm
echo 'devices { global_filter=[ "r|/dev/ubd[ab]|" ] }' >/tmp/lvm/lvm.conf
dmsetup create a --table "0 131072 linear /dev/ubda 0"
dmsetup create b --table "0 131072 dust /dev/ubdb 0 512"
vgcreate -q v /dev/mapper/a /dev/mapper/b /dev/ubdc
lvcreate -y -q --type raid1 -m 1 -n l -L 32M v /dev/mapper/a /dev/mapper/b
show() { lvs --noheadings -o "$1" v/l 2>/dev/null | sed 's/ *$//; s/^ *//'; }
for i in $(seq 1 60); do [ "$(show sync_percent)" = 100.00 ] && break; sleep 1; done
tr '\0' n </dev/zero | dd of=/dev/v/l bs=1M count=32 iflag=fullblock oflag=direct status=none
lost() { dd if="$1" bs=1M ${2:-} count=32 iflag=direct conv=noerror,sync status=none 2>/dev/null | tr -d n | wc -c; }
state() { echo "$(show sync_percent) %, health '$(show lv_health_status)', legs $(dmsetup status v-l | cut -d' ' -f6), lost bytes on the new drive $(lost /dev/mapper/v-l_rimage_0), read from the volume $(lost /dev/v/l)"; }
start=$(dmsetup table v-l_rimage_1 | cut -d' ' -f5)
dmsetup message b 0 addbadblock $((start + 4096)); dmsetup message b 0 enable
echo "before: $(state)"
dmsetup suspend a; dmsetup load a --table "0 131072 delay /dev/ubda 0 0 /dev/ubda 0 1000"; dmsetup resume a
lvconvert -y --replace /dev/mapper/a v/l /dev/ubdc; echo "replacing: status $?"
for i in $(seq 1 60); do dmesg | grep -q unrecoverable && break; sleep 1; done
sleep 8; echo "replaced: $(state)"
echo "on the replaced drive: lost bytes $(lost /dev/ubda skip=5)"
lvchange --syncaction check v/l; sleep 8
echo "after a check: $(show lv_health_status)"
dmesg | grep -E 'recover|md/raid1'
G
look() {
  for n in 0 1 2; do rm -f "$T/drives/$n.img"; drive $n 64M; done
  guest "$1" <"$T/replace"
  holds "$1: one sector of the drive that stays is unreadable" 'unrecoverable I/O read error for block 4096'
  holds "$1: replacing succeeds" '^replacing: status 0'
  holds "$1: the replaced drive holds all" '^on the replaced drive: lost bytes 0$'
}
suite forky user-mode-linux=7.2um1 lvm2=2.03.31-2+b2 dmsetup=2:1.02.205-2+b2
look forky
holds "forky: the new leg is in sync, by all that LVM shows" "^replaced: 100.00 %, health '', legs AA"
holds "forky: most of it is what was on the drive before" '^replaced: .* new drive 3[0-9]{7},'
holds "forky: and is read" '^replaced: .* volume [1-9][0-9]{3,}$'
holds "forky: a check says so" '^after a check: mismatches exist'
: >"$T/out"
suite trixie user-mode-linux=6.12um1+b22 lvm2=2.03.31-2 dmsetup=2:1.02.205-2
look trixie
holds "trixie: the new leg is not in sync, and not read" "^replaced: 99.99 %, health '', legs aA, .* volume 512$"
verdict
