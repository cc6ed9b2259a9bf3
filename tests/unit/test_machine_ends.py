"""A machine that is ended in the very instant in which it is looked at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from devswap import frozen, process, systemd
from devswap.backed_machine import BackedMachine
from devswap.errors import CommandFailed, DevswapError
from devswap.process import Result


class Ending:
    """Its first process has ended, and nobody has noticed yet."""

    address = "lxc:web"

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def init_pid(self) -> int:
        return self._pid

    def addresses(self) -> list[str]:
        return []

    def is_frozen(self) -> bool:
        return False

    def enter(self, argv: Sequence[str]) -> list[str]:
        return list(argv)

    def was_shut(self, failed: Result) -> bool:
        return "lxc-attach: web: " in failed.stderr


def test_mounts_that_went_with_their_machine_are_told_as_a_machine_that_is_not_running() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        machine = BackedMachine(Ending(child.pid))
        for look in (machine.unmount, machine.mounted):
            with pytest.raises(DevswapError, match="cannot reach lxc:web: it is not running") as told:
                look("/run/devswap")
            assert told.value.hint == "start it: lxc-start -n web"


class Restarting(Ending):
    """Its first process is another one after each command."""

    def enter(self, argv: Sequence[str]) -> list[str]:
        self._pid += 1
        return ["sh", "-c", "echo Killed >&2; exit 1"]


class Shutting(Ending):
    """It has the first process that it had, and lets nobody in any more."""

    def enter(self, argv: Sequence[str]) -> list[str]:
        return ["sh", "-c", "echo 'lxc-attach: web: ../src/lxc/attach.c: 406 - Failed to get init pid' >&2; exit 1"]


class Silent(Ending):
    """Its systemd has hung up, and is about to end it."""

    def enter(self, argv: Sequence[str]) -> list[str]:
        return ["sh", "-c", "echo 'Failed to get properties: Transport endpoint is not connected' >&2; exit 1"]


@pytest.mark.parametrize("backend", [Restarting, Shutting, Silent])
def test_a_command_in_a_machine_that_is_restarted_tells_of_that_and_what_to_type(backend: type[Ending]) -> None:
    machine = BackedMachine(backend(os.getpid()))
    with pytest.raises(CommandFailed) as told:
        machine.run(["systemctl", "show"])
    assert told.value.message == "lxc:web is being stopped, started or restarted"
    assert told.value.hint == "try again once it runs (lxc-info -n web)"
    with pytest.raises(DevswapError, match=r"cannot stop x\.service in web: lxc:web is being stopped"):
        systemd.stop(machine, "x.service")


def test_a_machine_without_systemd_is_not_taken_for_one_that_ends() -> None:
    said = "System has not been booted with systemd as init system. Failed to connect to bus: Connection refused"
    with pytest.raises(CommandFailed, match="not been booted"):
        BackedMachine(Ending(os.getpid())).run(["sh", "-c", f"echo '{said}' >&2; exit 1"])


class Disconnected(Ending):
    """What is run in it loses a connection of its own."""

    def enter(self, argv: Sequence[str]) -> list[str]:
        said = "OSError: [Errno 107] Transport endpoint is not connected"
        return ["sh", "-c", f"echo '{said}' >&2; exit 1"]


def test_a_program_that_loses_a_connection_of_its_own_is_told_in_its_own_words() -> None:
    with pytest.raises(CommandFailed, match="Errno 107"):
        BackedMachine(Disconnected(os.getpid())).run(["systemd-run", "--pipe", "--", "heat-manage", "db_sync"])


def test_an_account_is_found_whatever_else_its_list_has(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("+\n\n# ours\nheat\nheat:x:1:2::/:/bin/false\n")

    class Listing(BackedMachine):
        def read_text(self, path: str) -> str | None:
            return (tmp_path / "passwd").read_text() if path == "/etc/passwd" else super().read_text(path)

    class Shown(Ending):
        def enter(self, argv: Sequence[str]) -> list[str]:
            return ["echo", *argv]

    said = Listing(Shown(os.getpid())).run(["true"], user="heat").stdout
    assert said.split()[-5:] == ["--reuid=heat", "--regid=2", "--init-groups", "--", "true"]


def test_a_command_that_fails_in_a_machine_that_runs_on_is_told_as_ever() -> None:
    with pytest.raises(CommandFailed, match="sh -c 'exit 3' failed with 3"):
        BackedMachine(Ending(os.getpid())).run(["sh", "-c", "exit 3"])


def test_a_file_of_a_machine_that_is_restarted_tells_of_that() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        backend = Ending(child.pid)
        machine = BackedMachine(backend)
        assert machine.exists("/")
        child.kill()
        child.wait()
        backend.init_pid = iter([child.pid, None]).__next__  # type: ignore[assignment]
        with pytest.raises(DevswapError, match="lxc:web is being stopped, started or restarted"):
            machine.exists("/")


class Frozen(Ending):
    """Whoever enters it is frozen with it."""

    def is_frozen(self) -> bool:
        return True


def test_nobody_goes_into_a_machine_that_is_frozen() -> None:
    with pytest.raises(DevswapError, match="cannot run anything in lxc:web: it is frozen") as told:
        BackedMachine(Frozen(os.getpid())).run(["true"])
    assert told.value.hint == "lxc-unfreeze -n web"


class FrozenLater(Ending):
    """It is not when somebody goes in."""

    asked = 0

    def is_frozen(self) -> bool:
        self.asked += 1
        return self.asked > 1


def test_a_command_in_whose_midst_its_machine_is_frozen_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen.Watch.__init__, "__kwdefaults__", {"seconds": 0.0})
    with pytest.raises(DevswapError, match="cannot run anything in lxc:web: it is frozen"):
        BackedMachine(FrozenLater(os.getpid())).run(["sh", "-c", "sleep 20 & wait"])


@pytest.mark.parametrize("writes", [False, True])
def test_a_stream_out_of_a_machine_that_is_frozen_is_given_up(*, writes: bool) -> None:
    watch = frozen.Watch("lxc:web", lambda: True, seconds=0)
    with process.popen(["sleep", "20"], stdin=process.PIPE, stdout=process.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        with pytest.raises(DevswapError, match="it is frozen"):
            watch.fill(running.stdin, [bytes(1 << 20)]) if writes else list(watch.read(running.stdout))
        running.kill()


def test_a_stream_passes_whole() -> None:
    watch, content = frozen.Watch("lxc:web", lambda: False), os.urandom(1 << 16) * 3
    with process.popen(
        ["sh", "-c", "sleep 1.2; head -c 30000; sleep 0.1"], stdin=process.PIPE, stdout=process.PIPE
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        watch.fill(running.stdin, [content[:9000], content[9000:30000]])
        assert b"".join(watch.read(running.stdout)) == content[:30000]


@pytest.mark.parametrize("begun", [False, True])
def test_what_is_given_up_inside_is_told_in_its_own_words(*, begun: bool) -> None:
    """Also where it was to read more than a pipe holds, and has not begun to."""
    argv = ["sh", "-c", f"{'read line; ' if begun else ''}echo no such table >&2; exit 3"]
    with frozen.streaming(BackedMachine(Ending(os.getpid())), argv) as (tool, watch):
        assert tool.stdin is not None
        assert tool.stderr is not None
        watch.fill(tool.stdin, [b"a line\n", *[bytes(1 << 16)] * 8])
        assert b"".join(watch.read(tool.stderr)) == b"no such table\n"
    assert tool.returncode == 3


def test_a_command_is_told_all_that_it_is_to_read_however_late_it_begins_to() -> None:
    """More than a pipe holds, and later than the first look at whether its machine is frozen."""
    text = "x" * 300_000
    told = BackedMachine(Ending(os.getpid())).run(["sh", "-c", "sleep 1.3; cat"], input=text, timeout=20)
    assert told.stdout == text


def test_a_command_that_reads_nothing_keeps_nobody_waiting() -> None:
    assert BackedMachine(Ending(os.getpid())).run(["true"], input="x" * 300_000, timeout=20).code == 0


class Leaving(Ending):
    """Its first process has lost its root, and is gone a moment later."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self._looks = iter([pid] * 4)

    def init_pid(self) -> int | None:  # type: ignore[override]
        return next(self._looks, None)


def test_a_machine_that_has_lost_its_root_is_told_as_one_that_is_being_stopped() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(DevswapError, match="is being stopped, started or restarted"):
            BackedMachine(Leaving(child.pid)).exists("/etc")
