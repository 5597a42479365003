#!/bin/bash
# LVM starts a RAID5 that lost power in the middle of a write and a drive with it, without a word, and a block
# that nobody wrote to reads wrong. mdadm refuses to start the same without --force.
#
# Seen with LVM 2.03.31 on Linux 6.12 and 7.2. The power cut leaves a stripe with new data and old parity. As
# long as all drives are there, nothing is computed from it. With one drive missing, what that one held is
# computed from two that do not match. md answers "cannot start dirty degraded array". LVM's default
# activation mode, "degraded", has dm-raid start it all the same: status 0, health "partial" as for any
# missing drive, 100 % in sync, and not a line in the kernel's log.
. "$(dirname "$0")/lib/guest.sh"
cat >"$T/cut" <<'G'
modprobe -a raid456 dm-raid
vgcreate -q v /dev/ubda /dev/ubdb /dev/ubdc
lvcreate -y -q --type raid5 -i 2 -I 64k -n l -L 32M v
for i in $(seq 1 60); do [ "$(lvs --noheadings -o sync_percent v/l | tr -d ' ')" = 100.00 ] && break; sleep 1; done
dmsetup create p --table "0 131072 linear /dev/ubdf 0"
mdadm --create /dev/md0 --run --quiet --level=5 --chunk=64 --raid-devices=3 --metadata=1.2 --assume-clean --bitmap=none /dev/ubdd /dev/ubde /dev/mapper/p
echo 200 >/sys/block/md0/md/safe_mode_delay
fill() { tr '\0' "$1" </dev/zero | dd of=$2 bs=$3 count=$4 iflag=fullblock oflag=direct status=none; }
for device in /dev/v/l /dev/md0; do
  fill o $device 64k 32
  echo "before, $device: $(dd if=$device bs=64k skip=1 count=1 iflag=direct status=none | tr -d o | wc -c) bytes of the second block are wrong"
done
# The first block is written; the parity, on the third drive, is not when the power goes.
for late in v-l_rimage_2 p; do dmsetup suspend --noflush --nolockfs $late; done
for device in /dev/v/l /dev/md0; do fill n $device 4k 1 & done
sleep 4
echo 0 >/lab/rc; sync /lab/rc /lab/out; echo b >/proc/sysrq-trigger
G
cat >"$T/start" <<'G'
modprobe -a raid456 dm-raid
vgchange -ay v; echo "LVM: status $?"
echo "LVM: $(lvs --noheadings -o lv_health_status,sync_percent v/l 2>/dev/null)"
echo "LVM: $(dd if=/dev/v/l bs=64k skip=1 count=1 iflag=direct status=none | tr -d o | wc -c) bytes of the second block are wrong"
echo "LVM: $(dmesg | grep -ciE 'dirty|corrupt|not clean') lines about it in the kernel's log"
mdadm --assemble --run /dev/md0 /dev/ubdd /dev/ubdf; echo "mdadm: status $?"
dmesg | grep -i -E 'dirty|corrupt'
G
look() {
  for n in 0 1 2 3 4 5; do rm -f "$T/drives/$n.img"; drive $n 64M; done
  guest "$1" <"$T/cut"
  for n in 1 4; do truncate -s 0 "$T/drives/$n.img"; drive $n 64M; done # the second drive of each is gone
  guest "$1" <"$T/start"
  holds "$1: LVM starts" '^LVM: status 0'
  holds "$1: and shows a missing drive, in sync" '^LVM: +partial +100.00'
  holds "$1: a block that was not written is wrong" '^LVM: 4096 bytes of the second block are wrong'
  holds "$1: the kernel says nothing of it" '^LVM: 0 lines'
  holds "$1: mdadm refuses" '^mdadm: status 1'
  holds "$1: as the kernel does" 'cannot start dirty degraded array'
  : >"$T/out"
}
suite forky user-mode-linux=7.2um1 lvm2=2.03.31-2+b2 dmsetup=2:1.02.205-2+b2 mdadm=4.6-3
look forky
suite trixie user-mode-linux=6.12um1+b22 lvm2=2.03.31-2 dmsetup=2:1.02.205-2 mdadm=4.4-11+deb13u1
look trixie
verdict
