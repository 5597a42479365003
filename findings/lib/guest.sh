# guest.sh: sourced by the scripts beside it (not run by itself). Date 2026-11-29.
#
#   suite SUITE name=version ...   unpack pinned Debian packages of that suite, and what they depend on, into $T/SUITE
#   inside SUITE command ...       run a command there (chroot, own /dev of four nodes); for work on plain files
#   drive N SIZE                   make the drive file number N; a guest sees it as /dev/ubda, /dev/ubdb, ...
#   guest SUITE < script           boot that suite's User Mode Linux with those drives, run the script as root in it,
#                                  show its output and keep it in $T/out; other suites are under /lab/suites
#   holds WHAT PATTERN / lacks ... the output in $T/out has (has not) a line that matches the extended regular expression
#   verdict                        exit 0 when everything held, else 1
#
# Exit codes: 0 as stated, 1 the behaviour changed, 3 this machine cannot run it, 4 a pinned version is no longer served.
# Everything lies in one temporary folder. Guests get only drive files from there; no drive of this machine is opened.
# FINDINGS_CACHE=folder keeps apt's lists and downloads between runs (optional).
set -u
T=$(mktemp -d) || exit 3
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
trap 'rm -rf --one-file-system "$T"' EXIT
trap 'exit 3' INT TERM
export LC_ALL=C; unset LANGUAGE
FAILED=0; : > "$T/out"; mkdir "$T/drives"
give_up() { local code=$1; shift; echo "RESULT: $*"; exit "$code"; }
need() { local c; for c; do command -v "$c" >/dev/null || give_up 3 "cannot run here: the tool '$c' is missing."; done; }
root() { [ "$(id -u)" = 0 ] || give_up 3 "cannot run here: needs root (for chroot and private namespaces)."; }

suite() {
  local S=$1 D mirror o f; shift; root; need apt-get dpkg-deb tar awk unshare chroot setpriv timeout
  D=${FINDINGS_CACHE:-$T/apt}/$S; mkdir -p "$D/lists/partial" "$D/cache/archives/partial" "$T/none/partial" "$T/$S"
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' | awk '$2 !~ /security|updates|backports/ {print $1; exit}')
  [ -n "$mirror" ] || give_up 3 "cannot run here: this machine's apt names no Debian mirror."
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $S main" > "$D/sources.list"; : > "$D/status"
  o=(-o "Dir::Etc::sourcelist=$D/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o "Dir::State::Lists=$D/lists"
     -o "Dir::Cache=$D/cache" -o "Dir::State::status=$D/status" -o Acquire::Languages=none -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root -o APT::Architecture=amd64)
  { [ -n "${FINDINGS_CACHE:-}" ] && [ -n "$(ls "$D"/lists/*Packages* 2>/dev/null)" ]; } || apt-get "${o[@]}" update -qq -o APT::Update::Error-Mode=any > "$T/apt.log" 2>&1 || { tail -3 "$T/apt.log"; give_up 4 "the suite $S is not served to this machine (any more, or no network)."; }
  apt-get "${o[@]}" install -qq -y --no-install-recommends -o "Dir::Cache::archives=$T/none" --print-uris "$@" bash coreutils grep sed kmod mount util-linux busybox > "$T/uris" 2> "$T/apt.log" || { grep '^E:' "$T/apt.log"; give_up 4 "a pinned version ($*) is no longer served in $S."; }
  apt-get "${o[@]}" install -qq -y --no-install-recommends --download-only "$@" bash coreutils grep sed kmod mount util-linux busybox > "$T/apt.log" 2>&1 || { grep '^E:' "$T/apt.log"; give_up 4 "a pinned version ($*) could not be downloaded from $S."; }
  for o in bin sbin lib lib64; do mkdir -p "$T/$S/usr/$o"; ln -sfn "usr/$o" "$T/$S/$o"; done
  mkdir -p "$T/$S"/{dev,proc,sys,run,tmp,etc,mnt/x,mnt/y,root,lab/suites,lab/drives}
  while read -r _ f _; do dpkg-deb --fsys-tarfile "$D/cache/archives/$f" | tar -x -C "$T/$S" --keep-directory-symlink --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' || give_up 3 "cannot unpack $f."; done < "$T/uris"
  [ -e "$T/$S/bin/sh" ] || ln -s bash "$T/$S/bin/sh"
  printf 'root:x:0:0:root:/root:/bin/sh\n' > "$T/$S/etc/passwd"; printf 'root:x:0:\ndisk:x:6:\n' > "$T/$S/etc/group"; : > "$T/$S/etc/fstab"
  for f in "$T/$S"/usr/lib/uml/modules/*; do [ -d "$f" ] && { mkdir -p "$T/$S/usr/lib/modules"; ln -s "../uml/modules/${f##*/}" "$T/$S/usr/lib/modules/${f##*/}"; }; done
  echo "# $S: $*"
}

# what runs as process 1 of fresh namespaces: the suite's tree with a /dev of four nodes, then chroot with few rights
cat > "$T/ns.sh" <<'N'
set -e
T=$1 S=$2 R=$1/$2; shift 2
mount -t tmpfs -o mode=755,size=1m tmpfs "$R/dev"; for n in null:3 zero:5 random:8 urandom:9; do mknod -m 666 "$R/dev/${n%:*}" c 1 "${n#*:}"; done
mkdir "$R/dev/shm"; mount -t tmpfs -o mode=1777 tmpfs "$R/dev/shm"; mount -t tmpfs -o mode=1777 tmpfs "$R/tmp"; mount -t proc -o ro proc "$R/proc"
mount --bind "$T/drives" "$R/lab/drives"
for o in "$T"/*/lab; do o=${o%/lab}; mkdir -p "$R/lab/suites/${o##*/}"; [ "$o" = "$R" ] || mount --bind "$o" "$R/lab/suites/${o##*/}"; done
exec setpriv --no-new-privs --inh-caps -all --bounding-set -all,+chown,+dac_override,+dac_read_search,+fowner,+fsetid,+sys_chroot chroot "$R" "$@"
N
space() { timeout 200 unshare --pid --fork --kill-child --mount --net --ipc --uts --propagation private sh "$T/ns.sh" "$T" "$@"; }
inside() { PATH=/usr/sbin:/usr/bin space "$@"; }
drive() { truncate -s "$2" "$T/drives/$1.img"; }

guest() {
  local S=$1 n f kernel args=(); kernel=$(ls "$T/$S/usr/lib/uml/modules")
  for f in "$T"/drives/*.img; do [ -e "$f" ] && { n=${f##*/}; args+=("ubd${n%.img}=/lab/drives/$n"); }; done
  # Debian's linux.uml does not start its first process on processors with AMX; a small library helps.
  local wide=; if grep -qw amx_tile /proc/cpuinfo; then need gcc; wide=1
    gcc -shared -fPIC -O2 -nostdlib -o "$T/$S/lab/wide-state.so" "$HERE/../../tests/kernel/lab/xstate.c" || give_up 3 "the library for this processor cannot be built."; fi
  { cat <<'I'
#!/bin/bash
export PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C MDADM_NO_UDEV=1 DM_DISABLE_UDEV=1 LVM_SUPPRESS_FD_WARNINGS=1
mount -t proc proc /proc; mount -t sysfs sys /sys; busybox mountpoint -q /dev || mount -t devtmpfs dev /dev; mount -t tmpfs run /run; mount -t tmpfs tmp /tmp
mkdir -p /run/lock /dev/pts /dev/shm; busybox hostname lab
for m in md-mod raid0 raid1 dm-mod dm-raid loop; do modprobe -q $m; done
r() { echo "\$ $*"; "$@"; echo "[rc $?]"; }; md() { cat "/sys/block/$1/md/$2"; }
cd /tmp; . /lab/script < /dev/null > /lab/out 2>&1; echo "$?" > /lab/rc; sync; busybox poweroff -f
I
  } > "$T/$S/lab/init"; chmod +x "$T/$S/lab/init"; cat > "$T/$S/lab/script"; rm -f "$T/$S/lab/rc" "$T/$S/lab/out"
  space "$S" ${wide:+env LD_PRELOAD=/lab/wide-state.so} /usr/bin/linux.uml mem=768M rootfstype=hostfs rootflags=/ rw init=/lab/init noreboot panic=-1 quiet initcall_blacklist=raid6_select_algo \
    uml_dir=/tmp umid=g con=null con0=null,fd:1 ssl=null "${args[@]}" < /dev/null 2>&1 | cat > "$T/console"
  echo "# Linux $kernel (User Mode Linux, $S)"; cat "$T/$S/lab/out" 2>/dev/null | tee -a "$T/out"
  [ -e "$T/$S/lab/rc" ] || { tail -5 "$T/console"; give_up 3 "the guest of $S did not come to its end on this machine."; }
}
seen() { echo "$*" | tee -a "$T/out"; }
holds() { if grep -Eq -- "$2" "$T/out"; then echo "as stated: $1"; else echo "CHANGED: $1 (no line like: $2)"; FAILED=1; fi; }
lacks() { if grep -Eq -- "$2" "$T/out"; then echo "CHANGED: $1 (there is a line like: $2)"; FAILED=1; else echo "as stated: $1"; fi; }
verdict() { if [ $FAILED = 0 ]; then echo "RESULT: the behaviour is as stated."; else echo "RESULT: the behaviour changed, see the lines with CHANGED."; fi; exit $FAILED; }
