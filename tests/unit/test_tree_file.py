"""devswap.toml: what it may say, whose it must be, and what `devswap up` makes of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from devswap import several, tree_file
from devswap.errors import DevswapError, UsageError
from devswap.host import Host
from devswap.invoker import UserHome
from devswap.wish import Makers, Wish
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.person import Person

SERVICES = 'services = ["heat-api", "heat-engine"]\n'


def home(folder: Path, uid: int | None = None) -> UserHome:
    return UserHome("ada", os.getuid() if uid is None else uid, None, folder, folder / "share")


def written(folder: Path, text: str) -> Path:
    (folder / tree_file.NAME).write_text(text)
    return folder


def test_it_names_services_and_options(tmp_path: Path) -> None:
    stops = "heat/engine/service.py:890 if name == '..'"
    text = f'{SERVICES}detach = true\nworkers = 2\nbreak = ["{stops}"]\n[set]\n"DEFAULT.x" = "7"\n'
    found = tree_file.read(written(tmp_path, text), home(tmp_path))
    assert found.services == ("heat-api", "heat-engine")
    assert found.flag("detach")
    assert found.options["workers"] == 2
    assert found.words("break") == [stops]
    assert found.options["set"] == {"DEFAULT.x": "7"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("detatch = true", "unknown key detatch"),
        ('pre_command = "reboot"', "unknown key pre_command"),
        ('detach = "yes"', "detach, which must be true or false"),
        ("workers = 0", "workers, which must be a number from 1"),
        ("workers = true", "workers, which must be a number from 1"),
        ('with = ["oslo.db=../elsewhere"]', "with, which must be"),
        ('with = ["oslo.db=https://example.org/x@master"]', "with, which must be"),
        ('with = ["~/src/oslo.db"]', "with, which must be"),
        ('set = { "DEFAULT.log_file" = "/etc/passwd" }', "set, which must be"),
        ('set = { "DEFAULT.log_file" = "..x" }', "set, which must be"),
        ('set = { "agent.root_helper" = "sh -c id" }', "set, which must be"),
        ('set = { "DEFAULT.log_file=/etc/passwd" = "" }', "set, which must be"),
        ('set = { "DEFAULT.transport_url=rabbit://elsewhere" = "" }', "set, which must be"),
        (f"workers = {'9' * 5000}", "cannot read"),
        (f"workers = {'[' * 3000}", "cannot read"),
        (f"# {'x' * 70000}", "has more than 64 KiB"),
        ('break = ["/etc/x.py:1"]', "break, which must be"),
        ('break = ["a/../../x.py:1"]', "break, which must be"),
        ('break = ["a/../../x.py:1 if True"]', "break, which must be"),
        (f'break = ["heat.api:main if {"(" * 300}"]', "break, which must be"),
        ('break = ["heat.api:main if a\\nb"]', "break, which must be"),
        ('break = ["heat.api:main or True"]', "break, which must be"),
    ],
)
def test_what_it_must_not_say_is_named_with_the_file(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        tree_file.read(written(tmp_path, f"{SERVICES}{line}\n"), home(tmp_path))
    assert str(tmp_path / tree_file.NAME) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "services = []", 'services = "heat-api"', 'services = ["../x"]', "services = ["])
def test_it_must_name_services(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=tree_file.NAME):
        tree_file.read(written(tmp_path, text), home(tmp_path))


def test_somebody_elses_is_not_read(tmp_path: Path) -> None:
    theirs = written(tmp_path, SERVICES)
    os.chown(theirs / tree_file.NAME, 12345, -1)
    with pytest.raises(DevswapError, match="belongs to"):
        tree_file.read(theirs, home(tmp_path))


def test_a_link_to_somebody_elses_is_not_read_either(tmp_path: Path) -> None:
    target = tmp_path / "theirs.toml"
    target.write_text(SERVICES)
    os.chown(target, 12345, -1)
    (tmp_path / tree_file.NAME).symlink_to(target)
    with pytest.raises(UsageError, match="belongs to uid 12345"):
        tree_file.read(tmp_path, home(tmp_path))


@pytest.mark.parametrize("target", ["pipe", "/dev/zero", "/dev/tty", "folder"])
def test_what_has_no_end_is_not_read(tmp_path: Path, target: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / tree_file.NAME).symlink_to(target)
    with pytest.raises(UsageError, match="no plain file"):
        tree_file.read(tmp_path, home(tmp_path))


def test_it_is_found_from_a_folder_of_the_tree_and_not_above_it(tmp_path: Path) -> None:
    (tmp_path / "tree/.git").mkdir(parents=True)
    (tmp_path / "tree/heat/engine").mkdir(parents=True)
    written(tmp_path, SERVICES)
    with pytest.raises(UsageError, match="there is no"):
        tree_file.find(tmp_path / "tree/heat/engine")
    written(tmp_path / "tree", SERVICES)
    assert tree_file.find(tmp_path / "tree/heat/engine") == tmp_path / "tree"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    tree = found.checkout("tree")
    written(tree, f'{SERVICES}detach = true\nset = {{ "DEFAULT.x" = "7" }}\n')
    usual = found.makers

    def checkout(host: Host, services: Sequence[str], wish: Wish) -> object:
        fetch = lambda project, ref, **options: usual.fetch(project, Path(ref).name, **options)  # noqa: E731
        return taken_over(host, services, wish, Makers(fetch, usual.build))

    taken_over = several.checkout
    monkeypatch.setattr(several, "checkout", checkout)
    with no_waiting(monkeypatch):
        yield found


def test_up_takes_over_what_the_tree_names(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, person = cloud.take(), Person(cloud, monkeypatch)
    tree = cloud.folder / "checkouts/tree"
    monkeypatch.chdir(tree)
    person.types("devswap up")
    found = {journal.swap.service: journal.swap for journal in cloud.host().journals.all()}
    assert set(found) == {"heat-api", "heat-engine"}
    assert {swap.mode for swap in found.values()} == {"detached"}
    assert {swap.tuning["settings"]["DEFAULT.x"] for swap in found.values()} == {"7"}
    person.types("devswap restore")
    assert differences(cloud, whole) == []
