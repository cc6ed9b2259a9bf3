"""Overlays on a real machine: a container with a small production, a private index and a public one."""

from __future__ import annotations

import hashlib
import importlib.resources
import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from devswap import import_check, overlay
from devswap.deployment import Interpreter
from devswap.errors import DevswapError
from devswap.machine import BackedMachine
from devswap.overlay import Overlay, Request
from devswap.package_index import PRIVATE, PUBLIC, IndexPolicy
from devswap.slot import Slot
from tests import containers
from tests.packages import make_project, make_sdist, make_wheel

pytestmark = pytest.mark.sandbox

VENV = "/openstack/venvs/demo-1.0"
SITE = f"{VENV}/lib/{{python}}/site-packages"
SLOT = Slot("/run/devswap/demo-engine/1/checkout", "/run/devswap/demo-engine/1/overlay")
LINKS = "http://127.0.0.1:8181/wheels/"
NAME = f"ovl-{os.getpid()}"


@dataclass
class Site:
    """A production in a container, and what a developer brings to it."""

    machine: BackedMachine
    python: str
    folder: Path
    """Of the host."""
    said: list[str]

    def request(self, source: Path, **changes: object) -> Request:
        interpreter = Interpreter(f"{VENV}/bin/python", self.python, (_site(self.python),), VENV)
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


def _site(python: str) -> str:
    return SITE.format(python=f"python{python}")


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BackedMachine, str]]:
    containers.require_lxc()
    stage = tmp_path_factory.mktemp("stage")
    stage.chmod(0o755)
    _fill_indexes(stage)
    try:
        machine = containers.start(NAME)
        machine.mount(stage, "/srv/stage", readonly=True)
        python = _make_production(machine)
        _serve(machine)
        yield machine, python
    finally:
        containers.remove(NAME)


@pytest.fixture
def site(production: tuple[BackedMachine, str], tmp_path: Path) -> Iterator[Site]:
    machine, python = production
    yield Site(machine, python, tmp_path, [])
    assert machine.mounted("/run/devswap") == []
    assert machine.names("/run/devswap/demo-engine") == []


def _fill_indexes(stage: Path) -> None:
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
    extension = "Extension('libc', ['libc.c'])"
    compiled = f"from setuptools import *\nsetup(name='libcompiled', version='1.0', ext_modules=[{extension}])\n"
    make_sdist(simple / "libcompiled", "libcompiled", "1.0", {"setup.py": compiled, "libc.c": "#include <lber.h>\n"})
    (simple / "setuptools").mkdir(parents=True)
    bundled = next(Path(str(importlib.resources.files("virtualenv.seed.wheels.embed"))).glob("setuptools-*.whl"))
    shutil.copy(bundled, simple / "setuptools")
    present.mkdir()
    shutil.copy(bundled, present)
    make_wheel(present, "openstack-demo", "1.0", files={"demo/__init__.py": "WHOSE = 'production'\n"})
    make_wheel(present, "libold", "1.0")
    make_wheel(present, "libupgrade", "1.0")
    make_wheel(present, "libone", "1.0", requires=["libfast>=1; extra == 'fast'"])
    for parent, _, files in os.walk(stage):
        os.chmod(parent, 0o755)
        for name in files:
            os.chmod(Path(parent) / name, 0o644)


def _make_production(machine: BackedMachine) -> str:
    machine.run(["useradd", "--system", "--user-group", "--home-dir", "/var/lib/demo", "demo"])
    machine.run(["python3", "-m", "venv", "--without-pip", VENV])
    python = machine.run(["python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).stdout.strip()
    unzip = "import sys, zipfile; [zipfile.ZipFile(name).extractall(sys.argv[1]) for name in sys.argv[2:]]"
    wheels = [f"/srv/stage/present/{name}" for name in machine.names("/srv/stage/present")]
    machine.run(["python3", "-c", unzip, _site(python), *wheels])
    # the public index is whatever the machine's own pip is told, here one that the tests own
    machine.write_text("/etc/pip.conf", "[global]\nindex-url = http://127.0.0.1:8182/simple\n")
    return python


def _serve(machine: BackedMachine) -> None:
    for name, port in (("private", "8181"), ("public", "8182")):
        server = ["python3", "-m", "http.server", port, "--bind", "127.0.0.1", "--directory", f"/srv/stage/{name}"]
        machine.run(["systemd-run", "--quiet", f"--unit=index-{name}", *server])
    deadline = time.monotonic() + 20
    ask = "import urllib.request as r; [r.urlopen('http://127.0.0.1:%d/' % port) for port in (8181, 8182)]"
    while machine.run(["python3", "-c", ask], ok=(0, 1)).code:
        assert time.monotonic() < deadline, "the indexes do not answer"
        time.sleep(0.1)


def _tree(machine: BackedMachine, *folders: str) -> str:
    """A digest of every name, mode, owner, time and content below the folders, as the machine has them."""
    script = (
        'find "$@" -printf \'%p %m %U %G %T@ %l\\n\' | sort | sha256sum; find "$@" -type f -print0 | sort -z'
        " | xargs -0 sha256sum | sha256sum"
    )
    return machine.run(["sh", "-c", script, "sh", *folders]).stdout


def _host_tree(folder: Path) -> list[tuple[str, int, float, str]]:
    found = []
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found.append((str(path), state.st_mode, state.st_mtime, content))
    return found


def test_the_code_is_the_checkouts_and_production_is_seen_behind_it(site: Site) -> None:
    request = site.request(site.project("libold>=1.0"))
    built = site.prepare(request)
    assert built.installed == ()
    assert built.console_scripts == {"demo-engine": "demo.engine:main"}
    with site.mounted(built, request):
        look = "import demo, libold; from importlib.metadata import version; "
        look += "print(demo.WHOSE, libold.VERSION, version('openstack-demo'))"
        assert site.run(SLOT.python, "-c", look) == "development 1.0 2.0"


def test_production_and_the_checkout_stay_byte_identical(site: Site) -> None:
    source = site.project("libprivate", "libupgrade>=2")
    before = _tree(site.machine, VENV, "/etc"), _host_tree(source)
    request = site.request(source)
    built = site.prepare(request)
    with site.mounted(built, request):
        _check_import(site)
    assert (_tree(site.machine, VENV, "/etc"), _host_tree(source)) == before


def test_scripts_run_wherever_the_overlay_is_mounted(site: Site) -> None:
    request = site.request(site.project("libupgrade>=2"))
    built = site.prepare(request)
    for number in ("1", "2"):
        slot = Slot(f"/run/devswap/demo-engine/{number}/checkout", f"/run/devswap/demo-engine/{number}/overlay")
        with site.mounted(built, request, slot):
            assert site.run(f"{slot.overlay}/bin/demo-engine", "a b") == "development a b"
            assert site.run(slot.python, f"{slot.overlay}/bin/demo-engine") == "development"
            assert f"{SLOT.overlay}" not in (site.machine.read_text(f"{slot.overlay}/bin/upgrade") or "")


def test_an_edit_counts_at_the_next_start(site: Site) -> None:
    request = site.request(site.project())
    built = site.prepare(request)
    with site.mounted(built, request):
        (request.source / "demo/__init__.py").write_text("WHOSE = 'edited'\n")
        assert site.run(f"{SLOT.overlay}/bin/demo-engine") == "edited"


def test_the_private_index_is_asked_first_whatever_the_public_one_has(site: Site) -> None:
    built = site.prepare(site.request(site.project("libprivate", "libboth>=1.0")))
    assert {(each.name, each.version, each.origin) for each in built.installed} == {
        ("libprivate", "1.0", PRIVATE),
        ("libboth", "1.0", PRIVATE),
    }


def test_what_the_private_index_lacks_comes_from_the_public_one_and_is_said(site: Site) -> None:
    built = site.prepare(site.request(site.project("libprivate", "libpublic>=1")))
    found = {each.name: each for each in built.installed}
    assert found["libprivate"].origin == PRIVATE
    assert (found["libpublic"].version, found["libpublic"].origin) == ("1.5", PUBLIC)
    assert (found["libdeep"].origin, found["libdeep"].why) == (PUBLIC, "libpublic needs it")
    assert "libpublic>=1 comes from the public index: the private one does not have it" in site.said


def test_a_version_that_is_missing_privately_comes_from_the_public_index(site: Site) -> None:
    built = site.prepare(site.request(site.project("libboth>=2")))
    assert [(each.version, each.origin) for each in built.installed] == [("2.0", PUBLIC)]
    assert "libboth>=2 comes from the public index: the private one has only 1.0" in site.said


def test_what_changes_against_production_is_told(site: Site) -> None:
    built = site.prepare(site.request(site.project("libold", "libupgrade>=2")))
    (only,) = built.installed
    assert (only.name, only.previous, only.version) == ("libupgrade", "1.0", "2.0")
    assert only.why == "openstack-demo needs libupgrade>=2, production has 1.0"


def test_extras_of_packages_that_production_has_are_met(site: Site) -> None:
    built = site.prepare(site.request(site.project("libone[fast]")))
    assert [each.name for each in built.installed] == ["libfast"]


def test_markers_are_judged_for_the_machines_python(site: Site) -> None:
    built = site.prepare(site.request(site.project("nowhere; python_version < '3'", "libold; sys_platform == 'linux'")))
    assert built.installed == ()


def test_constraints_hold_but_for_the_project_itself(site: Site) -> None:
    constraints = "libpublic===1.0\nopenstack-demo===0.1\nlibold===7.0\n"
    built = site.prepare(site.request(site.project("libpublic", "libold"), constraints=constraints))
    assert {each.name: each.version for each in built.installed} == {"libpublic": "1.0", "libdeep": "1.0"}


def test_the_private_policy_names_all_that_is_missing_and_what_allows_it(site: Site) -> None:
    request = site.request(site.project("libprivate", "libpublic", "libboth>=2"), policy=IndexPolicy.PRIVATE)
    with pytest.raises(DevswapError, match=r"lacks libboth>=2, libpublic$") as caught:
        site.prepare(request)
    assert "--index-policy fallback" in (caught.value.hint or "")
    assert [path.name for path in (site.folder / "cache/overlays").glob("[!.]*")] == []
    assert list((site.folder / "cache/overlays").glob("*.part")) == []


def test_the_public_policy_asks_the_public_index_alone(site: Site) -> None:
    built = site.prepare(site.request(site.project("libprivate"), policy=IndexPolicy.PUBLIC))
    assert [(each.version, each.origin) for each in built.installed] == [("9.0", PUBLIC)]


def test_pip_settings_of_2015_are_obeyed_and_left_alone(site: Site) -> None:
    settings = f"[global]\nno-index = True\nfind-links = {LINKS}\n"
    site.machine.write_text("/root/.pip/pip.conf", settings)
    try:
        built = site.prepare(site.request(site.project("libprivate", "libpublic"), private_links=()))
    finally:
        after = site.machine.read_text("/root/.pip/pip.conf")
        site.machine.remove("/root/.pip/pip.conf")
    assert {each.name: each.origin for each in built.installed} == {
        "libprivate": PRIVATE,
        "libpublic": PUBLIC,
        "libdeep": PUBLIC,
    }
    assert after == settings


def test_the_second_time_needs_no_network_and_no_time(site: Site) -> None:
    request = site.request(site.project("libprivate", "libpublic"))
    built = site.prepare(request)
    offline = replace(request, private_links=(LINKS,))
    units = ["index-private", "index-public"]
    site.machine.run(["systemctl", "stop", *units])
    try:
        started = time.monotonic()
        again = site.prepare(offline)
        seconds = time.monotonic() - started
    finally:
        _serve(site.machine)
    assert again == built
    assert seconds < 0.2


def test_another_requirement_makes_another_overlay(site: Site) -> None:
    source = site.project()
    first = site.prepare(site.request(source))
    pyproject = source / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("dependencies = []", "dependencies = ['libprivate']"))
    second = site.prepare(site.request(source))
    assert first.key != second.key
    assert [each.name for each in second.installed] == ["libprivate"]


def test_production_without_a_virtualenv_is_a_production_too(site: Site) -> None:
    version = site.python
    folders = ("/usr/local/lib/python3/dist-packages", "/usr/lib/python3/dist-packages")
    interpreter = Interpreter("/usr/bin/python3", version, folders, None)
    site.machine.run(["cp", "-r", f"{_site(version)}/.", "/usr/lib/python3/dist-packages/"])
    before = _tree(site.machine, "/usr/lib/python3", "/usr/local/lib")
    request = site.request(site.project("libold", "libprivate"), interpreter=interpreter)
    built = site.prepare(request)
    with site.mounted(built, request):
        look = "import demo, libold, libprivate; print(demo.WHOSE, libold.__file__.split('/')[3])"
        assert site.run(SLOT.python, "-B", "-c", look) == "development python3"
    assert _tree(site.machine, "/usr/lib/python3", "/usr/local/lib") == before


def test_a_package_that_needs_a_compiler_is_named_with_what_is_missing(site: Site) -> None:
    with pytest.raises(DevswapError, match="cannot compile libcompiled, which has no wheel: a compiler") as caught:
        site.prepare(site.request(site.project("libcompiled")))
    assert "apt-get install" in (caught.value.hint or "")
    assert len(str(caught.value).splitlines()) < 4


def test_what_a_killed_build_left_is_swept_and_no_hindrance(site: Site) -> None:
    request = site.request(site.project())
    overlays = site.folder / "cache/overlays"
    left = overlays / ".deadbeef.part"
    (left / "overlay").mkdir(parents=True)
    site.machine.mount(left / "overlay", "/run/devswap/demo-engine/1/building/overlay", readonly=False)
    built = site.prepare(request)
    assert not left.exists()
    assert [path.name for path in overlays.iterdir() if not path.name.startswith(".")] == [built.key]


def test_nobody_but_root_can_change_a_finished_overlay(site: Site) -> None:
    built = site.prepare(site.request(site.project("libprivate")))
    for parent, folders, files in os.walk(built.folder):
        for name in (*folders, *files):
            state = (Path(parent) / name).lstat()
            assert (state.st_uid, state.st_gid) == (0, 0)


def test_a_file_the_service_may_not_read_is_named(site: Site) -> None:
    source = site.project()
    (source / "demo/engine.py").chmod(0o600)
    with pytest.raises(DevswapError, match=r"user demo cannot read 1 file of the checkout, such as demo/engine.py"):
        site.prepare(site.request(source))


def test_a_checkout_that_cannot_be_built_says_so_in_few_words(site: Site) -> None:
    source = site.project()
    (source / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "nothing.here"\n')
    with pytest.raises(DevswapError, match=r"cannot read the metadata of .*: ModuleNotFoundError: No module named"):
        site.prepare(site.request(source))


def test_secrets_of_an_index_show_up_nowhere(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    link = "http://cloud:geheim@127.0.0.1:8181/wheels/"
    built = site.prepare(site.request(site.project("libprivate", "libpublic"), private_links=(link,)))
    with pytest.raises(DevswapError) as caught:
        site.prepare(site.request(make_project(site.folder / "other", requires=["nowhere"]), private_links=(link,)))
    texts = [caplog.text, *site.said, str(caught.value), (built.folder / "devswap.json").read_text()]
    assert not any("geheim" in text for text in texts)


def _check_import(site: Site, module: str = "demo.engine") -> None:
    import_check.check_import(
        site.machine,
        SLOT,
        unit="devswap-ovl-check.service",
        user="demo",
        group="demo",
        package="demo",
        modules=[module],
    )


def _check_origin(site: Site) -> None:
    import_check.check_origin(
        site.machine, SLOT, unit="devswap-ovl-check.service", user="demo", group="demo", package="demo"
    )


def test_an_import_that_fails_is_told_with_its_last_lines(site: Site) -> None:
    request = site.request(site.project(code="import nowhere"))
    with (
        site.mounted(site.prepare(request), request),
        pytest.raises(
            DevswapError, match=r"cannot import demo\.engine: ModuleNotFoundError: No module named 'nowhere'"
        ),
    ):
        _check_import(site)


def test_the_import_has_no_network(site: Site) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 8181), 2)"
    request = site.request(site.project(code=code))
    with (
        site.mounted(site.prepare(request), request),
        pytest.raises(DevswapError, match=r"Connection refused|unreachable"),
    ):
        _check_import(site)


def test_code_that_would_be_productions_is_noticed(site: Site) -> None:
    request = site.request(site.project())
    with site.mounted(site.prepare(request), request):
        _check_origin(site)
        shutil.rmtree(request.source / "demo")
        with pytest.raises(DevswapError, match=r"would not come from the checkout but from /openstack/venvs"):
            _check_origin(site)


def test_a_module_that_reads_the_command_line_is_imported_all_the_same(site: Site) -> None:
    code = "import argparse; argparse.ArgumentParser().parse_args(); print('noise')"
    request = site.request(site.project(code=code))
    with site.mounted(site.prepare(request), request):
        _check_import(site)


def test_the_next_commit_with_the_same_requirements_needs_no_network_either(site: Site) -> None:
    source = site.project("libprivate", "libpublic")
    pyproject = source / "pyproject.toml"
    dynamic = 'dynamic = ["version"]'
    pyproject.write_text(pyproject.read_text().replace('version = "2.0"', dynamic))
    # as setuptools_scm and pbr do it: the version comes from outside
    (source / "setup.py").write_text("import os, setuptools\nsetuptools.setup(version=os.environ['PBR_VERSION'])\n")
    first = site.prepare(site.request(source, version="2.0.1.dev1"))
    site.machine.run(["systemctl", "stop", "index-private", "index-public"])
    try:
        request = site.request(source, version="2.0.1.dev2")
        second = site.prepare(request)
    finally:
        _serve(site.machine)
    assert second.key != first.key
    assert second.installed == first.installed
    with site.mounted(second, request):
        look = "import libpublic; from importlib.metadata import distributions; "
        look += "print([each.version for each in distributions() if each.name == 'openstack-demo'][0])"
        assert site.run(SLOT.python, "-c", look) == "2.0.1.dev2"


def test_two_at_once_build_one_overlay(site: Site) -> None:
    request = site.request(site.project("libprivate"))
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(site.prepare, [request, request])
    assert one == other
    assert site.said.count("waiting for another devswap that builds the same overlay") == 1


def test_a_build_that_is_killed_leaves_production_alone_and_the_next_one_succeeds(site: Site) -> None:
    request = site.request(site.project("libprivate", "libpublic"))
    before = _tree(site.machine, VENV, "/etc")
    for seconds in (0.2, 0.6, 1.5):
        child = os.fork()
        if child == 0:
            site.prepare(request)
            os._exit(0)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert [path.name for path in (site.folder / "cache/overlays").glob("[!.]*")] == []
    built = site.prepare(request)
    assert {each.name for each in built.installed} == {"libprivate", "libpublic", "libdeep"}
    assert list((site.folder / "cache/overlays").glob(".*.part")) == []
    assert _tree(site.machine, VENV, "/etc") == before


def test_the_bytecode_of_a_checkout_is_its_own_and_productions_is_used_as_it_is(site: Site) -> None:
    request = site.request(site.project(code="import libold"))
    built = site.prepare(request)
    with site.mounted(built, request):
        _check_import(site)
        compiled = site.machine.run(["find", SLOT.bytecode, "-name", "*.pyc"]).stdout.split()
        assert len(compiled) == 2
        assert all(path.startswith(f"{SLOT.bytecode}/demo/") for path in compiled)
    other = site.request(make_project(site.folder / "other"))
    with site.mounted(site.prepare(other), other):
        assert site.machine.run(["find", SLOT.bytecode, "-name", "*.pyc"]).stdout == ""


def _other_pythons() -> list[Path]:
    """Interpreters of other versions that pyenv has built on this host: they need no more than any Debian has."""
    folders = Path("~/.pyenv/versions").expanduser().glob("3.*")
    return sorted(path for path in folders if (path / "bin/python3").exists() and int(path.name.split(".")[1]) >= 9)


@pytest.mark.parametrize("home", _other_pythons(), ids=lambda path: path.name)
def test_a_production_of_another_python_than_the_hosts_works_without_pip_and_setuptools(site: Site, home: Path) -> None:
    version = ".".join(home.name.split(".")[:2])
    venv = f"/openstack/venvs/demo-{home.name}"
    packages = f"{venv}/lib/python{version}/site-packages"
    # it finds its library by its own path only
    site.machine.mount(home, str(home), readonly=True)
    site.machine.run(["chmod", "a+x", *map(str, home.parents)])
    site.machine.run([f"{home}/bin/python3", "-m", "venv", "--without-pip", venv])
    unzip = "import sys, zipfile; [zipfile.ZipFile(name).extractall(sys.argv[1]) for name in sys.argv[2:]]"
    wheels = [f"/srv/stage/present/{name}" for name in site.machine.names("/srv/stage/present") if "lib" in name]
    site.machine.run(["python3", "-c", unzip, packages, *wheels])
    before = _tree(site.machine, venv, "/etc")
    interpreter = Interpreter(f"{venv}/bin/python", version, (packages,), venv)
    request = site.request(
        site.project("libold", "libprivate", code="import libold, libprivate"), interpreter=interpreter
    )
    built = site.prepare(request)
    assert {(each.name, each.why) for each in built.installed} == {
        ("setuptools", "the build of openstack-demo needs setuptools"),
        ("libprivate", "openstack-demo needs libprivate"),
    }
    with site.mounted(built, request):
        _check_import(site)
        assert site.run(SLOT.python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])") == version
    assert _tree(site.machine, venv, "/etc") == before
