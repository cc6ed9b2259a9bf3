"""A real git server on this host, and a person who fetches from it; as root another user than root."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from devswap.errors import DevswapError
from devswap.invoker import UserHome
from devswap.process import Identity
from devswap.source import Checkout, Remotes, prepare, require

T = TypeVar("T")

ROOT = os.geteuid() == 0


CHANGE_ID = "I0123456789abcdef0123456789abcdef01234567"


SOMEBODY = 1234


def git(folder: Path, *argv: str, home: UserHome | None = None, check: bool = True) -> str:
    """git as the person at the keyboard uses it; as `home`'s user where one is given."""
    who = home.identity if home else None
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home.home if home else folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{role}_{what}": f"ada{at}" for role in ("AUTHOR", "COMMITTER") for what, at in
           (("NAME", ""), ("EMAIL", "@example.org"))},
    }  # fmt: skip
    done = subprocess.run(
        ["git", "-C", str(folder), *argv],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        user=who.uid if who else None,
        group=who.gid if who else None,
        extra_groups=[] if who else None,
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Upstream:
    """A served repository, and the work tree that its commits are made in."""

    name: str
    bare: Path
    work: Path
    port: int

    @property
    def url(self) -> str:
        return f"git://127.0.0.1:{self.port}/{self.name}"

    def commit(self, message: str, **files: str) -> str:
        for name, text in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(text)
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", "-m", message)
        return git(self.work, "rev-parse", "HEAD")

    def push(self, *refspecs: str) -> None:
        git(self.work, "push", "--quiet", "--force", str(self.bare), *refspecs)

    def propose(self, number: int, message: str, *, base: str = "master", **files: str) -> str:
        """The first patchset of a change with a message of its own."""
        git(self.work, "checkout", "--quiet", "--detach", base)
        commit = self.commit(message, **files)
        self.push(f"HEAD:refs/changes/{number % 100:02d}/{number}/1")
        git(self.work, "checkout", "--quiet", "master")
        return commit

    def patchset(self, number: int, patchset: int, base: str = "master", **files: str) -> str:
        git(self.work, "checkout", "--quiet", "--detach", base)
        commit = self.commit(f"Change {number}\n\nChange-Id: {CHANGE_ID}", **files)
        self.push(f"HEAD:refs/changes/{number % 100:02d}/{number}/{patchset}")
        git(self.work, "checkout", "--quiet", "master")
        return commit


@dataclass
class Server:
    folder: Path
    port: int
    repositories: dict[str, Upstream] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # not `git daemon`: git would leave the daemon itself behind when ended
        exec_path = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
        self.process = subprocess.Popen(
            [
                f"{exec_path}/git-daemon",
                "--reuseaddr",
                "--listen=127.0.0.1",
                f"--port={self.port}",
                f"--base-path={self.folder}",
                "--export-all",
                "--enable=receive-pack",
            ],
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, "git daemon does not answer"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def repository(self, name: str, *, partial: bool = True) -> Upstream:
        upstream = Upstream(name, self.folder / name, self.folder / f"{name}.work", self.port)
        git(self.folder, "init", "--quiet", "--bare", "--initial-branch=master", str(upstream.bare))
        git(self.folder, "init", "--quiet", "--initial-branch=master", str(upstream.work))
        git(upstream.bare, "config", "uploadpack.allowFilter", str(partial).lower())
        git(upstream.bare, "config", "uploadpack.allowAnySHA1InWant", str(partial).lower())
        self.repositories[name] = upstream
        return upstream


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = Server(folder, port)
    served.start()
    yield served
    served.stop()


@pytest.fixture
def heat(server: Server) -> Upstream:
    """A project with two releases, a stable branch, two patchsets of a change, a pull request."""
    upstream = server.repository("heat")
    upstream.commit(
        "First", **{"setup.cfg": "[metadata]\nname = openstack-heat\n", "engine.py": "one\n", "old.py": "x"}
    )
    git(upstream.work, "tag", "-a", "-m", "1.0.0", "1.0.0")
    git(upstream.work, "branch", "stable/2026.1")
    review = "[gerrit]\nhost=review.example.org\nport=29418\nproject=openstack/heat.git\n"
    upstream.commit("Second", **{"engine.py": "two\n", ".gitreview": review})
    git(upstream.work, "tag", "-a", "-m", "2.0.0", "2.0.0")
    upstream.patchset(123, 1, **{"engine.py": "patchset one\n", "new.py": "1\n"})
    upstream.patchset(123, 2, **{"engine.py": "patchset two\n", "new.py": "2\n"})
    upstream.push("master", "stable/2026.1", "--tags", "master~1:refs/pull/7/head", "master:refs/changes/23/123/meta")
    return upstream


def _unless_gone(function: Any, path: str, why: Any) -> None:
    """A git that was ended removes its locks itself, meanwhile."""
    if not issubclass(why[0], FileNotFoundError):
        raise why[1]


@pytest.fixture
def home() -> Iterator[UserHome]:
    """As root the home of somebody else, below a folder that they can reach."""
    folder = Path(tempfile.mkdtemp(prefix="devswap-home-"))
    folder.chmod(0o755)
    if ROOT:
        os.chown(folder, SOMEBODY, SOMEBODY)
    uid = SOMEBODY if ROOT else os.geteuid()
    who = Identity(SOMEBODY, SOMEBODY) if ROOT else None
    yield UserHome("ada", uid, who, folder, folder / ".local/share/devswap")
    shutil.rmtree(folder, onerror=_unless_gone)


@dataclass
class Developer:
    """Someone with a home who types refs of one project."""

    home: UserHome
    remotes: Remotes
    said: list[str] = field(default_factory=list)
    clock: float = 1_800_000_000.0

    def __call__(self, ref: str) -> Checkout:
        return self._with(prepare, ref)

    def require(self, ref: str) -> None:
        self._with(require, ref)

    def _with(self, command: Callable[..., T], ref: str) -> T:
        return command(
            "heat",
            ref,
            remotes=self.remotes,
            home=self.home,
            cache=self.mirrors,
            say=self.said.append,
            now=lambda: self.clock,
        )

    @property
    def mirrors(self) -> Path:
        return self.home.folder / "mirrors"

    def git(self, checkout: Checkout, *argv: str) -> str:
        return git(checkout.path, *argv, home=self.home)

    def write(self, path: Path, text: str) -> None:
        path.write_text(text)
        if ROOT:
            os.chown(path, SOMEBODY, SOMEBODY)

    def refused(self, ref: str) -> DevswapError:
        before = contents(self.home.folder / "checkouts")
        with pytest.raises(DevswapError) as caught:
            self(ref)
        assert contents(self.home.folder / "checkouts") == before, "a refusal changed something"
        return caught.value


@pytest.fixture
def developer(home: UserHome, heat: Upstream) -> Developer:
    return Developer(home, Remotes(heat.url, heat.url))


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with a digest of what is in it, its owner, and when it was changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        entry = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        # git touches a folder when it takes and leaves a lock there, which changes nothing in it
        found[str(path)] = f"{digest} {entry.st_uid} {entry.st_mtime_ns if path.is_file() else ''}"
    return found


def commit_of(upstream: Upstream, name: str) -> str:
    return git(upstream.bare, "rev-parse", f"{name}^{{commit}}")


class Wire:
    """Between a person and a server: counts what is sent, and keeps what is asked."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._to = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.asked = b""
        self.answered = b""
        self.cut = 0
        """How many of the next connections end in the middle."""
        self._noting = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def forget(self) -> None:
        with self._noting:
            self.asked = self.answered = b""

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near = self._listening.accept()[0]
                if self.cut:
                    self.cut -= 1
                    near.close()
                    continue
                far = socket.create_connection(self._to)
                threading.Thread(target=self._pass, args=(near, far, "asked"), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, "answered"), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, kept: str) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                with self._noting:
                    setattr(self, kept, getattr(self, kept) + data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    between = Wire(server.port)
    yield between
    between.close()
