"""One thing said over a socket, and the whole answer; TCP as from the network of another process.

A thread of its own enters that network, which for setns(2) is enough: what it opens there stays there, and it ends.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time

from devswap import syscalls

_CHUNK = 65536
_MOST = 16 * 1024 * 1024


def connect(pid: int, host: str, port: int, seconds: float, *, tls: bool) -> socket.socket:
    """A TCP connection to `host`, as the process `pid` would make it; raises OSError. TLS vouches for nobody here."""
    found: list[socket.socket | OSError] = []

    def dial() -> None:
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino:
                with open(f"/proc/{pid}/ns/net", "rb") as namespace:
                    syscalls.enter_network(namespace.fileno())
            found.append(socket.create_connection((host, port), timeout=seconds))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=dial)
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return _private(found[0]) if tls else found[0]


def _private(connection: socket.socket) -> socket.socket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(connection)
    except OSError:
        connection.close()
        raise


def hold(connection: socket.socket, text: str, seconds: float) -> str:
    """Say `text` and hear the answer until the other side ends it; raises OSError when it takes more than `seconds`."""
    deadline = time.monotonic() + seconds
    answer = b""
    with connection:
        connection.sendall(text.encode())
        while len(answer) < _MOST:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no whole answer within {seconds:.0f} s")
            connection.settimeout(left)
            try:
                read = connection.recv(_CHUNK)
            except ConnectionResetError:
                break  # it has closed with more of ours unread: what it said counts
            if not read:
                break
            answer += read
    return answer.decode(errors="replace")
