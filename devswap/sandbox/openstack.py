"""Fills the empty cloud: databases, schemas, accounts; then starts its services. Each step can be repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from devswap.errors import DevswapError
from devswap.sandbox.base import venv_path
from devswap.sandbox.cloud import Cloud
from devswap.sandbox.containers import Container
from devswap.sandbox.eras import Member
from devswap.sandbox.templates import fill, template_text

Say = Callable[[str], None]

_PATIENCE = 90.0
_EXECUTE = "import json, sys; exec(json.loads(sys.stdin.readline()))"


def fill_cloud(cloud: Cloud, say: Say) -> None:
    """From running containers to a cloud that answers; what an earlier `up` has done is not done again."""
    steps: list[tuple[str, Callable[[Cloud], None]]] = [
        ("databases and their users", _make_databases),
        ("schemas of keystone and heat", _sync_schemas),
        ("keystone's first account and endpoints", _bootstrap_keystone),
        ("keystone started", _start_keystone),
        ("accounts, roles and endpoints of heat", _make_accounts),
        ("heat started", _start_heat),
    ]
    for name, step in steps:
        if not cloud.is_done(name):
            say(name)
            step(cloud)
            cloud.mark_done(name)


def _make_databases(cloud: Cloud) -> None:
    galera = cloud.of("galera")
    _repeat(lambda: galera.run(["mariadb", "--batch", "-e", "SELECT 1"]), "MariaDB to answer")
    galera.run(["mariadb", "--batch"], input=fill("databases.sql", **cloud.record.secrets))
    put_into_rotation(cloud, "galera")


def _sync_schemas(cloud: Cloud) -> None:
    era = cloud.record.era
    heat_key = era.members_of("heat")[0].key
    keystone = [f"{venv_path(era, 'keystone')}/bin/keystone-manage", "db_sync"]
    heat = [f"{venv_path(era, 'heat')}/bin/heat-manage", "db_sync"]
    _repeat(lambda: _reach_database(cloud.of(heat_key), cloud.record.vip), "MariaDB to answer through HAProxy")
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(cloud.of("keystone1").run, keystone, user="keystone", timeout=300),
            pool.submit(cloud.of(heat_key).run, heat, user="heat", timeout=300),
        ]
        for job in jobs:
            job.result()


def _reach_database(container: Container, vip: str) -> None:
    program = f"import socket; assert socket.create_connection(('{vip}', 3306), 3).recv(1)"
    container.run(["python3", "-c", program], timeout=20)


def _bootstrap_keystone(cloud: Cloud) -> None:
    record = cloud.record
    url = f"http://{record.vip}:5000"
    admin_url = f"http://{record.vip}:35357" if record.era_name == "2015" else url
    cloud.of("keystone1").run(
        [
            "env", f"OS_BOOTSTRAP_PASSWORD={record.secrets['admin_password']}",
            f"{venv_path(record.era, 'keystone')}/bin/keystone-manage", "bootstrap",
            "--bootstrap-username", "admin", "--bootstrap-project-name", "admin", "--bootstrap-role-name", "admin",
            "--bootstrap-service-name", "keystone", "--bootstrap-region-id", "RegionOne",
            "--bootstrap-public-url", f"{url}/v3", "--bootstrap-internal-url", f"{url}/v3",
            "--bootstrap-admin-url", f"{admin_url}/v3",
        ],
        user="keystone",
    )  # fmt: skip


def _start_keystone(cloud: Cloud) -> None:
    for member in cloud.record.era.members_of("keystone"):
        start_units(cloud, member)
        _start_apache(cloud.container(member), behind="keystone-wsgi-public" in member.units)
    put_into_rotation(cloud, "keystone_service")


def _start_heat(cloud: Cloud) -> None:
    for member in cloud.record.era.members_of("heat"):
        start_units(cloud, member)


def start_units(cloud: Cloud, member: Member) -> None:
    """Enabled only now, with their schemas there, as OSA's roles do."""
    container = cloud.container(member)
    container.run(["systemctl", "enable", "--quiet", *member.units])
    for unit in member.units:
        if unit != "apache2":
            container.run(
                ["systemctl", "restart", unit], timeout=300
            )  # where it ran, it may take its unit's 120 s to end


def _start_apache(container: Container, *, behind: bool) -> None:
    """After its uWSGI: one request before that, and Apache would not ask again for a minute."""
    if behind:
        program = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:37358/v3', timeout=20)"
        _repeat(lambda: container.run(["python3", "-c", program], timeout=30), f"keystone in {container.name}")
    container.run(["systemctl", "restart", "apache2"])


def _make_accounts(cloud: Cloud) -> None:
    secrets = cloud.record.secrets
    wanted = {"vip": cloud.record.vip} | {
        name: secrets[name] for name in ("heat_service_password", "heat_domain_password")
    }
    run_python(cloud, "accounts.python", given=json.dumps(wanted))


def make_account(cloud: Cloud, name: str, password: str, endpoints: Sequence[Mapping[str, str]]) -> None:
    """A service's account, and its endpoints: name, kind, description, url of each."""
    wanted = {"name": name, "password": password, "endpoints": endpoints}
    run_python(cloud, "account.python", given=json.dumps(wanted))


def wait_until_serving(cloud: Cloud, seconds: float = 120.0) -> None:
    """Through everything a user goes through: HAProxy, keystone, heat-api, RabbitMQ and heat-engine.

    Not before the engine listens: a call that nobody answers holds heat-api's only worker for a minute.
    """
    _repeat(lambda: _ask_broker_for_engine(cloud.of("rabbit_mq")), "heat-engine to listen on its queue")
    put_into_rotation(cloud, "galera", "keystone_service", "heat_api", "heat_api_cfn", "repo_all")
    run_python(cloud, "check.python", str(seconds))


def _ask_broker_for_engine(broker: Container) -> None:
    said = broker.run(["rabbitmqctl", "--quiet", "list_queues", "-p", "/heat", "name", "consumers"], timeout=60)
    if "engine\t1" not in said.stdout.splitlines():
        raise DevswapError("heat-engine does not listen on its queue")


def put_into_rotation(cloud: Cloud, *services: str) -> None:
    """HAProxy saw its servers before they were up, and with OSA's timings it would believe in them 36 s later."""
    backends = [f"{service}-back" for service in services]
    run_script(cloud.of("haproxy"), "python3", "rotation.python", backends)


def run_python(cloud: Cloud, script: str, *arguments: str, given: str = "") -> None:
    run_script(cloud.of("utility"), f"{venv_path(cloud.record.era, 'utility')}/bin/python", script, arguments, given)


def run_script(container: Container, python: str, script: str, arguments: Sequence[str] = (), given: str = "") -> None:
    """Run one of the sandbox's Python scripts in a container; it comes over standard input, before what it reads there.

    So neither the script nor a password is in an argument, where an error message and `ps` would show it.
    """
    source = json.dumps(template_text(script))
    container.run([python, "-c", _EXECUTE, *arguments], input=f"{source}\n{given}", timeout=240)


def _repeat(action: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            action()
        except DevswapError as error:
            if time.monotonic() > deadline:
                raise DevswapError(f"waited {_PATIENCE:.0f} s for {what}: {error.message}") from error
            time.sleep(0.3)
        else:
            return
