"""What every machine does: its files, its mounts, and how commands end."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from devswap import process
from devswap.errors import CommandFailed, CommandTimeout, DevswapError
from devswap.machine import Machine


def test_a_file_is_written_with_the_folders_above_it_and_read_back(machine: Machine) -> None:
    machine.write_text("/run/dsct/a/b/file", "text\n")
    assert machine.read_text("/run/dsct/a/b/file") == "text\n"
    assert machine.names("/run/dsct/a/b") == ["file"]
    assert machine.is_folder("/run/dsct/a/b")
    assert machine.exists("/run/dsct/a/b/file")
    assert not machine.is_folder("/run/dsct/a/b/file")


def test_a_file_is_replaced_as_a_whole(machine: Machine) -> None:
    machine.write_text("/run/dsct/file", "one, and much longer")
    machine.write_text("/run/dsct/file", "two")
    assert machine.read_text("/run/dsct/file") == "two"
    assert machine.names("/run/dsct") == ["file"]


def test_what_is_not_there_is_none_or_empty(machine: Machine) -> None:
    assert machine.read_text("/run/dsct/nothing") is None
    assert machine.read_bytes("/run/dsct/nothing/below") is None
    assert machine.names("/run/dsct/nothing") == []
    assert not machine.exists("/run/dsct/nothing")
    machine.remove("/run/dsct/nothing")


def test_a_folder_is_removed_only_when_it_is_empty(machine: Machine) -> None:
    machine.write_text("/run/dsct/folder/file", "")
    with pytest.raises(OSError, match="not empty"):
        machine.remove("/run/dsct/folder")
    machine.remove("/run/dsct/folder/file")
    machine.remove("/run/dsct/folder")
    assert not machine.exists("/run/dsct/folder")


def test_reading_a_folder_is_an_error(machine: Machine) -> None:
    machine.make_folder("/run/dsct/folder")
    with pytest.raises(IsADirectoryError):
        machine.read_bytes("/run/dsct/folder")


def test_a_mounted_folder_is_the_hosts_and_is_gone_after_unmount(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host")
    machine.mount(tmp_path, "/run/dsct/mount", readonly=False)
    assert machine.mounted("/run/dsct") == ["/run/dsct/mount"]
    assert machine.read_text("/run/dsct/mount/file") == "host"
    machine.write_text("/run/dsct/mount/new", "machine")
    assert (tmp_path / "new").read_text() == "machine"
    machine.unmount("/run/dsct/mount")
    assert machine.mounted("/run/dsct") == []
    assert machine.names("/run/dsct/mount") == []
    machine.unmount("/run/dsct/mount")


def test_a_file_mounted_on_another_hides_it_until_it_is_unmounted(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host")
    machine.make_folder("/run/dsct")
    machine.write_text("/run/dsct/file", "machine")
    machine.mount(tmp_path / "file", "/run/dsct/file", readonly=True)
    assert machine.mounted("/run/dsct/file") == ["/run/dsct/file"]
    assert machine.read_text("/run/dsct/file") == "host"
    machine.unmount("/run/dsct/file")
    assert machine.mounted("/run/dsct") == []
    assert machine.read_text("/run/dsct/file") == "machine"
    machine.remove("/run/dsct/file")


def test_what_is_mounted_one_on_the_other_is_unmounted_as_a_whole(machine: Machine, tmp_path: Path) -> None:
    """After a restart of the machine a swap's mounts are made again, the new ones among them."""
    for _ in range(2):
        machine.mount(tmp_path, "/run/dsct/mount", readonly=True)
    assert machine.mounted("/run/dsct") == ["/run/dsct/mount"] * 2
    machine.unmount("/run/dsct/mount")
    assert machine.mounted("/run/dsct") == []


def test_a_folder_mounted_read_only_cannot_be_written(machine: Machine, tmp_path: Path) -> None:
    machine.mount(tmp_path, "/run/dsct/mount", readonly=True)
    with pytest.raises(OSError, match=r"Read-only file system: '/run/dsct/mount/"):
        machine.write_text("/run/dsct/mount/new", "machine")
    assert list(tmp_path.iterdir()) == []


def test_removing_a_mount_point_takes_the_mount_and_leaves_the_hosts_folder(machine: Machine, tmp_path: Path) -> None:
    """rmdir(2) from another mount namespace than the mount's: it is detached there."""
    (tmp_path / "file").write_text("host")
    machine.mount(tmp_path, "/run/dsct/mount", readonly=True)
    machine.remove("/run/dsct/mount")
    assert machine.mounted("/run/dsct") == []
    assert (tmp_path / "file").read_text() == "host"


def test_a_named_pipe_is_held_open(machine: Machine) -> None:
    descriptor = machine.open_pipe("/run/dsct/pipe")
    try:
        assert machine.exists("/run/dsct/pipe")
        assert not stat.S_ISREG(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("code", [1, 3, 255])
def test_an_exit_code_comes_through(machine: Machine, code: int) -> None:
    assert machine.run(["sh", "-c", f"exit {code}"], ok=(code,)).code == code
    with pytest.raises(CommandFailed) as caught:
        machine.run(["sh", "-c", f"exit {code}"])
    assert caught.value.result.code == code


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("TERM", 143)])
def test_a_signal_is_told_as_shells_do(machine: Machine, signal: str, code: int) -> None:
    assert machine.run(["sh", "-c", f"kill -{signal} $$"], ok=(code,)).code == code


def test_a_program_that_does_not_exist_is_code_127(machine: Machine) -> None:
    assert machine.run(["no-such-program"], ok=(127,)).code == 127


def test_output_and_errors_are_told_apart(machine: Machine) -> None:
    result = machine.run(["sh", "-c", "echo out; echo err >&2"])
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


def test_input_reaches_the_command(machine: Machine) -> None:
    assert machine.run(["cat"], input="text").stdout == "text"


def test_the_environment_is_what_was_given_and_nothing_of_the_hosts(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSCT_OUTSIDE", "1")
    assert machine.run(["printenv", "DSCT_INSIDE"], env={"DSCT_INSIDE": "a b"}).stdout == "a b\n"
    assert machine.run(["printenv", "DSCT_OUTSIDE"], ok=(1,)).code == 1
    assert machine.run(["printenv", "HOME"]).stdout == "/root\n"


def test_a_command_runs_as_the_user_and_in_the_folder_that_were_asked_for(machine: Machine) -> None:
    assert machine.run(["id", "-un"]).stdout == "root\n"
    assert machine.run(["pwd"], cwd="/etc").stdout == "/etc\n"
    with pytest.raises(DevswapError, match="there is no such user"):
        machine.run(["id", "-un"], user="no-such-user")
    assert machine.run(["pwd"], cwd="/no-such-folder", ok=(125,)).code == 125


def test_a_command_that_does_not_end_is_given_up(machine: Machine) -> None:
    with pytest.raises(CommandTimeout):
        machine.run(["sleep", "60"], timeout=0.5)


def test_a_process_that_was_started_is_read_and_waited_for(machine: Machine) -> None:
    from devswap.process import DEVNULL, PIPE

    with machine.popen(["cat"], stdin=PIPE, stdout=PIPE, stderr=DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"text")
        process.stdin.close()
        assert process.stdout.read() == b"text"
    assert process.returncode == 0


def test_where_a_link_leads_is_told_and_other_things_are_no_links(machine: Machine) -> None:
    machine.write_text("/run/dsct/file", "text")
    assert machine.link_target("/run/dsct/file") is None
    assert machine.link_target("/run/dsct/nothing") is None
    assert machine.link_target("/run/nothing/at/all") is None


def test_a_pipe_is_no_file_to_be_read(machine: Machine) -> None:
    os.close(machine.open_pipe("/run/dsct/pipe"))
    assert machine.read_bytes("/run/dsct/pipe") is None


@pytest.mark.sandbox
@pytest.mark.parametrize("subject", ["real"], indirect=True)
def test_a_machine_that_is_frozen_is_told_as_such_and_keeps_nobody_waiting(machine: Machine) -> None:
    process.run(["lxc-freeze", "-n", machine.name])
    try:
        with pytest.raises(DevswapError, match="it is frozen") as told:
            machine.run(["systemctl", "is-system-running"])
    finally:
        process.run(["lxc-unfreeze", "-n", machine.name])
    assert told.value.hint == f"lxc-unfreeze -n {machine.name}"
    assert machine.run(["echo", "awake"]).stdout == "awake\n"


@pytest.mark.sandbox
@pytest.mark.parametrize("subject", ["real"], indirect=True)
def test_a_command_in_whose_midst_its_machine_is_frozen_is_given_up(machine: Machine) -> None:
    freeze = threading.Timer(1, process.run, [["lxc-freeze", "-n", machine.name]])
    freeze.start()
    try:
        with pytest.raises(DevswapError, match="it is frozen"):
            machine.run(["sleep", "611"])
    finally:
        freeze.join()
        process.run(["lxc-unfreeze", "-n", machine.name])
    machine.run(["pkill", "-KILL", "-f", "sleep 611"])
