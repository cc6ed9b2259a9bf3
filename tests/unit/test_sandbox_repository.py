"""The parts that the sandbox's repositories are made by, without the network."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap.errors import DevswapError
from devswap.sandbox import changes, edits, package_index, releases
from devswap.sandbox.package_index import PackageIndex
from devswap.sandbox.releases import SourceFile, Tree

ARCHIVE = b"a source archive"
DIGEST = hashlib.sha256(ARCHIVE).hexdigest()


class Pages(http.server.BaseHTTPRequestHandler):
    """A simple index with one project, whose links are relative and spelled as builders like."""

    def do_GET(self) -> None:
        page = (
            f'<a href="../../files/Some_Project-1.0.tar.gz#sha256={DIGEST}">Some_Project-1.0.tar.gz</a>'
            '<a href="/files/some-project-2.0.tar.gz#sha256=00">some-project-2.0.tar.gz</a>'
            '<a href="/files/some_project-3.0-py3-none-any.whl">a wheel</a>'
        )
        known = {"/simple/some-project/": page.encode(), "/files/Some_Project-1.0.tar.gz": ARCHIVE}
        content = known.get(self.path, ARCHIVE if self.path.startswith("/files/") else None)
        self.send_response(200 if content is not None else 404)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with http.server.HTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield PackageIndex((f"http://ada:secret@127.0.0.1:{server.server_port}/simple",), None)
        server.shutdown()


def test_an_archive_is_found_however_its_name_is_spelled(index: PackageIndex, tmp_path: Path) -> None:
    target = package_index.kept(tmp_path / "new", "Some_Project", "1.0")
    package_index.download(index, "some_project", "1.0", target)
    assert target.read_bytes() == ARCHIVE
    assert [path.name for path in target.parent.iterdir()] == ["some-project-1.0.tar.gz"]


def test_an_archive_with_another_digest_than_announced_is_not_kept(index: PackageIndex, tmp_path: Path) -> None:
    target = package_index.kept(tmp_path, "some-project", "2.0")
    with pytest.raises(DevswapError, match="not what the index announced"):
        package_index.download(index, "some-project", "2.0", target)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "version"), [("some-project", "3.0"), ("other-project", "1.0")])
def test_what_the_index_lacks_is_said_without_its_password(
    index: PackageIndex, tmp_path: Path, name: str, version: str
) -> None:
    with pytest.raises(DevswapError, match=f"cannot download {name} {version}") as caught:
        package_index.download(index, name, version, tmp_path / "archive")
    assert "secret" not in caught.value.message


def test_an_index_that_is_away_is_said(tmp_path: Path) -> None:
    away = PackageIndex(("http://127.0.0.1:1/simple",), None)
    with pytest.raises(DevswapError, match=r"cannot read the package index http://127\.0\.0\.1:1/simple"):
        package_index.download(away, "some-project", "1.0", tmp_path / "archive")


def test_the_environment_beats_pips_files_and_files_beat_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "pip.conf").write_text(
        "[global]\nextra-index-url = https://b.example/simple https://c.example/simple\n"
    )
    assert package_index.of_this_host().bases[1:] == ("https://b.example/simple", "https://c.example/simple")
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://a.example/simple\nextra-index-url =\n")
    assert package_index.of_this_host().bases == ("https://a.example/simple",)
    monkeypatch.setenv("PIP_INDEX_URL", "https://d.example/simple")
    assert package_index.of_this_host().bases == ("https://d.example/simple",)


def test_a_release_is_what_its_repository_held(tmp_path: Path) -> None:
    files = {
        "x-1/setup.cfg": "[metadata]\nname = x\n\n[egg_info]\ntag_build = \ntag_date = 0\n",
        "x-1/PKG-INFO": "",
        "x-1/ChangeLog": "",
        "x-1/x.egg-info/SOURCES.txt": "",
        "x-1/x/AUTHORS": "kept",
        "x-1/tools/run": "#!/bin/sh\n",
    }
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o755 if name.endswith("run") else 0o644
            archive.addfile(member, io.BytesIO(text.encode()))
    tree = releases.tree(tmp_path / "x.tar.gz", "x", "stable/2026.1")
    assert sorted(tree) == [".gitignore", ".gitreview", "setup.cfg", "tools/run", "x/AUTHORS"]
    assert tree["setup.cfg"].content == b"[metadata]\nname = x\n"
    assert tree["tools/run"].executable
    assert b"defaultbranch=stable/2026.1" in tree[".gitreview"].content
    assert b"defaultbranch" not in releases.tree(tmp_path / "x.tar.gz", "x", "master")[".gitreview"].content


def _migrations(**followed: str | None) -> Tree:
    return {
        f"heat/db/migrations/versions/{revision}_x.py": SourceFile(
            f"revision = '{revision}'\ndown_revision = {before!r}\n".encode()
        )
        for revision, before in followed.items()
    }


def test_a_migration_follows_the_one_head_of_the_release() -> None:
    assert edits.migration_head(_migrations(a=None, c="b", b="a")) == "c"
    with pytest.raises(DevswapError, match="2 heads"):
        edits.migration_head(_migrations(a=None, b="a", c="a"))


def test_keystones_migrations_follow_the_heads_of_both_branches() -> None:
    folder = "keystone/common/sql/migrations/versions"
    releases_of = {"a/expand": ("a1", None), "b/expand": ("b1", "a1"), "a/contract": ("c1", None)}
    model = "    parent_id = sql.Column(sql.String(64), sql.ForeignKey('project.id'))\n"
    tree = {
        f"{folder}/{place}/{revision}_x.py": SourceFile(
            f"revision = '{revision}'\ndown_revision = {before!r}\n".encode()
        )
        for place, (revision, before) in releases_of.items()
    }
    tree["keystone/resource/backends/sql_model.py"] = SourceFile(model.encode())
    edited = edits.add_note_to_project("e9", "c9")(tree)
    assert b"down_revision = 'b1'" in edited[f"{folder}/b/expand/e9_expand.py"].content
    assert b"down_revision = 'c1'" in edited[f"{folder}/a/contract/c9_contract.py"].content
    assert b"note = " in edited["keystone/resource/backends/sql_model.py"].content
    with pytest.raises(DevswapError, match="this keystone: its migrations have 0 heads"):
        edits.add_note_to_project("e9", "c9")({"keystone/x.py": SourceFile(b"")})


def test_a_change_that_would_change_nothing_is_an_error() -> None:
    edit = changes.change("keystone", changes.HARMLESS).patchsets[0].edit
    with pytest.raises(DevswapError, match="has not exactly one"):
        edit({"keystone/server/flask/application.py": SourceFile(b"another release\n")})


def test_every_change_has_its_own_number_and_exists_in_both_eras_if_its_project_does() -> None:
    every = (*changes.CHANGES, *changes.ADDED)
    known = {change.number for change in every}
    assert len(known) == len(every)
    for project in (*releases.PROJECTS, *releases.ADDED):
        own = {
            era: {each.purpose for each in every if (each.era, each.project) == (era, project.name)}
            for era in releases.ERAS
        }
        there = [
            purposes
            for era, purposes in own.items()
            if releases.ERAS[era] in {each.branch for each in project.releases}
        ]
        assert all(purposes == there[0] != set() for purposes in there)
        assert sum(map(bool, own.values())) == len(there)
    assert {number for change in every for _, number in change.depends_on} <= known


def test_production_is_what_its_stable_branch_ends_with() -> None:
    assert releases.production_version("heat", "current") == "26.0.2"
    assert releases.production_version("keystone", "2015") == "27.1.0"
