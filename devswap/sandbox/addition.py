"""What one more project of a sandbox consists of; those that there are: see additions.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from devswap.sandbox.eras import EraName, Member


@dataclass(frozen=True)
class Api:
    """What answers requests, behind HAProxy."""

    unit: str
    """None: HAProxy answers by itself."""
    port: int
    backend: str
    """HAProxy's name for it, without -back."""
    module: str = ""
    """What uWSGI runs as the unit; none: it is a server by itself. (In 2015 they all are.)"""
    kind: str = ""
    """Of service, in keystone's catalogue; none: it is not there."""
    service: str = ""
    """Its name there, where that is not the project's."""
    description: str = ""
    path: str = ""
    """Of its endpoints, behind the port."""
    arguments: str = ""
    """Of its module."""
    asked: str = ""
    """A path which it answers when all that it needs is there; none: nobody waits for it."""
    says: str = ""
    """What is in that answer then."""
    fragment: str = "added"
    """The template of HAProxy's part."""


@dataclass(frozen=True)
class Command:
    """A script of the virtualenv with its arguments, and the codes it ends with when all is well."""

    argv: tuple[str, ...]
    """It may name the address of each container, as $swift_proxy_address."""
    ok: tuple[int, ...] = (0,)
    everywhere: bool = False
    """In each of the addition's containers, not in the first one alone."""


@dataclass(frozen=True)
class Addition:
    """One more project, in containers of its own.

    Its layer, its virtualenv, its user, its accounts at keystone and RabbitMQ, and its repository are called as it is.
    Its templates may name the passwords NAME_service_password, NAME_rabbit_password and, for each user of its
    databases, USER_db_password.
    """

    name: str
    what: str
    """For --help."""
    members: tuple[Member, ...]
    """Commands are run in the first one, unless they say otherwise."""
    packages: Mapping[EraName, tuple[str, ...]]
    """Of its layer, in the eras that have it."""
    venvs: Mapping[EraName, tuple[str, ...]]
    configs: tuple[str, ...]
    """Its configuration, the main file first; each template is called as the file."""
    folders: tuple[str, ...] = ()
    """Of its own data."""
    needs: tuple[str, ...] = ()
    """The additions that come with it."""
    programs: Mapping[str, str] = field(default_factory=dict)
    """What a unit without uWSGI runs, with arguments, where that is not called as the unit."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What a unit's drop-in says besides."""
    of_packages: tuple[str, ...] = ()
    """Units that packages of its layer bring: they run where a member names them, and nowhere else."""
    as_root: tuple[str, ...] = ()
    """Scripts of the virtualenv that its user may run as root."""
    account: bool = True
    """Whether keystone knows it."""
    queue: bool = False
    """Whether RabbitMQ does, by a virtual host as well."""
    databases: Mapping[str, str] = field(default_factory=dict)
    """The user of each."""
    prepare: tuple[Command, ...] = ()
    """Before it is started: makes its schemas, or its rings. Each can be repeated, as all commands here can."""
    apis: tuple[Api, ...] = ()
    complete: tuple[Command, ...] = ()
    """When it answers."""

    def api_of(self, unit: str) -> Api | None:
        return next((api for api in self.apis if api.unit == unit), None)

    @property
    def passwords(self) -> tuple[str, ...]:
        """The names of its secrets."""
        users = dict.fromkeys((self.name, *self.databases.values()))
        own = (f"{self.name}_service_password", f"{self.name}_rabbit_password")
        return (*(f"{user}_db_password" for user in users), *own)
