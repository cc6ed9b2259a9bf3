"""Which databases a project has here: the one that its configuration names, and those that another one lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from devswap import broker, database_source, unit_environment
from devswap.configuration import Configuration
from devswap.database_source import Listed, Source
from devswap.database_url import Url
from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.errors import DevswapError, OtherDatabase
from devswap.host import Host
from devswap.machine import Machine, while_running
from devswap.service import Database, Index
from devswap.sqlite_files import SqliteFiles


def sources_of(host: Host, deployment: Deployment) -> tuple[Source, ...]:
    """Where each is, and which machine has the tools; the configured one first. None for a service without any.

    Of the others the first is that which lists the rest.
    """
    wanted = deployment.service.database
    if wanted is None:
        return ()
    named = source(deployment.machine.address, deployment.unit, deployment.config_files, wanted)
    return _sources(host, deployment.machine, named, wanted)


def known_sources_of(host: Host, deployment: Deployment) -> tuple[Source, ...]:
    """The same; none for a database of another kind, unless something in it is put back after every swap."""
    try:
        return sources_of(host, deployment)
    except OtherDatabase:
        wanted = deployment.service.database
        if wanted is None or wanted.put_back is not None:
            raise
        return ()


def files_of(deployment: Deployment) -> SqliteFiles | None:
    """The databases that it has in files; None for most services."""
    wanted, machine = deployment.service.sqlite, deployment.machine
    if wanted is None:
        return None
    folder = _options(machine, deployment.unit, deployment.config_files).get(wanted.group, wanted.option)
    return SqliteFiles(
        on=machine.address,
        python=deployment.interpreter.path,
        user=deployment.user,
        group=deployment.group,
        folder=folder or wanted.default,
        patterns=wanted.files,
    )


def records_of(host: Host, deployment: Deployment) -> tuple[Source, ...]:
    """The same for a service that leaves its records to others: as one of those names them that has its broker.

    Raises DevswapError where nobody does.
    """
    service, wanted = deployment.service, deployment.service.records
    assert wanted is not None  # noqa: S101 - only asked of such
    here = deployment.machine
    ours = broker.of(_options(here, deployment.unit, deployment.config_files))
    for machine, unit in units.with_units(wanted.units, host.running()) if ours else ():

        def named(where: Machine, unit: str = unit) -> Source | None:
            files = units.config_files(where, unit, service.config, unit.removesuffix(".service"))
            options = _options(where, unit, files)
            if broker.of(options) != ours or not options.get(wanted.group, wanted.option):
                return None
            return source(where.address, unit, files, wanted)

        found = while_running(machine, named)
        if found is not None:
            return _sources(host, machine, found, wanted)
    raise DevswapError(
        f"cannot put {service.name}'s record back later: no unit of {service.project} on this host names its database",
        hint=f"one with the same transport_url is looked for: {', '.join(wanted.units)}",
    )


def _options(machine: Machine, unit: str, files: Sequence[str]) -> Configuration:
    return Configuration.of(machine, files, unit_environment.of(machine, unit))


def _sources(host: Host, here: Machine, named: Source, wanted: Database) -> tuple[Source, ...]:
    found = [located(host, here, named, database_source.read_url(here, named))]
    for each in _listed(host, here, named, wanted, wanted.index) if wanted.index else ():
        if not any(each.is_same_as(known) for known in found):
            found.append(each)
    return tuple(found)


def source(on: str, unit: str, config_files: tuple[str, ...], wanted: Database | Index) -> Source:
    """Where the URL stands; where the database is, is not known yet."""
    return Source(on, unit, config_files, wanted.group, wanted.option, client="", name="", address="")


def _listed(host: Host, here: Machine, own: Source, wanted: Database, index: Index) -> Iterator[Source]:
    named = source(own.on, own.unit, own.config_files, index)
    options: Configuration = database_source.options_of(here, named)
    if not options.get(index.group, index.option):
        return
    found = located(host, here, named, database_source.read_url(here, named))
    yield found
    urls = index.urls
    listed = Listed(urls.table, urls.key, urls.column, "", wanted.group, wanted.option)
    for value, text in database_source.rows_of(found.open(host.machine), listed):
        row = replace(listed, value=value)
        url = database_source.url_of(here, named, row, text)
        yield replace(located(host, here, named, url), listed=row)


def located(host: Host, here: Machine, named: Source, url: Url) -> Source:
    """`named` with where its database is; `url` is what stands there, as it is read in `here`."""
    others = [machine for machine in host.running() if machine.address != here.address]
    reached = database_source.connect_at_server(url, [here, *others])
    where = f"{url.host}:{url.port}"
    return replace(named, client=reached.machine.address, name=url.name, address=where, server=reached.server())
