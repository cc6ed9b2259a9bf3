"""Database URLs are taken apart as SQLAlchemy does, and a dump is there only when it is complete."""

from __future__ import annotations

import gzip
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from devswap import database, database_source, database_url
from devswap.backed_machine import BackedMachine
from devswap.backends.local import Local
from devswap.errors import DevswapError, OtherDatabase
from tests.simulated import images
from tests.simulated.calls import Fault, Kind
from tests.simulated.cloud import SimulatedCloud, no_waiting

URL = "mysql+pymysql://heat:s%40cr%25t@172.29.236.101/heat?charset=utf8"


def test_a_password_may_hold_any_sign() -> None:
    url = database_url.parse("mysql+pymysql://heat:p%40%2F%25:x@db.example:3307/heat?charset=utf8&ssl_ca=/etc/ca.pem")
    assert (url.user, url.password, url.host, url.port, url.name) == ("heat", "p@/%:x", "db.example", 3307, "heat")
    assert url.certificate_authority == "/etc/ca.pem"


def test_what_a_url_leaves_open_stands_in_the_option_file_that_it_names() -> None:
    files = {
        "/etc/my.cnf": "[client]\nuser=other\n[stacks]\nuser = heat\npassword='p#1$$user'\n"
        "port=3307\nssl-ca=/etc/ca.pem\n"
    }
    query = "read_default_file=/etc/my.cnf&read_default_group=stacks"
    url = database_url.parse(f"mysql+pymysql://db.example/heat?{query}", files.get)
    assert (url.user, url.password, url.host, url.port) == ("heat", "p#1$$user", "db.example", 3307)
    assert (url.certificate_authority, url.encrypted) == ("/etc/ca.pem", True)
    files["/etc/my.cnf"] = "[client]\nuser=heat\nhost=db.example\nsocket=/run/mysql.sock\n"
    url = database_url.parse("mysql+pymysql:///heat?read_default_file=/etc/my.cnf", files.get)
    assert (url.user, url.socket) == ("heat", "/run/mysql.sock")
    url = database_url.parse("mysql+pymysql://me:own@there/heat?read_default_file=/etc/my.cnf", files.get)
    assert (url.user, url.password, url.host, url.socket) == ("me", "own", "there", None)


@pytest.mark.parametrize(
    ("query", "demands", "lets_in"),
    [
        ("charset=utf8", "NONE", True),
        ("charset=utf8", "TLS", False),
        ("ssl_verify_cert=false", "TLS", False),
        ("ssl_disabled=true", "TLS", False),
        ("ssl_verify_cert=true", "TLS", True),
        ("ssl_ca=/only/where/the/service/is.pem", "TLS", True),
        ("ssl_ca=/ca.pem", "TLS", True),
        ("ssl_ca=/ca.pem", "X509", False),
        ("ssl_ca=/ca.pem&ssl_cert=/cert.pem&ssl_key=/key.pem", "X509", True),
    ],
)
def test_the_tools_speak_tls_as_the_service_does(
    cloud: SimulatedCloud, query: str, demands: str, *, lets_in: bool
) -> None:
    machine = cloud.machine(images.GALERA)
    for name in ("ca", "cert", "key"):
        images.put(machine.files, f"/{name}.pem", "")
    cloud.world.servers[images.DATABASE_HOST].demands = demands
    with nullcontext() if lets_in else pytest.raises(DevswapError, match="insecure transport"):
        database_source.connect(database_url.parse(f"{URL.partition('?')[0]}?{query}"), [machine])


def test_a_url_is_never_shown_with_its_password() -> None:
    assert "s@cr%t" not in repr(database_url.parse(URL))
    assert "s@cr%t" not in str(database_url.parse(URL))


@pytest.mark.parametrize(("url", "kind"), [("postgresql://a:b@c/d", "postgresql"), ("sqlite:////var/x.db", "sqlite")])
def test_other_databases_are_refused_by_name(url: str, kind: str) -> None:
    with pytest.raises(OtherDatabase, match=f"of kind '{kind}': MariaDB and MySQL are supported"):
        database_url.parse(url)


def test_what_is_no_url_is_refused_as_such() -> None:
    with pytest.raises(DevswapError, match="it is not of the form mysql://"):
        database_url.parse("nonsense")


@pytest.fixture
def cloud(tmp_path: Path) -> SimulatedCloud:
    return SimulatedCloud(tmp_path)


def opened(cloud: SimulatedCloud) -> database.Database:
    machines = [cloud.machine(images.HEAT), cloud.machine(images.GALERA)]
    return database_source.connect(database_url.parse(URL), machines)


def test_the_first_machine_with_the_tools_is_taken(cloud: SimulatedCloud) -> None:
    assert opened(cloud).machine.name == images.GALERA


def test_a_wrong_password_is_said_without_showing_it(cloud: SimulatedCloud) -> None:
    with pytest.raises(DevswapError, match="Access denied") as caught:
        database_source.connect(database_url.parse(URL.replace("s%40", "wrong")), [cloud.machine(images.GALERA)])
    assert "wrongcr" not in caught.value.message


def test_a_dump_is_loaded_back_whatever_was_added(cloud: SimulatedCloud, tmp_path: Path) -> None:
    found, schema = opened(cloud), cloud.schema(images.ACCOUNT)
    before = schema.dump(rows=True, comments=False)
    hashed = found.schema()
    found.dump(tmp_path / "dump.gz")
    for sql in images.CHANGES["b2"]:
        schema.execute(sql)
    assert found.schema() != hashed
    found.load(tmp_path / "dump.gz")
    assert schema.dump(rows=True, comments=False) == before
    assert found.schema() == hashed
    assert gzip.decompress((tmp_path / "dump.gz").read_bytes()).rstrip().endswith(b"0:00:00")


def test_rows_leave_the_schemas_hash_alone(cloud: SimulatedCloud) -> None:
    found = opened(cloud)
    hashed = found.schema()
    cloud.schema(images.ACCOUNT).execute("INSERT INTO `event` VALUES (9)")
    assert found.schema() == hashed
    assert found.rows()["event"] == 4


def test_a_dump_that_fails_leaves_no_dump(cloud: SimulatedCloud, tmp_path: Path) -> None:
    found = opened(cloud)
    cloud.calls.begin(Fault(0, Kind.RAISES))
    with pytest.raises(DevswapError, match="cannot dump"):
        found.dump(tmp_path / "dump.gz")
    assert not (tmp_path / "dump.gz").exists()


def test_a_dump_that_fails_leaves_no_part_of_it(cloud: SimulatedCloud, tmp_path: Path) -> None:
    found, folder = opened(cloud), tmp_path / "dumps"
    folder.mkdir()
    cloud.calls.begin(Fault(0, Kind.RAISES))
    with pytest.raises(DevswapError):
        found.dump(folder / "dump.gz")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("harm", ["cut", "flipped", "unfinished", "gone"])
def test_nothing_is_dropped_for_a_dump_that_is_not_whole(cloud: SimulatedCloud, tmp_path: Path, harm: str) -> None:
    found, schema, dump = opened(cloud), cloud.schema(images.ACCOUNT), tmp_path / "dump.gz"
    found.dump(dump)
    before, content = schema.dump(rows=True, comments=False), dump.read_bytes()
    harmed = {
        "cut": content[:-20],
        "flipped": content[:-8] + bytes([content[-8] ^ 1]) + content[-7:],
        "unfinished": gzip.compress(gzip.decompress(content)[:100]),
        "gone": b"",
    }
    dump.write_bytes(harmed[harm])
    if harm == "gone":
        dump.unlink()
    with pytest.raises(DevswapError, match="cannot load the dump"):
        found.load(dump)
    assert schema.dump(rows=True, comments=False) == before


def test_a_load_that_its_client_gives_up_is_told_in_the_clients_words(tmp_path: Path) -> None:
    client, dump = tmp_path / "client", tmp_path / "dump.gz"
    ask = "case $* in *--skip-column-names*) exec cat > /dev/null;; esac"
    client.write_text(f"#!/bin/sh\n{ask}\nhead -c 10 > /dev/null\necho 'ERROR 1118 (42000) at line 3' >&2\nexit 1\n")
    client.chmod(0o755)
    dump.write_bytes(gzip.compress(os.urandom(1 << 20) + b"-- Dump completed"))
    found = database.Database(BackedMachine(Local()), database_url.parse(URL), client=str(client), dumper="none")
    with pytest.raises(DevswapError, match=r"cannot load .*: ERROR 1118"):
        found.load(dump)


def test_a_password_goes_up_to_the_last_at_sign() -> None:
    url = database_url.parse("mysql+pymysql://heat:p@s/s#w?:d@db.example/heat?charset=utf8")
    assert (url.user, url.password, url.host, url.port, url.name) == ("heat", "p@s/s#w?:d", "db.example", 3306, "heat")


def test_a_socket_stands_for_the_host() -> None:
    url = database_url.parse("mysql+pymysql://heat:x@localhost/heat?unix_socket=/run/mysqld/mysqld.sock")
    assert (url.socket, url.host, url.is_local) == ("/run/mysqld/mysqld.sock", "", True)


@pytest.mark.parametrize(
    "url", ["mysql://heat:SECRET@db:port/heat", "mysql://heat:SECRET@db", "mysql+pymysql:heat:SECRET"]
)
def test_what_is_no_url_is_said_without_showing_it(url: str) -> None:
    with pytest.raises(DevswapError) as caught:
        database_url.parse(url)
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_loopback_address_is_never_another_machines(cloud: SimulatedCloud, host: str) -> None:
    url = database_url.parse(f"mysql+pymysql://heat:x@{host}/heat")
    with pytest.raises(DevswapError, match="no machine of this cloud") as caught:
        database_source.connect(url, [cloud.machine(images.HEAT), cloud.machine(images.GALERA)])
    assert images.GALERA not in caught.value.message


def test_a_client_with_several_statements_is_waited_for_to_its_last(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, schema = opened(cloud), cloud.schema(images.ACCOUNT)
    schema.working = [f"INSERT INTO `event` VALUES ({number})" for number in range(7, 10)]
    with no_waiting(monkeypatch):
        found.wait_for_statements(seconds=10)
    assert schema.working == []
    assert "(9)" in schema.table("event").rows
