"""Productions of other kinds: another Python than the host's, none of a virtualenv, no pip, a compiler or none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from devswap.deployment import Interpreter
from devswap.errors import DevswapError
from devswap.package_index import PUBLIC
from tests.integration.small import (
    NAME,
    SLOT,
    Site,
    check_import,
    site_packages,
    small_production,
    tree,
)
from tests.packages import make_project

pytestmark = pytest.mark.sandbox

# virtualenv brings pip for 3.9 and newer
_OLDEST = 9


def test_production_without_a_virtualenv_is_a_production_too(site: Site) -> None:
    version = site.python
    folders = ("/usr/local/lib/python3/dist-packages", "/usr/lib/python3/dist-packages")
    interpreter = Interpreter("/usr/bin/python3", version, folders, None)
    site.machine.run(["cp", "-r", f"{site_packages(version)}/.", "/usr/lib/python3/dist-packages/"])
    before = tree(site.machine, "/usr/lib/python3", "/usr/local/lib")
    request = site.request(site.project("libold", "libprivate"), interpreter=interpreter)
    built = site.prepare(request)
    with site.mounted(built, request):
        look = "import demo, libold, libprivate; print(demo.WHOSE, libold.__file__.split('/')[3])"
        assert site.run(SLOT.python, "-B", "-c", look) == "development python3"
    assert tree(site.machine, "/usr/lib/python3", "/usr/local/lib") == before


def _other_pythons() -> list[Path]:
    """The oldest and the newest that devswap can build for, of those that pyenv has built on this host."""
    found = {}
    for folder in Path("~/.pyenv/versions").expanduser().glob("3.*"):
        minor = int(folder.name.split(".")[1])
        if (folder / "bin/python3").exists() and minor >= _OLDEST and minor != sys.version_info.minor:
            found[minor] = folder
    return [found[minor] for minor in sorted({min(found), max(found)})] if found else []


_NONE = pytest.param(Path("none"), marks=pytest.mark.skip("this host has one version of Python only"))


@pytest.mark.parametrize("home", _other_pythons() or [_NONE], ids=lambda path: path.name)
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
    before = tree(site.machine, venv, "/etc")
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
        check_import(site)
        assert site.run(SLOT.python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])") == version
    assert tree(site.machine, venv, "/etc") == before


def test_a_package_that_needs_a_compiler_is_named_with_what_is_missing(site: Site) -> None:
    with pytest.raises(DevswapError, match="cannot compile libcompiled, which has no wheel: a compiler") as caught:
        site.prepare(site.request(site.project("libcompiled")))
    assert "apt-get install" in (caught.value.hint or "")
    assert len(str(caught.value).splitlines()) < 4


def test_with_a_compiler_in_the_machine_a_package_without_a_wheel_is_built_or_its_missing_header_named(
    tmp_path: Path,
) -> None:
    with small_production(f"{NAME}-cc", tmp_path / "stage", compiler=True) as (machine, python):
        site = Site(machine, python, tmp_path, [])
        request = site.request(site.project("libnative", code="import libnative"))
        built = site.prepare(request)
        assert [(each.name, each.origin) for each in built.installed] == [("libnative", PUBLIC)]
        with site.mounted(built, request):
            check_import(site)
        with pytest.raises(DevswapError) as caught:
            site.prepare(site.request(make_project(tmp_path / "other", requires=["libcompiled"])))
    wanted = f"cannot compile libcompiled, which has no wheel: the header lber.h is missing in {NAME}-cc"
    assert (caught.value.message, caught.value.hint) == (wanted, "install it there: apt-get install libldap-dev")
