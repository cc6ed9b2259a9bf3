"""What development writes on a terminal, kept beside the swap's journal for `devswap logs`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from devswap.journal import Journal
from devswap.masking import mask

_NAME = "terminal.log"
_LARGEST = 16 * 1024 * 1024
"""Bytes; what is older than this is kept once more, in a second file, which `devswap logs` does not read."""
_LONGEST_LINE = 64 * 1024
# Colours and movements of the cursor (ECMA-48), and titles of windows.
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]")


def path(journal: Journal) -> Path:
    """It goes with the swap, as the journal does."""
    return journal.folder / _NAME


@contextmanager
def beside(journal: Journal) -> Iterator[Transcript]:
    with closing(Transcript(path(journal))) as found:
        yield found


class Transcript:
    """Line by line with the time; a disk that is full costs lines, and never the run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = b""
        self._descriptor: int | None = None
        self._open()

    def write(self, read: bytes) -> None:
        """What has come from the terminal, in whatever pieces."""
        *lines, self._unfinished = (self._unfinished + read).split(b"\n")
        if len(self._unfinished) > _LONGEST_LINE:
            lines, self._unfinished = [*lines, self._unfinished], b""
        if not lines or self._descriptor is None:
            return
        now = datetime.now().astimezone().isoformat(timespec="milliseconds")
        text = "".join(f"{now} {mask(_ESCAPES.sub(b'', line).decode(errors='replace'))}\n" for line in lines)
        with suppress(OSError):
            os.write(self._descriptor, text.encode())
            if os.fstat(self._descriptor).st_size > _LARGEST:
                self._path.replace(self._path.with_suffix(".old"))
                os.close(self._descriptor)
                self._open()

    def close(self) -> None:
        """The last words of a crash may have no end of line."""
        if self._unfinished:
            self.write(b"\n")
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _open(self) -> None:
        with suppress(OSError):
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
