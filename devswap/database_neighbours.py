"""Which units of a project use one of its databases: none of them may run while a dump is loaded into it.

Every running machine is looked at, also those of other clouds on this host, which may just be starting or stopping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from devswap import configuration, database_source, database_url, databases, remembered
from devswap.configuration import Configuration
from devswap.database_source import Source
from devswap.database_url import Url
from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.errors import CommandFailed, DevswapError
from devswap.host import Host
from devswap.machine import Machine


def users(host: Host, deployment: Deployment, sources: Sequence[Source]) -> tuple[tuple[str, str], ...]:
    """(machine, unit) of each that uses one of `sources`; those of which that cannot be told are said in one line."""
    database = deployment.service.database
    assert database is not None  # noqa: S101 - a source was found through it
    look, found, untold = _Look(host, deployment, sources), list[tuple[str, str]](), dict[str, str]()
    passed_over = remembered.restless()
    for machine, unit in units.with_units(database.units, host.running()):
        try:
            if look.is_user(machine, unit):
                found.append((machine.address, unit))
        except DevswapError as error:
            if machine.address in look.deaf and passed_over is not None:  # it is told of with all of its kind
                passed_over[machine.address] = error.message
            else:
                untold[f"{unit} in {machine.address}"] = error.message
    if untold:
        host.say(f"taken for no user of the database: {', '.join(untold)} ({next(iter(untold.values()))})")
    return tuple(found)


@dataclass(frozen=True)
class _Look:
    """One look at all of them: what does not answer is asked once."""

    host: Host
    deployment: Deployment
    sources: Sequence[Source]
    """The service's own first."""
    deaf: set[str] = field(default_factory=set)
    """The machines whose systemd does not answer."""
    unreached: dict[Url, DevswapError] = field(default_factory=dict)
    """Why: to wait for a server that is not there takes seconds, in each machine with the tools."""

    def is_user(self, machine: Machine, unit: str) -> bool:
        """Whether what stands there leads to one of them, be it as another cell, or by another name of the server."""
        named, url = self._named(machine, unit)
        if database_url.same(url, self._own):
            return True
        alike = [each for each in self.sources if each.name == url.name]
        theirs = self._located(machine, named, url) if alike else named
        return any(theirs.is_same_as(each) for each in alike)

    @property
    def _own(self) -> Url:
        return database_source.read_url(self.deployment.machine, self.sources[0])

    def _named(self, machine: Machine, unit: str) -> tuple[Source, Url]:
        """Where its URL stands, and the URL. Where no systemd tells how the unit is started: by default."""
        service, script = self.deployment.service, unit.removesuffix(".service")
        if machine.address not in self.deaf:
            try:
                named = self._source(machine, unit, units.config_files(machine, unit, service.config, script))
                return named, database_source.read_url(machine, named)
            except CommandFailed:
                self.deaf.add(machine.address)
        named = self._source(machine, unit, configuration.files_of((), machine, service.config, script))
        nothing: Mapping[str, str] = {}
        return named, database_source.url_in(machine, named, Configuration.of(machine, named.config_files, nothing))

    def _source(self, machine: Machine, unit: str, files: tuple[str, ...]) -> Source:
        wanted = self.deployment.service.database
        assert wanted is not None  # noqa: S101 - see users
        return databases.source(machine.address, unit, files, wanted)

    def _located(self, machine: Machine, named: Source, url: Url) -> Source:
        if url in self.unreached:
            raise self.unreached[url]
        try:
            return databases.located(self.host, machine, named, url)
        except DevswapError as error:
            self.unreached[url] = error
            raise
