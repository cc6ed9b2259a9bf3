"""What a takeover does to machines, as a list of steps: pure data, so that it can be printed before it is done."""

from __future__ import annotations

from collections.abc import Collection

from devswap import development, uwsgi
from devswap.database import Source
from devswap.deployment import MODULE, Deployment
from devswap.development import Command
from devswap.slot import Slot
from devswap.steps.database import SYNC_SECONDS, SyncDatabase
from devswap.steps.step import Step
from devswap.steps.unit import HoldUnit, RunDevelopment

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def slot(service: str, number: int) -> Slot:
    """Where one checkout with its overlay appears in the machine; a second checkout gets the next number."""
    folder = f"{development.folder(service)}/{number}"
    return Slot(checkout=f"{folder}/checkout", overlay=f"{folder}/overlay")


def command(deployment: Deployment, place: Slot) -> Command:
    """Production's own command with the overlay's interpreter and script, and settings that suit a terminal."""
    path = deployment.environment.get("PATH", _PATH)
    environment = {
        **deployment.service.environment,
        **deployment.service.one_worker,
        "PATH": f"{place.overlay}/bin:{path}",
        "PYTHONUNBUFFERED": "1",
    }
    told = deployment.uwsgi
    if told is None:
        argv = [f"{place.overlay}/bin/python", *_program(deployment, place)]
    else:
        script = f"{place.overlay}/bin/{_name(told.script)}" if told.script else None
        argv = uwsgi.development(told, place.overlay, environment, script=script)
    return Command(tuple(argv), environment, simple=deployment.forks)


def _program(deployment: Deployment, place: Slot) -> tuple[str, ...]:
    script, *arguments = deployment.command
    return ("-m", *arguments) if script == MODULE else (f"{place.overlay}/bin/{_name(script)}", *arguments)


def missing_scripts(deployment: Deployment, scripts: Collection[str], sync: SyncDatabase | None) -> list[str]:
    """The scripts that the swap will start but the overlay, which has `scripts`, lacks: a change may rename its own."""
    script = deployment.uwsgi.script if deployment.uwsgi else deployment.command[0]
    started = [_name(script)] if script and script != MODULE else []
    started += [_name(command[1]) for command in sync.commands] if sync else []
    return [name for name in dict.fromkeys(started) if name not in scripts]


def _name(script: str) -> str:
    return script.rpartition("/")[2]


def takeover(deployment: Deployment, drop_in: str, sync: SyncDatabase | None) -> list[Step]:
    """From production serving to the gate open for development."""
    on, name, unit = deployment.machine.address, deployment.service.name, deployment.unit
    held = HoldUnit(on, service=name, unit=unit, text=drop_in)
    return [held, *([sync] if sync else []), RunDevelopment(on, service=name, unit=unit)]


def sync_database(
    deployment: Deployment,
    place: Slot,
    source: Source,
    users: tuple[tuple[str, str], ...],
    digest: str,
    *,
    seconds: float = SYNC_SECONDS,
) -> SyncDatabase:
    """The project's migration commands, run from the overlay as the service's user."""
    database = deployment.service.database
    assert database is not None  # noqa: S101 - only asked for services that have one
    named = [word for file in _named_files(deployment) for word in ("--config-file", file)]
    commands = tuple(
        (f"{place.overlay}/bin/python", f"{place.overlay}/bin/{tool}", *named, *arguments)
        for tool, *arguments in database.sync
    )
    return SyncDatabase(
        on=deployment.machine.address,
        service=deployment.service.name,
        project=deployment.service.project,
        source=source,
        commands=commands,
        user=deployment.user,
        group=deployment.group,
        environment=tuple(sorted(deployment.service.environment.items())),
        users=users,
        digest=digest,
        seconds=seconds,
    )


def _named_files(deployment: Deployment) -> tuple[str, ...]:
    """Where production names its files, the migration must read the same; else the tool finds the usual ones itself."""
    named = any(word.startswith(("--config-file", "--config-dir")) for word in deployment.command)
    return deployment.config_files if named else ()
