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
# It is in /boot, from Linux 7.2 on beside its modules.
vmlinuz=$(find "$1" -name "vmlinuz*" | head -n 1)
# The uncompressed kernel is entered directly (PVH). Debian 12 compresses it with xz, 13 with zstd;
# where it lies is in the boot header, and its uncompressed size in the four bytes after it.
python3 -I - "$vmlinuz" vmlinux <<'PYTHON'
import lzma
import struct
import subprocess
import sys

with open(sys.argv[1], "rb") as file:
    image = file.read()
setup_sectors = image[0x1F1] or 4
offset, length = struct.unpack_from("<II", image, 0x248)
payload = image[(setup_sectors + 1) * 512 + offset :][: length - 4]
if payload.startswith(b"\xfd7zXZ\0"):
    kernel = lzma.decompress(payload)
else:
    kernel = subprocess.run(["zstd", "-dc"], input=payload, check=True, capture_output=True).stdout
assert kernel[:4] == b"\x7fELF", "the kernel is compressed with neither xz nor zstd"
with open(sys.argv[2], "wb") as file:
    file.write(kernel)
PYTHON
