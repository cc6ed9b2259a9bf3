"""`status` tells all that is worth knowing of a swap, as it is now."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from devswap import debugging, development, process, status, swap, traffic
from devswap.commands import status as command
from devswap.database import Database
from devswap.journal import Entry
from devswap.steps.file import MakeFile
from devswap.tuning import Changes
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.person import Person

SERVICE = "heat-engine"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def git(folder: Path, *argv: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    return process.run(["git", "-C", str(folder), *who, *argv]).stdout.strip()


def test_everything_is_shown(cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]) -> None:
    changes = Changes(settings={"DEFAULT.debug": "true"}, workers=2, post_mortem=True)
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True, changes=changes), cloud.makers)
    (journal,) = cloud.host().journals.all()
    review = {"project": "heat", "change": 123, "patchset": 2, "newest": 3, "owner": "Bob", "branch": "master"}
    packages = [{"package": "oslo.db", "from": "1.0", "to": "2.0"}]
    journal.describe(
        review={**review, "status": None, "url": None, "rest": None},
        overlay={"key": "x", "packages": packages},
        tuning={**journal.swap.tuning, "breakpoints": ["heat/engine/service.py:7", "heat.engine:later"]},
    )
    machine = cloud.host().machine(journal.swap.machine)
    machine.write_text(debugging.placed_file(journal.swap), "heat/engine/service.py:7\n")
    person.types("devswap status")
    assert capsys.readouterr().out.splitlines() == [
        f"{SERVICE} in lxc:{images.HEAT}: running, serving (the queue engine.{images.HEAT} has a consumer)",
        "  plain  plain0000000  The change plain",
        "  detached by ada@aio1 pts/0 since 2026-01-01T00:00:00.000+00:00",
        "  change 123, patchset 2 by Bob for master; a newer patchset exists: 3",
        f"  checkout: {cloud.folder}/checkouts/plain",
        "  packages: oslo.db 2.0 (production has 1.0)",
        "  set: DEFAULT.debug=true, 2 workers, post-mortem",
        "  breakpoint: heat/engine/service.py:7",
        "  breakpoint: heat.engine:later (its module is not loaded so far)",
    ]


@pytest.mark.parametrize(("ref", "left"), [("plain", ""), ("migrates", ": load the dump if the schema differs")])
def test_after_a_restart_it_is_said_how_production_is_and_what_is_left(
    cloud: SimulatedCloud, ref: str, left: str
) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, ref, None, None, detach=True), cloud.makers)
    (journal,), machine = cloud.host().journals.all(), cloud.machine(images.HEAT)
    machine.boot()
    found = status.of(cloud.host(), journal)
    assert (found.state, found.healthy) == ("production", False)
    assert found.why == f"production runs again; devswap restore {SERVICE} completes it{left}"
    machine.end(f"{SERVICE}.service", "failed", 1)
    found = status.of(cloud.host(), journal)
    assert found.why == f"production is held no more, and is failed; devswap restore {SERVICE} completes it{left}"


@pytest.mark.parametrize("line", ["devswap status", "devswap restore"])
def test_what_another_state_folder_knows_of_is_not_said_to_run(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """`sudo` has dropped DEVSWAP_STATE_DIR, say."""
    person.types(line)
    assert capsys.readouterr().out == "nothing is swapped; production runs everywhere\n"
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    (cloud.state / "swaps").rename(cloud.state / "elsewhere")
    person.types(line)
    said = capsys.readouterr().out
    assert f"but {SERVICE}.service in lxc:{images.HEAT} is held by a devswap with another state folder" in said
    assert "production runs" not in said


def test_a_drop_in_that_a_restore_has_left_to_somebody_is_no_devswaps(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    path = development.path(f"{SERVICE}.service")
    cloud.machine(images.HEAT).write_text(path, "[Service]\nEnvironment=MINE=1\n")
    person.types(f"devswap restore {SERVICE} --keep-theirs {path}")
    capsys.readouterr()
    person.types("devswap status")
    assert capsys.readouterr().out == "nothing is swapped; production runs everywhere\n"


def test_a_file_of_a_hook_that_outlives_a_restart_is_said_to_be_left(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    (journal,) = cloud.host().journals.all()
    step = MakeFile(journal.swap.machine, path="/etc/sudoers.d/devswap-heat", text="heat ALL = …\n", mode=0o440)
    journal.push(Entry(step.as_json(), {"folders": []}))
    cloud.machine(images.HEAT).boot()
    assert status.of(cloud.host(), journal).why.endswith(" completes it: remove /etc/sudoers.d/devswap-heat")


def test_production_is_not_said_to_serve_while_a_takeover_works_on_its_database(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    real = Database.dump

    def dump(self: Database, target: Path) -> None:
        told.extend(status.of(cloud.host(), each).why for each in cloud.host().journals.all())
        real(self, target)

    monkeypatch.setattr(Database, "dump", dump)
    swap.checkout(cloud.host(), Wish(SERVICE, "migrates", None, None, detach=True), cloud.makers)
    assert told == ["production is stopped: development is about to start"]


def test_who_waits_for_it_and_who_is_stopped_for_it_is_shown(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.add_peer()
    wish = Wish(SERVICE, "plain", f"lxc:{images.HEAT}", None, detach=True, only=True)
    swap.checkout(cloud.host(), wish, cloud.makers)
    (journal,) = cloud.host().journals.all()
    journal.describe(traffic={**journal.swap.traffic, "patient": 3600})
    capsys.readouterr()
    stopped = f"heat-engine.service in lxc:{images.HEAT_PEER}"

    def told() -> list[str]:
        person.types("devswap status")
        return capsys.readouterr().out.splitlines()[-2:]

    assert told() == [
        "  its callers wait 3600 s for an answer",
        f"  stopped, so that it gets every message: {stopped}",
    ]
    person.types("devswap status --json")
    (swapped,) = json.loads(capsys.readouterr().out)["swaps"]
    assert (swapped["patient"], swapped["only"]) == (3600, [stopped])
    traffic.take_out(cloud.host(), journal)
    assert told()[-1] == "  its callers wait 3600 s for an answer"


def test_what_is_well_and_what_is_not_stands_out_on_a_terminal(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    monkeypatch.delenv("NO_COLOR", raising=False)

    def first_line() -> str:
        terminal = Terminal()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", terminal)
            person.types("devswap status")
        return terminal.getvalue().splitlines()[0]

    assert first_line().startswith(f"\033[1m{SERVICE}\033[0m in lxc:{images.HEAT}: \033[32mrunning, serving\033[0m (")
    cloud.machine(images.HEAT).run(["systemctl", "stop", f"{SERVICE}.service"])
    assert "\033[31mended, not serving\033[0m (" in first_line()


def test_what_two_swaps_have_changed_names_the_other(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    for service in (SERVICE, "heat-api"):
        swap.checkout(cloud.host(), Wish(service, "migrates", None, None, detach=True), cloud.makers)
    capsys.readouterr()
    person.types("devswap status --json")
    swaps = {each["service"]: each["held_with"] for each in json.loads(capsys.readouterr().out)["swaps"]}
    ((name, others),) = swaps[SERVICE].items()
    assert others == [f"heat-api@lxc:{images.HEAT}"]
    assert swaps["heat-api"] == {name: [f"{SERVICE}@lxc:{images.HEAT}"]}
    person.types("devswap status")
    assert f"  the {name} is held by heat-api@lxc:{images.HEAT} too" in capsys.readouterr().out
    person.types("devswap restore heat-api")
    capsys.readouterr()
    person.types("devswap status --json")
    (first,) = json.loads(capsys.readouterr().out)["swaps"]
    assert first["held_with"] == {}


def test_what_became_of_the_checkout_since(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cloud.folder / "checkouts" / "plain"
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "First")
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    (journal,) = cloud.host().journals.all()
    journal.describe(commit=git(folder, "rev-parse", "HEAD"))
    first = journal.swap.commit[:12]

    def shown() -> str:
        capsys.readouterr()
        person.types("devswap status")
        return capsys.readouterr().out.splitlines()[1].split("  ")[2]

    assert shown() == first
    (folder / "new.py").write_text("")
    assert shown() == f"{first} (1 file edited)"
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Second")
    second = git(folder, "rev-parse", "HEAD")[:12]
    assert shown() == f"{first} (now {second})"
    (folder / "new.py").write_text("1")
    (folder / "newer.py").write_text("")
    assert shown() == f"{first} (now {second}, 2 files edited)"


def test_nothing_that_is_in_somebody_elses_repository_runs_as_whoever_looks(
    cloud: SimulatedCloud, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, ran = cloud.folder / "checkouts" / "plain", cloud.folder / "ran"
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "First")
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    git(folder, "config", "filter.ours.clean", f"touch {ran}; cat")
    (folder / ".gitattributes").write_text("*.py filter=ours\n")
    for path in folder.rglob("*.py"):
        os.utime(path)
    os.chown(folder, 4711, 4711)
    capsys.readouterr()
    person.types("devswap status")
    assert SERVICE in capsys.readouterr().out
    assert not ran.exists()
    os.chown(folder, os.geteuid(), os.getegid())
    git(folder, "status")
    assert ran.exists()  # it would have been run


def test_it_is_watched_on_a_terminal_only(person: Person) -> None:
    for more in ((), ("--json",), ("--check",)):
        assert "--watch" in person.is_told("status", "--watch", *more, code=2).message


def test_watched_it_shows_what_changes_until_ctrl_c(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def passes(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) > 1:
            raise KeyboardInterrupt
        swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)

    monkeypatch.setattr(command, "time", SimpleNamespace(sleep=passes))
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    person.types("devswap status --watch")
    shown = re.sub("\033\\[[0-9;]+m", "", terminal.getvalue())
    before, _, after = shown.partition("nothing is swapped")
    assert SERVICE not in before
    assert f"{SERVICE} in lxc:{images.HEAT}: running, serving" in after
