"""Brings what was added to a sandbox into its running cloud: its database, its account, HAProxy. It can be repeated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable

from devswap.sandbox.additions import Addition, additions_named
from devswap.sandbox.base import Workshop, venv_path
from devswap.sandbox.cloud import Cloud
from devswap.sandbox.configuration import Configuration, constraints_of
from devswap.sandbox.openstack import make_account, put_into_rotation, run_python, run_script, start_units
from devswap.sandbox.templates import fill

Say = Callable[[str], None]


def fill_added(cloud: Cloud, workshop: Workshop, say: Say) -> None:
    """What an earlier `up` has done is not done again."""
    for addition in additions_named(cloud.record.added):
        steps: list[tuple[str, Callable[[], None]]] = [
            (f"wheels of {addition.name}", lambda addition=addition: _serve_wheels(cloud, workshop, addition)),  # type: ignore[misc]
            (f"database of {addition.name}", lambda addition=addition: _make_database(cloud, addition)),  # type: ignore[misc]
            (f"account and endpoints of {addition.name}", lambda addition=addition: _make_account(cloud, addition)),  # type: ignore[misc]
            (f"{addition.name} started", lambda addition=addition: _start(cloud, workshop, addition)),  # type: ignore[misc]
        ]
        for name, step in steps:
            if not cloud.is_done(name):
                say(name)
                step()
                cloud.mark_done(name)


def wait_until_added_serve(cloud: Cloud, seconds: float = 120.0) -> None:
    for addition in additions_named(cloud.record.added):
        put_into_rotation(cloud, addition.backend)
        run_python(cloud, "answers.python", addition.kind, addition.asked, str(seconds))


def _serve_wheels(cloud: Cloud, workshop: Workshop, addition: Addition) -> None:
    """From the repository, beside those that are there; written from outside, its container sees them at once."""
    served = cloud.of("repo").live_root() / "var/www/repo" / workshop.wheels_url_path
    for wheel in workshop.adding(addition.name).wheels.iterdir():
        if not (served / wheel.name).exists():
            shutil.copyfile(wheel, served / wheel.name)
    path, text = constraints_of(workshop, addition.name)
    target = cloud.of("repo").live_root() / str(path).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def _make_database(cloud: Cloud, addition: Addition) -> None:
    name = addition.name
    statements = fill("database.sql", name=name, password=cloud.record.secrets[f"{name}_db_password"])
    cloud.of("galera").run(["mariadb", "--batch"], input=statements)
    tool, *arguments = addition.sync
    program = f"{venv_path(cloud.record.era, name)}/bin/{tool}"
    cloud.container(addition.members[0]).run([program, *arguments], user=name, timeout=300)


def _make_account(cloud: Cloud, addition: Addition) -> None:
    make_account(
        cloud,
        name=addition.name,
        password=cloud.record.secrets[f"{addition.name}_service_password"],
        kind=addition.kind,
        description=addition.description,
        url=f"http://{cloud.record.vip}:{addition.port}",
    )


def _start(cloud: Cloud, workshop: Workshop, addition: Addition) -> None:
    for member in addition.members:
        start_units(cloud, member)
    configuration = Configuration(cloud.record, workshop, "", pip={})
    fragment = {addition.backend: configuration.haproxy_fragment(addition).text}
    run_script(cloud.of("haproxy"), "python3", "fragments.python", given=json.dumps(fragment))
