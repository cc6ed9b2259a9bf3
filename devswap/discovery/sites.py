"""Finds what Apache has to do with a service: it runs the application itself, or stands before it."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from devswap import apache, links
from devswap.apache import Host, Site
from devswap.errors import DevswapError
from devswap.machine import Machine

_FOLDERS = {
    "apache2.service": ("/etc/apache2/sites-enabled", "/etc/apache2/conf-enabled"),
    "httpd.service": ("/etc/httpd/conf.d",),
}
_OWN_FILES = {
    "apache2.service": ("/etc/apache2/apache2.conf", "/etc/apache2/ports.conf"),
    "httpd.service": ("/etc/httpd/conf/httpd.conf",),
}
_MODULES = ("/etc/apache2/mods-enabled", "/etc/httpd/conf.modules.d")


@dataclass(frozen=True)
class Served:
    """A site in a machine. `path` is where Apache reads it, which may be a link."""

    unit: str
    path: str
    site: Site


def read(machine: Machine, units: Collection[str]) -> list[Served]:
    """All sites; `units` are the units that the machine has."""
    return list(_sites(machine, units))


def running(sites: Iterable[Served], project: str, service: str) -> Served | None:
    """The one that runs an application of `project`, and of no other service of it."""
    return next((each for each in sites if each.site.running(project, service)), None)


def in_front_of(machine: Machine, units: Collection[str], addresses: Collection[str]) -> tuple[str, tuple[Host, ...]]:
    """(the unit of the web server, its hosts) before an application that listens on `addresses`; ("", ()) if none."""
    for each in _sites(machine, units):
        if hosts := each.site.in_front_of(addresses):
            return each.unit, hosts
    return "", ()


def listening(machine: Machine, unit: str, path: str, hosts: Sequence[Host]) -> tuple[tuple[str, str], ...]:
    """(path, text) of the files beside the site `path` by which Apache listens on ports of `hosts`.

    None where a site of another file needs one of them as well. OpenStack-Ansible of 2015 has them all in ports.conf.
    """
    there = [(each.path, each.site) for each in _sites(machine, [unit]) if each.path != path]
    there += [(each, apache.read(machine.read_text(each) or "")) for each in _OWN_FILES[unit]]
    wanted = set(apache.ports(hosts))
    if any(wanted & set(apache.ports(site.hosts)) for _, site in there):
        return ()
    said = [(each, site.text) for each, site in there if wanted & apache.listens(site)]
    return tuple((_where_mounted(machine, each, path), text) for each, text in said)


def require_told(machine: Machine, path: str, site: Site, service: str, hosts: Sequence[Host]) -> None:
    """Raise where `site` does not say itself where `hosts` answer, what they run, and in which processes."""
    for host in hosts:
        if word := apache.untold(host):
            raise DevswapError(
                f"cannot take {service} in {machine.name} over: {path} has {word}, which only Apache can read",
                hint="write the port, and the path, in its place",
            )
        if (name := site.processes(host)) and site.daemon(host) is None:
            raise DevswapError(
                f"cannot take {service} in {machine.name} over: its WSGIDaemonProcess {name} is not in {path}",
                hint="move that line there from the file that has it",
            )


def in_real_folder(machine: Machine, path: str) -> str:
    """What is mounted on the folder is found there again, whatever becomes of links to it; one of the site stays."""
    folder, _, name = path.rpartition("/")
    return f"{links.followed(machine, folder)}/{name}"


def _where_mounted(machine: Machine, path: str, site: str) -> str:
    """Beside the site it is shown with the folder, under its name there; elsewhere its very file is covered."""
    beside = posixpath.dirname(path) == posixpath.dirname(site)
    return in_real_folder(machine, path) if beside else links.followed(machine, path)


def units_of(machine: Machine) -> list[str]:
    """The web servers that may be in a machine, by the folders of their sites."""
    return [unit for unit, folders in _FOLDERS.items() if any(machine.is_folder(folder) for folder in folders)]


def _sites(machine: Machine, units: Collection[str]) -> Iterator[Served]:
    for unit, folders in _FOLDERS.items():
        for folder in folders if unit in units else ():
            for name in machine.names(folder):
                path = posixpath.join(folder, name)
                plain = name.endswith((".conf", ".vhost")) and not machine.is_folder(path)
                text = machine.read_text(path) if plain else None
                if text is not None:
                    yield Served(unit, path, apache.read(text))


def files(machine: Machine) -> tuple[str, ...]:
    """All that web servers read of sites and modules, as far as it is below their own folders."""
    places = [*(folder for folders in _FOLDERS.values() for folder in folders), *_MODULES]
    found = [posixpath.join(folder, name) for folder in places for name in machine.names(folder)]
    own = [path for paths in _OWN_FILES.values() for path in paths]
    return tuple(path for path in (*found, *own) if machine.exists(path))
