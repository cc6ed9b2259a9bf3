"""Runs a project's own migration commands, each as a unit with a name of ours: see steps/database.py."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from devswap import development, systemd, unit_environment
from devswap.database_source import Source
from devswap.errors import CommandFailed, CommandTimeout, DevswapError, MachineGone
from devswap.machine import Machine
from devswap.masking import mask
from devswap.steps.mount import remove_empty
from devswap.steps.step import Cloud


def is_at_work(at: Callable[[str], Machine], on: str, service: str) -> bool:
    """Whether a migration for `service` runs in the machine `on`; in one that is gone or stopped nothing does."""
    try:
        machine = at(on)
        return machine.is_running() and systemd.state(machine, _unit(service)).is_active
    except MachineGone:
        return False


def _unit(service: str) -> str:
    return f"devswap-{service}-db-sync.service"


@dataclass(frozen=True)
class Migrating:
    """What they are run with; the parts are those of the step."""

    on: str
    service: str
    project: str
    source: Source
    user: str
    group: str
    environment: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def unit(self) -> str:
        return _unit(self.service)

    @property
    def _lent(self) -> str:
        return development.lent_environment(self.service, "db-sync")

    @property
    def _told(self) -> str:
        """The file with the URL of one database: it holds a password, and comes after what production's unit sets."""
        return development.lent_environment(self.service, "db-sync-url")

    def run(self, cloud: Cloud, command: tuple[str, ...], *, of: Source | None = None) -> None:
        """The database that the configuration names is migrated, and where `of` is given that one in its place."""
        machine, other = cloud.machine(self.on), dict[str, str]()
        if of is not None:
            option = f"OS_{self.source.group}__{self.source.option}".upper().replace("-", "_")
            other = {option: of.text(cloud.machine)}
        try:
            with ExitStack() as lent:
                files = lent.enter_context(unit_environment.lent(machine, self.source.unit, self._lent))
                files = [*files, *lent.enter_context(unit_environment.settings_lent(machine, other, self._told))]
                systemd.run_in_unit(
                    machine,
                    self.unit,
                    development.overriding(command, dict(self.environment)),
                    user=self.user,
                    group=self.group,
                    cwd="/",
                    environment_files=files,
                    timeout=self.seconds,
                )
        except CommandTimeout as error:
            raise DevswapError(
                f"cannot migrate the database of {self.project}: {' '.join(command[1:])} had not ended after "
                f"{self.seconds / 60:.0f} minutes; the server {self._works_on(cloud, of or self.source)}"
            ) from error
        except CommandFailed as error:
            raise DevswapError(
                f"cannot migrate the database of {self.project}: {' '.join(command[1:])} failed\n{error.result.tail}"
            ) from error

    def end(self, cloud: Cloud) -> None:
        """What a killed devswap has left running, and lying about."""
        with suppress(MachineGone):  # it went with its machine
            machine = cloud.machine(self.on)
            systemd.stop(machine, self.unit)
            for path in (self._lent, self._told):
                machine.remove(path)
                machine.remove(development.half_written(path))
            remove_empty(machine, development.folder(self.service))

    def _works_on(self, cloud: Cloud, source: Source) -> str:
        try:
            statements = source.open(cloud.machine).running_statements()
        except DevswapError as error:
            return f"cannot be asked what it works on: {error.message}"
        return f"works on {'; '.join(mask(text)[:200] for text in statements.values()) or 'nothing'}"
