#!/bin/bash
# "Device or resource busy" for failing an md member does not mean that nothing happened.
#
# Linux 6.12: writing "faulty" to the state of the last copy of something answers EBUSY. A mirror and
# a RAID10 keep the member in place, in sync by every list, and yet the array is "broken" from then on:
# each write fails until it is stopped and assembled again. A RAID5 that is degraded already answers
# EBUSY too, but marks the member as failed all the same.
. "$(dirname "$0")/lib/guest.sh"
suite trixie user-mode-linux=6.12um1+b22 mdadm=4.4-11+deb13u1
for n in 0 1 2; do drive $n 64M; done
guest trixie <<'G'
modprobe raid456
write() { dd if=/dev/zero of=/dev/md0 bs=64k count=1 oflag=direct status=none 2>&1; }
try() {
  level=$1; shift
  mdadm --create /dev/md0 --run --level=$level --raid-devices=$# --metadata=1.2 --assume-clean --bitmap=none "$@"
  mdadm /dev/md0 --fail /dev/ubda; sleep 1
  echo "raid$level before: write $(write && echo succeeds)"
  echo "raid$level: $( (echo faulty > /sys/block/md0/md/dev-ubdb/state) 2>&1)"
  sleep 1
  echo "raid$level: $(grep ^md0 /proc/mdstat)"
  echo "raid$level: state of ubdb: $(cat /sys/block/md0/md/dev-ubdb/state)"
  echo "raid$level after: write $(write && echo succeeds)"
  mdadm --stop /dev/md0; for d in "$@"; do mdadm --zero-superblock $d; done
}
try 1 /dev/ubda /dev/ubdb
try 5 /dev/ubda /dev/ubdb /dev/ubdc
G
holds "a mirror can be written to before" '^raid1 before: write succeeds'
holds "failing its last member is refused" '^raid1: .*Device or resource busy'
holds "the member stays in sync" '^raid1: state of ubdb: in_sync'
holds "and the array is broken" '^raid1: md0 : broken'
lacks "no write succeeds any more" '^raid1 after: write succeeds'
holds "failing a needed RAID5 member is refused as well" '^raid5: .*Device or resource busy'
holds "but the member is failed all the same" '^raid5: state of ubdb: .*faulty'
verdict
