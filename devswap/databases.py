"""Which databases a project has here: the one that its configuration names, and those that another one lists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from devswap import database_source
from devswap.configuration import Configuration
from devswap.database_source import Listed, Source
from devswap.database_url import Url
from devswap.deployment import Deployment
from devswap.host import Host
from devswap.service import Database, Index


def sources_of(host: Host, deployment: Deployment) -> tuple[Source, ...]:
    """Where each is, and which machine has the tools; the configured one first. None for a service without any.

    Of the others the first is that which lists the rest.
    """
    wanted = deployment.service.database
    if wanted is None:
        return ()
    named = source(deployment.machine.address, deployment.unit, deployment.config_files, wanted)
    found = [_located(host, deployment, named, database_source.read_url(deployment.machine, named))]
    for each in _listed(host, deployment, wanted, wanted.index) if wanted.index else ():
        if not any(each.is_same_as(known) for known in found):
            found.append(each)
    return tuple(found)


def source(on: str, unit: str, config_files: tuple[str, ...], wanted: Database | Index) -> Source:
    """Where the URL stands; where the database is, is not known yet."""
    return Source(on, unit, config_files, wanted.group, wanted.option, client="", name="", address="")


def _listed(host: Host, deployment: Deployment, wanted: Database, index: Index) -> Iterator[Source]:
    here = deployment.machine
    named = source(here.address, deployment.unit, deployment.config_files, index)
    options: Configuration = database_source.options_of(here, named)
    if not options.get(index.group, index.option):
        return
    found = _located(host, deployment, named, database_source.read_url(here, named))
    yield found
    urls = index.urls
    listed = Listed(urls.table, urls.key, urls.column, "", wanted.group, wanted.option)
    for value, text in database_source.rows_of(found.open(host.machine), listed):
        row = replace(listed, value=value)
        url = database_source.url_of(here, named, row, text)
        yield replace(_located(host, deployment, named, url), listed=row)


def _located(host: Host, deployment: Deployment, named: Source, url: Url) -> Source:
    here = deployment.machine
    others = [machine for machine in host.running() if machine.address != here.address]
    reached = database_source.connect_at_server(url, [here, *others])
    where = f"{url.host}:{url.port}"
    return replace(named, client=reached.machine.address, name=url.name, address=where, server=reached.server())
