"""Overlays with libraries that are run from checkouts of their own."""

from __future__ import annotations

import shutil

import pytest

from devswap.errors import DevswapError
from devswap.overlay import Library
from tests.integration.small import SLOT, VENV, Site, check_import, check_origin, host_tree, tree
from tests.packages import make_library

pytestmark = pytest.mark.sandbox


@pytest.mark.parametrize("sources", ["src", ""])
def test_a_library_of_an_own_checkout_is_run_before_productions_with_what_it_needs(site: Site, sources: str) -> None:
    library_tree = make_library(site.folder / "library", "demo.lib", requires=["libprivate"], sources=sources)
    library = Library("demo.lib", library_tree, "1.1.dev3")
    source = site.project("demo.lib>=1.0.1", code="import demo_lib, libprivate")
    before = tree(site.machine, VENV, "/etc"), host_tree(library_tree)
    request = site.request(source, libraries=(library,), constraints="demo.lib===1.0\n")
    built = site.prepare(request)
    assert built.libraries == {"demo-lib": ["demo_lib"]}
    assert [(each.name, each.why) for each in built.installed] == [("libprivate", "demo.lib needs libprivate")]
    look = "import demo_lib as lib; from importlib.metadata import version; print(lib.WHOSE, version('demo.lib'))"
    with site.mounted(built, request):
        assert site.run(SLOT.python, "-c", look) == "development 1.1.dev3"
        wanted = {"demo_lib": "demo-lib"}
        check_import(site, libraries=wanted)
        check_origin(site, wanted)
        (library_tree / sources / "demo_lib/__init__.py").write_text("WHOSE = 'edited'\n")
        assert site.run(SLOT.python, "-c", look) == "edited 1.1.dev3"
        (library_tree / sources / "demo_lib/__init__.py").write_text("WHOSE = 'development'\n")
        shutil.move(library_tree / sources / "demo_lib", library_tree / sources / "renamed")
        with pytest.raises(DevswapError, match=r"demo_lib would not come from the checkout but from /openstack/venvs"):
            check_origin(site, wanted)
        shutil.move(library_tree / sources / "renamed", library_tree / sources / "demo_lib")
    assert [each[:2] for each in host_tree(library_tree)] == [each[:2] for each in before[1]]
    assert tree(site.machine, VENV, "/etc") == before[0]


def test_libraries_are_part_of_what_an_overlay_is_found_by(site: Site) -> None:
    library_tree = make_library(site.folder / "library", "demo.lib")
    source = site.project("demo.lib>=3")
    first = site.prepare(site.request(source, libraries=(Library("demo.lib", library_tree, "1.1"),)))
    assert "openstack-demo needs demo.lib>=3, but is given 1.1: it is run all the same" in site.said
    site.said.clear()
    request = site.request(source, libraries=(Library("demo.lib", library_tree, "3.1"),))
    second = site.prepare(request)
    assert site.said == [], "another version of it with the same requirements is a copy"
    assert first.key != second.key
    with site.mounted(second, request):
        look = "from importlib.metadata import version; print(version('demo.lib'))"
        assert site.run(SLOT.python, "-c", look) == "3.1"
    with pytest.raises(DevswapError, match=r"no index has demo\.lib>=3"):
        site.prepare(site.request(source))
