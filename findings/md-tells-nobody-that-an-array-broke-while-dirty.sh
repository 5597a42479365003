#!/bin/bash
# An md RAID1 whose last member failed still says `active` in array_state, `in_sync` of that member
# and [_U] in mdstat, while it refuses every write. `broken` is shown only once the array is clean,
# safe_mode_delay (0.2 s) after the last write that worked, and no poll of /proc/mdstat wakes for it.
#
# A monitor that reads the state when mdstat announces the failure finds a degraded array, and is
# told nothing later. It has to read array_state again. A long safe_mode_delay shows it plainly.
. "$(dirname "$0")/lib/guest.sh"
suite trixie user-mode-linux=6.12um1+b22 mdadm=4.4-11+deb13u1 perl-base=5.40.1-6+deb13u1
drive 0 64M
drive 1 64M
guest trixie <<'G'
modprobe raid1
mdadm --create /dev/md0 --run --quiet --level=1 --raid-devices=2 --assume-clean /dev/ubda /dev/ubdb
md=/sys/block/md0/md
echo 4 > $md/safe_mode_delay
dd if=/dev/zero of=/dev/md0 bs=4k count=1 oflag=direct status=none
echo faulty > $md/dev-ubda/state
echo faulty > $md/dev-ubdb/state
dd if=/dev/zero of=/dev/md0 bs=4k count=1 oflag=direct status=none; echo "write: status $?"
echo "at once: $(cat $md/array_state) $(cat $md/dev-ubdb/state) $(grep -o '\[[U_]*\]' /proc/mdstat)"
perl -e 'open F, "/proc/mdstat"; my @l = <F>; my $b = ""; vec($b, fileno(F), 1) = 1;
    print "mdstat in the next 8 s: ", (select(undef, undef, my $e = $b, 8) ? "wakes" : "silent"), "\n"'
sleep 2; echo "later: $(cat $md/array_state)"
G
holds "a write is refused" '^write: status 1'
holds "the state says nothing of it" '^at once: active in_sync \[_U\]'
holds "mdstat announces nothing" '^mdstat in the next 8 s: silent'
holds "the array is broken" '^later: broken'
verdict
