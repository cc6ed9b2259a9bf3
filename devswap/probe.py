"""Asks a service whether it serves. For services that consume a queue, the broker knows: it counts the consumers.

The question is asked inside the machine, with production's own Python and the service's own account at the broker, by a
passive declaration, which changes nothing and needs no administrator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from devswap import process, systemd
from devswap.configuration import Configuration
from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.process import TimeoutExpired

# Runs in the machine, on any Python from 3.6 on, with the amqp library that oslo.messaging brings.
_SCRIPT = r"""
import json, select, socket, sys, time
from urllib.parse import parse_qs, unquote, urlsplit
import amqp
asked = json.loads(sys.stdin.readline() or sys.exit())

def hosts(url):
    scheme, rest = url.split("://", 1)
    where, _, tail = rest.partition("/")
    for one in where.split(","):
        yield urlsplit("%s://%s/%s" % (scheme, one, tail))

def connect(url):
    problem = None
    for parts in hosts(url):
        query = parse_qs(parts.query)
        secure = query.get("ssl", ["0"])[0].lower() in ("1", "true", "yes") or asked["secure"]
        authority = query.get("ssl_ca_file", [asked["authority"]])[0]
        ssl = {"ca_certs": authority} if authority else {"cert_reqs": 0}
        connection = amqp.Connection(
            host="%s:%d" % (parts.hostname, parts.port or (5671 if secure else 5672)),
            userid=unquote(parts.username or "guest"), password=unquote(parts.password or "guest"),
            virtual_host=unquote(parts.path[1:]) or "/", ssl=ssl if secure else False, connect_timeout=3)
        try:
            connection.connect()
            return connection
        except Exception as error:
            problem = error
    raise problem

def consumers(connection, queue):
    channel = connection.channel()
    try:
        return channel.queue_declare(queue=queue, passive=True).consumer_count
    except amqp.exceptions.NotFound:
        return 0
    finally:
        if channel.is_open:
            channel.close()

deadline = time.monotonic() + asked["seconds"]
queue = "%s.%s" % (asked["topic"], asked["host"] or socket.gethostname())
connection = problem = None
while True:
    try:
        connection = connection or connect(asked["url"])
        if consumers(connection, queue) > 0:
            print(json.dumps({"serving": True, "why": "the queue %s has a consumer" % queue}))
            break
        problem = "the queue %s has no consumer" % queue
    except Exception as error:
        connection, problem = None, "the broker cannot be asked: %s" % error
    if time.monotonic() >= deadline:
        print(json.dumps({"serving": False, "why": problem}))
        break
    if select.select([0], [], [], 0.05)[0]:
        break  # whoever asked is gone
"""


@dataclass(frozen=True)
class Probe:
    """How one service is asked. Holds no secret: the broker's URL is read when it is needed."""

    unit: str
    topic: str
    python: str
    user: str
    config_files: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def from_json(read: Mapping[str, Any]) -> Probe:
    return Probe(**{**read, "config_files": tuple(read["config_files"])})


@dataclass(frozen=True)
class Answer:
    serving: bool
    why: str


class Question:
    """A probe in its machine, ready to ask: made before production stops, its own start costs no outage."""

    def __init__(self, probe: Probe, machine: Machine) -> None:
        self._over = False
        self._process = machine.popen(
            [probe.python, "-c", _SCRIPT],
            user=probe.user,
            cwd="/",
            stdin=process.PIPE,
            stdout=process.PIPE,
            stderr=process.PIPE,
            new_session=True,
        )
        try:
            self._asked = _asked(probe, machine)
        except BaseException:
            self.withdraw()
            raise

    def begin(self, *, seconds: float) -> None:
        """Ask from now on, until the service serves or the seconds have passed."""
        assert self._process.stdin is not None  # noqa: S101
        with suppress(BrokenPipeError):  # there is no such interpreter: its exit code and its words tell
            self._process.stdin.write((json.dumps({**self._asked, "seconds": seconds}) + "\n").encode())
            self._process.stdin.flush()

    def is_answered(self, *, within: float = 0.0) -> bool:
        """Whether there is an answer, for which it waits so many seconds at most."""
        if not within:
            return self._process.poll() is not None
        try:
            self._process.wait(within)
        except TimeoutExpired:
            return False
        return True

    def withdraw(self) -> None:
        """Stop asking, if it has not stopped by itself. What asks inside the machine ends too: its input has."""
        if not self._over:
            self._over = True
            self._process.kill()
            self._process.communicate()

    def answer(self) -> Answer:
        """Wait for the service to serve, or for the seconds to pass."""
        assert self._process.stdout is not None  # noqa: S101
        out = self._process.stdout.read()  # its standard input stays open until then: closed, it would stop asking
        self._over = True
        _, err = self._process.communicate()
        if self._process.returncode != 0 or not out.strip():
            said = err.decode(errors="replace").strip().splitlines()
            return Answer(serving=False, why=f"it cannot be asked: {said[-1] if said else 'no answer'}")
        # What a library prints on its way is not the answer: the answer is the last line
        return Answer(**json.loads(out.splitlines()[-1]))


def ask(probe: Probe, machine: Machine, *, seconds: float = 0.0) -> Answer:
    """Whether the service serves, waiting at most `seconds` for it to."""
    question = Question(probe, machine)
    question.begin(seconds=seconds)
    return question.answer()


def _asked(probe: Probe, machine: Machine) -> dict[str, Any]:
    options = Configuration.of(machine, probe.config_files, systemd.environment(machine, probe.unit))
    url = options.get("DEFAULT", "transport_url")
    if not url or not url.startswith(("rabbit", "amqp", "kombu")):
        raise DevswapError(
            f"cannot ask {machine.name} whether it serves: transport_url in {', '.join(probe.config_files)} "
            "names no RabbitMQ broker"
        )
    return {
        "url": url,
        "topic": probe.topic,
        "host": options.get("DEFAULT", "host"),
        "secure": (options.get("oslo_messaging_rabbit", "ssl") or "").lower() in ("true", "1", "yes"),
        "authority": options.get("oslo_messaging_rabbit", "ssl_ca_file"),
    }
