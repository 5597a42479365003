#!/bin/bash
# build.sh DIR SUITE: what the QEMU guest needs beside the root of Debian's SUITE, below DIR: that
# suite's kernel and its OpenZFS, built by its own compiler. Takes some six minutes on two cores.
#   vmlinux, initrd.gz   the kernel, unpacked (it boots 3 s sooner so), and an initrd for 9p
#   modules/             OpenZFS, built for that kernel
#   root/                its programs and the kernel's modules, laid over the guest's root
# Nothing of ZFS is installed anywhere: zfsutils-linux and zfs-fuse exclude each other.
set -eu
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
here=$(dirname "$(readlink -f "$0")")
suite=$2
mkdir -p "$1"
cd "$1"
rm -rf builder packages unpacked root modules ready
mkdir -p packages unpacked root/usr modules

# OpenZFS is in Debian's "contrib". Python is what its programs ask for and every guest has.
apt-config dump Acquire >acquire
mmdebstrap --quiet --variant=apt --components=main,contrib --aptopt="$PWD/acquire" \
	--dpkgopt=force-unsafe-io --skip=cleanup/apt/lists \
	--include=linux-headers-amd64,gcc,libc6-dev,make,python3 "$suite" builder
cp /etc/resolv.conf builder/etc/
headers=$(find builder/usr/src -maxdepth 1 -name 'linux-headers-*-amd64' | sort -V | tail -n 1)
kernel=${headers##*/linux-headers-}

# inside SCRIPT: runs it in the suite.
inside() { "$here/../debian/enter.sh" builder /bin/sh -euc "$1"; }
# From Linux 7.2 on the image comes in several packages.
inside "cd /var/cache/apt/archives
	apt-get -o APT::Sandbox::User=root download -qq zfs-dkms linux-image-$kernel \
		\$(apt-cache depends linux-image-$kernel | grep -o 'linux-[a-z]*-$kernel')
	apt-get install -qq --no-install-recommends --download-only zfsutils-linux" >download.log
mv builder/var/cache/apt/archives/*.deb packages/
for package in packages/*.deb; do dpkg -x "$package" unpacked; done
# From Debian 13 on modules are below /usr, and compressed: busybox in the initrd reads plain ones.
[ -e unpacked/lib ] || ln -s usr/lib unpacked/lib
find unpacked/lib/ -name '*.ko.xz' -exec unxz {} +
depmod --basedir "$PWD/unpacked" "$kernel"

mv unpacked/usr/src/zfs-* builder/build
inside "cd /build
	./configure --quiet --disable-dependency-tracking --prefix=/usr --with-config=kernel \
		--with-linux=/usr/src/linux-headers-${kernel%-amd64}-common \
		--with-linux-obj=/usr/src/linux-headers-$kernel
	make --quiet -j$(nproc)" >build.log 2>&1 || { tail -n 40 build.log; exit 1; }
# In the order in which they load; from 2.2 on there are only the first and the last.
number=0
for module in spl znvpair zavl zunicode zcommon icp zlua zzstd zfs; do
	found=$(find builder/build/module -name "$module.ko")
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
rm -rf builder packages unpacked acquire
touch ready
