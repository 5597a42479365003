"""Loop devices over image files of the state directory (ioctls of <linux/loop.h>)."""

import fcntl
import os

_CTL_GET_FREE, _SET_FD = 0x4C82, 0x4C00


def attach(image: str) -> str:
    """Bind a free loop device to the image and return its node.

    The loop driver passes a flush on as fsync of the image, so what a program did not flush is lost
    in a power cut, as on a drive with a write cache. (ubd ignores flushes.)
    """
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    node = f"/dev/loop{fcntl.ioctl(control, _CTL_GET_FREE)}"
    device = os.open(node, os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(device, _SET_FD, backing)
    for descriptor in (device, backing, control):
        os.close(descriptor)
    return node
