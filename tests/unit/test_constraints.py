"""Which constraints are in force, from what was wished."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from devswap import options
from devswap.constraints import Context, chosen
from devswap.discovery import repository
from devswap.discovery.repository import Published
from devswap.errors import DevswapError, UsageError
from devswap.invoker import UserHome
from devswap.process import Identity
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud

OF_CLOUD = "oslo.db===17.0\n"
CACHED = "/var/www/repo/constraints/upper_constraints_cached.txt"


class Page(BaseHTTPRequestHandler):
    text = "oslo.db===18.0\n"
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def page() -> Iterator[HTTPServer]:
    Page.asked = []
    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def context(tmp_path: Path, said: list[str]) -> Context:
    return Context(
        branch="stable/2026.1",
        is_of_productions_series=True,
        cloud=lambda: Published(OF_CLOUD, "somewhere"),
        home=UserHome("ada", os.geteuid(), None, tmp_path, tmp_path),
        kept=tmp_path / "kept",
        say=said.append,
    )


def test_the_clouds_own_hold_for_checkouts_of_productions_series_only(context: Context) -> None:
    other = replace(context, is_of_productions_series=False)
    assert chosen("", context) == OF_CLOUD
    assert chosen("", other) == ""
    assert chosen("cloud", other) == OF_CLOUD
    assert chosen("off", context) == ""


def test_a_cloud_without_any_is_no_error_unless_they_were_asked_for(context: Context) -> None:
    without = replace(context, cloud=lambda: None)
    assert chosen("", without) == ""
    with pytest.raises(DevswapError, match="no repository container of this cloud has upper constraints") as caught:
        chosen("cloud", without)
    assert "--no-constraints" in (caught.value.hint or "")


def test_a_file_may_be_named_after_the_branch_and_lie_at_home(context: Context, tmp_path: Path) -> None:
    (tmp_path / "upper-2026.1.txt").write_text(OF_CLOUD)
    assert chosen("~/upper-{branch}.txt", context) == OF_CLOUD
    with pytest.raises(DevswapError, match=r"cannot read the constraints .*: No such file"):
        chosen("/nowhere/upper.txt", context)
    with pytest.raises(DevswapError, match="the checkout names no branch"):
        chosen("~/upper-{branch}.txt", replace(context, branch=None))


def test_a_file_is_read_as_the_person_who_names_it(context: Context) -> None:
    with tempfile.NamedTemporaryFile("w", dir="/run") as file:  # nobody but root may look into the tests' own folders
        file.write("a-token-of-roots\n")
        file.flush()
        assert chosen(file.name, context) == "a-token-of-roots\n"
        somebody = replace(context, home=replace(context.home, user="nobody", identity=Identity(65534, 65534)))
        with pytest.raises(DevswapError, match=r"cannot read the constraints .*: Permission denied") as caught:
            chosen(file.name, somebody)
        assert "a-token" not in caught.value.message
        os.chmod(file.name, 0o644)
        assert chosen(file.name, somebody) == "a-token-of-roots\n"


def test_a_page_is_fetched_once_a_day_and_kept_for_when_it_is_away(
    context: Context, page: HTTPServer, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    address = f"http://127.0.0.1:{page.server_port}/upper/{{branch}}"
    assert chosen(address, context) == chosen(address, context) == Page.text
    assert Page.asked == ["/upper/2026.1"]
    page.server_close()
    (kept,) = context.kept.iterdir()
    os.utime(kept, (0, 0))
    assert chosen(address, context) == Page.text
    assert "constraints are those fetched before" in said[-2]
    with pytest.raises(DevswapError, match=r"cannot fetch the constraints http://.*refused"):
        chosen(address.replace("upper", "lower"), context)


def test_a_page_that_is_no_list_is_refused_and_its_password_is_not_shown(context: Context, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html><body>moved</body></html>\n")
    with pytest.raises(DevswapError, match="is no list of constraints"):
        chosen("~/page.html", context)
    with pytest.raises(DevswapError) as caught:
        chosen("http://me:geheim@127.0.0.1:1/upper", context)
    assert "geheim" not in caught.value.message
    with pytest.raises(UsageError):
        chosen("ftp://example.org/upper", context)


def test_a_cloud_keeps_them_where_its_era_did(tmp_path: Path) -> None:
    cloud = SimulatedCloud(tmp_path)
    heat, repo = cloud.machine(images.HEAT), cloud.machine(images.GALERA)
    assert repository.constraints(heat, [heat, repo]) is None
    old = "/var/www/repo/os-releases/12.0.0/requirements_constraints.txt"
    images.put(repo.files, old, "a===1\n")
    assert repository.constraints(heat, [heat, repo]) == Published("a===1\n", f"{old} of {images.GALERA}")
    newton = "/var/www/repo/os-releases/14.2.16/ubuntu-16.04-x86_64/requirements_constraints.txt"
    images.put(repo.files, newton, "a===2\n")
    assert repository.constraints(heat, [heat, repo]) == Published("a===2\n", f"{newton} of {images.GALERA}")
    images.put(repo.files, CACHED, OF_CLOUD)
    assert repository.constraints(heat, [heat, repo]) == Published(OF_CLOUD, f"{CACHED} of {images.GALERA}")


@pytest.mark.parametrize(
    "folder", ["12.2.8", "14.2.16/ubuntu-16.04-x86_64", "33.0.1/debian-12-x86_64/wheels"], ids=["2015", "Newton", "now"]
)
def test_a_cloud_serves_its_wheels_where_its_era_did(tmp_path: Path, folder: str) -> None:
    cloud = SimulatedCloud(tmp_path)
    heat, repo = cloud.machine(images.HEAT), cloud.machine(images.GALERA)
    images.put(repo.files, f"/var/www/repo/os-releases/{folder.partition('/')[0]}/MANIFEST.in", "a\n")
    assert repository.private_links(heat, [heat, repo]) == ()
    images.put(repo.files, f"/var/www/repo/os-releases/{folder}/heat-24.0.0-py3-none-any.whl", "PK")
    links = tuple(f"http://{address}:8181/os-releases/{folder}/" for address in repo.addresses())
    assert links
    assert repository.private_links(heat, [heat, repo]) == links


@pytest.mark.parametrize(
    ("name", "text"), [("aio1_repo_container-36e270c9", OF_CLOUD), ("aio10-repo-container-36e270c9", None)]
)
def test_a_repository_container_that_is_older_than_the_rest_is_of_the_same_cloud(
    tmp_path: Path, name: str, text: str | None
) -> None:
    """From when names had underscores: an upgrade keeps them."""
    cloud = SimulatedCloud(tmp_path)
    cloud.world.machines[name] = cloud.world.machines.pop(images.GALERA)
    heat, repo = cloud.machine(images.HEAT), cloud.machine(name)
    images.put(repo.files, CACHED, OF_CLOUD)
    assert repository.constraints(heat, [heat, repo]) == (text and Published(text, f"{CACHED} of {name}"))


def test_the_two_options_exclude_each_other() -> None:
    assert options.constraints(None, none=False) is None
    assert options.constraints(None, none=True) == "off"
    assert options.constraints("cloud", none=False) == "cloud"
    with pytest.raises(UsageError):
        options.constraints("cloud", none=True)
    with pytest.raises(UsageError):
        options.constraints("", none=False)
