"""An overlay is built once, whoever asks for it and whatever was killed meanwhile; after that no network is needed."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from devswap.backed_machine import BackedMachine
from tests.integration.small import (
    SLOT,
    VENV,
    Site,
    serve,
    tree,
)

pytestmark = pytest.mark.sandbox


def test_the_second_time_needs_no_network_and_runs_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    request = site.request(site.project("libprivate", "libpublic"))
    built = site.prepare(request)
    site.machine.run(["systemctl", "stop", "index-private", "index-public"])
    try:
        with monkeypatch.context() as patched:
            for name in ("run", "popen", "mount"):
                patched.setattr(BackedMachine, name, None)
            assert site.prepare(request) == built
    finally:
        serve(site.machine)


def test_another_requirement_makes_another_overlay(site: Site) -> None:
    source = site.project()
    first = site.prepare(site.request(source))
    pyproject = source / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("dependencies = []", "dependencies = ['libprivate']"))
    second = site.prepare(site.request(source))
    assert first.key != second.key
    assert [each.name for each in second.installed] == ["libprivate"]


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
        serve(site.machine)
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
    assert [line.endswith(", which builds the same overlay") for line in site.said if "waiting for" in line] == [True]


def test_what_a_killed_build_left_is_swept_and_no_hindrance(site: Site) -> None:
    request = site.request(site.project())
    overlays = site.folder / "cache/overlays"
    left = overlays / ".deadbeef.part"
    (left / "overlay").mkdir(parents=True)
    site.machine.mount(left / "overlay", "/run/devswap/demo-engine/1/building/overlay", readonly=False)
    built = site.prepare(request)
    assert not left.exists()
    assert [path.name for path in overlays.iterdir() if not path.name.startswith(".")] == [built.key]


def test_a_build_that_is_killed_leaves_production_alone_and_the_next_one_succeeds(site: Site) -> None:
    request = site.request(site.project("libprivate", "libpublic"))
    before = tree(site.machine, VENV, "/etc")
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
    assert tree(site.machine, VENV, "/etc") == before
