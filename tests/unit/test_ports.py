"""Which ports a unit listens on, where its processes are in several network namespaces."""

from __future__ import annotations

from typing import Any

import pytest

from devswap import ports

_LINE = "   0: {} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 {} 1\n"
# dnsmasq comes first, and is in a network's namespace
_FILES = {
    "/proc/1/cgroup": "0::/lxc/aio1/init.scope\n",
    "/proc/20/cgroup": "0::/lxc/aio1/neutron.slice/agent.service\n",
    "/proc/30/cgroup": "0::/lxc/aio1/neutron.slice/agent.service\n",
    "/proc/1/net/tcp": "head\n" + _LINE.format("0100007F:0050", 7),
    "/proc/20/net/tcp": "head\n" + _LINE.format("0200090A:0035", 8),
    "/proc/30/net/tcp": "head\n" + _LINE.format("0100007F:0050", 7),
}
_SOCKETS = {"/proc/20/fd/3": "socket:[8]", "/proc/30/fd/3": "socket:[7]"}


class Machine:
    def read_text(self, path: str) -> str | None:
        return _FILES.get(path)

    def names(self, path: str) -> list[str]:
        return ["1", "20", "30"] if path == "/proc" else ["3"]

    def link_target(self, path: str) -> str | None:
        return _SOCKETS.get(path)


def test_what_a_units_processes_listen_on_in_other_namespaces_is_none_of_the_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine: Any = Machine()
    monkeypatch.setattr("devswap.systemd.show", lambda *_: {"ControlGroup": "/neutron.slice/agent.service"})
    assert ports.listening(machine, "agent.service") == ["127.0.0.1:80"]
