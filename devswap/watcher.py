"""Outlives a devswap that is killed: gives its service back when the pipe between the two closes.

python -m devswap.watcher SERVICE MACHINE    < pipe
"""

from __future__ import annotations

import os
import sys

from devswap import lasting, process


class Watcher:
    """Started in a session of its own, so that what ends devswap (a kill of its group, a lost terminal) spares it."""

    def __init__(self, service: str, machine: str) -> None:
        reader, self._writer = os.pipe()
        try:
            self._process = process.popen(
                [sys.executable, "-P", "-m", "devswap.watcher", service, machine],
                stdin=reader,
                # -P and the folder: nothing is imported from where the user stands, which may be a checkout
                cwd="/",
                stdout=process.DEVNULL,
                stderr=process.DEVNULL,
                new_session=True,
            )
        finally:
            os.close(reader)

    def dismiss(self) -> None:
        """The service was given back: there is nothing to watch any more."""
        self._process.kill()
        self._process.wait()
        os.close(self._writer)


def main(service: str, machine: str) -> None:
    """Wait for the end of the pipe, then become `devswap restore`."""
    lasting.outlive_session("watcher")
    while os.read(0, 4096):
        pass
    argv = [sys.executable, "-P", "-m", "devswap.cli", "restore", service, "--machine", machine]
    os.execv(sys.executable, argv)  # noqa: S606 - our own argv


if __name__ == "__main__":
    main(*sys.argv[1:])
