"""What --with names, and what it makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devswap import libraries, status, swap
from devswap.errors import NotWhole, UsageError
from devswap.libraries import Wanted
from devswap.requirements import Package, Production, pinned, unmet
from devswap.source import Checkout
from devswap.wish import Wish
from tests.packages import make_library
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences

WANTED = {
    "oslo.messaging=review/456": Wanted("oslo.messaging", "review/456"),
    "nova-docker=https://git.example.org/nova-docker@master": Wanted(
        "nova-docker", "https://git.example.org/nova-docker@master"
    ),
    "oslo.db=~/src/oslo.db": Wanted("oslo.db", "~/src/oslo.db"),
    "~/src/oslo.db": Wanted(None, "~/src/oslo.db"),
    ".": Wanted(None, "."),
    "./a=b": Wanted(None, "./a=b"),
}


@pytest.mark.parametrize("text", WANTED)
def test_a_library_is_named_with_a_ref_or_by_a_path(text: str) -> None:
    assert libraries.parse(text) == WANTED[text]


@pytest.mark.parametrize("text", ["", "oslo.db", "oslo.db=", "=review/1", "review/456", "-x=master", "a b=master"])
def test_what_names_no_library_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        libraries.parse(text)


class Trees:
    """Checkouts by ref."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, project: str, ref: str) -> Checkout:
        path = self.folder / ref
        return Checkout(
            project=project,
            path=path,
            ref=ref,
            commit="c0ffee" * 6,
            subject="",
            message="",
            version="1.0",
            branch=None,
            dirty=False,
            own_tree=True,
            resolved="",
        )


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    make_library(tmp_path / "db", "oslo.db")
    make_library(tmp_path / "heat", "openstack-heat")
    (tmp_path / "modern").mkdir()
    (tmp_path / "modern/pyproject.toml").write_text('[project]\nname = "oslo_messaging"\n')
    (tmp_path / "silent").mkdir()
    (tmp_path / "silent/setup.py").write_text("")
    return Trees(tmp_path)


def chosen(trees: Trees, *wanted: Wanted) -> list[str]:
    return [each.distribution for each in libraries.choose(wanted, besides="openstack-heat", fetch=trees)]


def test_its_name_is_read_from_its_tree(trees: Trees) -> None:
    assert chosen(trees, Wanted("oslo.messaging", "modern"), Wanted(None, "db")) == ["oslo_messaging", "oslo.db"]
    assert chosen(trees, Wanted("nova-docker", "silent")) == ["nova-docker"]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ((Wanted("oslo.log", "db"),), "is oslo.db, not oslo.log"),
        ((Wanted(None, "silent"),), "does not say what it is called"),
        ((Wanted("heat", "heat"),), "what the service itself is made from"),
        ((Wanted("oslo.db", "db"), Wanted(None, "db")), "more than once"),
    ],
)
def test_a_tree_of_something_else_is_refused(trees: Trees, wanted: tuple[Wanted, ...], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        chosen(trees, *wanted)


def test_a_library_is_mounted_and_checked_until_a_checkout_without_it(tmp_path: Path) -> None:
    cloud = SimulatedCloud(tmp_path)
    for name in ("one", "two", "db"):
        cloud.checkout(name)
    before, machine, host = cloud.take(), cloud.machine(images.HEAT), cloud.host()
    wish = Wish("heat-engine", "one", None, None, detach=True)
    swap.checkout(host, replace(wish, libraries=(Wanted("oslo.db", "db"),)), cloud.makers)
    place = "/run/devswap/heat-engine/1/with/oslo-db"
    assert place in machine.mounted("/run/devswap")
    (journal,) = host.journals.all()
    (told,) = status.of(host, journal).libraries
    assert (told["name"], told["ref"], told["packages"], told["review"]) == ("oslo.db", "db", ["oslo_db"], None)
    swap.run(host, "heat-engine", None, detach=True)
    machine.unmount(place)
    with pytest.raises(NotWhole, match="cannot find the package oslo_db"):
        swap.run(host, "heat-engine", None, detach=True)
    swap.checkout(host, replace(wish, ref="two"), cloud.makers)
    assert not [point for point in machine.mounted("/run/devswap") if "with" in point]
    (journal,) = host.journals.all()
    assert journal.swap.libraries == []
    swap.restore(host, journal)
    assert differences(cloud, before) == []


def test_what_needs_a_library_is_judged_by_the_one_that_is_given() -> None:
    production = Production({"oslo-db": Package("oslo-db", "1.0", "")}, {}, lambda name: [])
    given = production.with_libraries({"oslo-db": ("2.0", "Requires-Dist: PyMySQL>=1 ; extra == 'mysql'\n")})
    needs = unmet(["oslo.db[mysql]>=2"], given, of="heat", extras=())
    assert [(need.name, need.why) for need in needs] == [("pymysql", "oslo.db[mysql] needs PyMySQL>=1")]


def test_no_release_may_take_the_place_of_a_library_that_is_given() -> None:
    assert pinned("oslo.db===1.0\nsix\n", {"oslo-db": "2.0.1.dev3"}) == "six\noslo-db==2.0.1.dev3\n"
