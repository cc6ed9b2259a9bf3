"""Asks a service that consumes a queue whether it serves. The broker knows: it counts the consumers.

The question is asked inside the machine, with production's own Python and the service's own account at the broker, by a
passive declaration, which changes nothing and needs no administrator.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from devswap import unit_environment
from devswap.configuration import Configuration
from devswap.errors import DevswapError
from devswap.machine import Machine

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

def is_consumed(connection, queue):
    channel = connection.channel()
    try:
        return channel.queue_declare(queue=queue, passive=True).consumer_count > 0
    except amqp.exceptions.NotFound:
        return False
    finally:
        if channel.is_open:
            channel.close()

deadline = time.monotonic() + asked["seconds"]
own = socket.gethostname()
queues = ["%s.%s%s" % (asked["topic"], host or own, behind) for host, behind in asked["hosts"]]
connection = problem = None
while True:
    try:
        connection = connection or connect(asked["url"])
        lonely = [queue for queue in queues if not is_consumed(connection, queue)]
        if not lonely:
            print(json.dumps({"serving": True, "why": "the queue %s has a consumer" % " and ".join(queues)}))
            break
        problem = "the queue %s has no consumer" % " and ".join(lonely)
    except Exception as error:
        connection, problem = None, "the broker cannot be asked: %s" % error
    if time.monotonic() >= deadline:
        print(json.dumps({"serving": False, "why": problem}))
        break
    if select.select([0], [], [], 0.05)[0]:
        break  # whoever asked is gone
"""


@dataclass(frozen=True)
class QueueProbe:
    """How one service is asked. Holds no secret: the broker's URL is read when it is needed."""

    unit: str
    topic: str
    python: str
    user: str
    config_files: tuple[str, ...]
    backends: str = ""
    """The option that lists what it has a queue each for."""

    script = _SCRIPT

    def as_json(self) -> dict[str, Any]:
        return {"kind": "queue", **asdict(self)}

    def asked(self, machine: Machine) -> dict[str, Any]:
        """What the script is told; raises DevswapError where the configuration names no broker."""
        options = Configuration.of(machine, self.config_files, unit_environment.of(machine, self.unit))
        return self.told(options, machine.name)

    def told(self, options: Configuration, where: str) -> dict[str, Any]:
        """The same from the options of the service, whose machine is called `where`."""
        url = options.get("DEFAULT", "transport_url")
        if not url or not url.startswith(("rabbit", "amqp", "kombu")):
            raise DevswapError(
                f"cannot ask {where} whether it serves: transport_url in {', '.join(self.config_files)} "
                "names no RabbitMQ broker"
            )
        return {
            "url": url,
            "topic": self.topic,
            "hosts": self._hosts(options),
            "secure": (options.get("oslo_messaging_rabbit", "ssl") or "").lower() in ("true", "1", "yes"),
            "authority": options.get("oslo_messaging_rabbit", "ssl_ca_file"),
        }

    def _hosts(self, options: Configuration) -> list[tuple[str | None, str]]:
        """Of each queue: its host, None for the machine's own name, and what its name has behind that."""
        host = options.get("DEFAULT", "host")
        names = options.listed("DEFAULT", self.backends) if self.backends else ()
        if not names:
            return [(host, "")]
        return [(options.get(name, "backend_host") or host, f"@{name}") for name in names]
