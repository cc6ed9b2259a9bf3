"""Services behind TLS: who is asked in it, what HAProxy's files keep of it, and whose TLS nobody else can do."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from devswap import conversation, haproxy, narrowing, swap
from devswap.errors import DevswapError
from devswap.probe_web import WebProbe
from devswap.wish import Wish
from tests.simulated import images, web
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences

CFG, FRAGMENT = "/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d/heat_api"
FRONTEND = """frontend heat_api-front
    bind 172.29.236.101:8004 ssl crt /etc/haproxy/ssl/haproxy.pem alpn h2,http/1.1
    default_backend heat_api-back

"""


# --- asked over real sockets ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Of a server whose certificate nobody has signed, and that is another one's."""
    key = tmp_path_factory.mktemp("tls") / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    certificate = key.with_name("certificate.pem")
    subprocess.run(
        [*request, "-subj", "/CN=elsewhere.example", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(certificate, key)
    return found


@pytest.fixture
def server(context: ssl.SSLContext) -> Iterator[tuple[int, list[bytes]]]:
    """(port, what it heard) of one that answers each request in TLS, and hangs up on those who speak plainly."""
    heard: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    with context.wrap_socket(connection, server_side=True) as private:
                        heard.append(private.recv(65536))
                        private.sendall(b"HTTP/1.0 300 Multiple Choices\r\n\r\n")
                except OSError:
                    heard.append(b"nothing in TLS")

    thread = threading.Thread(target=serve)
    thread.start()
    yield listening.getsockname()[1], heard
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def probe(address: str) -> dict[str, object]:
    asked = json.dumps({"addresses": [address], "path": "/v3", "seconds": 0.0})
    line = [sys.executable, "-c", WebProbe.script]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{asked}\n")
        process.stdin.flush()
        found: dict[str, object] = json.loads(process.stdout.read())
        return found


def test_an_application_in_tls_is_asked_whoever_its_certificate_is_for(server: tuple[int, list[bytes]]) -> None:
    port, heard = server
    assert probe(f"https://127.0.0.1:{port}") == {"serving": True, "why": f"https://127.0.0.1:{port} answers 300"}
    assert heard[0].startswith(b"GET /v3 HTTP/1.1\r\n")
    assert probe(f"suwsgi://127.0.0.1:{port}")["serving"] is True
    assert b"\x09\x00PATH_INFO\x03\x00/v3" in heard[1]
    assert probe(f"http://127.0.0.1:{port}")["serving"] is False


def test_a_server_of_haproxys_in_tls_is_heard_out(server: tuple[int, list[bytes]]) -> None:
    port, heard = server
    connection = conversation.connect(os.getpid(), "127.0.0.1", port, 5.0, tls=True)
    assert conversation.hold(connection, "GET / HTTP/1.0\r\n\r\n", 5.0).startswith("HTTP/1.0 300 ")
    assert heard == [b"GET / HTTP/1.0\r\n\r\n"]


# --- taken over -------------------------------------------------------------------------------------------------------


def encrypt(cloud: SimulatedCloud) -> None:
    """TLS from the client to HAProxy, and from there to uWSGI."""
    cloud.balance()
    machine = cloud.machine(images.HAPROXY)
    for path in (CFG, FRAGMENT):
        text = (machine.read_text(path) or "").replace("check port 8004", "check port 8004 ssl verify none")
        machine.write_text(path, text.replace("backend heat_api-back", f"{FRONTEND}backend heat_api-back"))
    machine.run(["systemctl", "reload", "--", "haproxy.service"])
    ours = f"{images.ADDRESSES[images.HEAT]}:8004"
    cloud.in_tls |= {ours, f"{images.PEER}:8004"}
    heat = cloud.machine(images.HEAT)
    told = (heat.read_text("/etc/uwsgi/heat-api.ini") or "").replace("http-socket", "https-socket")
    heat.write_text("/etc/uwsgi/heat-api.ini", told.replace(ours, f"{ours},/etc/heat/api.crt,/etc/heat/api.key"))


def test_a_service_in_tls_behind_haproxy_in_tls_is_taken_over_and_given_back(cloud: SimulatedCloud) -> None:
    encrypt(cloud)
    before, seen = cloud.take(), []
    checkout = Wish("heat-api", "plain", None, None, detach=True)
    cloud.calls.begin(instant=lambda _: seen.append(cloud.haproxy.serving(images.BACKEND)))
    swap.checkout(cloud.host(), checkout, cloud.makers)
    cloud.calls.begin()
    assert cloud.haproxy.serving(images.BACKEND) == [images.OURS]
    assert [] not in seen
    (journal,) = cloud.host().journals.all()
    probed = journal.swap.watched["probe"]["addresses"]
    assert probed == [f"https://{images.ADDRESSES[images.HEAT]}:8004"]
    for path in (CFG, FRAGMENT):
        text = cloud.machine(images.HAPROXY).read_text(path) or ""
        assert FRONTEND in text
        servers = [line for line in text.splitlines() if line.startswith("    server aio1")]
        assert all(" ssl verify none " in line for line in servers)
    swap.restore(cloud.host(), journal)
    assert differences(cloud, before) == []


def test_a_backend_whose_defaults_say_tls_is_asked_in_it(cloud: SimulatedCloud) -> None:
    encrypt(cloud)
    machine = cloud.machine(images.HAPROXY)
    for path in (CFG, FRAGMENT):
        text = (machine.read_text(path) or "").replace(" ssl verify none inter", " inter")
        machine.write_text(path, text.replace("# both", "default-server ssl verify required ca-file /c\n    # both"))
    assert [server.tls for server in haproxy.read([(CFG, machine.read_text(CFG) or "")]).servers][:2] == [True, True]
    before = cloud.take()
    narrowing.narrow(cloud.host(), "heat-api", to=images.HEAT, exclusive=False)
    (journal,) = cloud.host().journals.all()
    assert journal.entries[0].captured["answered"] == [images.OURS]
    swap.restore(cloud.host(), journal)
    assert differences(cloud, before) == []


def test_what_apache_does_tls_for_is_swapped_under_it_and_not_on_a_terminal(cloud: SimulatedCloud) -> None:
    cloud.with_keystone()
    machine = cloud.machine(images.KEYSTONE)
    path = f"{web.SITES}/keystone-httpd.conf"
    told = "    SSLEngine on\n    SSLCertificateFile /etc/ssl/keystone.pem\n    WSGIProcessGroup"
    machine.write_text(path, images.keystone_site().replace("    WSGIProcessGroup", told))
    machine.run(["systemctl", "reload", "--", web.UNIT])
    before = cloud.take()
    for detach in (False, True):
        with pytest.raises(DevswapError, match="Apache does TLS for it") as refused:
            swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=detach), cloud.makers)
        assert refused.value.hint == "under its web server: devswap checkout keystone plain --apache"
        assert differences(cloud, before) == []
    swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=True, apache=True), cloud.makers)
    (journal,) = cloud.host().journals.all()
    assert journal.swap.watched["probe"]["addresses"][0] == "https://10.0.0.1:5000"
    swap.restore(cloud.host(), journal)
    assert differences(cloud, before) == []
