#!/bin/bash
# build.sh DIR SUITE: what the QEMU guest needs, below DIR, with the OpenZFS of Debian's SUITE
# (bookworm: 2.1; bookworm-backports and trixie: 2.3). Takes about four minutes on two cores.
#   vmlinux, initrd.gz   Debian's kernel, unpacked (it boots 3 s sooner so), and an initrd for 9p
#   modules/             OpenZFS, built for that kernel
#   root/                its programs and the kernel's modules, laid over the guest's root
# Nothing of ZFS is installed on this machine: zfsutils-linux and zfs-fuse exclude each other.
set -eu
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
here=$(dirname "$(readlink -f "$0")")
suite=$2
mkdir -p "$1"
cd "$1"
rm -rf packages unpacked build root modules ready
mkdir -p apt/lists/partial packages unpacked root/usr modules

headers=$(find /usr/src -maxdepth 1 -name 'linux-headers-*-amd64' | sort -V | tail -n 1)
kernel=${headers##*/linux-headers-}

# OpenZFS is in Debian's "contrib"; the machine's own sources stay as they are.
if [ -e /etc/apt/sources.list.d/debian.sources ]; then
	sources=contrib.sources
	sed '/contrib/! s/^Components: main.*/Components: main contrib/' \
		/etc/apt/sources.list.d/debian.sources >$sources
	case $suite in *-backports) sed -i "/^Suites: / s/ .*-updates/& $suite/" $sources ;; esac
else
	sources=contrib.list
	sed '/contrib/! s/^\(deb .* main\).*/\1 contrib/' /etc/apt/sources.list >$sources
	case $suite in *-backports) sed -i "/-updates /{p; s/ [^ ]*-updates / $suite /}" $sources ;; esac
fi
apt="apt-get -o Dir::Etc::sourcelist=$PWD/$sources -o Dir::Etc::sourceparts=/dev/null"
apt="$apt -o Dir::State::Lists=$PWD/apt/lists -o APT::Sandbox::User=root"
$apt update -qq
libraries=$(${apt/apt-get/apt-cache} show "zfsutils-linux/$suite" | sed -n 's/^Depends: //p' |
	grep -o 'lib[a-z]*[0-9]linux')
(cd packages && $apt download -qq "linux-image-$kernel" &&
	$apt download -qq -t "$suite" zfs-dkms zfsutils-linux $libraries)
for package in packages/*.deb; do dpkg -x "$package" unpacked; done
# Debian 13 has its modules below /usr, and compressed: busybox in the initrd reads plain ones.
[ -e unpacked/lib ] || ln -s usr/lib unpacked/lib
find unpacked/lib/ -name '*.ko.xz' -exec unxz {} +
depmod --basedir "$PWD/unpacked" "$kernel"

mv unpacked/usr/src/zfs-* build
(
	cd build
	./configure --quiet --disable-dependency-tracking --prefix=/usr --with-config=kernel \
		--with-linux="/usr/src/linux-headers-${kernel%-amd64}-common" --with-linux-obj="$headers"
	make --quiet -j"$(nproc)"
) >build.log 2>&1 || { tail -n 40 build.log; exit 1; }
# In the order in which they load; from 2.2 on there are only the first and the last.
number=0
for module in spl znvpair zavl zunicode zcommon icp zlua zzstd zfs; do
	found=$(find build/module -name "$module.ko")
	[ -z "$found" ] || strip -g -o "modules/$((number += 1))-$module.ko" "$found"
done

# The packages bring /sbin and /lib as directories; on a merged root they are links into /usr.
for part in bin sbin lib; do
	for from in "unpacked/$part" "unpacked/usr/$part"; do
		[ ! -d "$from" ] || { mkdir -p "root/usr/$part" && cp -a "$from/." "root/usr/$part/"; }
	done
done
# What "zpool create -o compatibility=" knows features by.
mkdir -p root/usr/share && cp -a unpacked/usr/share/zfs root/usr/share/
"$here/initrd.sh" unpacked "$kernel" "$here/init"
rm -rf build packages unpacked apt
touch ready
