#!/bin/bash
# initrd.sh UNPACKED KERNEL INIT: writes vmlinux and initrd.gz into the working directory.
# The initrd holds busybox and the modules that reach a root on 9p.
set -eu
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,modules,proc,sys,dev}
cp "$(command -v busybox)" "$tree/bin/busybox"
install -m 755 "$3" "$tree/init"
number=100
modprobe --dirname "$PWD/$1" --set-version "$2" --show-depends --all \
	virtio_pci virtio_blk 9pnet_virtio 9p overlay |
	awk '/^insmod/ && !seen[$2]++ { print $2 }' |
	while read -r module; do
		cp "$module" "$tree/modules/$number-$(basename "$module")"
		number=$((number + 1))
	done
(cd "$tree" && find . | cpio --quiet -o -H newc | gzip -1) >initrd.gz
# Debian 12 compresses its kernel with xz; the uncompressed one is entered directly (PVH).
python3 -I - "$1/boot/vmlinuz-$2" vmlinux <<'PYTHON'
import lzma
import sys

with open(sys.argv[1], "rb") as file:
    image = file.read()
kernel = lzma.LZMADecompressor().decompress(image[image.find(b"\xfd7zXZ\0") :])
assert kernel[:4] == b"\x7fELF", "the kernel is not compressed with xz"
with open(sys.argv[2], "wb") as file:
    file.write(kernel)
PYTHON
