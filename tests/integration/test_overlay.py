"""Overlays on a real machine: whose code is run, what stays as it is, and what is built only once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from devswap.errors import DevswapError
from devswap.slot import Slot
from tests.integration.small import (
    SLOT,
    VENV,
    Site,
    check_import,
    host_tree,
    tree,
)
from tests.packages import make_project

pytestmark = pytest.mark.sandbox


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
    before = tree(site.machine, VENV, "/etc"), host_tree(source)
    request = site.request(source)
    built = site.prepare(request)
    with site.mounted(built, request):
        check_import(site)
    assert (tree(site.machine, VENV, "/etc"), host_tree(source)) == before


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


def test_the_bytecode_of_a_checkout_is_its_own_and_productions_is_used_as_it_is(site: Site) -> None:
    request = site.request(site.project(code="import libold"))
    built = site.prepare(request)
    with site.mounted(built, request):
        check_import(site)
        compiled = site.machine.run(["find", SLOT.bytecode, "-name", "*.pyc"]).stdout.split()
        assert len(compiled) == 2
        assert all(path.startswith(f"{SLOT.bytecode}/demo/") for path in compiled)
    other = site.request(make_project(site.folder / "other"))
    with site.mounted(site.prepare(other), other):
        assert site.machine.run(["find", SLOT.bytecode, "-name", "*.pyc"]).stdout == ""


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
