#!/bin/bash
# build.sh DIR: what the QEMU guest needs, below DIR. Takes about four minutes on two cores.
#   vmlinux, initrd.gz   Debian's kernel, unpacked (it boots 3 s sooner so), and an initrd for 9p
#   modules/             OpenZFS, built for that kernel
#   root/                its programs and the kernel's modules, laid over the guest's root
# Nothing of ZFS is installed on this machine: zfsutils-linux and zfs-fuse exclude each other.
set -eu
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
here=$(dirname "$(readlink -f "$0")")
mkdir -p "$1"
cd "$1"
rm -rf packages unpacked build root modules ready
mkdir -p apt/lists/partial packages unpacked root/usr modules

headers=$(find /usr/src -maxdepth 1 -name 'linux-headers-*-amd64' | sort -V | tail -n 1)
kernel=${headers##*/linux-headers-}

# OpenZFS is in Debian's "contrib"; the machine's own sources stay as they are.
cp /etc/apt/sources.list.d/debian.sources contrib.sources
sed -i '/contrib/! s/^Components: main.*/Components: main contrib/' contrib.sources
apt="apt-get -o Dir::Etc::sourcelist=$PWD/contrib.sources -o Dir::Etc::sourceparts=/dev/null"
apt="$apt -o Dir::State::Lists=$PWD/apt/lists -o APT::Sandbox::User=root"
$apt update -qq
(cd packages && $apt download -qq "linux-image-$kernel" zfs-dkms zfsutils-linux libzfs4linux \
	libzpool5linux libnvpair3linux libuutil3linux)
for package in packages/*.deb; do dpkg -x "$package" unpacked; done
depmod --basedir "$PWD/unpacked" "$kernel"

mv unpacked/usr/src/zfs-* build
(
	cd build
	./configure --quiet --disable-dependency-tracking --prefix=/usr --with-config=kernel \
		--with-linux="/usr/src/linux-headers-${kernel%-amd64}-common" --with-linux-obj="$headers"
	make --quiet -j"$(nproc)"
) >build.log 2>&1 || { tail -n 40 build.log; exit 1; }
for module in spl avl nvpair unicode zcommon icp lua zstd zfs; do
	found=$(find build/module -name "$module.ko" -o -name "z$module.ko" | head -n 1)
	strip -g -o "modules/$(basename "$found")" "$found"
done

# The packages bring /sbin and /lib as directories; on a merged root they are links into /usr.
for part in bin sbin lib; do
	for from in "unpacked/$part" "unpacked/usr/$part"; do
		[ ! -d "$from" ] || { mkdir -p "root/usr/$part" && cp -a "$from/." "root/usr/$part/"; }
	done
done
"$here/initrd.sh" unpacked "$kernel" "$here/init"
rm -rf build packages unpacked apt
touch ready
