"""The two eras of OpenStack-Ansible: which containers there are, what runs in each, and from which releases."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from devswap.errors import UsageError

EraName = Literal["current", "2015"]


@dataclass(frozen=True)
class Member:
    """One container: its inventory group, its container skeleton as in OSA's env.d, and its place in the range.

    `offset` counts from the first address of the range; `layer` names the packages it is made of.
    """

    key: str
    group: str
    skeleton: str
    layer: str
    offset: int
    units: tuple[str, ...]
    devices: tuple[str, ...] = ()
    """Of the host's, which it may use."""


@dataclass(frozen=True)
class Era:
    """A layout: OSA's version is also the tag of its virtualenvs, as in /openstack/venvs/heat-33.0.1."""

    name: EraName
    version: str
    separator: str
    members: tuple[Member, ...]
    venvs: dict[str, tuple[str, ...]]
    packages: dict[str, tuple[str, ...]]

    def pins(self, venv: str) -> str:
        """The exact versions of one virtualenv, one requirement a line."""
        return (files("devswap.sandbox") / "releases" / self.name / f"{venv}.txt").read_text()

    def member(self, key: str) -> Member:
        return next(member for member in self.members if member.key == key)

    def members_of(self, layer: str) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.layer == layer)


def _shared(*, keystone_units: tuple[str, ...]) -> tuple[Member, ...]:
    return (
        Member("haproxy", "haproxy", "haproxy_container", "haproxy", 101, ("haproxy",)),
        Member("galera", "galera_all", "galera_container", "galera", 110, ("mariadb",)),
        Member("rabbit_mq", "rabbitmq_all", "rabbit_mq_container", "rabbit_mq", 111, ("rabbitmq-server",)),
        Member("memcached", "memcached", "memcached_container", "memcached", 112, ("memcached",)),
        Member("repo", "repo_all", "repo_container", "repo", 113, ("nginx",)),
        Member("utility", "utility_all", "utility_container", "utility", 114, ()),
        Member("git", "git_all", "git_container", "git", 115, ("git-daemon",)),
        Member("keystone1", "keystone_all", "keystone_container", "keystone", 120, keystone_units),
        Member("keystone2", "keystone_all", "keystone_container", "keystone", 121, keystone_units),
    )


_PACKAGES: dict[str, tuple[str, ...]] = {
    "builder": ("build-essential", "python3-dev", "pkg-config", "libsystemd-dev", "libpcre2-dev"),
    "haproxy": ("haproxy",),
    "galera": ("mariadb-server",),
    "rabbit_mq": ("rabbitmq-server",),
    "memcached": ("memcached",),
    "repo": ("nginx-light",),
    "utility": (),
    "git": ("git",),
    # uWSGI is linked with the shared Python library
    "keystone": ("apache2", "libPYTHON"),
    "heat": ("libPYTHON",),
}

CURRENT = Era(
    name="current",
    version="33.0.1",
    separator="-",
    members=(
        *_shared(keystone_units=("keystone-wsgi-public", "apache2")),
        Member("heat_api", "heat_api", "heat_api_container", "heat", 130, ("heat-api", "heat-api-cfn", "heat-engine")),
    ),
    venvs={"keystone": ("keystone", "uwsgi"), "heat": ("heat", "uwsgi"), "utility": ("utility",)},
    packages=_PACKAGES,
)

LIBERTY = Era(
    name="2015",
    version="12.0.0",
    separator="_",
    members=(
        *_shared(keystone_units=("apache2",)),
        Member("heat_apis", "heat_api", "heat_apis_container", "heat", 130, ("heat-api", "heat-api-cfn")),
        Member("heat_engine", "heat_engine", "heat_engine_container", "heat", 131, ("heat-engine",)),
    ),
    venvs={"keystone": ("keystone",), "heat": ("heat",), "utility": ("utility",)},
    packages=_PACKAGES | {"keystone": ("apache2", "libapache2-mod-wsgi-py3"), "heat": ()},
)

ERAS: dict[str, Era] = {era.name: era for era in (CURRENT, LIBERTY)}


def era_named(name: str) -> Era:
    """Raises UsageError for an era that there is no layout for."""
    if name not in ERAS:
        raise UsageError(f"unknown era {name}", hint=f"choose one of: {', '.join(ERAS)}")
    return ERAS[name]
