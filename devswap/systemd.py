"""Units of a machine's systemd: asked, started, stopped, and commands run as units with names of ours."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass

from devswap import own_network, remembered
from devswap.errors import CommandFailed, CommandTimeout, DevswapError
from devswap.machine import Machine
from devswap.process import Result

_BEGUN = "/run/systemd/units"
_NOT_LOADED = 5  # systemctl(1): the unit is not loaded, thus not running either
_STOP_SECONDS = 120.0
_LONGEST_STOP_SECONDS = 600.0
_LATE_SECONDS = 6.0
_SETTLE_SECONDS = 60.0
_SETTLE_PAUSE = 0.2

# How a unit is set up, which nobody changes while production is looked at.
_SET_UP = ("User", "Group", "MainPID", "Type", "ExecStart", "WorkingDirectory", "Environment", "EnvironmentFiles")
_STATE = ("LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID", "ExecMainStatus")


@dataclass(frozen=True)
class UnitState:
    """What systemd says of a unit. `sub` tells a service that waits to be restarted from one that runs."""

    load: str
    active: str
    sub: str
    enabled: str
    main_pid: int
    code: int
    """The exit status of its last main process (or its signal)."""

    @property
    def is_active(self) -> bool:
        return self.active in ("active", "reloading", "activating")

    @property
    def is_on_its_way(self) -> bool:
        """To another state: somebody starts or stops it, or systemd does, which restarts what has failed."""
        return self.active in ("reloading", "activating", "deactivating")


def begun(machine: Machine) -> set[str]:
    """The units that are neither inactive nor failed, by links that systemd keeps as long (unit_export_invocation_id).

    No process in the machine is needed to see them.
    """
    return {name.partition(":")[2] for name in machine.names(_BEGUN)}


def show(machine: Machine, unit: str, *properties: str) -> dict[str, str]:
    """The named properties of `unit`; an empty text for what does not apply, a line each for what it has several of."""
    if not (remembered.is_looking() and set(properties) <= set(_SET_UP)):
        return _show(machine, unit, properties)
    told = remembered.once(("unit", machine.address, unit), lambda: _show(machine, unit, _SET_UP))
    return {name: told[name] for name in properties}


def _show(machine: Machine, unit: str, properties: Sequence[str]) -> dict[str, str]:
    result = machine.run(["systemctl", "show", f"--property={','.join(properties)}", "--", unit])
    found = [line.partition("=") for line in result.stdout.splitlines()]
    return {name: "\n".join(value for key, _, value in found if key == name) for name in properties}


def state(machine: Machine, unit: str) -> UnitState:
    return _state(show(machine, unit, *_STATE))


def _state(found: Mapping[str, str]) -> UnitState:
    return UnitState(
        load=found["LoadState"],
        active=found["ActiveState"],
        sub=found["SubState"],
        enabled=found["UnitFileState"],
        main_pid=int(found["MainPID"] or 0),
        code=int(found["ExecMainStatus"] or 0),
    )


def settled(machine: Machine, unit: str, *, seconds: float | None = None) -> UnitState:
    """Its state once nobody starts or stops it any more: a restart is for an instant what a stop is."""
    deadline = time.monotonic() + (_SETTLE_SECONDS if seconds is None else seconds)
    while True:
        shown = show(machine, unit, *_STATE, "Job")
        found, job = _state(shown), shown["Job"]
        if not (found.is_on_its_way or job.strip("0")) or time.monotonic() > deadline:
            return found
        time.sleep(_SETTLE_PAUSE)


def reload(machine: Machine) -> None:
    """Make systemd read changed unit files; what runs goes on."""
    machine.run(["systemctl", "daemon-reload"])


def reads(machine: Machine, unit: str, drop_in: str) -> bool:
    """Whether systemd goes by the file `drop_in` of `unit`, also where that is not there any more."""
    return drop_in in show(machine, unit, "DropInPaths")["DropInPaths"].split()


def start(
    machine: Machine,
    unit: str,
    *,
    wait_for_job: bool = True,
    late: Callable[[], AbstractContextManager[None]] | None = None,
) -> None:
    """Raises DevswapError with the unit's last words if it does not start.

    What takes more than a few seconds goes on within `late`, here and in `stop`: the host's lock is let go for it.
    """
    flags = [] if wait_for_job else ["--no-block"]
    # a target's other units may have been stopped on purpose
    flags += ["--job-mode=ignore-dependencies"] if unit.endswith(".target") else []
    argv = ["systemctl", "start", *flags, "--", unit]
    try:
        try:
            machine.run(argv, timeout=_LATE_SECONDS if late else None)
        except CommandTimeout:
            assert late is not None  # noqa: S101 - else nothing ends it
            with late():
                machine.run(argv)
    except CommandFailed as error:
        said = f"{error.result.stderr.strip()}\n{journal_tail(machine, unit)}".rstrip()
        raise DevswapError(f"cannot start {unit} in {machine.name}: {said}") from error


def stop(
    machine: Machine,
    unit: str,
    *,
    mercy: float | None = None,
    late: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Stop `unit` and wait until all its processes are gone; a unit that does not exist is stopped.

    After `mercy` seconds, if given, what is left of it is killed; else it has the time that its own unit gives it.
    A failed unit stays failed (systemctl keeps that), which callers that compare states rely on.
    """
    with suppress(CommandTimeout):
        _stop(machine, unit, seconds=_LATE_SECONDS)
        return
    with late():
        for _ in range(1, round((mercy or _STOP_SECONDS) / _LATE_SECONDS)):
            _remind(machine, unit)
            with suppress(CommandTimeout):
                _stop(machine, unit, seconds=_LATE_SECONDS)
                return
        _remind(machine, unit)
        if mercy is not None:
            kill(machine, unit)
        _stop(machine, unit, seconds=_LONGEST_STOP_SECONDS)


def _remind(machine: Machine, unit: str) -> None:
    """A worker of uWSGI that is told to end while it loads its application forgets that, and is killed a minute later.

    Others take a second signal for impatience, and end in the midst of their work.
    """
    pid = state(machine, unit).main_pid
    if "uwsgi" in (machine.read_text(f"/proc/{pid}/cmdline") or "").partition("\0")[0]:
        machine.run(["systemctl", "kill", "--signal=TERM", "--", unit], ok=(0, 1))  # 1: it has just ended


def _stop(machine: Machine, unit: str, *, seconds: float) -> None:
    try:
        machine.run(["systemctl", "stop", "--", unit], ok=(0, _NOT_LOADED), timeout=seconds)
    except CommandTimeout:
        raise
    except CommandFailed as error:
        raise DevswapError(f"cannot stop {unit} in {machine.name}: {error.result.stderr.strip()}") from error


def try_restart(machine: Machine, unit: str) -> None:
    """Restart `unit` if it runs, in one job of systemd's, which it does to the end whatever becomes of devswap."""
    try:
        machine.run(["systemctl", "try-restart", "--", unit])
    except CommandFailed as error:
        raise DevswapError(f"cannot restart {unit} in {machine.name}: {error.result.stderr.strip()}") from error


def begin_to_stop(machine: Machine, unit: str) -> None:
    """Stop `unit` without waiting for that; `stop` does."""
    machine.run(["systemctl", "stop", "--no-block", "--", unit], ok=(0, _NOT_LOADED))


def reset_failed(machine: Machine, unit: str) -> None:
    machine.run(["systemctl", "reset-failed", "--", unit], ok=(0, 1))  # 1: not loaded


def journal_tail(machine: Machine, unit: str, *, lines: int = 20) -> str:
    """The unit's last log lines; empty where the machine keeps no journal."""
    result = machine.run(
        ["journalctl", "--unit", unit, "--lines", str(lines), "--output=cat", "--no-pager"], ok=range(256)
    )
    return result.stdout.strip()


def unit_argv(
    unit: str,
    argv: Sequence[str],
    *,
    user: str | None = None,
    group: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    properties: Mapping[str, str] | None = None,
    environment_files: Sequence[str] = (),
) -> list[str]:
    """The systemd-run line that runs `argv` as the unit `unit` and ends with its exit code.

    What a killed devswap leaves running has a name this way, so that a rollback can end it (`stop`).
    """
    flags = ["systemd-run", "--quiet", "--wait", "--collect", "--pipe", f"--unit={unit}"]
    flags += [f"--uid={user}"] if user else []
    flags += [f"--gid={group}"] if group else []
    flags += [f"--working-directory={cwd}"] if cwd else []
    flags += [f"--setenv={name}={value}" for name, value in (env or {}).items()]
    flags += [f"--property={name}={value}" for name, value in (properties or {}).items()]
    flags += [f"--property=EnvironmentFile={path}" for path in environment_files]
    # These become ExecStart=, where a dollar sign names a variable unless it is there twice: systemd.service(5)
    return [*flags, "--", *(word.replace("$", "$$") for word in argv)]


def run_in_unit(
    machine: Machine,
    unit: str,
    argv: Sequence[str],
    *,
    user: str | None = None,
    group: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    properties: Mapping[str, str] | None = None,
    environment_files: Sequence[str] = (),
    timeout: float | None = None,
    input: str | None = None,  # noqa: A002
) -> Result:
    """Run `argv` to its end as the transient unit `unit`; raises CommandFailed with what it said.

    One of that name that still runs is ended first: it is what an interrupted devswap left.
    """
    stop(machine, unit)
    wanted = properties or {}
    while True:
        line = unit_argv(
            unit,
            argv,
            user=user,
            group=group,
            env=env,
            cwd=cwd,
            properties=wanted,
            environment_files=environment_files,
        )
        try:
            return machine.run(line, timeout=timeout, input=input)
        except BaseException as error:
            stop(machine, unit)
            said = error.result if isinstance(error, CommandFailed) else None
            other = own_network.otherwise(wanted, said.code, said.stderr) if said else None
            if other is None:
                raise
            wanted = other


def stop_within(machine: Machine, unit: str, *, seconds: float) -> None:
    """Stop `unit`; what of it is still there after `seconds` is killed."""
    if state(machine, unit).active in ("inactive", "failed"):
        return  # it has ended by itself
    begin_to_stop(machine, unit)
    deadline = time.monotonic() + seconds
    while state(machine, unit).active not in ("inactive", "failed"):
        if time.monotonic() > deadline:
            kill(machine, unit)
            break
        time.sleep(0.1)
    stop(machine, unit)


def kill(machine: Machine, unit: str) -> None:
    machine.run(["systemctl", "kill", "--signal=KILL", "--", unit], ok=(0, 1))  # 1: it has just ended
