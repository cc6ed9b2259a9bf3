"""A container with a small production, a private index and a public one: what overlays are tried on."""

from __future__ import annotations

import hashlib
import importlib.resources
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from devswap import import_check, overlay
from devswap.backed_machine import BackedMachine
from devswap.deployment import Interpreter
from devswap.overlay import Overlay, Request
from devswap.slot import Slot
from tests import containers
from tests.packages import make_project, make_sdist, make_wheel

VENV = "/openstack/venvs/demo-1.0"
SITE = f"{VENV}/lib/{{python}}/site-packages"
SLOT = Slot("/run/devswap/demo-engine/1/checkout", "/run/devswap/demo-engine/1/overlay")
LINKS = "http://127.0.0.1:8181/wheels/"
NAME = f"ovl-{os.getpid()}"
NONE: Mapping[str, str] = MappingProxyType({})

_MODULE = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "libnative", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_libnative(void) { return PyModule_Create(&module); }
"""


@dataclass
class Site:
    """A production in a container, and what a developer brings to it."""

    machine: BackedMachine
    python: str
    folder: Path
    """Of the host."""
    said: list[str]

    def request(self, source: Path, **changes: object) -> Request:
        interpreter = Interpreter(f"{VENV}/bin/python", self.python, (site_packages(self.python),), VENV)
        plain = Request(interpreter, "demo", "demo", "openstack-demo", "demo", source, "2.0", private_links=(LINKS,))
        return replace(plain, **changes)  # type: ignore[arg-type]

    def prepare(self, request: Request) -> Overlay:
        return overlay.prepare(
            self.machine, request, SLOT, cache=self.folder / "cache", unit="devswap-ovl.service", say=self.said.append
        )

    def mounted(self, built: Overlay, request: Request, slot: Slot = SLOT) -> AbstractContextManager[None]:
        uid, gid = overlay.ids(self.machine, "demo", "demo")
        wanted = overlay.mounts(built, request, slot, cache=self.folder / "cache", uid=uid, gid=gid)
        return overlay.mounted(self.machine, wanted)

    def run(self, *argv: str) -> str:
        return self.machine.run(list(argv), user="demo").stdout.strip()

    def project(self, *requires: str, code: str = "") -> Path:
        return make_project(self.folder / "checkout", requires=requires, code=code)


def site_packages(python: str) -> str:
    return SITE.format(python=f"python{python}")


@contextmanager
def small_production(name: str, stage: Path, *, compiler: bool = False) -> Iterator[tuple[BackedMachine, str]]:
    """A container `name` with a production, beside its two indexes (`stage`, a folder of the host); its Python."""
    containers.require_lxc()
    stage.mkdir(exist_ok=True)
    stage.chmod(0o755)
    fill_indexes(stage)
    try:
        machine = containers.start(name, compiler=compiler)
        machine.mount(stage, "/srv/stage", readonly=True)
        python = make_production(machine)
        serve(machine)
        yield machine, python
    finally:
        containers.remove(name)


def fill_indexes(stage: Path) -> None:
    wheels, simple, present = stage / "private/wheels", stage / "public/simple", stage / "present"
    make_wheel(wheels, "libprivate", "1.0")
    make_wheel(wheels, "libboth", "1.0")
    make_wheel(wheels, "libupgrade", "2.0", scripts={"upgrade": "libupgrade:main"})
    make_wheel(simple / "libprivate", "libprivate", "9.0")
    make_wheel(simple / "libboth", "libboth", "1.0")
    make_wheel(simple / "libboth", "libboth", "2.0")
    make_wheel(simple / "libpublic", "libpublic", "1.0", requires=["libdeep>=1"])
    make_wheel(simple / "libpublic", "libpublic", "1.5", requires=["libdeep>=1"])
    make_wheel(simple / "libdeep", "libdeep", "1.0")
    make_wheel(simple / "libfast", "libfast", "1.0")
    make_extension(simple, "libcompiled", "#include <lber.h>\n")
    make_extension(simple, "libnative", _MODULE)
    make_extension(simple, "libkept", "#error\n")
    (simple / "setuptools").mkdir(parents=True)
    bundled = next(Path(str(importlib.resources.files("virtualenv.seed.wheels.embed"))).glob("setuptools-*.whl"))
    shutil.copy(bundled, simple / "setuptools")
    present.mkdir()
    shutil.copy(bundled, present)
    make_wheel(present, "openstack-demo", "1.0", files={"demo/__init__.py": "WHOSE = 'production'\n"})
    make_wheel(present, "libold", "1.0")
    make_wheel(present, "libkept", "1.0")
    make_wheel(present, "demo.lib", "1.0", files={"demo_lib/__init__.py": "WHOSE = 'production'\n"})
    make_wheel(present, "libupgrade", "1.0")
    make_wheel(present, "libone", "1.0", requires=["libfast>=1; extra == 'fast'"])
    for parent, _, files in os.walk(stage):
        os.chmod(parent, 0o755)
        for name in files:
            os.chmod(Path(parent) / name, 0o644)


def make_extension(simple: Path, name: str, code: str) -> None:
    """A package without a wheel: one module in C."""
    extension = f"Extension({name!r}, ['{name}.c'])"
    setup = f"from setuptools import *\nsetup(name={name!r}, version='1.0', ext_modules=[{extension}])\n"
    make_sdist(simple / name, name, "1.0", {"setup.py": setup, f"{name}.c": code})


def make_production(machine: BackedMachine) -> str:
    machine.run(["useradd", "--system", "--user-group", "--home-dir", "/var/lib/demo", "demo"])
    machine.run(["python3", "-m", "venv", "--without-pip", VENV])
    python = machine.run(["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).stdout.strip()
    unzip = "import sys, zipfile; [zipfile.ZipFile(name).extractall(sys.argv[1]) for name in sys.argv[2:]]"
    wheels = [f"/srv/stage/present/{name}" for name in machine.names("/srv/stage/present")]
    machine.run(["python3", "-c", unzip, site_packages(python), *wheels])
    # the public index is whatever the machine's own pip is told, here one that the tests own
    machine.write_text("/etc/pip.conf", "[global]\nindex-url = http://127.0.0.1:8182/simple\n")
    return python


def serve(machine: BackedMachine) -> None:
    for name, port in (("private", "8181"), ("public", "8182")):
        server = ["python3", "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", f"/srv/stage/{name}"]
        machine.run(["systemd-run", "--quiet", f"--unit=index-{name}", *server])
    deadline = time.monotonic() + 20
    ask = "import urllib.request as r; [r.urlopen('http://127.0.0.1:%d/' % port) for port in (8181, 8182)]"
    while machine.run(["python3", "-c", ask], ok=(0, 1)).code:
        assert time.monotonic() < deadline, "the indexes do not answer"
        time.sleep(0.1)


def tree(machine: BackedMachine, *folders: str) -> str:
    """A digest of every name, mode, owner, time and content below the folders, as the machine has them."""
    script = (
        'find "$@" -printf \'%p %m %U %G %T@ %l\\n\' | sort | sha256sum; find "$@" -type f -print0 | sort -z'
        " | xargs -0 sha256sum | sha256sum"
    )
    return machine.run(["sh", "-c", script, "sh", *folders]).stdout


def host_tree(folder: Path) -> list[tuple[str, int, float, str]]:
    found = []
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found.append((str(path), state.st_mode, state.st_mtime, content))
    return found


def check_import(site: Site, module: str = "demo.engine", libraries: Mapping[str, str] = NONE) -> None:
    import_check.check_import(
        site.machine,
        SLOT,
        unit="devswap-ovl-check.service",
        user="demo",
        group="demo",
        package="demo",
        modules=[module],
        libraries=libraries,
    )


def check_origin(site: Site, libraries: Mapping[str, str] = NONE) -> None:
    import_check.check_origin(
        site.machine,
        SLOT,
        unit="devswap-ovl-check.service",
        user="demo",
        group="demo",
        package="demo",
        libraries=libraries,
    )
