"""Packages from a real cloud's own index and the public one, in versions that constraints hold, and from the cache."""

from __future__ import annotations

import re
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devswap import sandbox
from devswap.sandbox.changes import MISSING_PACKAGE
from tests.integration.cloud import Cloud
from tests.integration.people import Desk
from tests.integration.repo import Repo
from tests.integration.small import make_extension
from tests.packages import make_wheel

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("unstopped")]

OWN = "integration-words"
"""A package that the private index alone has."""
PAGE = "integration/upper-constraints.txt"


@pytest.fixture
def unstopped(cloud: Cloud) -> Iterator[None]:
    """A plan is enough to see where packages come from: production serves on."""
    before = cloud.start_of_production()
    yield
    assert cloud.start_of_production() == before


@pytest.fixture
def repo(cloud: Cloud, tmp_path: Path) -> Iterator[Repo]:
    """With a package in three versions, an old version of a public one, and constraints in two places."""
    repo = Repo(cloud)
    made = [make_wheel(tmp_path, OWN, version) for version in ("1.0", "1.5", "2.0")]
    made.append(make_wheel(tmp_path, MISSING_PACKAGE, "1.0"))
    files = {f"{repo.wheels}/{wheel.name}": wheel.read_bytes() for wheel in made}
    files |= {repo.constraints: f"{OWN}===1.5\n".encode(), PAGE: f"{OWN}===1.0\n".encode()}
    with repo.with_files(files):
        yield repo


@pytest.fixture
def tree(desk: Desk) -> Path:
    """Heat, which needs both packages to be imported; no run before this one has made an overlay for it."""
    tree = desk.own_tree("packages")
    requirements = tree / "requirements.txt"
    added = f"{OWN}>=1.0\n{MISSING_PACKAGE}>=4.4.0\n# {secrets.token_hex(4)}\n"
    requirements.write_text(requirements.read_text() + added)
    module = OWN.replace("-", "_")
    desk.edit(
        tree / "heat/cmd/engine.py", "\nimport sys\n", f"\nimport sys\n\nimport {MISSING_PACKAGE}\nimport {module}\n"
    )
    return tree


@contextmanager
def without_indexes(cloud: Cloud) -> Iterator[None]:
    """While no connection leads from heat-engine's container to the private index, or out of the cloud."""
    (here,) = [each for each in sandbox.status() if each.era == cloud.era]
    pid = subprocess.run(["lxc-info", "-n", cloud.heat, "-pH"], capture_output=True, text=True, check=True).stdout
    rules = [["--dport", "8181"], ["!", "--out-interface", "lo", "!", "--destination", here.network]]

    def filtered(action: str) -> None:
        for rule in rules:
            line = ["iptables", "--wait", action, "OUTPUT", "-p", "tcp", *rule, "-j", "REJECT"]
            subprocess.run(["nsenter", "-t", pid.strip(), "-n", *line], check=True)

    filtered("-I")
    try:
        yield
    finally:
        filtered("-D")


def row(package: str, version: str, where: str) -> str:
    """A line of the table, for a package that production lacks."""
    why = rf"openstack-heat needs {package}>=[\d.]+"
    return rf"^{package} +- +{version} +{where} +{why}$"


def test_packages_come_from_where_and_in_the_version_that_was_asked_for(
    cloud: Cloud, desk: Desk, repo: Repo, tree: Path
) -> None:
    line = ("plan", "heat-engine", str(tree), "--machine", cloud.heat)
    planned = desk.devswap(*line)
    held = re.escape(f"private index, held by {OWN}===1.5")
    assert re.search(row(OWN, r"1\.5", held), planned.stdout, re.MULTILINE)
    assert re.search(row(MISSING_PACKAGE, r"4\.[\d.]+", "public index"), planned.stdout, re.MULTILINE)
    assert f"{MISSING_PACKAGE}>=4.4.0 comes from the public index: the private one has only 1.0" in planned.stderr

    with without_indexes(cloud):
        asked = f"import urllib.request; urllib.request.urlopen('{repo.page(PAGE)}', timeout=5)"
        assert "refused" in cloud.run(["python3", "-c", asked], ok=False).stderr
        again = desk.devswap(*line)
    assert again.stdout == planned.stdout
    assert "building an overlay" not in again.stderr

    paged = desk.devswap(*line, "--constraints", repo.page(PAGE))
    assert f"constraints are those of {repo.page(PAGE)}" in paged.stderr
    held = re.escape(f"private index, held by {OWN}===1.0")
    assert re.search(row(OWN, r"1\.0", held), paged.stdout, re.MULTILINE)

    free = desk.devswap(*line, "--no-constraints")
    assert re.search(row(OWN, r"2\.0", "private index"), free.stdout, re.MULTILINE)

    own = desk.person.home / "own-constraints.txt"
    desk.person.run("sh", "-c", f"echo '{MISSING_PACKAGE}===1.0' >{own}")
    refused = desk.devswap(*line, "--constraints", "~/own-constraints.txt", "--index-policy", "private", code=1)
    assert "constraints are those of ~/own-constraints.txt\n" in refused.stderr
    assert f"the constraint {MISSING_PACKAGE}===1.0 is left out: " in refused.stderr
    assert f"the private index lacks {MISSING_PACKAGE}>=4.4.0\n" in refused.stderr


def test_a_package_without_a_wheel_names_the_compiler_that_production_lacks(
    cloud: Cloud, desk: Desk, tmp_path: Path
) -> None:
    tree, repo, name = desk.own_tree("compiled"), Repo(cloud), "integration-native"
    requirements = tree / "requirements.txt"
    requirements.write_text(f"{requirements.read_text()}{name}\n")
    make_extension(tmp_path, name, "#include <lber.h>\n")
    (archive,) = (tmp_path / name).iterdir()
    line = ("plan", "heat-engine", str(tree), "--machine", cloud.heat)
    with repo.with_files({f"{repo.wheels}/{archive.name}": archive.read_bytes()}):
        refused = desk.devswap(*line, code=1).stderr
    assert f"cannot compile {name}, which has no wheel: a compiler" in refused
    assert "apt-get install build-essential" in refused
