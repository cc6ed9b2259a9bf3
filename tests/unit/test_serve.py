"""The small server answers requests of real clients, one after the other, for the application in a file."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap import serve

APPLICATION = """
import sys
started = []
def application(environ, start_response):
    started.append(1)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [("%d %s %s" % (len(started), sys.argv[1:], environ["PATH_INFO"])).encode()]
"""


@pytest.fixture
def ports() -> tuple[int, int]:
    found = []
    for _ in range(2):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            found.append(one.getsockname()[1])
    return found[0], found[1]


@pytest.fixture
def server(tmp_path: Path, ports: tuple[int, int]) -> Iterator[subprocess.Popen[bytes]]:
    folder = Path(serve.__file__).parent
    words = []
    for number, port in enumerate(ports):
        (tmp_path / f"application{number}").write_text(APPLICATION)
        words.append(f"127.0.0.1:{port}={tmp_path}/application{number}")
    with subprocess.Popen([sys.executable, str(folder / "serve.py"), *words]) as run:
        yield run
        run.kill()


def ask(port: int) -> str:
    until = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v3") as answer:
                return str(answer.read().decode())
        except urllib.error.URLError:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_files_with_the_same_text_share_an_application_and_ctrl_c_ends_it(
    server: subprocess.Popen[bytes], ports: tuple[int, int]
) -> None:
    assert [ask(ports[0]), ask(ports[1])] == ["1 [] /v3", "2 [] /v3"]
    server.send_signal(signal.SIGINT)
    assert server.wait(10) == 0


def test_applications_see_the_arguments_as_their_own_command_line(tmp_path: Path, ports: tuple[int, int]) -> None:
    (tmp_path / "application").write_text(APPLICATION)
    words = [f"127.0.0.1:{ports[0]}={tmp_path}/application", "--", "--config-file", "/etc/heat/heat.conf"]
    with subprocess.Popen([sys.executable, serve.__file__, *words]) as run:
        assert ask(ports[0]) == "1 ['--config-file', '/etc/heat/heat.conf'] /v3"
        run.kill()


def test_it_waits_for_a_port_that_somebody_is_about_to_let_go_of(
    tmp_path: Path, ports: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    with socket.socket() as before:
        before.bind(("127.0.0.1", ports[0]))
        before.listen()
        server = request.getfixturevalue("server")
        time.sleep(0.5)
        assert server.poll() is None
    assert ask(ports[0]) == "1 [] /v3"


def test_what_an_application_does_at_its_end_is_done(tmp_path: Path, ports: tuple[int, int]) -> None:
    ends = f"import atexit, pathlib\natexit.register(pathlib.Path({str(tmp_path / 'ended')!r}).touch)\n"
    (tmp_path / "application").write_text(ends + APPLICATION)
    script = Path(serve.__file__).parent / "serve.py"
    with subprocess.Popen([sys.executable, str(script), f"127.0.0.1:{ports[0]}={tmp_path}/application"]) as run:
        ask(ports[0])
        run.send_signal(signal.SIGINT)
        assert run.wait(10) == 0
    assert (tmp_path / "ended").exists()


def test_files_of_a_folder_are_shown_and_no_others(tmp_path: Path, ports: tuple[int, int]) -> None:
    (tmp_path / "application").write_text(APPLICATION)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "static/css").mkdir(parents=True)
    (tmp_path / "static/css/a.css").write_text("a { }")
    (tmp_path / "static/out").symlink_to(tmp_path / "secret")
    words = [f"127.0.0.1:{ports[0]}={tmp_path}/application", f"/static={tmp_path}/static"]
    with subprocess.Popen([sys.executable, serve.__file__, *words]) as run:
        assert ask(ports[0]).endswith("/v3")
        url = f"http://127.0.0.1:{ports[0]}"
        with urllib.request.urlopen(f"{url}/static/css/a.css") as answer:
            assert (answer.read(), answer.headers["Content-Type"]) == (b"a { }", "text/css")
        for path in ("/static/b.css", "/static/css", "/static/../secret", "/static//etc/passwd", "/static/out"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(url + path)
        request = urllib.request.Request(f"{url}/static/css/a.css", method="HEAD")
        with urllib.request.urlopen(request) as answer:
            assert (answer.read(), answer.headers["Content-Length"]) == (b"", "5")
        run.kill()
