"""Keeps a terminal for a command that outlives the person's own: a foreground run that one can leave and come back to.

python -m devswap.terminal_keeper SOCKET COMMAND...

The command runs on a terminal of the keeper's. Whoever connects to the socket sees what it shows, the last of it
again, and types; the connection may go at any time. The keeper ends with its command.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from devswap import frames, lasting, process, pty
from devswap.foreground import INTERRUPT
from devswap.frames import Reader

SOCKET = "DEVSWAP_TERMINAL"
"""The variable that tells the command the keeper's socket."""
_CHUNK = 65536
_AGAIN = 64 * 1024
"""So much of what was shown is shown again to whoever comes back."""


@dataclass
class Client:
    """Somebody who is connected, and attached once it has said who it is."""

    reader: Reader
    who: dict[str, Any] = field(default_factory=dict)


class Keeper:
    """`command` on a terminal of its own, shown to those who connect to `path`."""

    def __init__(self, path: Path, command: Sequence[str]) -> None:
        self._path, self._command = path, command
        self._since = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
        self._shown = b""
        self._typed = b""
        self._clients: list[Client] = []
        self._serving: list[str] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self._ours, theirs = os.openpty()
        self._job = process.popen(
            ["setsid", "--ctty", "--", *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, SOCKET: str(path)},
            new_session=False,
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)  # a command that reads nothing must not keep us from showing what it writes

    def run(self) -> int:
        """Until the command has ended and all that it has shown is passed on."""
        try:
            while self._carry():
                pass
            code = self._job.wait()
            for client in list(self._clients):
                self._tell(client, frames.ENDED, json.dumps(code).encode())
        finally:
            self._path.unlink(missing_ok=True)
        return code

    def _carry(self) -> bool:
        sources: list[Any] = [self._ours, self._listening, *(client.reader.connection for client in self._clients)]
        ready, writable, _ = select.select(sources, [self._ours] if self._typed else [], [])
        if writable:
            self._type(b"")
        # First: who is told that a service answers has then seen what was said of it.
        shown = self._ours not in ready or self._pass_on()
        for client in [client for client in self._clients if client.reader.connection in ready]:
            self._hear(client)
        if self._listening in ready:
            connection, _ = self._listening.accept()
            connection.settimeout(5.0)  # one that reads no more must not hold up the others
            self._clients.append(Client(Reader(connection)))
        return shown

    def _type(self, keys: bytes) -> None:
        """As much of what was typed as the command's terminal takes now; the rest when it takes more.

        An interrupt does not wait for that: what it has not read by then is thrown away.
        """
        if INTERRUPT in keys and self._typed:
            termios.tcflush(self._ours, termios.TCOFLUSH)
            self._typed, keys = b"", keys[keys.index(INTERRUPT) :]
        self._typed += keys
        try:
            self._typed = self._typed[os.write(self._ours, self._typed) :]
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has the other end open any more
            self._typed = b""

    def _pass_on(self) -> bool:
        try:
            read = os.read(self._ours, _CHUNK)
        except BlockingIOError:
            return True
        except OSError:  # EIO: nobody has the other end open any more
            return False
        self._shown = (self._shown + read)[-_AGAIN:]
        for client in [client for client in self._clients if client.who]:
            self._tell(client, frames.OUTPUT, read)
        return True

    def _hear(self, client: Client) -> None:
        for kind, content in client.reader.frames():
            if kind == frames.KEYS:
                self._type(content)
            elif kind == frames.SIZE:
                rows, columns = json.loads(content)
                pty.resize(self._ours, rows, columns)
            elif kind == frames.SERVING:
                self._serving.append(content.decode())
                self._tell_all()
            elif kind == frames.ASK:
                self._tell(client, frames.TOLD, self._state())
            elif kind == frames.HELLO:
                self._tell(client, frames.TOLD, self._state())
                client.who = json.loads(content)
                self._tell(client, frames.OUTPUT, self._shown)
        if client.reader.ended:
            self._drop(client)

    def _tell_all(self) -> None:
        for client in [client for client in self._clients if client.who]:
            self._tell(client, frames.TOLD, self._state())

    def _state(self) -> bytes:
        attached = [client.who for client in self._clients if client.who]
        told = {"pid": self._job.pid, "since": self._since, "serving": self._serving, "attached": attached}
        return json.dumps(told).encode()

    def _tell(self, client: Client, kind: bytes, content: bytes) -> None:
        try:
            frames.send(client.reader.connection, kind, content)
        except OSError:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
        with suppress(OSError):
            client.reader.connection.close()


def main(path: str, *command: str) -> int:
    lasting.outlive_session("terminal")
    return Keeper(Path(path), command).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
