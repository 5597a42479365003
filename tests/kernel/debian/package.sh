#!/bin/sh
# package.sh DIR: builds the package in the suite below DIR (suite.sh), as DIR/packages/1.deb, and
# 2.deb with a higher version. An error of lintian's ends it.
set -eu
here=$(dirname "$(readlink -f "$0")")
cd "$1"
rm -rf packages root/src root/packages
mkdir -p root/src root/packages
tar -C "$here/../../.." --exclude-vcs --exclude=./.venv --exclude=./build --exclude=./dist -c . |
	tar -x -C root/src
for file in /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
	[ ! -e $file ] || install -D -m 644 "$(readlink -f $file)" root$file
done
cat >root/packages/make <<'EOF'
set -eu
/src/packaging/build.sh
cd /packages
mv /src/dist/backy_*.deb 1.deb
lintian --allow-root --fail-on error /packages/1.deb
dpkg-deb --raw-extract 1.deb raised
sed -i 's/^Version: .*/&.1/' raised/DEBIAN/control
dpkg-deb --root-owner-group --build raised 2.deb >/dev/null
rm -r raised
EOF
"$here/enter.sh" root /bin/sh /packages/make
mv root/packages packages
