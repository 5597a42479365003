#!/bin/sh
# build.sh: builds dist/backy_*.deb for this system's release of Debian and its Python.
# The tree that is built is a copy, in build/deb.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' backy_core/__init__.py)
# A package for a later Debian is a later version: it has a later Python.
python=$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')

rm -rf build/deb
mkdir -p build/deb/backy dist
cp -R backy_core plugins packaging pyproject.toml constraints.txt README.md LICENSE CHANGELOG.md \
	build/deb/backy
cd build/deb/backy
mv packaging/debian debian
cp packaging/backy.service packaging/backy.socket debian
cat >debian/changelog <<EOF
backy ($version-1+py$python) unstable; urgency=medium

  * What changed is in changelog.gz beside this file.

 -- $(sed -n 's/^Maintainer: //p' debian/control)  $(LC_ALL=C date -R)
EOF
# Nothing is compiled, so build-essential need not be there.
dpkg-buildpackage --build=binary --unsigned-changes --no-check-builddeps >../log 2>&1 || {
	tail -n 40 ../log
	exit 1
}
cd ../../..
rm -f dist/backy_*.deb
mv build/deb/*.deb dist
rm -r build/deb
ls dist/backy_*.deb
