"""Each era's containers and configuration files, as far as they can be judged without building them."""

from __future__ import annotations

import configparser
import io
import json
import re
import tarfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from devswap.errors import UsageError
from devswap.sandbox import base, releases
from devswap.sandbox.additions import ADDITIONS, additions_named, additions_of, grown
from devswap.sandbox.base import Workshop
from devswap.sandbox.configuration import Configuration
from devswap.sandbox.containers import containers_on, layers_in_use
from devswap.sandbox.eras import CURRENT, ERAS, LIBERTY, Era, era_named
from devswap.sandbox.files import File, Folder, write_archive
from devswap.sandbox.host import needs_systemd_hierarchy
from devswap.sandbox.layers import Cache
from devswap.sandbox.rabbit import definitions, password_hash
from devswap.sandbox.record import Record, Shelf, new_record, with_additions
from devswap.sandbox.sources import Distribution
from devswap.sandbox.templates import fill


def record_of(era: Era) -> Record:
    return new_record(era, prefix="aio1", bridge="br-mgmt", network=IPv4Network("172.29.236.0/22"))


def files_of(era: Era, record: Record, cache: Path) -> dict[str, dict[str, str]]:
    workshop = Workshop(era, Distribution("debian", "12", "bookworm", ()), Cache(cache), say=lambda _: None)
    configuration = Configuration(record, workshop, "nameserver 192.0.2.53\n", pip={})
    return {
        member.key: {entry.path: entry.text for entry in configuration.entries(member) if isinstance(entry, File)}
        for member in era.members
    }


def test_containers_are_named_as_each_era_of_openstack_ansible_names_them() -> None:
    current, liberty = record_of(CURRENT), record_of(LIBERTY)
    assert re.fullmatch(r"aio1-heat-api-container-[0-9a-f]{8}", current.name(CURRENT.member("heat_api")))
    assert re.fullmatch(r"aio1_heat_engine_container-[0-9a-f]{8}", liberty.name(LIBERTY.member("heat_engine")))
    assert "_" not in liberty.hostname(LIBERTY.member("heat_engine"))


@pytest.mark.parametrize("era", ERAS.values(), ids=lambda era: era.name)
def test_every_container_has_its_own_address_and_there_are_two_keystones(era: Era) -> None:
    offsets = [member.offset for member in era.members]
    assert len(set(offsets)) == len(offsets)
    assert len(era.members_of("keystone")) == 2


@pytest.mark.parametrize("era", ERAS.values(), ids=lambda era: era.name)
def test_every_template_is_filled_for_every_container(era: Era, tmp_path: Path) -> None:
    for files in files_of(era, record_of(era), tmp_path).values():
        for text in files.values():
            assert not re.search(r"\$\{?[a-z_]+_(password|address|name)\b", text)


@pytest.mark.parametrize("era", ERAS.values(), ids=lambda era: era.name)
def test_every_pinned_package_has_an_exact_version(era: Era) -> None:
    for venv in ["tools", *(venv for venvs in era.venvs.values() for venv in venvs)]:
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in era.pins(venv).split())


def test_the_current_heat_logs_to_the_journal_and_the_old_one_to_files(tmp_path: Path) -> None:
    current = files_of(CURRENT, record_of(CURRENT), tmp_path)["heat_api"]["/etc/heat/heat.conf"]
    liberty = files_of(LIBERTY, record_of(LIBERTY), tmp_path)["heat_engine"]["/etc/heat/heat.conf"]
    new, old = configparser.RawConfigParser(), configparser.RawConfigParser()
    new.read_string(current)
    old.read_string(liberty)
    assert new["DEFAULT"]["use_journal"] == "True"
    assert old["DEFAULT"]["log_dir"] == "/var/log/heat"
    assert new["DEFAULT"]["use_stderr"] == old["DEFAULT"]["use_stderr"] == "False"


def test_both_keystones_share_their_keys(tmp_path: Path) -> None:
    files = files_of(CURRENT, record_of(CURRENT), tmp_path)
    for path in ("/etc/keystone/fernet-keys/0", "/etc/keystone/fernet-keys/1", "/etc/keystone/credential-keys/0"):
        assert files["keystone1"][path] == files["keystone2"][path]


def test_haproxys_file_is_its_fragments_one_after_the_other(tmp_path: Path) -> None:
    record = record_of(CURRENT)
    files = files_of(CURRENT, record, tmp_path)["haproxy"]
    fragments = [text for path, text in sorted(files.items()) if path.startswith("/etc/haproxy/conf.d/")]
    assert files["/etc/haproxy/haproxy.cfg"] == "".join(fragments)
    for member in CURRENT.members_of("keystone"):
        line = f"server {record.name(member)} {record.address(member)}:5000 check port 5000 inter 12000 rise 3 fall 3"
        assert line in files["/etc/haproxy/haproxy.cfg"]


def test_haproxy_of_2015_is_one_file(tmp_path: Path) -> None:
    files = files_of(LIBERTY, record_of(LIBERTY), tmp_path)["haproxy"]
    assert not any(path.startswith("/etc/haproxy/conf.d") for path in files)


def test_pip_of_2015_knows_no_other_index(tmp_path: Path) -> None:
    files = files_of(LIBERTY, record_of(LIBERTY), tmp_path)["heat_engine"]
    assert "no-index = True" in files["/root/.pip/pip.conf"]


def test_a_template_with_a_value_missing_is_an_error() -> None:
    with pytest.raises(KeyError):
        fill("openrc", "current", vip="192.0.2.1")


def test_an_unknown_era_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="2014") as error:
        era_named("2014")
    assert error.value.hint is not None
    assert "2015" in error.value.hint


def test_a_record_survives_the_disk_and_is_readable_by_root_alone(tmp_path: Path) -> None:
    shelf, record = Shelf(tmp_path / "sandbox"), record_of(CURRENT)
    shelf.write(record)
    shelf.mark_done(record, "made galera")
    found = shelf.read(CURRENT)
    assert found is not None
    assert (found.name(CURRENT.member("galera")), found.done) == (
        record.name(CURRENT.member("galera")),
        ["made galera"],
    )
    assert (tmp_path / "sandbox/current/record.json").stat().st_mode & 0o077 == 0


def test_an_archive_keeps_owners_modes_and_puts_folders_before_files(tmp_path: Path) -> None:
    path = tmp_path / "files.tar"
    write_archive([File("/etc/x/secret", "s", "root", "heat", 0o640), Folder("/etc/x", "heat", mode=0o750)], path)
    with tarfile.open(path) as archive:
        folder, file = archive.getmembers()
        content = archive.extractfile(file)
        assert isinstance(content, io.BufferedReader)
        assert content.read() == b"s"
    assert (folder.name, folder.isdir(), folder.uname, folder.mode) == ("etc/x", True, "heat", 0o750)
    assert (file.uname, file.gname, file.mode) == ("root", "heat", 0o640)


def test_rabbits_password_hash_is_the_one_its_documentation_shows() -> None:
    # rabbitmq.com/docs/passwords: "test12" with the salt 908DC60A
    assert password_hash("test12", bytes.fromhex("908DC60A")) == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_layers_that_containers_lie_on_are_known_whoever_made_the_containers(tmp_path: Path) -> None:
    for name, rootfs in {
        "ours": "overlay:/cache/layers/a:/cache/layers/b:/lxc/ours/upper",
        "plain": "/lxc/plain/rootfs",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config").write_text(f"lxc.uts.name = {name}\nlxc.rootfs.path = {rootfs}\n")
    assert layers_in_use(tmp_path) == {Path("/cache/layers/a"), Path("/cache/layers/b")}
    assert containers_on(Path("/cache"), tmp_path) == ["ours"]
    assert containers_on(Path("/elsewhere"), tmp_path) == []


def test_each_project_has_its_own_virtual_host() -> None:
    made = json.loads(definitions({"heat": "secret"}))
    assert made["vhosts"] == [{"name": "/heat"}]
    assert made["permissions"][0]["vhost"] == "/heat"
    assert "secret" not in json.dumps(made)


@pytest.mark.parametrize(
    ("mounts", "needed"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", False),
        (
            "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n",
            False,
        ),
        ("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n", True),
    ],
)
def test_the_systemd_hierarchy_is_missing_only_on_cgroup_v1_without_systemd(mounts: str, needed: bool) -> None:  # noqa: FBT001
    assert needs_systemd_hierarchy(mounts) is needed


# --- what a sandbox can have besides ---------------------------------------------------------------------------------


POSSIBLE = [(era, name) for name, addition in ADDITIONS.items() for era in addition.venvs]


@pytest.mark.parametrize(("era_name", "name"), POSSIBLE)
def test_what_is_added_has_its_containers_and_its_files(era_name: str, name: str, tmp_path: Path) -> None:
    era = era_named(era_name)
    record = with_additions(record_of(era), [name])
    files = files_of(record.era, record, tmp_path)
    added = [member.key for member in ADDITIONS[name].members]
    assert [member.key for member in record.era.members if member.layer == name] == added
    for key in added:
        assert not any(re.search(r"\$\{?[a-z_]+_(password|address|name)\b", text) for text in files[key].values())
        assert any(path.startswith(f"/etc/{name}/") for path in files[key])
    offsets = [member.offset for member in record.era.members]
    assert len(set(offsets)) == len(offsets)
    for venv in record.era.venvs[name]:
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in record.era.pins(venv).split())


@pytest.mark.parametrize("era", ERAS.values(), ids=lambda era: era.name)
def test_glance_answers_behind_haproxy_where_its_endpoint_says(era: Era, tmp_path: Path) -> None:
    record = with_additions(record_of(era), ["glance"])
    member = record.era.member("glance_api")
    workshop = Workshop(era, Distribution("debian", "12", "bookworm", ()), Cache(tmp_path), say=lambda _: None)
    fragment = Configuration(record, workshop, "", pip={}).haproxy_fragment(
        ADDITIONS["glance"], ADDITIONS["glance"].apis[0]
    )
    assert "backend glance_api-back" in fragment
    assert f"bind {record.vip}:9292" in fragment
    assert f"server {record.name(member)} {record.address(member)}:9292 check" in fragment


@pytest.mark.parametrize(("era_name", "name"), POSSIBLE)
def test_what_runs_in_its_virtualenv_is_what_its_branch_ends_with(era_name: str, name: str) -> None:
    (package,) = [project.package for project in releases.ADDED if project.name == name]
    assert f"{package}=={releases.production_version(name, era_name)}" in era_named(era_name).pins(name).splitlines()


def test_what_an_era_did_not_have_its_sandbox_cannot_have() -> None:
    with pytest.raises(UsageError, match="the sandbox of 2015 cannot have placement") as error:
        with_additions(record_of(LIBERTY), ["placement"])
    assert error.value.hint == "that of current can"


def test_all_of_an_era_are_those_that_it_can_have() -> None:
    assert additions_of("current") == tuple(ADDITIONS)
    assert "glance" in additions_of("2015")
    assert "placement" not in additions_of("2015")
    for era in ERAS.values():
        keys = [member.key for member in grown(era, additions_of(era.name)).members]
        assert len(keys) == len(set(keys))


def test_a_sandbox_of_an_older_devswap_gets_what_its_additions_have_got_since() -> None:
    record = with_additions(record_of(CURRENT), ["glance"])
    older = replace(
        record,
        suffixes={key: suffix for key, suffix in record.suffixes.items() if key != "glance_api"},
        done=["made haproxy", "glance started", "serving"],
    )
    assert "glance_api" not in [member.key for member in older.era.members]
    again = with_additions(older, [])
    assert "glance_api" in [member.key for member in again.era.members]
    assert again.done == ["made haproxy"]
    assert with_additions(again, []) == again


def test_nova_comes_with_what_it_needs_and_its_network_is_an_answer_of_haproxys(tmp_path: Path) -> None:
    record = with_additions(record_of(CURRENT), ["nova"])
    assert record.added == ["glance", "placement", "nova"]
    workshop = Workshop(CURRENT, Distribution("debian", "12", "bookworm", ()), Cache(tmp_path), say=lambda _: None)
    configuration = Configuration(record, workshop, "", pip={})
    parts = {api.backend: configuration.haproxy_fragment(ADDITIONS["nova"], api) for api in ADDITIONS["nova"].apis}
    assert f"bind {record.vip}:9696" in parts["neutron_server"]
    (answer,) = re.findall(r"http-request return status 200 .* string '(.*)'", parts["neutron_server"])
    assert json.loads(answer)["ports"] == []
    name = record.name(record.era.member("nova_api"))
    assert all(f"server {name} " in parts[f"nova_api_{kind}"] for kind in ("os_compute", "metadata"))


def test_a_compute_service_whose_container_is_made_again_is_the_same_node(tmp_path: Path) -> None:
    record = with_additions(record_of(CURRENT), ["nova"])
    first, again = (files_of(record.era, record, tmp_path)["nova_compute"]["/etc/nova/compute_id"] for _ in range(2))
    assert first == again == str(uuid.UUID(first.strip())) + "\n"


def test_an_addition_changes_nothing_of_a_sandbox_but_that_it_does_not_serve_yet(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    before = shelf.mark_done(shelf.mark_done(shelf.write(record_of(CURRENT)), "made galera"), "serving")
    after = with_additions(before, ["glance"])
    assert (after.done, after.added) == (["made galera"], ["glance"])
    assert before.suffixes.items() <= after.suffixes.items()
    assert before.secrets.items() <= after.secrets.items()
    assert shelf.write(after) == shelf.read(CURRENT)
    assert with_additions(after, ["glance"]) is after
    assert with_additions(after, []) is after


def test_the_record_of_an_older_devswap_has_no_additions(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.write(record_of(CURRENT))
    path = tmp_path / "current/record.json"
    read = json.loads(path.read_text())
    del read["added"]
    path.write_text(json.dumps(read))
    found = shelf.read(CURRENT)
    assert found is not None
    assert found.era == CURRENT


def test_an_addition_that_nobody_knows_is_named_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="the sandbox cannot have trove") as error:
        additions_named(["glance", "trove"])
    assert error.value.hint == f"it can have: {', '.join(ADDITIONS)}"
    assert error.value.exit_code == 2


def test_the_wheels_of_an_addition_are_not_the_eras(tmp_path: Path) -> None:
    """Or a sandbox without it would be built anew whenever one with it was."""
    workshop = Workshop(CURRENT, Distribution("debian", "12", "bookworm", ()), Cache(tmp_path), say=lambda _: None)
    own = workshop.adding("glance")
    assert own.wheels != workshop.wheels
    assert (own.era.pins("heat"), workshop.era) == (CURRENT.pins("heat"), CURRENT)


def test_the_base_system_is_built_once_however_many_want_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sandboxes of two eras, and containers of tests, begin together on a machine whose cache is empty."""
    workshop = Workshop(CURRENT, Distribution("debian", "12", "bookworm", ()), Cache(tmp_path), say=lambda _: None)
    built: list[Path] = []

    def build(_: Workshop, path: Path) -> None:
        built.append(path)
        time.sleep(0.1)  # of which another one would make use
        path.mkdir()

    monkeypatch.setattr(base, "_build_base", build)
    with ThreadPoolExecutor(3) as pool:
        layers = list(pool.map(lambda _: base.build_base(workshop), range(3)))
    assert [layer.path for layer in layers] == built * 3
