#!/bin/sh
# First process of a guest's own pid, mount, net, ipc and uts namespaces.
# usage: confine.sh STATE ROOT PRELOAD [NAME=DIRECTORY]... -- PROGRAM ARGUMENT...
# ROOT is shown as the guest's root, each DIRECTORY as /srv/host/NAME.
#
# hostfs gives the guest's root the host's files with the rights of this process, and the guest can
# always remount it writable. So the guard stands here, on the host's side: a read-only view of
# ROOT, without the host's /proc, /sys, /dev and /run, in which STATE alone is writable.
set -e
state=$1 shown=$2 preload=$3
shift 3
root=$state/.root
mkdir -p "$root"
mount --bind "$shown" "$root"
mount -o remount,bind,ro "$root"

mount -t tmpfs -o mode=755,size=1m tmpfs "$root/srv"
mkdir -p "$root/srv/lab" "$root/srv/overlay"
mount --bind "$state" "$root/srv/lab"
while [ "$1" != -- ]; do
  place=$root/srv/host/${1%%=*}
  mkdir -p "$place"
  mount --bind "${1#*=}" "$place"
  mount -o remount,bind,ro "$place"
  shift
done
shift

mount -t tmpfs -o mode=755,size=1m tmpfs "$root/dev"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mkdir "$root/dev/net" "$root/dev/shm" "$root/dev/pts"
mknod -m 666 "$root/dev/net/tun" c 10 200
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" # the file behind the guest's memory
mount -t devpts -o ptmxmode=666,newinstance devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"                   # else the console prints check_one_sigio failed
mount -t tmpfs -o mode=755,size=1m tmpfs "$root/run"
mount -t proc -o ro proc "$root/proc"             # writable, it would hand out the host's /proc/sys

ip tuntap add tap0 mode tap
ip addr add 10.77.0.1/24 dev tap0
ip link set tap0 up

# Root's uid stays (its files must be readable), with capabilities over files and the tap alone:
# no mount, no mknod, no modules, no raw I/O.
keep=-all,+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+net_admin,+sys_chroot
exec setpriv --no-new-privs --inh-caps -all --bounding-set "$keep" \
  chroot "$root" env ${preload:+"LD_PRELOAD=$preload"} "$@"
