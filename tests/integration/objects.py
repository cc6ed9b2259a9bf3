"""swift of a sandbox as its users see it, on four rings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from devswap.sandbox.additions import ADDITIONS
from tests.integration.added import whole
from tests.integration.cloud import Cloud
from tests.integration.people import Desk

PROXY, OBJECTS = "swift-proxy-server", "swift-object-server"
STORAGE = ADDITIONS["swift"].members[1].units
_ASK = """
import json, sys, openstack
verb, path, body, headers = json.load(sys.stdin)
session = openstack.connect(cloud="default").session
asked = {"service_type": "object-store", "interface": "internal"}
got = session.request(path, verb, endpoint_filter=asked, data=body, headers=headers, raise_exc=False)
print(json.dumps([got.status_code, dict(got.headers), got.text]))
"""
ANSWER, READ, STORED = "X-Proxy-Change", "X-Object-Change", "X-Object-Meta-Stored-By"


def at_proxy(cloud: Cloud, desk: Desk) -> AbstractContextManager[str]:
    return whole(cloud, desk, "swift", [PROXY], "swift-proxy")


def at_storage(cloud: Cloud, desk: Desk) -> AbstractContextManager[str]:
    return whole(cloud, desk, "swift", STORAGE, "swift-obj")


@dataclass(frozen=True)
class Answer:
    code: int
    marks: dict[str, str]
    text: str


@dataclass(frozen=True)
class Store:
    """Somebody's account, through HAProxy."""

    cloud: Cloud

    def ask(self, verb: str, path: str, body: str = "", **headers: str) -> Answer:
        utility = self.cloud.container("-utility-")
        python = self.cloud.sh("readlink -f /usr/local/bin/openstack", on=utility).rpartition("/")[0] + "/python"
        given = json.dumps([verb, path, body, {name.replace("_", "-"): value for name, value in headers.items()}])
        code, got, text = json.loads(self.cloud.run([python, "-c", _ASK], on=utility, text=given).stdout)
        lower = {name.lower(): value for name, value in got.items()}
        marks = {name: lower[name.lower()] for name in (ANSWER, READ, STORED) if name.lower() in lower}
        return Answer(code, marks, text)

    def put(self, path: str) -> dict[str, str]:
        """The marks of the answer; what is stored is the object's own name."""
        answer = self.ask("PUT", path, path)
        assert answer.code == 201, answer
        return answer.marks

    def get(self, path: str) -> dict[str, str]:
        answer = self.ask("GET", path)
        assert (answer.code, answer.text) == (200, path), answer
        return answer.marks


@contextmanager
def store_of(cloud: Cloud) -> Iterator[Store]:
    """With one container for each storage policy, which have a ring each beside those of accounts and containers."""
    found = Store(cloud)
    policies = {"first": "default", "second": "second"}
    for name, policy in policies.items():
        assert found.ask("PUT", name, X_Storage_Policy=policy).code in (201, 202)
    yield found
    for name in policies:
        for key in found.ask("GET", name).text.split():
            assert found.ask("DELETE", f"{name}/{key}").code == 204
        assert found.ask("DELETE", name).code == 204
