"""HAProxy on a real cloud: no request of a second process is lost while a service is narrowed, however HAProxy runs."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devswap.sandbox import changes
from devswap.sandbox.changes import HARMLESS
from tests.integration.cloud import Cloud, certificate, wait_until
from tests.integration.people import Desk
from tests.integration.through_haproxy import FILES, UnderLoad, address, balancer, load, told

pytestmark = pytest.mark.sandbox


def shown(desk: Desk, service: str) -> list[dict[str, Any]]:
    read = json.loads(desk.devswap("haproxy", "show", service, "--machine", balancer(desk.cloud), "--json").stdout)
    assert read["version"] == 1
    found: list[dict[str, Any]] = read["servers"]
    return found


def roles(desk: Desk, service: str) -> list[tuple[str, str]]:
    return [(server["role"], server["state"].split()[0]) for server in shown(desk, service)]


def test_no_request_is_lost_while_a_service_is_narrowed_and_widened(
    cloud: Cloud, desk: Desk, under_load: UnderLoad
) -> None:
    """With another person's edit and reload in between, on one file (2015) and on fragments assembled into one."""
    on = balancer(cloud)
    before = cloud.sh(FILES, on=on)
    first, second = (server["server"] for server in shown(desk, "keystone_service"))
    with under_load("haproxy narrow"):
        desk.devswap("haproxy", "narrow", "keystone_service", "--to", first)
    assert roles(desk, "keystone_service") == [("active", "UP"), ("backup", "UP")]
    assert "narrowed, serving" in desk.devswap("status").stdout
    with under_load("somebody else's reload while narrowed"):
        cloud.sh("sed -i 's/^    balance leastconn$/& # theirs/' /etc/haproxy/haproxy.cfg", on=on)
        cloud.sh("systemctl reload haproxy", on=on)
    assert roles(desk, "keystone_service") == [("active", "UP"), ("backup", "UP")]
    desk.devswap("haproxy", "narrow", "keystone_service", "--to", second, code=1)
    with under_load("haproxy widen"):
        assert "as before" in desk.devswap("haproxy", "widen", "keystone_service", "--machine", on).stdout
    assert roles(desk, "keystone_service") == [("active", "UP"), ("active", "UP")]
    with under_load("haproxy narrow --exclusive"):
        desk.devswap("haproxy", "narrow", "keystone_service", "--to", second, "--exclusive")
    assert roles(desk, "keystone_service") == [("out", "MAINT"), ("active", "UP")]
    with under_load("haproxy widen after --exclusive"):
        desk.devswap("haproxy", "widen", "keystone_service", "--machine", on)
    theirs = cloud.sh("grep -c '# theirs' /etc/haproxy/haproxy.cfg", on=on)
    assert int(theirs) >= 5
    cloud.sh("sed -i 's/ # theirs$//' /etc/haproxy/haproxy.cfg && systemctl reload haproxy", on=on)
    assert cloud.sh(FILES, on=on) == before
    assert [server["role"] for server in shown(desk, "keystone_service")] == ["active", "active"]


def test_no_request_is_lost_while_a_service_with_a_second_server_is_swapped(
    cloud: Cloud, desk: Desk, under_load: UnderLoad
) -> None:
    on, url = balancer(cloud), f"http://{address(cloud)}:5000/v3"
    before, place = cloud.sh(FILES, on=on), cloud.container("-keystone-")
    change = changes.change("keystone", HARMLESS, cloud.era)
    with under_load("checkout --detach"):
        desk.devswap("checkout", "keystone", f"review/{change.number}", "--machine", place, "--detach")
    assert sorted({server["role"] for server in shown(desk, "keystone")}) == ["active", "backup"]
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert f"X-Keystone-Change: {answer.headers['X-Keystone-Change']}" == change.patchsets[-1].shows
    with under_load("restore after --detach"):
        desk.devswap("restore", "keystone", "--machine", place)
    assert cloud.sh(FILES, on=on) == before


def test_without_a_second_server_requests_fail_in_the_outage_that_is_printed_and_never_else(
    cloud: Cloud, desk: Desk, report: Callable[[str], None]
) -> None:
    on, place = balancer(cloud), cloud.heat_api
    before = cloud.sh(FILES, on=on)
    change = f"review/{cloud.change(HARMLESS).number}"
    with load(f"http://{address(cloud)}:8004/") as seen:
        began = time.time()
        taken = desk.devswap("checkout", "heat-api", change, "--machine", place, "--detach")
        serves = time.time()
        patient = cloud.sh("cat /etc/haproxy/haproxy.cfg", on=on)
        time.sleep(1)  # of requests that development answers
        leaves = time.time()
        restored = desk.devswap("restore", "heat-api", "--machine", place)
        back = time.time()
    outages = [float(re.findall(r"outage ([\d.]+) s", said)[0]) for said in (taken.stderr, restored.stdout)]
    lost = [at for at, _ in seen["failures"] if began < at < serves]
    given_back = [at for at, _ in seen["failures"] if leaves < at < back]
    assert len(lost) + len(given_back) == len(seen["failures"])
    for failures, outage in zip((lost, given_back), outages, strict=True):
        assert max(failures) - min(failures) < outage + 0.5
    assert "timeout server 1h" not in patient
    assert cloud.sh(FILES, on=on) == before
    there, again = outages
    spread = f"{len(lost)} in the {there} s of the takeover, {len(given_back)} in the {again} s of the way back"
    report(f"{told(cloud, 'heat-api, no second server', seen)}: {spread}")


_OWN = """
set -e
mkdir -p /srv/own/services.d
cat >/srv/own/pem
printf 'global\\n    stats socket /srv/own/socket level operator\\n    pidfile /srv/own/pid\\n' >/srv/own/haproxy.cfg
printf 'defaults\\n    mode http\\n    timeout connect 5s\\n    timeout client 9s\\n    timeout server 9s\\n' \\
    >>/srv/own/haproxy.cfg
cat >/srv/own/services.d/own.cfg <<END
frontend own_front
    bind 127.0.0.1:9000${1:+ ssl crt /srv/own/pem}
    default_backend $3_back
backend $3_back
    server one 127.0.0.1:9001 check${1:+ ssl verify none}   # the first
    server two 127.0.0.1:9002 check${1:+ ssl verify none}
END
for port in 9001 9002; do
    setsid python3 -c "$2" $port $1 >/dev/null 2>&1 &
    echo $! >/srv/own/server-$port
done
"""
_SERVER = """
import http.server, ssl, sys
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
if "tls" in sys.argv:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/srv/own/pem")
    # by whoever answers: a handshake in the loop that takes connections has checks wait behind all requests
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""
_ASK = """
import ssl, sys, urllib.request
context = ssl._create_unverified_context()
print(urllib.request.urlopen(sys.argv[1], context=context if sys.argv[1].startswith("https") else None).status)
"""


def _name(cloud: Cloud) -> str:
    """Another cloud of this host may be tried in the same way at the same time."""
    return f"own-{cloud.era}"


@pytest.fixture
def own(cloud: Cloud, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A second HAProxy beside the cloud's, laid out as Kolla does and started by hand: its machine and its address."""
    on, (how, tls) = balancer(cloud), request.param
    url = f"http{'s' if tls else ''}://127.0.0.1:9000/"
    argv = ["sh", "-c", _OWN, "sh", "tls" if tls else "", _SERVER, _name(cloud)]
    cloud.run(argv, on=on, text=certificate(tmp_path))
    cloud.sh(f"cd / && /usr/sbin/haproxy {how} -f /srv/own/haproxy.cfg -f /srv/own/services.d", on=on)
    wait_until(lambda: cloud.run(["python3", "-c", _ASK, url], on=on, ok=False).stdout == "200\n", "it serves")
    yield on, url
    cloud.sh("kill $(cat /srv/own/pid /srv/own/server-*); rm -rf /srv/own", on=on)


@pytest.mark.parametrize("own", [("-W -D", False), ("-D", True)], indirect=True, ids=["master", "daemon in TLS"])
def test_haproxy_without_systemd_and_with_an_operators_socket_is_narrowed_as_well(
    cloud: Cloud, desk: Desk, own: tuple[str, str]
) -> None:
    (on, url), name = own, _name(cloud)
    files = "cat /srv/own/haproxy.cfg /srv/own/services.d/*; ls -A /srv/own/services.d"
    before = cloud.sh(files, on=on)
    with load(url, "lxc-attach", "--clear-env", "-n", on, "--", "python3") as seen:
        desk.devswap("haproxy", "narrow", name, "--to", "two")
        assert [server["role"] for server in shown(desk, name)] == ["backup", "active"]
        first = "server one 127.0.0.1:9001 check" + (" ssl verify none" if url.startswith("https") else "")
        assert f"{first} backup   # the first" in cloud.sh(files, on=on)
        desk.devswap("haproxy", "widen", name)
    assert seen["failures"] == []
    assert cloud.sh(files, on=on) == before
    assert [server["role"] for server in shown(desk, name)] == ["active", "active"]
