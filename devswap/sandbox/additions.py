"""What a sandbox can have besides keystone and heat, one by one: `devswap sandbox up --with glance`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from devswap.errors import UsageError
from devswap.sandbox.eras import Era, EraName, Member


@dataclass(frozen=True)
class Addition:
    """One more project with an API, in containers of its own.

    Its layer, its virtualenv, its account, its database and its repository are called as it is.
    """

    name: str
    what: str
    """For --help."""
    members: tuple[Member, ...]
    packages: Mapping[EraName, tuple[str, ...]]
    """Of its layer, in the eras that have it."""
    venvs: Mapping[EraName, tuple[str, ...]]
    config: str
    """Where its configuration is; the template is called as the file."""
    folders: tuple[str, ...]
    """Of its own data."""
    sync: tuple[str, ...]
    """Makes its schema: the first word a script of its virtualenv."""
    api: str
    """The unit of its API, where uWSGI runs `module`."""
    module: str
    port: int
    backend: str
    """HAProxy's name for it, without -back."""
    kind: str
    """Of service, in keystone's catalogue."""
    description: str
    asked: str
    """A path which it answers when all that it needs is there."""


GLANCE = Addition(
    name="glance",
    what="glance-api on a file store",
    members=(Member("glance_api", "glance_api", "glance_container", "glance", 140, ("glance-api",)),),
    packages={"current": ("libPYTHON",), "2015": ()},
    venvs={"current": ("glance", "uwsgi"), "2015": ("glance",)},
    config="/etc/glance/glance-api.conf",
    folders=tuple(f"/var/lib/glance/{name}" for name in ("images", "os_glance_staging_store", "os_glance_tasks_store")),
    sync=("glance-manage", "db", "sync"),
    api="glance-api",
    module="glance.wsgi.api",
    port=9292,
    backend="glance_api",
    kind="image",
    description="OpenStack Image Service",
    asked="/v2/images",
)
PLACEMENT = Addition(
    name="placement",
    what="placement-api; not in 2015",
    members=(Member("placement", "placement_api", "placement_container", "placement", 141, ("placement-api",)),),
    packages={"current": ("libPYTHON",)},
    venvs={"current": ("placement", "uwsgi")},
    config="/etc/placement/placement.conf",
    folders=(),
    sync=("placement-manage", "db", "sync"),
    api="placement-api",
    module="placement.wsgi.api",
    port=8780,
    backend="placement",
    kind="placement",
    description="Placement Service",
    asked="/resource_providers",
)

ADDITIONS: Mapping[str, Addition] = {addition.name: addition for addition in (GLANCE, PLACEMENT)}


def additions_named(names: Sequence[str]) -> tuple[Addition, ...]:
    """In the order in which they are built. Raises UsageError for what there is no recipe for."""
    if unknown := [name for name in names if name not in ADDITIONS]:
        known = ", ".join(ADDITIONS)
        raise UsageError(f"the sandbox cannot have {unknown[0]}", hint=f"it can have: {known}")
    return tuple(addition for addition in ADDITIONS.values() if addition.name in names)


def grown(era: Era, names: Collection[str]) -> Era:
    """The layout with these additions. Raises UsageError for what it cannot have."""
    for addition in additions_named(list(names)):
        if era.name not in addition.venvs:
            has = ", ".join(addition.venvs)
            raise UsageError(f"the sandbox of {era.name} cannot have {addition.name}", hint=f"that of {has} can")
        era = replace(
            era,
            members=(*era.members, *addition.members),
            packages={**era.packages, addition.name: addition.packages[era.name]},
            venvs={**era.venvs, addition.name: addition.venvs[era.name]},
        )
    return era
