"""What is done for an addition in the running cloud, held against a cloud that only notes what it is told."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from devswap.errors import DevswapError, UsageError
from devswap.sandbox import added, additions
from devswap.sandbox.addition import Addition, Api, Command
from devswap.sandbox.base import Workshop
from devswap.sandbox.configuration import Configuration
from devswap.sandbox.containers import Container as LxcContainer
from devswap.sandbox.eras import CURRENT, LIBERTY, Era, Member
from devswap.sandbox.files import File
from devswap.sandbox.layers import Cache, Layer
from devswap.sandbox.record import Record, new_record, with_additions
from devswap.sandbox.sources import Distribution
from devswap.sandbox.templates import template_text

BARE = Addition(
    name="bare",
    what="a worker that nobody knows",
    members=(Member("bare", "bare", "bare_container", "bare", 190, ("bare-worker",)),),
    packages={"current": (), "2015": ()},
    venvs={"current": ("heat",), "2015": ("heat",)},
    configs=("/etc/bare/journald.conf",),
    account=False,
)
RICH = Addition(
    name="rich",
    what="of everything two",
    members=(
        Member("rich_api", "rich_api", "rich_api_container", "rich", 191, ("rich-api", "rich-worker")),
        Member(
            "rich_agent",
            "rich_agent",
            "rich_agent_container",
            "rich",
            192,
            ("rich-switch", "rich-agent"),
            devices=("/dev/null",),
        ),
    ),
    packages={"current": ()},
    venvs={"current": ("heat", "uwsgi")},
    configs=("/etc/rich/journald.conf",),
    needs=("bare",),
    programs={"rich-agent": "rich-polling --central"},
    settings={"rich-agent": "KillMode = process"},
    of_packages=("rich-switch",),
    as_root=("rich-rootwrap", "privsep-helper"),
    queue=True,
    databases={"rich": "rich", "rich_api": "rich_api"},
    prepare=(
        Command(("rich-manage", "sync", "$rich_agent_address:99"), everywhere=True),
        Command(("rich-manage", "create"), ok=(0, 2)),
    ),
    apis=(
        Api(
            "rich-api",
            9999,
            "rich_api",
            module="rich.wsgi",
            arguments="--config-file /etc/rich/x",
            kind="riches",
            path="/v2",
            asked="/all",
            says="up",
        ),
        Api("rich-worker", 9998, "rich_hidden"),
    ),
    complete=(Command(("rich-manage", "discover")),),
)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additions, "ADDITIONS", {"bare": BARE, "rich": RICH})
    monkeypatch.setattr("devswap.sandbox.configuration.ADDITIONS", {"bare": BARE, "rich": RICH})


def record_with(names: Sequence[str], era: Era = CURRENT) -> Record:
    record = new_record(era, prefix="aio1", bridge="br-mgmt", network=IPv4Network("172.29.236.0/22"))
    return with_additions(record, names)


def workshop_of(era: Era, cache: Path) -> Workshop:
    return Workshop(era, Distribution("debian", "12", "bookworm", ()), Cache(cache), say=lambda _: None)


@dataclass
class Container:
    name: str
    told: list[tuple[str, str, str]]

    def run(self, argv: Sequence[str], *, ok: Sequence[int] = (0,), user: str = "root",
            input: str = "", timeout: float = 0) -> None:  # noqa: A002 - as the real one  # fmt: skip
        del timeout
        self.told.append((self.name, f"{user} {sorted(ok)} {' '.join(argv)}", input))


@dataclass
class NotingCloud:
    record: Record
    told: list[tuple[str, str, str]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def container(self, member: Member) -> Container:
        return Container(member.key, self.told)

    def of(self, key: str) -> Container:
        return Container(key, self.told)

    def is_done(self, step: str) -> bool:
        return step in self.done

    def mark_done(self, step: str) -> None:
        self.done.append(step)


def filled(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NotingCloud:
    cloud: Any = NotingCloud(record)
    monkeypatch.setattr(added, "_serve_wheels", lambda *_: None)
    added.fill_added(cloud, workshop_of(CURRENT, tmp_path), lambda _: None)
    noted: NotingCloud = cloud
    return noted


def test_what_an_addition_needs_comes_with_it_and_before_it() -> None:
    record = record_with(["rich"])
    assert record.added == ["bare", "rich"]
    assert [member.key for member in record.era.members[-3:]] == ["bare", "rich_api", "rich_agent"]


def test_the_one_that_was_asked_for_is_named_where_the_era_cannot_have_it() -> None:
    with pytest.raises(UsageError, match="the sandbox of 2015 cannot have rich"):
        additions.grown(LIBERTY, ["rich"])
    assert [member.key for member in additions.grown(LIBERTY, ["bare"]).members[-1:]] == ["bare"]


def test_each_user_of_its_databases_has_a_password_of_its_own() -> None:
    secrets = record_with(["rich"]).secrets
    assert len({secrets[f"rich{kind}_password"] for kind in ("_db", "_api_db", "_service", "_rabbit")}) == 4


def test_units_run_what_they_are_called_as_or_what_is_said_and_uwsgi_runs_modules_alone(tmp_path: Path) -> None:
    record = record_with(["rich"])
    configuration = Configuration(record, workshop_of(record.era, tmp_path), "", pip={})
    files = {
        entry.path: entry.text
        for member in record.era.members_of("rich")
        for entry in configuration.entries(member)
        if isinstance(entry, File)
    }
    starts = {
        unit: next(
            line.partition("=")[2].removeprefix("/openstack/venvs/")
            for line in files[f"/etc/systemd/system/{unit}.service"].splitlines()
            if line.startswith("ExecStart=")
        )
        for unit in ("rich-api", "rich-worker", "rich-agent")
    }
    assert starts == {
        "rich-api": "uwsgi-33.0.1-python3/bin/uwsgi --autoload --ini /etc/uwsgi/rich-api.ini"
        ' --pyargv "--config-file /etc/rich/x"',
        "rich-worker": "rich-33.0.1/bin/rich-worker",
        "rich-agent": "rich-33.0.1/bin/rich-polling --central",
    }
    assert [path for path in files if path.startswith("/etc/uwsgi/")] == ["/etc/uwsgi/rich-api.ini"]
    assert "KillMode = process\n" in files["/etc/systemd/system/rich-agent.service.d/override.conf"]
    assert "KillMode" not in files["/etc/systemd/system/rich-worker.service.d/override.conf"]
    assert not any("rich-switch" in path for path in files)


def test_scripts_that_run_as_root_are_named_to_sudo_by_their_place(tmp_path: Path) -> None:
    record = record_with(["rich"])
    configuration = Configuration(record, workshop_of(record.era, tmp_path), "", pip={})
    (rules,) = [
        entry
        for entry in configuration.entries(record.era.member("rich_agent"))
        if isinstance(entry, File) and entry.path == "/etc/sudoers.d/rich_sudoers"
    ]
    assert (rules.owner, rules.group or rules.owner, rules.mode) == ("root", "root", 0o440)
    for script in ("rich-rootwrap", "privsep-helper"):
        assert f"rich ALL = (root) NOPASSWD: /openstack/venvs/rich-33.0.1/bin/{script}\n" in rules.text


def test_a_container_has_the_devices_of_its_member_and_no_others(tmp_path: Path) -> None:
    layer = Layer(tmp_path / "layer")
    given = {"era": "current", "bridge": "br-mgmt", "address": "192.0.2.2/24", "gateway": "192.0.2.1"}
    LxcContainer(tmp_path, "with").define(layer, **given, devices=["/dev/null"])
    LxcContainer(tmp_path, "without").define(layer, **given)
    assert "lxc.cgroup2.devices.allow = c 1:3 rwm\n" in (tmp_path / "with/config").read_text()
    assert "lxc.mount.entry = /dev/null dev/null none bind,create=file 0 0\n" in (tmp_path / "with/config").read_text()
    assert "devices" not in (tmp_path / "without/config").read_text()
    with pytest.raises(DevswapError, match="/dev/none, which this host has not"):
        LxcContainer(tmp_path, "other").define(layer, **given, devices=["/dev/none"])


def test_what_has_no_api_no_database_and_no_account_is_only_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = filled(record_with(["bare"]), tmp_path, monkeypatch)
    assert cloud.done == ["wheels of bare", "bare started"]
    assert [(where, what.split(" ", 2)[2]) for where, what, _ in cloud.told] == [
        ("bare", "systemctl enable --quiet bare-worker"),
        ("bare", "systemctl restart bare-worker"),
    ]


def test_queue_and_account_and_databases_are_there_before_the_start_and_the_rest_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_with(["rich"])
    cloud = filled(record, tmp_path, monkeypatch)
    assert cloud.done[2:] == [
        "wheels of rich",
        "queue of rich",
        "account and endpoints of rich",
        "database of rich",
        "rich prepared",
        "rich started",
        "rich completed",
    ]
    venv, agent = "/openstack/venvs/rich-33.0.1/bin", record.address(record.era.member("rich_agent"))
    assert [(where, what) for where, what, _ in cloud.told if what.startswith("rich ")] == [
        *((where, f"rich [0] {venv}/rich-manage sync {agent}:99") for where in ("rich_api", "rich_agent")),
        ("rich_api", f"rich [0, 2] {venv}/rich-manage create"),
        ("rich_api", f"rich [0] {venv}/rich-manage discover"),
    ]
    started = [what.rpartition(" ")[2] for _, what, _ in cloud.told if "systemctl restart" in what]
    assert started == ["bare-worker", "rich-api", "rich-worker", "rich-switch", "rich-agent"]
    assert all(secret not in what for _, what, _ in cloud.told for secret in record.secrets.values())


def test_each_database_belongs_to_its_user_and_each_api_with_a_kind_has_endpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_with(["rich"])
    told = filled(record, tmp_path, monkeypatch).told
    statements = "".join(text for where, _, text in told if where == "galera")
    for name in ("rich", "rich_api"):
        assert f"GRANT ALL ON {name}.* TO '{name}'@'%';" in statements
        assert f"'{name}'@'%' IDENTIFIED BY '{record.secrets[f'{name}_db_password']}'" in statements
    (given,) = [json.loads(text.partition("\n")[2]) for _, _, text in told if "endpoints" in text.partition("\n")[2]]
    assert [each["url"] for each in given["endpoints"]] == [f"http://{record.vip}:9999/v2"]
    (fragments,) = [
        json.loads(text.partition("\n")[2]) for where, _, text in told if where == "haproxy" and "bind" in text
    ]
    assert set(fragments) == {"rich_api", "rich_hidden"}
    address = record.address(record.era.member("rich_api"))
    assert (
        f"server {record.name(record.era.member('rich_api'))} {address}:9998 check port 9998"
        in fragments["rich_hidden"]
    )
    (broker,) = [json.loads(text) for where, _, text in told if where == "rabbit_mq"]
    assert broker["vhosts"] == [{"name": "/rich"}]


def test_what_an_addition_needs_is_started_before_it_though_both_are_filled_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = filled(record_with(["rich"]), tmp_path, monkeypatch).told
    started = [where for where, what, _ in told if " systemctl enable " in what]
    assert started == ["bare", "rich_api", "rich_agent"]


def test_the_commands_that_complete_it_wait_until_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = filled(record_with(["rich"]), tmp_path, monkeypatch).told
    (asked,) = [number for number, (_, what, _) in enumerate(told) if what.endswith("riches /all up 200.0")]
    (completed,) = [number for number, (_, what, _) in enumerate(told) if what.endswith("rich-manage discover")]
    assert asked < completed


def test_an_answer_of_haproxys_own_makes_way_for_servers_and_nothing_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = template_text("fragments.python").replace("/etc/haproxy", str(tmp_path))
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "haproxy.cfg").write_text("")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: None)

    def add(text: str) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"neutron_server": text})))
        exec(script, {})
        return (tmp_path / "haproxy.cfg").read_text()

    stand_in, servers = "frontend x\n    http-request return\n", "frontend x\n\nbackend x\n    server one\n"
    assert add(stand_in) == stand_in
    assert add(servers) == servers
    assert add(stand_in) == servers
    assert add(servers.replace("one", "other")) == servers
