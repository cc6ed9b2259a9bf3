"""A web application is asked by the very script that runs in machines, over real sockets."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devswap import probe
from devswap.configuration import Configuration
from devswap.probe_queue import QueueProbe
from devswap.probe_web import WebProbe


def ask(*addresses: str, seconds: float = 0.0) -> dict[str, object]:
    asked = {"addresses": addresses, "path": "/v3", "seconds": seconds}
    with subprocess.Popen(
        [sys.executable, "-c", WebProbe.script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        found: dict[str, object] = json.loads(process.stdout.read())
        return found


@contextmanager
def serving(server: socket.socket, *answers: bytes) -> Iterator[list[bytes]]:
    """One connection for each of `answers`; what was asked."""
    server.listen()
    heard: list[bytes] = []

    def serve() -> None:
        for answer in answers:
            connection, _ = server.accept()
            with connection:
                heard.append(connection.recv(65536))
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield heard
    thread.join()
    server.close()


@pytest.fixture
def server() -> socket.socket:
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    return found


def test_an_answer_of_the_application_is_serving_and_an_error_of_the_server_is_not(server: socket.socket) -> None:
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    with serving(server, b"HTTP/1.1 300 Multiple Choices\r\n\r\n", b"HTTP/1.0 503 No\r\n\r\n") as heard:
        assert ask(address) == {"serving": True, "why": f"{address} answers 300"}
        assert ask(address) == {"serving": False, "why": f"{address} answers 503"}
    assert heard[0].startswith(b"GET /v3 HTTP/1.1\r\nHost: 127.0.0.1:")


def test_it_is_asked_again_until_it_serves(server: socket.socket) -> None:
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    with serving(server, b"", b"HTTP/1.1 500 No\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"):
        assert ask(address, seconds=30)["serving"] is True


def test_uwsgi_is_asked_in_its_own_protocol_over_a_socket_of_the_file_system(tmp_path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "x.socket"))
    with serving(server, b"HTTP/1.1 200 OK\r\n\r\n") as heard:
        assert ask(f"uwsgi://{tmp_path}/x.socket")["serving"] is True
    modifier, size, _ = struct.unpack("<BHB", heard[0][:4])
    assert (modifier, size) == (0, len(heard[0]) - 4)
    assert b"\x09\x00PATH_INFO\x03\x00/v3" in heard[0]


def test_nobody_at_home_is_not_serving(server: socket.socket) -> None:
    port = server.getsockname()[1]
    server.close()
    assert "refused" in str(ask(f"http://127.0.0.1:{port}")["why"])


def test_it_ends_when_whoever_asked_is_gone(server: socket.socket) -> None:
    server.listen()
    process = subprocess.Popen(
        [sys.executable, "-c", WebProbe.script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    asked = json.dumps({"addresses": [address], "path": "/", "seconds": 600})
    assert process.stdin is not None
    process.stdin.write(asked + "\n")
    process.stdin.flush()
    connection, _ = server.accept()
    out, _ = process.communicate(timeout=30)
    assert out == ""
    connection.close()
    server.close()


# What oslo.messaging brings, as far as it is asked: a queue has as many consumers as the broker's file says.
_AMQP = """
import json, os, types
class NotFound(Exception): pass
exceptions = types.SimpleNamespace(NotFound=NotFound)
class Channel:
    is_open = True
    def queue_declare(self, queue, passive):
        consumers = json.loads(os.environ["CONSUMERS"])
        if queue not in consumers:
            raise NotFound
        return types.SimpleNamespace(consumer_count=consumers[queue])
    def close(self): pass
class Connection:
    def __init__(self, **options): pass
    def connect(self): pass
    def channel(self): return Channel()
"""


@pytest.mark.parametrize(
    ("consumers", "serving", "why"),
    [
        ({"volume.a@one": 1, "volume.b@two": 1}, True, "the queue volume.a@one and volume.b@two has a consumer"),
        ({"volume.a@one": 1, "volume.b@two": 0}, False, "the queue volume.b@two has no consumer"),
        ({"volume.b@two": 1}, False, "the queue volume.a@one has no consumer"),
    ],
)
def test_each_backend_has_a_queue_and_all_must_be_consumed(
    tmp_path: Path, consumers: dict[str, int], why: str, *, serving: bool
) -> None:
    (tmp_path / "amqp.py").write_text(_AMQP)
    text = "[DEFAULT]\ntransport_url = rabbit://x\nhost = a\nenabled_backends = one, two\n[two]\nbackend_host = b\n"
    queues = QueueProbe("a.service", "volume", "/p", "cinder", ("/etc/a.conf",), "enabled_backends")
    asked = queues.told(Configuration([text], {}), "a machine")
    process = subprocess.run(
        [sys.executable, "-c", QueueProbe.script],
        input=json.dumps({**asked, "seconds": 0}) + "\n",
        env={**os.environ, "PYTHONPATH": str(tmp_path), "CONSUMERS": json.dumps(consumers)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(process.stdout) == {"serving": serving, "why": why}


def test_a_probe_survives_the_journal() -> None:
    web = WebProbe("a.service", "/p", "heat", ("http://127.0.0.1:1",), "/")
    queue = QueueProbe("a.service", "engine", "/p", "heat", ("/etc/a.conf",))
    for each in (web, queue):
        assert probe.from_json(json.loads(json.dumps(each.as_json()))) == each
    assert probe.from_json({name: value for name, value in queue.as_json().items() if name != "kind"}) == queue
