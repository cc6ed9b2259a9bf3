"""What is said over the socket of a kept terminal: frames of a kind, a length and their content."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

KEYS, SIZE, HELLO, ASK, SERVING = b"k", b"s", b"h", b"q", b"r"
"""To the keeper: what was typed, [rows, columns], who attaches, who is there?, and that a service answers."""
OUTPUT, ENDED, TOLD = b"o", b"e", b"i"
"""From the keeper: what is shown, the exit code, and what there is to tell."""
_HEAD = struct.Struct(">cI")
_CHUNK = 65536


def send(connection: socket.socket, kind: bytes, content: bytes) -> None:
    connection.sendall(_HEAD.pack(kind, len(content)) + content)


def send_json(connection: socket.socket, kind: bytes, content: Any) -> None:
    send(connection, kind, json.dumps(content).encode())


class Reader:
    """Frames as they arrive on a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.ended = False
        self._read = b""

    def frames(self) -> Iterator[tuple[bytes, bytes]]:
        """Those that are complete after one more read, which must be possible now."""
        try:
            read = self.connection.recv(_CHUNK)
        except OSError:  # the other side was killed
            read = b""
        self.ended = not read
        self._read += read
        while len(self._read) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._read)
            if len(self._read) < _HEAD.size + length:
                return
            content = self._read[_HEAD.size : _HEAD.size + length]
            self._read = self._read[_HEAD.size + length :]
            yield kind, content
