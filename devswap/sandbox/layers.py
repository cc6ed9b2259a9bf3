"""Layers: finished file trees in the cache that containers are overlay clones of.

A layer is built under `building/` and renamed into `layers/` when it is whole, so a layer that exists is complete, and
what a killed build left behind is thrown away by the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from devswap import process

CONTAINER_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Layer:
    """A file tree in the cache; `below` are the layers it lies on, nearest first."""

    path: Path
    below: tuple[Path, ...] = ()

    @property
    def stack(self) -> tuple[Path, ...]:
        return (self.path, *self.below)


@dataclass(frozen=True)
class Cache:
    """The folders of the cache: what `down` leaves and `down --purge` removes."""

    root: Path

    def folder(self, *parts: str) -> Path:
        path = self.root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def locked(self, say: Callable[[str], None], what: str = "") -> Iterator[None]:
        """One builder at a time, also when sandboxes with records in different places share the cache.

        Of everything, or of `what` alone: the caller looks again whether somebody else has made it meanwhile.
        """
        with (self.folder() / f"lock{what and f'-{what}'}").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say(f"waiting for another sandbox to build its {what or 'layers'}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def layer_path(self, name: str, *contents: str) -> Path:
        """Named after everything that goes into it, so that a change of pins or packages makes another layer."""
        digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()[:12]
        return self.folder("layers") / f"{name}-{digest}"

    def fresh_building(self, name: str) -> Path:
        path = self.root / "building" / name
        if path.exists():
            shutil.rmtree(path)
        for part in ("upper", "work", "root"):
            (path / part).mkdir(parents=True)
        return path


class Building:
    """A layer being built on others: commands run inside it, then `finish` puts it in its place."""

    def __init__(self, cache: Cache, name: str, below: Sequence[Path]) -> None:
        self.below = tuple(below)
        self.folder = cache.fresh_building(name)

    def run(
        self,
        argv: Sequence[str],
        *,
        binds: Mapping[Path, str] | None = None,
        environment: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - as in process.run
    ) -> process.Result:
        """Run a command in the tree; `binds` mounts host paths into it for as long as that takes.

        The network is the host's, so its resolver is too.
        """
        mounts = {Path("/etc/resolv.conf").resolve(): "/etc/resolv.conf"} | dict(binds or {})
        return run_in_layers(
            self.below, self.folder / "upper", self.folder / "work", self.folder / "root", argv,
            binds=mounts, environment=environment, input=input,
        )  # fmt: skip

    def script(
        self,
        name: str,
        *arguments: str,
        binds: Mapping[Path, str] | None = None,
        environment: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - as in process.run
    ) -> process.Result:
        """Run one of the sandbox's shell scripts in the tree."""
        with as_file(files("devswap.sandbox") / "templates" / name) as path:
            mounted = {path: f"/run/{name}"} | dict(binds or {})
            return self.run(["sh", f"/run/{name}", *arguments], binds=mounted, environment=environment, input=input)

    def finish(self, path: Path) -> Layer:
        (self.folder / "upper").rename(path)
        shutil.rmtree(self.folder)
        return Layer(path, self.below)


def end_builds() -> None:
    """Kill what this process still builds with: a thread that waits for a process cannot be interrupted itself."""
    for task in Path("/proc/self/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            if b"unshare" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                os.kill(child, signal.SIGKILL)


def run_in_layers(
    below: Sequence[Path],
    upper: Path,
    work: Path,
    root: Path,
    argv: Sequence[str],
    *,
    binds: Mapping[Path, str] | None = None,
    environment: Mapping[str, str] | None = None,
    input: str | None = None,  # noqa: A002 - as in process.run
) -> process.Result:
    """Run `argv` in the merged tree, in namespaces of its own: even a kill leaves nothing mounted or running."""
    variables = {
        "PATH": CONTAINER_PATH,
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "SSL_CERT_FILE": CA_BUNDLE,
        "PIP_CERT": CA_BUNDLE,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    } | dict(environment or {})
    with as_file(files("devswap.sandbox") / "templates" / "in-layers.sh") as script:
        return process.run(
            [
                "setpriv", "--pdeathsig", "KILL",
                "unshare", "--mount", "--pid", "--fork", "--kill-child",
                "sh", str(script),
                ":".join(map(str, below)), str(upper), str(work), str(root),
                " ".join(f"{host}={inside}" for host, inside in (binds or {}).items()),
                "env", "-i", *(f"{name}={value}" for name, value in variables.items()),
                *argv,
            ],
            input=input,
            timeout=900,
        )  # fmt: skip
