"""Shows folders and files of the host inside running machines, and takes them away again.

open_tree(2) in the host, setns(2) into the machine in a forked child, move_mount(2) there: nothing of the machine's
configuration changes and nothing survives its restart.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

from devswap import syscalls
from devswap.errors import DevswapError


def attach(pid: int, source: Path, target: str, *, readonly: bool) -> None:
    """Mount `source` of the host on `target` of the machine whose init is `pid`: a folder on one, a file on one."""
    kind = 0 if source.is_file() else os.O_DIRECTORY
    tree = syscalls.open_tree(str(source))
    try:
        if readonly:
            syscalls.make_readonly(tree)

        def mount() -> None:
            place = os.open(target, os.O_PATH | kind | os.O_NOFOLLOW)
            syscalls.move_mount(tree, place)

        _inside(pid, mount, f"cannot mount {source} on {target}")
    finally:
        os.close(tree)


def detach(pid: int, target: str) -> None:
    """Unmount `target` in the machine whose init is `pid`."""
    _inside(pid, lambda: syscalls.unmount(target), f"cannot unmount {target}")


def points(pid: int, below: str) -> list[str]:
    """The mount points at or below `below` of the machine whose init is `pid`, innermost last."""
    text = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    found = [_unescaped(line.split(" ")[4]) for line in text.splitlines()]
    return [point for point in found if point == below or point.startswith(below.rstrip("/") + "/")]


def _unescaped(field: str) -> str:
    r"""mountinfo writes space, tab, newline and backslash as octal (\040): proc(5)."""
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(octal, character)
    return field


def _inside(pid: int, action: Callable[[], None], what: str) -> None:
    """Run `action` in the mount namespace of `pid`, in a child: a process cannot come back from setns(2)."""
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _finish_child(namespace, action, writer)
    os.close(writer)
    os.close(namespace)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        complaint = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise DevswapError(f"{what}: {complaint.strip() or f'wait status {status}'}")


def _finish_child(namespace: int, action: Callable[[], None], writer: int) -> None:
    try:
        syscalls.enter_mount_namespace(namespace)
        os.chdir("/")
        action()
    except OSError as error:
        os.write(writer, str(error).encode())
        os._exit(1)
    except BaseException:
        os.write(writer, traceback.format_exc().encode())
        os._exit(1)
    os._exit(0)
