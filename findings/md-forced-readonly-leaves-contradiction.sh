#!/bin/bash
# mdadm --assemble --force --readonly brings back a RAID5 that lost two members one after the other,
# and leaves superblocks that contradict each other: the next plain assembly refuses them.
#
# Looking first, read-only, before anything is written to an array that was forced together is what
# a careful person does. --force raises the event count of the member that fell behind; its and the
# others' views of who failed are only reconciled by the first write. Stopped before that, the next
# --assemble --run says "ignoring X as it reports Y as failed" and does not start the array.
. "$(dirname "$0")/lib/guest.sh"
suite trixie user-mode-linux=6.12um1+b22 mdadm=4.4-11+deb13u1
for n in 0 1 2; do drive $n 64M; done
guest trixie <<'G'
modprobe raid456
all="/dev/ubda /dev/ubdb /dev/ubdc"
mdadm --create /dev/md0 --run --level=5 --raid-devices=3 --metadata=1.2 --assume-clean --bitmap=internal $all
lose() { echo faulty > /sys/block/md0/md/dev-$1/state; sleep 2; }
lose ubda; dd if=/dev/zero of=/dev/md0 bs=64k count=4 oflag=direct status=none; lose ubdb
mdadm --stop /dev/md0
echo "= a look, read-only"
r mdadm --assemble --force --run --readonly /dev/md0 $all
grep ^md0 /proc/mdstat
r mdadm --stop /dev/md0
echo "= plainly, afterwards"
mdadm --assemble --run /dev/md0 $all; echo "plain assembly: status $?"
mdadm --stop /dev/md0
echo "= by force once more"
mdadm --assemble --force --run /dev/md0 $all; echo "forced assembly: status $?"
G
holds "the look works" '^md0 : active \(read-only\) raid5'
holds "the plain assembly afterwards finds a contradiction" 'ignoring /dev/ubdc as it reports /dev/ubdb as failed'
holds "and fails" '^plain assembly: status 1'
holds "by force it starts" '^forced assembly: status 0'
verdict
