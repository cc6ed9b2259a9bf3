"""Linux system calls that Python 3.11 lacks (section 2): open_tree, move_mount, mount_setattr, setns, openat2, inotify.

Numbers from the kernel's unified table (the same on every architecture since 5.1); the others come from libc.
"""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

_RACES = 1000
_OPEN_TREE, _MOVE_MOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 437, 442
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_MOUNT_ATTR_RDONLY = 0x1
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10

_libc = ctypes.CDLL(None, use_errno=True)


def open_tree(path: str) -> int:
    """A detached copy of the mount that holds `path`, rooted there, as a descriptor."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | AT_RECURSIVE
    return _checked(_libc.syscall(_OPEN_TREE, AT_FDCWD, os.fsencode(path), flags), path)


def make_readonly(tree: int) -> None:
    attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    flags = AT_EMPTY_PATH | AT_RECURSIVE
    _checked(_libc.syscall(_MOUNT_SETATTR, tree, b"", flags, attributes, len(attributes)), "mount_setattr")


def move_mount(tree: int, target: int) -> None:
    """Attach the detached `tree` on what is open as `target`, in the mount namespace this process is in."""
    flags = _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    _checked(_libc.syscall(_MOVE_MOUNT, tree, b"", target, b"", flags), "move_mount")


def enter_mount_namespace(namespace: int) -> None:
    """Raises OSError(EINVAL) in a process with several threads, so it is called in a forked child only."""
    _checked(_libc.setns(namespace, CLONE_NEWNS), "setns")


def enter_network(namespace: int) -> None:
    """For the thread that calls it alone."""
    _checked(_libc.setns(namespace, CLONE_NEWNET), "setns")


def unmount(path: str) -> None:
    """Detach the mount on `path` at once; what still uses it keeps it alive until it lets go."""
    _checked(_libc.umount2(os.fsencode(path), MNT_DETACH | UMOUNT_NOFOLLOW), path)


def open_below(root: int, path: str, flags: int, mode: int = 0) -> int:
    """open(2) of `path` as a process whose root folder is `root` would see it: no symlink leads out of it."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    for _ in range(_RACES):
        # EAGAIN: somebody renames or mounts while a ".." is passed; the kernel cannot rule out a way around, openat2(2)
        with suppress(BlockingIOError):
            return _checked(_libc.syscall(_OPENAT2, root, os.fsencode(path), how, len(how)), path)
    return _checked(_libc.syscall(_OPENAT2, root, os.fsencode(path), how, len(how)), path)


def new_watch() -> int:
    """A descriptor on which changes of folders can be read (inotify(7)), without waiting for one."""
    return _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")


def add_watch(watch: int, folder: str, mask: int) -> int:
    """Raises OSError(ENOSPC) where the user's watches are used up: fs.inotify.max_user_watches."""
    return _checked(_libc.inotify_add_watch(watch, os.fsencode(folder), mask), folder)


def _checked(returned: int, what: str) -> int:
    if returned < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
    return int(returned)
