#!/bin/sh
# suite.sh DIR SUITE: a fresh Debian of that suite to install the package in, below DIR.
#   image   a drive that boots with systemd and takes commands (guest.py). What the package depends
#           on is there, so that guests need no network.
#   root/   the same as a directory, and what builds the package besides
# Takes two minutes. The archive, and how it is reached, are those of this machine's apt.
set -eu
here=$(dirname "$(readlink -f "$0")")
control=$here/../../../packaging/debian/control
suite=$2
mkdir -p "$1"
cd "$1"
rm -rf root image ready sources.* acquire

own=$(. /etc/os-release && echo "$VERSION_CODENAME")
from=/etc/apt/sources.list
[ -e $from ] || from=/etc/apt/sources.list.d/debian.sources
sources=sources.${from##*.}
sed "s/\<$own\>/$suite/g" $from >"$sources"
apt-config dump Acquire >acquire
depends=$(sed -n '/^Depends:/,/^Suggests:/ { /^Suggests:/!p }' "$control" | tr ', ' '\n\n' | grep -x '[a-z0-9-]*')
mmdebstrap --quiet --variant=minbase --aptopt="$PWD/acquire" --skip=cleanup/apt/lists \
	--dpkgopt=force-unsafe-io \
	--include="systemd-sysv dbus kmod curl user-mode-linux python3 $depends" \
	"$suite" root "$sources"

install -m 644 "$here/lab.service" root/etc/systemd/system/
ln -s ../lab.service root/etc/systemd/system/multi-user.target.wants/
cat >root/etc/fstab <<'EOF'
/dev/ubda / ext4 defaults 0 1
EOF
cat >root/etc/udev/rules.d/59-lab.rules <<'EOF'
KERNEL=="ubd*", ENV{DEVTYPE}=="disk", ATTR{serial}=="?*", ENV{ID_SERIAL}="$attr{serial}", \
ENV{ID_SERIAL_SHORT}="$attr{serial}", SYMLINK+="disk/by-id/ubd-$attr{serial}"
EOF
mkdir -p root/.job root/lib/modules
ln -s "../uml/modules/$(ls root/usr/lib/uml/modules)" root/usr/lib/modules/
echo lab >root/etc/hostname
truncate --size 3G image
mke2fs -q -t ext4 -d root image

cp /etc/resolv.conf root/etc/
"$here/enter.sh" root apt-get install --yes -qq --no-install-recommends \
	dpkg-dev debhelper dh-python python3-venv lintian >tools.log 2>&1
touch ready
