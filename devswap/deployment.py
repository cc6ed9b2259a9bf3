"""Where and how a service runs on this cloud: discovered, never typed in."""

from __future__ import annotations

from dataclasses import dataclass

from devswap import uwsgi
from devswap.machine import Machine
from devswap.service import Service

MODULE = "-m"


@dataclass(frozen=True)
class Interpreter:
    """The Python that production runs with."""

    path: str
    """As the process was started: in a virtualenv this is the path inside it, not what it links to."""
    version: str
    """"3.11"."""
    site_folders: tuple[str, ...]
    """Where production's packages are, in its own order."""
    virtualenv: str | None


@dataclass(frozen=True)
class Front:
    """A web server that hands requests on to the application, on the same machine."""

    unit: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Hosted:
    """Apache runs the application itself, with mod_wsgi."""

    path: str
    """Of the site, where Apache reads it."""
    text: str
    listening: tuple[tuple[str, str], ...] = ()
    """(path, text) of other files of Apache's by which it listens on ports of the site that no other one needs."""


@dataclass(frozen=True)
class Deployment:
    """One service on one machine."""

    service: Service
    machine: Machine
    unit: str
    """With its suffix: heat-engine.service."""
    user: str
    group: str
    command: tuple[str, ...]
    """What production runs, behind the interpreter: the script and its arguments, or -m, a module and its arguments."""
    environment: dict[str, str]
    interpreter: Interpreter
    config_files: tuple[str, ...]
    forks: bool
    """Its unit expects a process that forks, or takes a bus name: what development does not do."""
    active: bool
    leaves_root: str | None = None
    """Where its unit starts it as root and it becomes `user` by itself: the number of that account's own group."""
    uwsgi: uwsgi.Settings | None = None
    """Where uWSGI runs it; `command` is then what the application sees as its own command line."""
    hosted: Hosted | None = None
    """Where Apache runs it: `unit` is then Apache's."""
    front: Front | None = None
    addresses: tuple[str, ...] = ()
    """Where it answers requests, as it is asked inside its machine: http://127.0.0.1:8004, uwsgi:///run/x.socket."""
