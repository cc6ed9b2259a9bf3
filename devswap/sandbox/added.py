"""Brings what was added to a sandbox into its running cloud: accounts, databases, HAProxy. It can be repeated."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from string import Template
from threading import Lock

from devswap.sandbox.addition import Addition, Command
from devswap.sandbox.additions import additions_named
from devswap.sandbox.base import Workshop, venv_path
from devswap.sandbox.cloud import Cloud
from devswap.sandbox.configuration import Configuration, constraints_of
from devswap.sandbox.openstack import make_account, put_into_rotation, run_python, run_script, start_units
from devswap.sandbox.rabbit import definitions
from devswap.sandbox.templates import fill

Say = Callable[[str], None]


# What is the whole cloud's, such as HAProxy's file and keystone's catalogue, is changed for one addition at a time.
_OF_ALL = Lock()


def fill_added(cloud: Cloud, workshop: Workshop, say: Say) -> None:
    """Several at once, each started when those that it needs are. What an earlier `up` has done is not done again."""
    jobs: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(3) as pool:
        for addition in additions_named(cloud.record.added):
            needed = [
                jobs[name] for name in addition.needs
            ]  # begun before it, so that it never waits for its own place
            jobs[addition.name] = pool.submit(_fill, cloud, _steps(cloud, workshop, addition, needed), say)
        try:
            for job in jobs.values():
                job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fill(cloud: Cloud, steps: Mapping[str, Callable[[], None]], say: Say) -> None:
    for name, step in steps.items():
        if not cloud.is_done(name):
            say(name)
            step()
            cloud.mark_done(name)


def _steps(
    cloud: Cloud, workshop: Workshop, addition: Addition, needed: Sequence[Future[None]]
) -> dict[str, Callable[[], None]]:
    name = addition.name
    steps: dict[str, Callable[[], None]] = {f"wheels of {name}": lambda: _serve_wheels(cloud, workshop, addition)}
    if addition.queue:
        steps[f"queue of {name}"] = lambda: _make_queue(cloud, addition)
    if addition.account:
        steps[f"account and endpoints of {name}"] = lambda: _make_account(cloud, addition)
    if addition.databases:
        steps[f"database of {name}"] = lambda: _make_databases(cloud, addition)
    if addition.prepare:
        steps[f"{name} prepared"] = lambda: _run(cloud, addition, addition.prepare)
    steps[f"{name} started"] = lambda: _start(cloud, workshop, addition, needed)
    if addition.complete:
        steps[f"{name} completed"] = lambda: _complete(cloud, addition)
    return steps


def wait_until_added_serve(cloud: Cloud) -> None:
    for addition in additions_named(cloud.record.added):
        _wait_until_serving(cloud, addition)


def _wait_until_serving(cloud: Cloud, addition: Addition, seconds: float = 200.0) -> None:
    if addition.apis:
        put_into_rotation(cloud, *(api.backend for api in addition.apis))
    for api in addition.apis:
        if api.asked:
            run_python(cloud, "answers.python", api.kind, api.asked, api.says, str(seconds))


def _serve_wheels(cloud: Cloud, workshop: Workshop, addition: Addition) -> None:
    """From the repository, beside those that are there; written from outside, its container sees them at once."""
    served = cloud.of("repo").live_root() / "var/www/repo" / workshop.wheels_url_path
    with _OF_ALL:
        for wheel in workshop.adding(addition.name).wheels.iterdir():
            if not (served / wheel.name).exists():
                shutil.copyfile(wheel, served / wheel.name)
    path, text = constraints_of(workshop, addition.name)
    target = cloud.of("repo").live_root() / str(path).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def _make_queue(cloud: Cloud, addition: Addition) -> None:
    """In the running broker, which keeps it."""
    password = cloud.record.secrets[f"{addition.name}_rabbit_password"]
    cloud.of("rabbit_mq").run(["rabbitmqctl", "import_definitions"], input=definitions({addition.name: password}))


def _make_account(cloud: Cloud, addition: Addition) -> None:
    endpoints = [
        {
            "name": api.service or addition.name,
            "kind": api.kind,
            "description": api.description,
            "url": f"http://{cloud.record.vip}:{api.port}{api.path}",
        }
        for api in addition.apis
        if api.kind
    ]
    with _OF_ALL:
        make_account(cloud, addition.name, cloud.record.secrets[f"{addition.name}_service_password"], endpoints)


def _make_databases(cloud: Cloud, addition: Addition) -> None:
    for name, user in addition.databases.items():
        password = cloud.record.secrets[f"{user}_db_password"]
        statements = fill("database.sql", name=name, user=user, password=password)
        cloud.of("galera").run(["mariadb", "--batch"], input=statements)


def _run(cloud: Cloud, addition: Addition, commands: Sequence[Command]) -> None:
    scripts = f"{venv_path(cloud.record.era, addition.name)}/bin"
    addresses = {f"{member.key}_address": cloud.record.address(member) for member in cloud.record.era.members}
    for command in commands:
        tool, *arguments = (Template(word).substitute(addresses) for word in command.argv)
        for member in addition.members if command.everywhere else addition.members[:1]:
            container = cloud.container(member)
            container.run([f"{scripts}/{tool}", *arguments], user=addition.name, ok=command.ok, timeout=300)


def _start(cloud: Cloud, workshop: Workshop, addition: Addition, needed: Sequence[Future[None]]) -> None:
    for job in needed:
        job.result()
    for member in addition.members:
        start_units(cloud, member)
        if "apache2" in member.units:
            cloud.container(member).run(["systemctl", "restart", "apache2"])
    configuration = Configuration(cloud.record, workshop, "", pip={})
    fragments = {api.backend: configuration.haproxy_fragment(addition, api) for api in addition.apis}
    if fragments:
        with _OF_ALL:
            run_script(cloud.of("haproxy"), "python3", "fragments.python", given=json.dumps(fragments))


def _complete(cloud: Cloud, addition: Addition) -> None:
    _wait_until_serving(cloud, addition)
    _run(cloud, addition, addition.complete)
