"""Hooks are found where they may be, believed if they are in the right hands, and run as whose they are."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devswap import hook_run, hooks
from devswap.errors import DevswapError, UsageError
from devswap.hooks import Hook, Shelf

SERVICE, ADA = "heat-engine", 4321
TEXT = "#!/bin/sh\n# devswap: run-on = machine\n{}\n"
OWN = "/run/devswap/heat-engine/hooks/note"
SUDOERS = "/etc/sudoers.d/devswap-heat"
TOLD: dict[str, Any] = {
    "service": "heat-engine",
    "ref": "review/1",
    "subject": 'It\'s "odd" §',
    "places": {"host": {"checkout": "/src/heat"}, "machine": {}},
}


# --- where they are, and whose ---------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home/.config/devswap/hooks"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def where(tmp_path: Path, home: Path) -> tuple[Shelf, ...]:
    system = tmp_path / "etc/devswap/hooks"
    system.mkdir(parents=True)
    return (
        Shelf(system, 0, frozenset({0}), system.parent),
        Shelf(home, ADA, frozenset({0, ADA}), home.parent),
    )


def put(folder: Path, name: str, text: str = TEXT.format("true"), *, mode: int = 0o755) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_those_of_the_project_come_before_those_of_the_service_and_roots_before_the_users(
    where: tuple[Shelf, ...],
) -> None:
    system, home = where[0].folder, where[1].folder
    names = [(home, "heat-engine"), (system, "heat-engine"), (home, "heat"), (system, "heat")]
    paths = [put(folder, f"{name}/started") for folder, name in names]
    first = put(home, "heat-engine/prepared")
    put(home, "heat-api/prepared")
    found = hooks.find("heat", SERVICE, where)
    assert [hook.path for hook in found] == [str(first), *map(str, reversed(paths))]
    assert [hook.uid for hook in found] == [ADA, 0, ADA, 0, ADA]


def test_a_service_that_is_called_as_its_project_is_looked_up_once(where: tuple[Shelf, ...]) -> None:
    put(where[0].folder, "keystone/stopped")
    assert len(hooks.find("keystone", "keystone", where)) == 1


def test_without_hooks_of_anybodys_there_are_none(tmp_path: Path) -> None:
    assert hooks.find("heat", SERVICE, hooks.shelves(tmp_path, ADA)) == ()
    assert hooks.find("heat", SERVICE, hooks.shelves(None, 0)) == ()


def test_what_is_beside_them_is_left_alone(home: Path, where: tuple[Shelf, ...]) -> None:
    for name in ("README.md", ".prepared.swp", "prepared~"):
        put(home, f"heat/{name}", "no hook")
    assert hooks.find("heat", SERVICE, where) == ()


def of_nobody(path: Path) -> None:
    os.chown(path, 4322, 4322)


def no_link(path: Path) -> None:
    path.rename(path.with_name("README"))
    path.symlink_to(path.with_name("README"))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (of_nobody, "belongs to uid 4322"),
        (lambda path: of_nobody(path.parent), "belongs to uid 4322"),
        (lambda path: path.chmod(0o775), "others may write it"),
        (lambda path: path.parent.chmod(0o777), "others may write it"),
        (lambda path: path.parent.parent.parent.chmod(0o777), "others may write it"),
        (lambda path: path.chmod(0o644), "is not executable"),
        (no_link, "cannot read the hook"),
        (a_pipe, "is no file of at most"),
        (lambda path: path.rename(path.with_name("start")), "is named by no stage"),
        (lambda path: path.write_bytes(b"\x7fELF\xff"), "is no script"),
        (lambda path: path.write_text("echo\n"), "is no script"),
        (lambda path: path.write_text("#!/bin/sh\n" + "#" * 300_000), "is no file of at most"),
    ],
)
def test_what_is_not_in_the_right_hands_is_refused(
    home: Path, where: tuple[Shelf, ...], spoil: Callable[[Path], object], said: str
) -> None:
    path = put(home, "heat/prepared")
    spoil(path)
    with pytest.raises(UsageError, match=said) as caught:
        hooks.find("heat", SERVICE, where)
    assert str(where[1].top) in caught.value.message


def test_a_file_of_the_users_is_none_of_the_hosts(where: tuple[Shelf, ...]) -> None:
    os.chown(put(where[0].folder, "heat/prepared"), ADA, ADA)
    with pytest.raises(UsageError, match=f"belongs to uid {ADA}"):
        hooks.find("heat", SERVICE, where)


# --- what they declare of themselves ---------------------------------------------------------------------------------


def test_a_hook_declares_where_it_runs_and_how_long() -> None:
    text = "#!/usr/bin/python3\n# What it does\n# devswap: run-on = host\n#devswap:seconds=600\n\nimport os\n"
    found = hooks.read("x", "started", 0, text)
    assert (found.on, found.seconds) == ("host", 600)
    assert hooks.read("x", "started", 0, TEXT).seconds == 30


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "does not declare where it runs"),
        ("# devswap: run-on = cloud", "does not declare where it runs"),
        ("# devswap: run-on = host\n# devswap: user = root", "declares an unknown user"),
        ("# devswap: run-on = host\n# devswap: seconds = 601", "declares seconds = 601"),
        ("# devswap: run-on = host\n# devswap: seconds = 1_0", "seconds = 1_0"),
        ("# devswap: run-on = host\n# devswap: run-on = machine", "cannot read: # devswap: run-on = machine"),
        ("# devswap: run-on", "cannot read: # devswap: run-on"),
        ("true\n# devswap: run-on = host", "cannot read: # devswap: run-on = host"),
        ("# devswap: run-on = host\n# devswap: files = sudoers.d/x", "declares files = sudoers.d/x"),
        ("# devswap: run-on = host\n# devswap: files = /etc/../root/x", "declares files = /etc/../root/x"),
        ("# devswap: run-on = host\n# devswap: files = /e*/sudoers.d/x", r"declares files = /e\*/sudoers.d/x"),
        ("# devswap: run-on = host\n# devswap: files =", "declares files = "),
    ],
)
def test_what_it_does_not_declare_as_it_must_is_refused(lines: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        hooks.read("x", "started", 0, f"#!/bin/sh\n{lines}\n")


def test_files_of_roots_are_named_by_roots_hooks_alone() -> None:
    text = f"#!/bin/sh\n# devswap: run-on = machine\n# devswap: files = {SUDOERS}\n"
    assert hooks.read("x", "prepared", 0, text).files == (SUDOERS,)
    with pytest.raises(UsageError, match="is no file of root's"):
        hooks.read("x", "prepared", ADA, text)


def test_a_hook_may_be_for_some_services_of_its_project(home: Path, where: tuple[Shelf, ...]) -> None:
    text = "#!/bin/sh\n# devswap: run-on = machine\n# devswap: services = heat-engine *-cfn\n"
    put(home, "heat/prepared", text)
    found = {
        service: len(hooks.find("heat", service, where)) for service in ("heat-engine", "heat-api-cfn", "heat-api")
    }
    assert found == {"heat-engine": 1, "heat-api-cfn": 1, "heat-api": 0}


def test_of_those_that_are_shipped_one_may_be_a_link_to_another(tmp_path: Path) -> None:
    path = put(tmp_path, "heat/prepared")
    (tmp_path / "nova").mkdir()
    (tmp_path / "nova/prepared").symlink_to(path)
    assert [hook.text for hook in hooks.find("nova", "nova-api", [Shelf(tmp_path, 0, None, tmp_path)])] == [
        path.read_text()
    ]


# --- run on this very host -------------------------------------------------------------------------------------------


def on_host(text: str, *, uid: int = 0, seconds: int = 30, stage: str = "prepared") -> Hook:
    return Hook("/hooks/it", stage, "host", seconds, uid, text)


def called(hook: Hook, machine: Any = None) -> tuple[hook_run.Answer, list[str]]:
    said: list[str] = []
    return hook_run.call(hook, machine, TOLD, said.append), said


def test_it_is_told_by_a_document_and_by_variables() -> None:
    text = '#!/bin/sh\ncat >&2; echo "$DEVSWAP_STAGE $DEVSWAP_REF $DEVSWAP_CHECKOUT" >&2\n'
    declared, said = called(on_host(text))
    lines = [line.removeprefix("/hooks/it: ") for line in said]
    document = json.loads("\n".join(lines[:-1]))
    assert document == {
        "service": "heat-engine",
        "ref": "review/1",
        "subject": TOLD["subject"],
        "checkout": "/src/heat",
        "stage": "prepared",
    }
    assert (lines[-1], declared) == ("prepared review/1 /src/heat", hook_run.Answer())


def test_another_interpreter_runs_it_too() -> None:
    assert called(on_host("#!/usr/bin/env python3\nimport sys\nprint(6 * 7, file=sys.stderr)\n"))[1] == [
        "/hooks/it: 42"
    ]


def test_a_users_hook_is_the_users_on_the_host() -> None:
    uid = 65534
    assert called(on_host("#!/bin/sh\nid -u >&2; id -g >&2; umask >/dev/null\n", uid=uid))[1][0] == f"/hooks/it: {uid}"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo broken >&2; exit 7", "the hook /hooks/it failed with 7: broken"),
        ("sleep 60", "the hook /hooks/it had not ended after 1 s"),
        ("trap '' TERM; sleep 60; sleep 60", "the hook /hooks/it had not ended after 1 s"),
        ("sleep 60 &", "the hook /hooks/it had not ended after 1 s"),
    ],
)
def test_a_hook_that_fails_or_does_not_end_is_told(script: str, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(DevswapError) as caught:
        called(on_host(f"#!/bin/sh\n{script}\n", seconds=1))
    assert caught.value.message == said
    assert time.monotonic() - began < 40


def test_an_interpreter_that_is_not_there_is_told() -> None:
    with pytest.raises(DevswapError, match="cannot run /no/such: No such file or directory"):
        called(on_host("#!/no/such\n"))


def answering(answer: object, *, uid: int = 0, stage: str = "prepared", files: str = "/etc/x") -> Hook:
    said = answer if isinstance(answer, str) else json.dumps(answer)
    return on_host(f"#!/bin/sh\n# devswap: files = {files}\ncat <<'END'\n{said}\nEND\n", uid=uid, stage=stage)


def file(path: str, **more: object) -> dict[str, object]:
    return {"files": [{"path": path, "text": "x\n", **more}]}


def test_what_it_declares_is_read() -> None:
    named = answering(file(SUDOERS, mode="0440"), files="/etc/x /etc/sudoers.d/devswap-*")
    assert called(named)[0].files == (hook_run.Declared(SUDOERS, "x\n", 0o440),)
    assert called(answering(file(OWN), uid=65534))[0].files == (hook_run.Declared(OWN, "x\n", 0o644),)
    option = {"OS_AGENT__ROOT_HELPER": "sudo /x %s"}
    assert called(answering({"environment": option}, uid=65534))[0] == hook_run.Answer(environment=option)


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (answering("done"), "does not answer as it must: done"),
        (answering({"files": [], "packages": []}), "does not answer as it must"),
        (answering({"files": {}}), "does not answer as it must"),
        (answering(file(OWN), stage="stopped"), "declares files, which only prepared may"),
        (answering({"environment": []}), "does not answer as it must"),
        (answering({"environment": {"OS_A__B": "c"}}, stage="stopped"), "declares environment, which only prepared"),
        (answering({"environment": {"LD_PRELOAD": "/x"}}), "declares 'LD_PRELOAD' for the environment"),
        (answering({"environment": {"PATH": "/x"}}), "declares 'PATH' for the environment"),
        (answering({"environment": {"OS_A__B": 1}}), "declares 'OS_A__B' for the environment"),
        (answering({"environment": {"OS_A__B": "c\nLD_PRELOAD=/x"}}), "declares 'OS_A__B' for the environment"),
        (answering({"files": [{"path": OWN}]}), "declares a file that is not path, text and mode"),
        (answering(file(OWN, owner="heat")), "declares a file that is not path, text and mode"),
        (answering(file(OWN, mode=420)), "declares a file that is not path, text and mode"),
        (answering(file(OWN, mode="4755")), "with mode 4755"),
        (answering(file("note")), "must not make note"),
        (answering(file("/etc/../root/.bashrc")), "must not make"),
        (answering(file("/etc/a\nb")), "must not make"),
        (answering(file("/run/devswap/heat-engine/go")), "must not make"),
        (answering(file("/run/devswap/heat-engine/hooks/../go")), "must not make"),
        (answering(file("/run/systemd/system/x.service")), "must not make"),
        (answering(file("//run/systemd/system/x.service")), "must not make"),
        (answering(file("/openstack/venvs/heat-1/x")), "must not make"),
        (answering(file("/root/.pip/pip.conf")), "must not make"),
        (answering(file(SUDOERS), uid=65534), "is no file of root's: it may make files below"),
        (answering(file(SUDOERS)), f"declares {SUDOERS}, which it does not name at its beginning"),
        (answering(file(f"{SUDOERS}/x"), files="/etc/sudoers.d/devswap-*"), "which it does not name at its beginning"),
        (answering({"environment": {"OS_DEFAULT__SHARED_SECRET": "s3cret"}}), "whose value looks like a secret"),
        (answering({"environment": {"OS_A__B": "mysql://heat:s3cret@db/heat"}}), "whose value looks like a secret"),
    ],
)
def test_what_it_must_not_declare_is_refused(hook: Hook, said: str) -> None:
    with pytest.raises(DevswapError, match=said):
        called(hook)


def test_the_sample_that_is_shipped_does_what_it_says() -> None:
    told = {
        **TOLD,
        "service": "example-api",
        "commit": "c0ffee",
        "files": "/run/devswap/example-api/hooks",
        "places": {"host": {"checkout": "/src/example"}, "machine": {"checkout": "/run/…"}},
    }
    prepared, started = hooks.find("example", "example-api", hooks.shelves(None, 0))
    said: list[str] = []
    here = replace(prepared, on="host")
    assert prepared.on == "machine"
    (declared,) = hook_run.call(here, None, told, said.append).files  # type: ignore[arg-type]
    hook_run.call(started, None, told, said.append)  # type: ignore[arg-type]
    assert declared == hook_run.Declared("/run/devswap/example-api/hooks/note", "c0ffee\n", 0o644)
    assert [line.rpartition(": ")[2] for line in said] == [
        "example-api gets a note of c0ffee",
        "example-api runs from /src/example",
    ]
