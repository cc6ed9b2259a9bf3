"""Asks a web application whether it serves: a request on every socket it listens on, from inside its machine.

So neither a load balancer nor a web server before it is asked, whose opinion is older. What the application itself
answers counts as serving, as long as it is no error of the server.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from devswap.machine import Machine

# Runs in the machine, on any Python from 3.6 on. One request at a time stays open until it is answered: a person may
# sit at a breakpoint, and requests that nobody waits for any more would queue up behind it.
_SCRIPT = r"""
import json, select, socket, ssl, struct, sys, time
from urllib.parse import urlsplit
asked = json.loads(sys.stdin.readline() or sys.exit())
deadline = time.monotonic() + asked["seconds"]

class Gone(Exception):
    pass

def connect(parts, seconds):
    if not parts.netloc or parts.netloc.startswith("@"):
        channel = socket.socket(socket.AF_UNIX)
        channel.settimeout(seconds)
        channel.connect("\0" + parts.netloc[1:] if parts.netloc else parts.path)
    else:
        channel = socket.create_connection((parts.hostname, parts.port or 80), seconds)
    if parts.scheme in ("https", "suwsgi"):  # nobody here is vouched for: it is about whether it answers
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        channel = context.wrap_socket(channel, server_hostname=parts.hostname)
    return channel

def request(parts):
    host = parts.netloc or "localhost"
    if parts.scheme not in ("uwsgi", "suwsgi"):
        return ("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: devswap\r\nAccept: */*\r\nConnection: close\r\n\r\n"
                % (asked["path"], host)).encode()
    names = {"REQUEST_METHOD": "GET", "REQUEST_URI": asked["path"], "PATH_INFO": asked["path"], "QUERY_STRING": "",
             "SCRIPT_NAME": "", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_NAME": parts.hostname or "localhost",
             "SERVER_PORT": str(parts.port or 80), "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": host,
             "HTTP_USER_AGENT": "devswap", "CONTENT_LENGTH": "",
             "UWSGI_SCHEME": "https" if parts.scheme == "suwsgi" else "http"}
    body = b"".join(struct.pack("<H", len(word)) + word.encode() for pair in names.items() for word in pair)
    return struct.pack("<BHB", 0, len(body), 0) + body

def begin(address):
    parts = urlsplit(address)
    channel = connect(parts, max(deadline - time.monotonic(), 5))
    channel.sendall(request(parts))
    return channel

def status(channel):
    try:
        until = max(deadline, time.monotonic() + 5)
        got = b""
        while b"\n" not in got:
            ready = select.select([channel, 0], [], [], max(until - time.monotonic(), 0))[0]
            if 0 in ready:
                raise Gone()
            if not ready:
                raise OSError("no answer in time")
            piece = channel.recv(4096)
            if not piece:
                raise OSError("it hung up")
            got += piece
        return int(got.split(b" ", 2)[1])
    finally:
        channel.close()

def ask():
    told, channels = [], []
    for address in asked["addresses"]:  # all at once: each may be a process of its own that only starts now
        try:
            channels.append((address, begin(address)))
        except Exception as error:
            return False, "%s cannot be asked: %s" % (address, error)
    for address, channel in channels:
        try:
            code = status(channel)
        except Gone:
            raise
        except Exception as error:
            return False, "%s cannot be asked: %s" % (address, error)
        if code >= 500:
            return False, "%s answers %d" % (address, code)
        told.append("%s answers %d" % (address, code))
    return True, ", ".join(told)

try:
    while True:
        serving, why = ask()
        if serving or time.monotonic() >= deadline:
            print(json.dumps({"serving": serving, "why": why}))
            break
        if select.select([0], [], [], 0.05)[0]:
            break  # whoever asked is gone
except Gone:
    pass
"""


@dataclass(frozen=True)
class WebProbe:
    """How one web application is asked."""

    unit: str
    python: str
    user: str
    addresses: tuple[str, ...]
    path: str

    script = _SCRIPT

    def as_json(self) -> dict[str, Any]:
        return {"kind": "web", **asdict(self)}

    def asked(self, machine: Machine) -> dict[str, Any]:  # noqa: ARG002 - a queue's probe reads there
        return {"addresses": self.addresses, "path": self.path}
