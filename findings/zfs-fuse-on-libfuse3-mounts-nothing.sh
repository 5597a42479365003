#!/bin/bash
# zfs-fuse 0.7.0-33 of Debian testing makes and imports zpools, and mounts none of their filesystems.
#
# That version is the first of Debian's built against libfuse 3. It still passes "nonempty" and
# "big_writes" with every mount, which libfuse 3.0 dropped: libfuse refuses each as unknown, and zfs says
# "Input/output error. Make sure the FUSE module is loaded", with the module loaded. A zpool that Debian 13
# (0.7.0-30, libfuse 2) mounts is imported as ONLINE after an upgrade, and its files are out of reach.
. "$(dirname "$0")/lib/guest.sh"
drive 0 200M
suite trixie user-mode-linux=6.12um1+b22 zfs-fuse=0.7.0-30+b1
suite forky user-mode-linux=7.2um1 zfs-fuse=0.7.0-33 libfuse3-4=3.18.3-1
use() {
    cat <<G
modprobe fuse && echo "the module is loaded"
mkdir -p /etc/zfs /var/run/zfs /mnt/pool
zfs-fuse --no-daemon --disable-block-cache >/tmp/daemon 2>&1 &
until zpool list >/dev/null 2>&1; do sleep 0.2; done
$1
zfs mount tank; echo "zfs mount: \$?"
zpool list -H -o name,health
grep -o "unknown option(s): .*" /tmp/daemon | sort -u
cat /mnt/pool/file
zpool export tank
G
}
make='zpool create -m legacy tank /dev/ubda && zfs set mountpoint=/mnt/pool tank && echo kept >/mnt/pool/file'
guest trixie < <(use "$make")
holds "0.7.0-30 mounts it" "^kept$"
: >"$T/out"
guest forky < <(use "zpool import -d /dev tank")
holds "the module is loaded" "^the module is loaded$"
holds "0.7.0-33 imports the zpool" "tank.ONLINE"
holds "it does not mount the filesystem" "^zfs mount: 1$"
holds "libfuse 3 does not know the first option" "unknown option.*nonempty"
holds "nor the second" "unknown option.*big_writes"
lacks "so the file cannot be read" "^kept$"
verdict
