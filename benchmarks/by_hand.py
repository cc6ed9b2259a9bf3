"""The well-known recipe by hand: a checkout in production's container, a virtualenv of its own, and the engine swapped.

As kind to the recipe as it can be: everything is installed before production is stopped, and nobody has to think or
type. Production's container has no git, so the host clones and sends the tree in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.place import CONFIG, Place
from devswap import process
from devswap.sandbox.commands import CACHE
from devswap.sandbox.sources import host_pip_environment

_FOLDER = "/opt/by-hand"
_TOOLS = "/opt/by-hand-uv"
UNIT = "by-hand-heat-engine.service"
# Production's configuration needs them, and heat's requirements do not name them.
_BESIDES = ("PyMySQL", "pymemcache", "python-memcached", "systemd-python")
# No command of a person at a terminal comes for nothing, but none of these needs longer.
_SECONDS = 900.0


@dataclass(frozen=True)
class Migrated:
    """What the database cost in seconds, while nobody served."""

    dump: float
    sync: float


class ByHand:
    """One person's work with one installer, from the clone to production's return."""

    def __init__(self, place: Place, scratch: Path, install: Callable[[Place], None]) -> None:
        self._place = place
        self._scratch = scratch
        self._install = install
        self._dump = scratch / "by-hand.sql"

    def prepare(self, ref: str) -> None:
        """Clone, fetch, install; production serves."""
        tree = self._scratch / "by-hand"
        process.run(["rm", "-rf", str(tree)])  # an installer that outlived its interrupt had kept it
        self._run(["rm", "-rf", _FOLDER])
        git = ["git", "-C", str(tree)]
        process.run(["git", "clone", "--quiet", f"{self._place.git}/heat", str(tree)])
        process.run([*git, "fetch", "--quiet", "origin", ref])
        process.run([*git, "checkout", "--quiet", "FETCH_HEAD"])
        version = process.run([*git, "describe", "--tags", "--abbrev=0"]).stdout.strip()
        self._run(["mkdir", "-p", f"{_FOLDER}/heat"])
        with process.popen([*git, "archive", "HEAD"], stdout=process.PIPE) as archive:
            self._place.machine.run(["tar", "-xC", f"{_FOLDER}/heat"], stdin=archive.stdout)
        self._place.machine.write_text(f"{_FOLDER}/pbr-version", version)
        self._install(self._place)

    def take_over(self, *, migrate: bool) -> Migrated | None:
        """Stop production, migrate its database if need be, and start the engine of the checkout."""
        self._run(["systemctl", "stop", self._place.unit])
        migrated = self._migrate() if migrate else None
        self._run(
            [
                "systemd-run", "--quiet", "--collect", f"--unit={UNIT}",
                f"--uid={self._place.user}", f"--gid={self._place.user}",
                f"{_FOLDER}/venv/bin/heat-engine", "--config-file", CONFIG,
            ]
        )  # fmt: skip
        return migrated

    def give_back(self) -> None:
        self._stop()
        self._load()
        self._run(["systemctl", "start", self._place.unit])

    def clean(self) -> None:
        """Also after any failure: production runs, and nothing of the work by hand is left but uv's cache."""
        self._stop()
        self._load()
        self._run(["systemctl", "start", self._place.unit])
        process.run(["rm", "-rf", str(self._scratch / "by-hand")])
        self._run(["rm", "-rf", _FOLDER])

    def _migrate(self) -> Migrated:
        began = time.monotonic()
        with self._dump.open("wb") as file:
            self._place.database.run(
                ["mariadb-dump", "--single-transaction", "--routines", "--add-drop-database", "--databases", "heat"],
                stdout=file,
            )
        dumped = time.monotonic()
        command = [f"{_FOLDER}/venv/bin/heat-manage", "--config-file", CONFIG, "db_sync"]
        self._place.machine.run(command, user=self._place.user, cwd="/", timeout=_SECONDS)
        return Migrated(dump=dumped - began, sync=time.monotonic() - dumped)

    def _load(self) -> None:
        if self._dump.exists():
            with self._dump.open("rb") as file:
                self._place.database.run(["mariadb"], stdin=file)
            self._dump.unlink()

    def _stop(self) -> None:
        self._run(["systemctl", "stop", UNIT], ok=(0, 5))  # 5: not loaded

    def _run(self, argv: list[str], ok: tuple[int, ...] = (0,)) -> None:
        self._place.machine.run(argv, ok=ok, timeout=_SECONDS)


def with_pip(place: Place) -> None:
    """A fresh virtualenv by pip, as production's own pip.conf tells it, with production's pins as constraints.

    Its cache is empty, so that every round costs what the first one costs.
    """
    place.machine.run(["python3", "-m", "venv", f"{_FOLDER}/venv"], timeout=_SECONDS)
    place.machine.run(
        [f"{_FOLDER}/venv/bin/pip", "install", "--quiet", *_wanted(place)],
        env=_environment(place) | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CACHE_DIR": f"{_FOLDER}/cache"},
        timeout=_SECONDS,
    )


def with_uv(place: Place) -> None:
    """The same by uv, whose cache knows every package already."""
    uv, python = f"{_TOOLS}/uv", f"{_FOLDER}/venv/bin/python"
    index = host_pip_environment()
    urls = {"UV_DEFAULT_INDEX": index.get("PIP_INDEX_URL"), "UV_INDEX": index.get("PIP_EXTRA_INDEX_URL")}
    env = {name: url for name, url in urls.items() if url} | {
        "UV_CACHE_DIR": f"{_TOOLS}/cache",
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    env |= _environment(place)
    place.machine.run([uv, "venv", "--quiet", f"{_FOLDER}/venv"], env=env, timeout=_SECONDS)
    place.machine.run(
        [uv, "pip", "install", "--quiet", "--python", python, "--find-links", place.wheels, *_wanted(place)],
        env=env,
        timeout=_SECONDS,
    )


def bring_uv(place: Place) -> None:
    """The uv that the sandbox was built with, into the container."""
    place.machine.make_folder(_TOOLS)
    with (CACHE / "tools/uv").open("rb") as file:
        place.machine.run(["sh", "-c", f"cat >{_TOOLS}/uv && chmod 755 {_TOOLS}/uv"], stdin=file)


def take_uv_away(place: Place) -> None:
    place.machine.run(["rm", "-rf", _TOOLS])


def _wanted(place: Place) -> list[str]:
    requirements = ["--requirement", f"{_FOLDER}/heat/requirements.txt", *_BESIDES, "--editable", f"{_FOLDER}/heat"]
    return ["--constraint", f"{place.venv}/constraints.txt", *requirements]


def _environment(place: Place) -> dict[str, str]:
    """The tree came without git's history: pbr must be told the version. And the way out, if the host needs one."""
    proxies = {name: value for name, value in host_pip_environment().items() if not name.startswith("PIP_")}
    return proxies | {"PBR_VERSION": place.machine.read_text(f"{_FOLDER}/pbr-version") or ""}
