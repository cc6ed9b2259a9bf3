"""Serves WSGI applications on a terminal, one request after the other in one process: what mod_wsgi has no prompt for.

    python -m _devswap_serve HOST:PORT=FILE … [/URL=FOLDER …] [-- ARGUMENT …]

Copied into every overlay and run there in production's place, so it imports nothing of devswap. A file is loaded as
mod_wsgi loads it; those with the same text share one application. What is below a URL is a file of its folder. The
applications see the arguments as their own command line.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import mimetypes
import os
import selectors
import signal
import socket
import sys
import time
import types
from typing import Any
from wsgiref import simple_server

_PATIENCE = 20.0


class Handler(simple_server.WSGIRequestHandler):
    timeout = 20  # a client that connects and says nothing must not hold up all others

    def address_string(self) -> str:
        return str(self.client_address[0])  # without asking for its name


class Server(simple_server.WSGIServer):
    request_queue_size = 128

    def server_bind(self) -> None:
        """Without asking for our own name, and patiently: a web server that let go of the port may still close it."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                self.socket.bind(self.server_address)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                    raise
                time.sleep(0.02)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class ServerOfIPv6(Server):
    address_family = socket.AF_INET6


class WithFiles:
    """An application with folders of files before it, as a web server's Alias has them."""

    def __init__(self, application: Any, folders: dict[str, str]) -> None:
        self._application, self._folders = application, folders

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")  # as PEP 3333 has it
        for url, folder in self._folders.items():
            if path.startswith(f"{url}/"):
                return self._answer(os.path.realpath(folder), path[len(url) + 1 :], environ, start_response)
        return self._application(environ, start_response)

    def _answer(self, folder: str, name: str, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        path = os.path.realpath(os.path.join(folder, name.lstrip("/").replace("\0", "")))
        try:
            if not path.startswith(f"{folder}/"):
                raise FileNotFoundError(path)
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "0")])
            return []
        kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        start_response("200 OK", [("Content-Type", kind), ("Content-Length", str(len(content)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]


def load(path: str, loaded: dict[str, Any]) -> Any:
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if text not in loaded:
        module = types.ModuleType("_application")
        module.__file__ = path
        exec(compile(text, path, "exec"), module.__dict__)  # noqa: S102 - as mod_wsgi does
        loaded[text] = module.application
    return loaded[text]


def serve(wanted: list[tuple[str, int, str]], folders: dict[str, str]) -> None:
    loaded: dict[str, Any] = {}
    with selectors.DefaultSelector() as ready:
        for host, port, path in wanted:
            kind = ServerOfIPv6 if ":" in host else Server
            application = WithFiles(load(path, loaded), folders)
            server = simple_server.make_server(host, port, application, server_class=kind, handler_class=Handler)
            ready.register(server, selectors.EVENT_READ, server)
        interrupted = _interrupted()
        while not interrupted:
            for key, _ in ready.select():
                key.data.handle_request()


def _interrupted() -> list[int]:
    """Holds the signal once Ctrl-C was pressed: wsgiref takes it for the application's error."""
    heard: list[int] = []

    def hear(number: int, frame: object) -> None:  # noqa: ARG001
        heard.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, hear)
    return heard


def main() -> None:
    wanted, folders = [], {}
    words, arguments = sys.argv[1:], sys.argv[:0]
    if "--" in words:
        words, arguments = words[: words.index("--")], words[words.index("--") + 1 :]
    for word in words:
        where, _, path = word.partition("=")
        if where.startswith("/"):
            folders[where] = path
            continue
        host, _, port = where.rpartition(":")
        wanted.append((host.strip("[]").replace("*", ""), int(port), path))
    sys.argv[1:] = arguments
    with contextlib.suppress(KeyboardInterrupt):
        serve(wanted, folders)
    _leave()


def _leave() -> None:
    """Without taking the interpreter apart: of an application of this size that takes a second."""
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
