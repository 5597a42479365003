#!/bin/sh
# enter.sh ROOT COMMAND...: runs the command in that directory as root.
exec unshare --mount --propagation private /bin/sh -c '
	root=$1
	shift
	mount --bind /dev "$root/dev"
	mount -t proc proc "$root/proc"
	exec chroot "$root" env HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
' enter "$@"
