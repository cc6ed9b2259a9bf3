"""Who holds a lock that is waited for, as the kernel knows it: nobody need have written that down (proc(5), locks)."""

from __future__ import annotations

import os
import pwd
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from devswap.masking import mask

_NOBODY = "another devswap"
_PROGRAMS = ("devswap", "devswap.cli")


def told(descriptor: int) -> str:
    """Whoever keeps flock(2) on the open file from being had: USER (process PID: COMMAND, since WHEN)."""
    pid = _holder(descriptor)
    if pid is None:
        return _NOBODY
    with suppress(OSError, ValueError, IndexError):  # it has just ended
        return f"{_user(pid)} (process {pid}: {_command(pid)}, since {_since(pid)})"
    return _NOBODY


def _holder(descriptor: int) -> int | None:
    found = os.fstat(descriptor)
    where = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            words = line.split()  # 1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF; with -> one that waits
            if words[1] == "FLOCK" and words[5] == where and int(words[4]) > 0:
                return int(words[4])
    return None


def _user(pid: int) -> str:
    """As root the one whom sudo names."""
    pairs = (pair.partition(b"=") for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    named = {name: value.decode(errors="replace") for name, _, value in pairs}.get(b"SUDO_USER")
    uid = os.stat(f"/proc/{pid}").st_uid
    if named and uid == 0:
        return named
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _command(pid: int) -> str:
    """From the word that is devswap on; of another program all."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    for number, word in enumerate(words):
        if word.rpartition("/")[2] in _PROGRAMS:
            return _shown(["devswap", *words[number + 1 :]])
    return _shown(words)


def _shown(words: Sequence[str]) -> str:
    """Whoever names a process chooses the characters, and they are for a terminal."""
    return mask("".join(char if char.isprintable() else "?" for char in shlex.join(words)))


def _since(pid: int) -> str:
    """ISO 8601 with zone: its start, which the kernel counts in ticks from its own."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
    began = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(began, UTC).astimezone().isoformat(timespec="seconds")
