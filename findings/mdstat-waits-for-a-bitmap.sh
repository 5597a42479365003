#!/bin/bash
# While one drive of one array does not answer, nobody can read /proc/mdstat, mdadm included.
#
# Seen with Linux 6.1 and 6.12 (User Mode Linux of Debian 12 and 13). Some seconds after a write, md
# clears in the bitmap what is in sync again. It waits for the drive with the bitmap's mutex held, and
# a reader of mdstat takes that mutex of each array in turn, uninterruptibly: no signal ends it. mdadm
# reads mdstat too, so an array of quite other drives cannot be made meanwhile. sysfs answers.
. "$(dirname "$0")/lib/guest.sh"
cat >"$T/waits" <<'G'
mkdir -p /dev/md
r dmsetup create hangs --table "0 131072 linear /dev/ubda 0"
r mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --bitmap=internal --assume-clean /dev/dm-0 /dev/ubdb 2>/dev/null
dd if=/dev/zero of=/dev/md0 bs=64k count=16 conv=fsync 2>/dev/null
sleep 1 # until the superblock says that the array is clean
r dmsetup suspend --noflush --nolockfs hangs
seen_to_wait() { grep -q '^State:.D' "/proc/$1/status"; }
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    cat /proc/mdstat >/dev/null & reader=$!
    sleep 2
    seen_to_wait $reader && break
done
seen_to_wait $reader && echo "a reader of mdstat waits, in state D"
echo "sysfs says $(md md0 array_state)"
mdadm --create /dev/md/other --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean /dev/ubdc /dev/ubdd >/dev/null 2>&1 & maker=$!
sleep 5
seen_to_wait $maker && echo "mdadm waits, in state D, to make an array of other drives"
r dmsetup resume hangs
wait $reader && echo "the reader ends when the drive answers"
wait $maker && echo "and the other array is made"
G
for n in 0 1 2 3; do drive $n 64M; done
check() {
    guest "$1" <"$T/waits"
    for line in "a reader of mdstat waits, in state D" "sysfs says (clean|active)" \
        "mdadm waits, in state D, to make an array of other drives" \
        "the reader ends when the drive answers" "and the other array is made"; do
        holds "$1: $line" "^$line"
    done
    : >"$T/out"
    for n in 0 1 2 3; do rm "$T/drives/$n.img"; drive $n 64M; done
}
suite bookworm user-mode-linux=6.1um4+b13 mdadm=4.2-5 dmsetup=2:1.02.185-2
check bookworm
suite trixie user-mode-linux=6.12um1+b22 mdadm=4.4-11+deb13u1 dmsetup=2:1.02.205-2
check trixie
verdict
