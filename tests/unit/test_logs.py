"""A log is read where its service writes it, and production's words are told from development's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devswap import log_sources, logs, process, swap, transcript
from devswap.errors import UsageError
from devswap.log_sources import Source
from devswap.logs import Wanted
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.machine import SimulatedMachine
from tests.simulated.person import Person

REQUEST, OTHER = (f"req-{digit * 8}-aaaa-bbbb-cccc-{digit * 12}" for digit in "12")
ENGINE = (images.HEAT, "heat-engine.service")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.with_keystone()
    found.checkout("plain")
    with no_waiting(monkeypatch):
        yield found


def read(cloud: SimulatedCloud, service: str, machine: str) -> list[str]:
    """The commands that show it."""
    cloud.calls.begin()
    logs.show(cloud.host(), service, machine, Wanted(lines=7))
    commands = [name.partition(": ")[2] for name in cloud.calls.names]
    return [command for command in commands if command.startswith(("tail", "journalctl"))]


def put(machine: SimulatedMachine, *paths: str, text: str = "") -> None:
    for path in paths:
        images.put(machine.files, path, text)


def take_over(cloud: SimulatedCloud) -> None:
    """At the first instant of 2026."""
    swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)


def test_it_is_in_the_journal_unless_a_file_is_named(cloud: SimulatedCloud) -> None:
    (command,) = read(cloud, "heat-api", images.HEAT)
    assert "--unit=heat-api.service --lines=7" in command


def test_a_file_of_uwsgi_and_one_of_its_own(cloud: SimulatedCloud) -> None:
    machine = cloud.machine(images.HEAT)
    machine.write_text("/etc/heat/heat.conf", "[DEFAULT]\nlog_dir = /var/log/heat\n")
    ini = images.UWSGI_INI.format(venv=images.VENV, module="api", port=8004, address=images.ADDRESSES[images.HEAT])
    machine.write_text("/etc/uwsgi/heat-api.ini", f"{ini}logto = /var/log/uwsgi.log\n")
    put(machine, "/var/log/heat/heat-api.log", "/var/log/uwsgi.log")
    assert read(cloud, "heat-api", images.HEAT) == [
        "tail --lines=7 -- /var/log/heat/heat-api.log",
        "tail --lines=7 -- /var/log/uwsgi.log",
    ]


def test_files_that_its_unit_names(cloud: SimulatedCloud) -> None:
    machine, unit = cloud.machine(images.HEAT), "/etc/systemd/system/heat-engine.service"
    machine.write_text("/srv/conf.d/log.conf", "[DEFAULT]\nlog_dir = /srv/log\nlog_file = main.log\n")
    put(machine, "/srv/log/main.log", "/srv/log/said.log", "/srv/log/out.log")
    lines = f"[Service]\nExecStart={images.VENV}/bin/heat-engine --config-dir=/srv/conf.d"
    machine.write_text(unit, f"{lines}\nStandardOutput=append:/srv/log/out.log\nStandardError=inherit\n")
    assert read(cloud, "heat-engine", images.HEAT) == [
        "tail --lines=7 -- /srv/log/main.log",
        "tail --lines=7 -- /srv/log/out.log",
    ]
    machine.write_text(unit, f"{lines} \\\n  --log-file said.log\n")
    assert read(cloud, "heat-engine", images.HEAT) == ["tail --lines=7 -- /srv/log/said.log"]


def test_uwsgis_own_loggers_are_files_too(cloud: SimulatedCloud) -> None:
    machine = cloud.machine(images.HEAT)
    ini = images.UWSGI_INI.format(venv=images.VENV, module="api", port=8004, address=images.ADDRESSES[images.HEAT])
    more = "logger = main file:/var/log/uwsgi.log\nreq-logger = file:/var/log/requests.log\nlogger = syslog:heat\n"
    machine.write_text("/etc/uwsgi/heat-api.ini", ini + more)
    put(machine, "/var/log/uwsgi.log", "/var/log/requests.log")
    assert [line.split()[-1] for line in read(cloud, "heat-api", images.HEAT)] == [
        "/var/log/uwsgi.log",
        "/var/log/requests.log",
    ]


def test_how_uwsgi_is_told_may_be_unreadable_for_a_swap_and_its_log_is_shown_all_the_same(
    cloud: SimulatedCloud,
) -> None:
    cloud.machine(images.HEAT).write_text("/etc/uwsgi/heat-api.ini", "[uwsgi]\nvirtualenv = /v/%U\n")
    (command,) = read(cloud, "heat-api", images.HEAT)
    assert "--unit=heat-api.service" in command


def test_a_service_in_apache_on_a_unit_of_its_own_logs_there_too(cloud: SimulatedCloud) -> None:
    put(cloud.machine(images.KEYSTONE), "/var/log/apache2/error.log")
    before = read(cloud, "keystone", images.KEYSTONE)
    assert before == ["tail --lines=7 -- /var/log/apache2/error.log"]  # no site names another one
    swap.checkout(cloud.host(), Wish("keystone", "plain", None, None, detach=True), cloud.makers)
    assert any("--unit=devswap-keystone.service" in line for line in read(cloud, "keystone", images.KEYSTONE))


def test_apaches_error_log_and_the_files_of_its_scripts(cloud: SimulatedCloud) -> None:
    machine = cloud.machine(images.KEYSTONE)
    site = images.keystone_site().replace(
        "    WSGIProcessGroup", "    ErrorLog ${APACHE_LOG_DIR}/keystone.log\n    WSGIProcessGroup"
    )
    machine.write_text("/etc/apache2/sites-enabled/keystone-httpd.conf", site)
    machine.write_text("/etc/keystone/keystone.conf", "[DEFAULT]\nlog_dir = /var/log/keystone\n")
    put(machine, "/var/log/apache2/keystone.log", "/var/log/keystone/main.log")
    assert read(cloud, "keystone", images.KEYSTONE) == [
        "tail --lines=7 -- /var/log/apache2/keystone.log",
        "tail --lines=7 -- /var/log/keystone/main.log",
    ]


def test_what_a_run_on_a_terminal_wrote_is_a_log_too(cloud: SimulatedCloud) -> None:
    take_over(cloud)
    assert not any("tail" in line for line in read(cloud, "heat-engine", images.HEAT))
    (journal,) = cloud.host().journals.all()
    with transcript.beside(journal) as kept:
        kept.write(b"2026-01-01 00:00:07.500 7 INFO in the foreground\r\n")
    *_, own = log_sources.of_service(cloud.host(), "heat-engine", images.HEAT)
    assert own.machine.address == "local:"
    assert own.file == str(transcript.path(journal))
    (line,) = Path(own.file).read_text().splitlines()
    assert own.whose(logs.time_of(line), line) == log_sources.DEVELOPMENT
    swap.restore(cloud.host(), journal)
    assert not Path(own.file).exists()


def test_a_line_marks_where_development_begins(cloud: SimulatedCloud, capsys: pytest.CaptureFixture[str]) -> None:
    machine = cloud.machine(images.HEAT)
    machine.write_text(
        "/etc/heat/heat.conf", f"{machine.read_text('/etc/heat/heat.conf')}\n[DEFAULT]\nlog_dir=/var/log\n"
    )
    local = datetime(2025, 12, 31, 23, 30, tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    put(machine, "/var/log/heat-engine.log", text=f"{local}.500 7 INFO from the file\nand its second line\n")
    take_over(cloud)
    cloud.log[ENGINE] = [
        "2025-12-31T23:00:00.000000+0000 heat heat-engine[1]: first",
        "2025-12-31T23:59:59.000000+0000 heat heat-engine[1]: last of production",
        "2026-01-01T00:00:07.000000+0000 heat heat-engine[2]: development",
    ]
    logs.show(cloud.host(), "heat-engine", images.HEAT, Wanted(lines=4))
    shown = capsys.readouterr().out.splitlines()
    assert [line.rpartition(": ")[2] for line in shown[:3]] == [
        f"{local}.500 7 INFO from the file",
        "and its second line",
        "last of production",
    ]
    assert re.fullmatch(r"---- development, from .* on ----", shown[3])
    assert shown[4].endswith("heat-engine[2]: development")
    assert len(shown) == 5


def test_what_an_earlier_swap_has_said_is_marked_too(cloud: SimulatedCloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.log[ENGINE] = [
        "2026-01-01T00:00:01.000000+0000 heat heat-engine[1]: production",
        "2026-01-01T00:00:02.000000+0000 heat systemd[1]: Stopped heat-engine.service.",
        "2026-01-01T00:00:03.000000+0000 heat devswap-heat-engine[2]: development",
        "2026-01-01T00:00:04.000000+0000 heat systemd[1]: Stopped heat-engine.service.",
        "2026-01-01T00:00:05.000000+0000 heat heat-engine[3]: production again",
    ]
    logs.show(cloud.host(), "heat-engine", images.HEAT, Wanted(lines=9))
    shown = [line[:17] for line in capsys.readouterr().out.splitlines()]
    assert [shown.index(mark) for mark in ("---- development,", "---- production, ")] == [2, 5]
    assert len(shown) == 7


def test_only_what_was_asked_for(cloud: SimulatedCloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.log[ENGINE] = [
        f"2026-01-01T00:0{minute}:00.000000+0000 heat heat-engine[1]: {word}"
        for minute, word in enumerate(("WARN one", "INFO two", "WARN three"))
    ]
    since = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    for wanted, seen in (
        (Wanted(lines=None, grep=logs.pattern("WARN|x")), ["one", "three"]),
        (Wanted(lines=1, grep=logs.pattern("WARN")), ["three"]),
        (Wanted(lines=None, since=since), ["two", "three"]),
        (Wanted(lines=0), []),
    ):
        logs.show(cloud.host(), "heat-engine", images.HEAT, wanted)
        assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == seen


def test_a_request_is_followed_through_all_services(cloud: SimulatedCloud, capsys: pytest.CaptureFixture[str]) -> None:
    take_over(cloud)
    cloud.log[ENGINE] = [
        f"2026-01-01T00:00:02.000000+0000 heat heat-engine[1]: [{REQUEST}] does it",
        f"2026-01-01T00:00:02.000000+0000 heat heat-engine[1]: [{OTHER}] does something else",
    ]
    cloud.log[(images.HEAT, "heat-api.service")] = [
        f"2026-01-01T00:00:03.000000+0000 heat heat-api[1]: [{REQUEST}] has answered",
        f"2026-01-01T00:00:01.000000+0000 heat heat-api[1]: [{REQUEST}] asks",
    ]
    wanted = Wanted(lines=None, request=REQUEST)
    assert logs.show_request(cloud.host(), "heat-engine", images.HEAT, wanted) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [(line[:28].strip(), line.rpartition("] ")[2]) for line in shown] == [
        ("heat-api", "asks"),
        ("heat-engine (development)", "does it"),
        ("heat-api", "has answered"),
    ]
    assert cloud.said[-1].startswith("heat-engine answers")
    assert logs.show_request(cloud.host(), None, "elsewhere", wanted) == 0
    assert capsys.readouterr().out == ""
    assert cloud.said[-1] == f"no service has logged anything of {REQUEST} in that time; --since goes back further"


def test_a_request_has_its_own_colour_in_every_line() -> None:
    first, second, other = (
        logs.coloured(f"{word} [{name}]") for word, name in (("a", REQUEST), ("b", REQUEST), ("c", OTHER))
    )
    colour = re.findall(r"\033\[(\d+)m", first)[0]
    assert f"\033[{colour}m{REQUEST}\033[0m" in second
    assert f"\033[{colour}m" not in other
    assert logs.coloured("no request") == "no request"


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("2026-01-01T00:00:05.250000+0000 heat engine[1]: x", 5.25),
        ("2026-01-01T01:00:05+01:00 heat engine[1]: x", 5),
        ("[Thu Jan 01 00:00:05.250000 2026] [wsgi:error] x", 5.25),
        ("[Thu Jan 01 00:00:05 2026] x", 5),
        ("2026-01-01 00:00:05,250 INFO x", 5.25),
    ],
)
def test_the_time_of_a_line(line: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert logs.time_of(line) == datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("line", ['  File "x.py", line 2026', "", "2026-99-99 00:00:00 x"])
def test_a_line_without_a_time(line: str) -> None:
    assert logs.time_of(line) is None


def test_since_when() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert logs.moment("90s", now) == now - timedelta(seconds=90)
    assert logs.moment("1d", now) == datetime(2026, 1, 1, tzinfo=UTC)
    assert logs.moment("2026-01-01T00:00:00+00:00", now) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["soon", "99999999999d", f"{'9' * 30}d", "0001-01-01", "10000-01-01"])
def test_a_time_that_there_is_not(text: str) -> None:
    with pytest.raises(UsageError, match="--since takes a time"):
        logs.moment(text, datetime(2026, 1, 2, tzinfo=UTC))


def test_what_comes_is_shown_as_it_comes(cloud: SimulatedCloud) -> None:
    source = Source("heat-engine", cloud.machine(images.HEAT), unit="heat-engine.service")
    script = "printf '2026-01-01T00:00:0%s+0000 x\\n' 2 1; sleep 0.5; printf 'its end'; echo .; printf cut"
    running = process.popen(["sh", "-c", script], stdout=process.PIPE)
    with running:
        batches = [[line.text for line in batch] for batch in logs.followed([logs.Reader(source, running)])]
    assert [line for batch in batches for line in batch] == [
        "2026-01-01T00:00:02+0000 x",
        "2026-01-01T00:00:01+0000 x",
        "its end.",
        "cut",
    ]


def test_what_is_typed(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    person = Person(cloud, monkeypatch)
    for wrong in ((), ("--request", "req-1"), ("heat-engine", "--since", "soon"), ("heat-engine", "--grep", "(")):
        assert person.is_told("logs", *wrong, code=2).message
    with pytest.raises(UsageError):
        logs.pattern("[")
