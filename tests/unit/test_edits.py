"""Development sees a person's own copies of files of /etc; production's are not touched, and nobody else sees them."""

from __future__ import annotations

import errno
import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devswap import development, editing, edits, reloading, status, swap
from devswap.errors import DevswapError, UsageError
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine
from tests.simulated.person import Person
from tests.simulated.snapshot import Snapshot

SERVICE, PASTE, POLICY = "heat-engine", "/etc/heat/api-paste.ini", "/etc/heat/policy.yaml"
EDITED = f"/run/devswap/{SERVICE}/1/edited"
LATER = "2026-01-02T00:00:00.000+00:00"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    images.put(found.machine(images.HEAT).files, PASTE, "[pipeline:heat]\npipeline = healthcheck app\n")
    found.checkout("plain")
    found.checkout("other")
    with no_waiting(monkeypatch):
        yield found


@pytest.fixture
def machine(cloud: SimulatedCloud) -> SimulatedMachine:
    return cloud.machine(images.HEAT)


def take_over(cloud: SimulatedCloud, ref: str = "plain", *, now: str = "", answer: int | None = None) -> None:
    host = replace(cloud.host(), choose=lambda question, options: answer)
    host = replace(host, now=lambda: now) if now else host
    swap.checkout(host, Wish(SERVICE, ref, None, None, detach=True), cloud.makers)


def restore(cloud: SimulatedCloud) -> None:
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)


def edit(cloud: SimulatedCloud, file: str, text: str) -> str:
    return editing.edit(cloud.host(), SERVICE, None, file, lambda name, before: text)


def settings(machine: SimulatedMachine) -> list[str]:
    """Those of the drop-in that say what the unit sees."""
    text = machine.read_text(development.path(f"{SERVICE}.service")) or ""
    return [line for line in text.splitlines() if line.startswith(("BindReadOnlyPaths=", "TemporaryFileSystem="))]


def test_development_sees_its_own_copy_from_its_next_start_on(
    cloud: SimulatedCloud, machine: SimulatedMachine, whole: Snapshot
) -> None:
    before = machine.read_text(PASTE)
    take_over(cloud)
    assert settings(machine) == []
    said = edit(cloud, "api-paste.ini", "mine")
    assert said == f"{SERVICE} reads its own copy of {PASTE} from its next start on: devswap run {SERVICE}"
    assert settings(machine) == []
    swap.run(cloud.host(), SERVICE, None, detach=True)
    assert settings(machine) == [f"BindReadOnlyPaths={EDITED}{PASTE}:{PASTE}"]
    assert machine.read_text(f"{EDITED}{PASTE}") == "mine"
    assert machine.read_text(PASTE) == before
    restore(cloud)
    assert differences(cloud, whole) == []


def test_a_second_checkout_keeps_it_in_force(cloud: SimulatedCloud, machine: SimulatedMachine, whole: Snapshot) -> None:
    take_over(cloud)
    edit(cloud, PASTE, "mine")
    take_over(cloud, "other")
    assert settings(machine) == [f"BindReadOnlyPaths={EDITED.replace('/1/', '/2/')}{PASTE}:{PASTE}"]
    restore(cloud)
    assert differences(cloud, whole) == []


def test_it_is_there_after_a_restart_of_the_machine(cloud: SimulatedCloud, machine: SimulatedMachine) -> None:
    take_over(cloud)
    edit(cloud, PASTE, "mine")
    machine.boot()
    with pytest.raises(DevswapError, match="restarted"):
        edit(cloud, PASTE, "again")
    swap.run(cloud.host(), SERVICE, None, detach=True)
    assert machine.read_text(f"{EDITED}{PASTE}") == "mine"
    assert settings(machine)


def test_a_swap_from_before_there_were_copies_is_to_be_checked_out_again(
    cloud: SimulatedCloud, machine: SimulatedMachine
) -> None:
    take_over(cloud)
    machine.unmount(EDITED)
    with pytest.raises(DevswapError, match="knew nothing of edited files") as told:
        edit(cloud, PASTE, "mine")
    assert told.value.hint == f"once more: devswap checkout {SERVICE} plain"


def test_a_file_that_production_lacks_is_not_made_there(
    cloud: SimulatedCloud, machine: SimulatedMachine, whole: Snapshot
) -> None:
    take_over(cloud)
    edit(cloud, "policy.yaml", "actions: role:admin\n")
    swap.run(cloud.host(), SERVICE, None, detach=True)
    assert settings(machine) == [
        "TemporaryFileSystem=/etc/heat:ro",
        f"BindReadOnlyPaths={PASTE}:{PASTE} /etc/heat/heat.conf:/etc/heat/heat.conf {EDITED}{POLICY}:{POLICY}",
    ]
    assert not machine.exists(POLICY)
    restore(cloud)
    assert differences(cloud, whole) == []


def test_a_copy_is_as_secret_as_productions_file(cloud: SimulatedCloud, machine: SimulatedMachine) -> None:
    machine.write_text("/etc/heat/heat.conf", machine.read_text("/etc/heat/heat.conf") or "", mode=0o640)
    take_over(cloud)
    edit(cloud, "heat.conf", "[DEFAULT]\n")
    edit(cloud, "policy.yaml", "a: b\n")
    found = edits.of(cloud.host(), SERVICE, f"lxc:{images.HEAT}")
    assert {
        stat.S_IMODE((found.files / f"etc/heat/{name}").stat().st_mode) for name in ("heat.conf", "policy.yaml")
    } == {0o640}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (found.files, found.folder, found.folder.parent)} == {
        0o700
    }


def test_what_is_kept_is_offered_at_the_next_swap(cloud: SimulatedCloud, machine: SimulatedMachine) -> None:
    take_over(cloud)
    edit(cloud, PASTE, "mine")
    restore(cloud)
    take_over(cloud, now=LATER)
    assert f"ada has edited {PASTE} for an earlier swap: devswap edit {SERVICE} --again uses that again" in cloud.said
    assert settings(machine) == []
    editing.again(cloud.host(), SERVICE, None)
    swap.run(cloud.host(), SERVICE, None, detach=True)
    assert len(settings(machine)) == 1
    restore(cloud)
    for answer, seen in ((1, 0), (0, 1)):
        take_over(cloud, now=f"{LATER}{answer}", answer=answer)
        assert len(settings(machine)) == seen
        restore(cloud)


def test_an_edit_goes_on_from_ones_own_copy_of_an_earlier_swap_only(cloud: SimulatedCloud) -> None:
    take_over(cloud)
    edit(cloud, PASTE, "of ada")
    restore(cloud)
    take_over(cloud, now=LATER)
    shown: list[str] = []
    for user in ("bob", "ada"):
        host = replace(cloud.host(), home=lambda user=user: replace(cloud.host().home(), user=user))  # type: ignore[misc]
        with pytest.raises(ZeroDivisionError):
            editing.edit(host, SERVICE, None, PASTE, lambda name, text: f"{shown.append(text)}{1 / 0}")  # type: ignore[func-returns-value]
    assert shown[0].startswith("[pipeline:heat]")
    assert shown[1] == "of ada"


def test_it_is_shown_compared_and_forgotten(cloud: SimulatedCloud, machine: SimulatedMachine) -> None:
    take_over(cloud)
    edit(cloud, PASTE, "[pipeline:heat]\npipeline = app\npassword = hunter2\n")
    (journal,) = cloud.host().journals.all()
    assert status.of(cloud.host(), journal).edited == [{"path": PASTE, "seen": False}]
    swap.run(cloud.host(), SERVICE, None, detach=True)
    assert status.of(cloud.host(), journal).edited == [{"path": PASTE, "seen": True}]
    assert list(editing.differences(cloud.host(), SERVICE, None, "api-paste.ini"))[2:] == [
        "@@ -1,2 +1,3 @@",
        " [pipeline:heat]",
        "-pipeline = healthcheck app",
        "+pipeline = app",
        "+password = ***",
    ]
    images.put(machine.files, PASTE, "new\n")
    assert next(editing.differences(cloud.host(), SERVICE, None, None)) == (
        f"# production's {PASTE} was changed after the copy was made"
    )
    assert editing.drop(cloud.host(), SERVICE, None, "api-paste.ini") == f"forgotten: {PASTE}"
    with pytest.raises(DevswapError, match="nobody has edited"):
        editing.drop(cloud.host(), SERVICE, None, None)
    swap.run(cloud.host(), SERVICE, None, detach=True)
    assert settings(machine) == []


def test_an_edit_goes_on_from_the_copy_and_ends_at_productions_text(cloud: SimulatedCloud) -> None:
    take_over(cloud)
    shown: list[str] = []

    def change(name: str, text: str) -> str:
        shown.append(text)
        return f"{text}x" if len(shown) < 3 else shown[0]

    host = cloud.host()
    for _ in range(3):
        said = editing.edit(host, SERVICE, None, PASTE, change)
    assert [text.count("x") - shown[0].count("x") for text in shown] == [0, 1, 2]
    assert said == f"{PASTE} is as production's: the copy is forgotten"
    assert editing.edit(host, SERVICE, None, PASTE, lambda name, text: text) == f"{PASTE} was not changed"
    assert edits.of_service(host, SERVICE) == []


def test_an_editor_is_not_opened_on_what_the_service_may_not_read(
    cloud: SimulatedCloud, machine: SimulatedMachine
) -> None:
    take_over(cloud)
    machine.write_text(PASTE, "root's own", mode=0o600)
    seen: list[str] = []
    with pytest.raises(DevswapError, match="could not read"):
        editing.edit(cloud.host(), SERVICE, None, PASTE, lambda name, text: f"{seen.append(text)}")  # type: ignore[func-returns-value]
    assert seen == []
    assert edits.of_service(cloud.host(), SERVICE) == []


def test_what_a_copy_is_compared_with_is_what_the_service_may_read(
    cloud: SimulatedCloud, machine: SimulatedMachine
) -> None:
    take_over(cloud)
    edit(cloud, PASTE, "mine")
    images.put(machine.files, "/etc/shadow", "root's own\n")
    machine.write_text("/etc/shadow", "root's own\n", mode=0o600)
    machine.files.link(PASTE, "/etc/shadow")
    with pytest.raises(DevswapError, match="could not read"):
        list(editing.differences(cloud.host(), SERVICE, None, None))


def test_a_copy_from_before_accounts_were_noted_is_compared_after_again(cloud: SimulatedCloud) -> None:
    take_over(cloud)
    edit(cloud, PASTE, "mine")
    index = edits.of(cloud.host(), SERVICE, f"lxc:{images.HEAT}").folder / "index.json"
    told = json.loads(index.read_text())
    for each in told["copies"].values():
        del each["account"]
    index.write_text(json.dumps(told))
    with pytest.raises(DevswapError, match="not noted") as caught:
        list(editing.differences(cloud.host(), SERVICE, None, None))
    assert caught.value.hint == f"devswap edit {SERVICE} --again, while it is swapped"
    editing.again(cloud.host(), SERVICE, None)
    assert "+mine" in list(editing.differences(cloud.host(), SERVICE, None, None))


@pytest.mark.parametrize("file", ["../shadow", "/etc/shadow", "/etc/heat", "a file", "x:/etc/y"])
def test_only_files_of_its_own_folder_can_be_edited(cloud: SimulatedCloud, file: str) -> None:
    take_over(cloud)
    with pytest.raises(UsageError, match=r"no file below /etc/heat|signs in its name"):
        edit(cloud, file, "mine")


def test_what_the_service_could_not_be_shown_changes_nothing(
    cloud: SimulatedCloud, machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over(cloud)
    monkeypatch.setattr(edits, "view", lambda *_: {})
    with pytest.raises(DevswapError, match="could not read"):
        edit(cloud, "policy.yaml", "mine")
    assert edits.of_service(cloud.host(), SERVICE) == []
    assert not machine.exists(f"{EDITED}{POLICY}")


def test_what_is_typed(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    person = Person(cloud, monkeypatch)
    take_over(cloud)
    (tmp_path / "policy.yaml").write_text("a: b\n")
    person.types(f"devswap edit {SERVICE} policy.yaml --from {tmp_path}/policy.yaml")
    monkeypatch.setenv("SUDO_EDITOR", "sed -i s/app/other/")
    person.types(f"devswap edit {SERVICE} api-paste.ini")
    person.types(f"devswap edit {SERVICE} --diff")
    person.types(f"devswap edit {SERVICE} --again")
    person.types(f"devswap edit {SERVICE} --drop")
    for wrong in (
        (),
        ("x", "--again"),
        ("--drop", "--diff"),
        ("x", "--diff", "--from", "-"),
        ("x", "--from", "/nowhere"),
    ):
        assert person.is_told("edit", SERVICE, *wrong, code=2).message


def test_a_reload_waits_until_a_copy_is_in_force(cloud: SimulatedCloud) -> None:
    take_over(cloud)
    found = edits.of(cloud.host(), SERVICE, f"lxc:{images.HEAT}")
    (journal,) = cloud.host().journals.all()
    with reloading.watched(journal.swap, found.folder) as saves:
        edit(cloud, PASTE, "mine")
        assert reloading.that_count(saves.now(), found.folder) == {found.folder / "index.json"}


def test_a_file_below_a_file_is_refused(cloud: SimulatedCloud, whole: Snapshot) -> None:
    take_over(cloud)
    with pytest.raises(UsageError, match=r"heat\.conf is a file") as told:
        edit(cloud, "/etc/heat/heat.conf/x", "mine")
    assert told.value.hint == "devswap edit heat-engine /etc/heat/heat.conf"
    edit(cloud, "policy/new.yaml", "mine")
    with pytest.raises(UsageError, match=r"new\.yaml is a file"):
        edit(cloud, "policy/new.yaml/deep", "mine")
    editing.drop(cloud.host(), SERVICE, None, None)
    restore(cloud)
    assert [line for line in differences(cloud, whole) if "edits" not in line] == []


def test_no_link_among_the_copies_has_root_read_or_remove_what_is_elsewhere(
    cloud: SimulatedCloud, tmp_path: Path
) -> None:
    take_over(cloud)
    edit(cloud, PASTE, "mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "api-paste.ini").write_text("of the host")
    copy = edits.of(cloud.host(), SERVICE, f"lxc:{images.HEAT}").files / "etc/heat/api-paste.ini"
    copy.unlink()
    copy.symlink_to(elsewhere / "api-paste.ini")
    assert "of the host" not in "\n".join(editing.differences(cloud.host(), SERVICE, None, None))
    copy.unlink()
    copy.parent.rmdir()
    copy.parent.symlink_to(elsewhere)
    assert "of the host" not in "\n".join(editing.differences(cloud.host(), SERVICE, None, None))
    editing.drop(cloud.host(), SERVICE, None, None)
    assert (elsewhere / "api-paste.ini").read_text() == "of the host"


def test_a_terminal_that_is_lost_at_the_question_leaves_production_as_it_was(
    cloud: SimulatedCloud, whole: Snapshot
) -> None:
    take_over(cloud)
    edit(cloud, PASTE, "mine")
    restore(cloud)

    def lost(question: str, options: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    host = replace(cloud.host(), choose=lost, now=lambda: LATER)
    with pytest.raises(OSError, match="Input/output error"):
        swap.checkout(host, Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    assert differences(cloud, whole) == []
