"""Calls of heat-engine's own methods, from inside the cloud, and what waits for their answers."""

from __future__ import annotations

import subprocess

from tests.integration.cloud import Cloud

SERVICE = "heat.engine.service:EngineService"
# heat-api has one thread: what is to be there at once is asked for directly
_CALLS = """
import sys, threading, oslo_messaging

number, name = int(sys.argv[1]), sys.argv[2]
from oslo_config import cfg
oslo_messaging.set_transport_defaults("heat")
cfg.CONF(["--config-file", "/etc/heat/heat.conf"], project="heat")
transport = oslo_messaging.get_rpc_transport(cfg.CONF)
client = getattr(oslo_messaging, "get_rpc_client", oslo_messaging.RPCClient)
calls = client(transport, oslo_messaging.Target(topic="engine", version="1.0"), timeout=300)
def ask():
    try:
        print(len(calls.call({}, "list_resource_types", support_status=None, type_name=name)))
    except Exception as error:  # of its own class, or of one that names it
        print(getattr(error, "exc_type", type(error).__name__.partition("_")[0]))
threads = [threading.Thread(target=ask) for _ in range(number)]
[each.start() for each in threads]
[each.join() for each in threads]
"""


def begin(cloud: Cloud, on: str, *argv: str, text: str = "") -> subprocess.Popen[str]:
    line = ["lxc-attach", "--clear-env", "-n", on, "--", *argv]
    started = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert started.stdin is not None
    started.stdin.write(text)
    started.stdin.close()
    started.stdin = None
    return started


def begin_calls(cloud: Cloud, number: int = 1, *, name: str = "OS::Heat::R.*") -> subprocess.Popen[str]:
    """So many calls of list_resource_types at once; what it prints has a line for each answer, or error."""
    script = 'exec /openstack/venvs/heat-*/bin/python -c "$@"'
    return begin(cloud, cloud.heat, "sh", "-c", script, "sh", _CALLS, str(number), name)
