"""horizon of a sandbox: its login page, and the static files it leads to, are the checkout's or production's."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pytest

from devswap.sandbox.changes import HARMLESS
from tests.integration.added import give_back, whole
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk
from tests.integration.test_foreground import stop
from tests.integration.through_haproxy import address
from tests.integration.web import PROMPT

pytestmark = [pytest.mark.sandbox, pytest.mark.added("horizon"), pytest.mark.eras("current")]

SERVICE, PAGE, CHANGED = "horizon", "/auth/login/", "/static/dashboard/change.txt"
# Through HAProxy, as a browser does; of pictures only what is text
_ASK = """
answer=$(mktemp)
curl --silent --show-error --output "$answer" --write-out '%{http_code}\\n' "$1"
tr -cd '\\11\\12\\40-\\176' <"$answer"
"""


# By the form, whose token is in the page and in a cookie; the password is keystone's own administrator's
_LOG_IN = """
. /root/openrc
cd "$(mktemp -d)"
ask() { curl --silent --show-error --cookie jar --cookie-jar jar "$@"; }
token=$(ask "$1" | sed -n 's/.*name="csrfmiddlewaretoken" value="\\([^"]*\\)".*/\\1/p' | head -n 1)
printf %s "$OS_PASSWORD" | ask --referer "$1" --output /dev/null --write-out '%{http_code} %{redirect_url}' \
    --data-urlencode "csrfmiddlewaretoken=$token" --data region=default --data username=admin \
    --data-urlencode password@- "$1"
"""


def at_horizon(cloud: Cloud, desk: Desk) -> AbstractContextManager[str]:
    return whole(cloud, desk, SERVICE, ["apache2"], "horizon")


def ask(cloud: Cloud, path: str) -> tuple[int, str]:
    """(code, text) of what a browser would get."""
    said = cloud.sh(_ASK, f"http://{address(cloud)}{path}", on=cloud.container("-utility-"))
    code, _, text = said.partition("\n")
    return int(code), text


def login_page(cloud: Cloud) -> str:
    code, text = ask(cloud, PAGE)
    assert code == 200, text
    assert "id_password" in text
    return text


def static_files(cloud: Cloud, page: str) -> dict[str, str]:
    """The text of each that `page` leads to; all are there."""
    paths = sorted(set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page)))
    answers = {path: ask(cloud, path) for path in paths}
    assert {code for code, _ in answers.values()} == {200}, {path: code for path, (code, _) in answers.items()}
    assert any(path.endswith(".css") for path in paths)
    assert any(path.endswith(".js") for path in paths)
    return {path: text for path, (_, text) in answers.items()}


def productions(cloud: Cloud, container: str) -> str:
    """Production's static files, each with its time and a digest of what is in it."""
    return cloud.sh(
        "cd /srv/horizon/static && find . -printf '%p %T@ %U:%G %m\\n' | sort | sha256sum"
        " && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum",
        on=container,
    )


def assert_is_of_the_change(cloud: Cloud, mark: str) -> None:
    page = login_page(cloud)
    assert f"change {mark}</a>" in page
    files = static_files(cloud, page)
    assert files[CHANGED] == mark
    assert any(f"change {mark}" in text for path, text in files.items() if path.endswith(".css"))


def assert_is_productions(cloud: Cloud) -> None:
    page = login_page(cloud)
    assert "change" not in re.findall(r'class="([^"]*)"', page)
    assert CHANGED not in static_files(cloud, page)
    assert ask(cloud, CHANGED)[0] == 404


def log_in(cloud: Cloud) -> None:
    """With production's settings: its keystone, and its memcached for the session."""
    url = f"http://{address(cloud)}"
    said = cloud.sh(_LOG_IN, f"{url}{PAGE}", on=cloud.container("-utility-"))
    code, _, target = said.partition(" ")
    assert code == "302", said
    assert target.startswith(url), said
    assert PAGE not in target, said


def checkout(cloud: Cloud, desk: Desk, container: str, *how: str) -> str:
    change = cloud.change(HARMLESS, SERVICE)
    took = desk.devswap("checkout", SERVICE, f"review/{change.number}", "--machine", container, *how)
    assert f"from review/{change.number}" in took.said
    return change.patchsets[-1].shows


def test_apache_serves_the_checkouts_page_with_its_own_static_files_and_productions_again(
    cloud: Cloud, desk: Desk
) -> None:
    with at_horizon(cloud, desk) as container:
        wait_until(lambda: ask(cloud, PAGE)[0] == 200, "horizon answers through HAProxy", seconds=90)
        before = productions(cloud, container)
        assert_is_productions(cloud)
        mark = checkout(cloud, desk, container, "--apache")
        assert_is_of_the_change(cloud, mark)
        log_in(cloud)
        give_back(desk, SERVICE, container)
        assert productions(cloud, container) == before
        assert_is_productions(cloud)


def test_on_a_terminal_the_same_files_are_shown_and_a_breakpoint_has_a_prompt(cloud: Cloud, desk: Desk) -> None:
    with at_horizon(cloud, desk) as container, ThreadPoolExecutor(1) as pool:
        before = productions(cloud, container)
        change = cloud.change(HARMLESS, SERVICE)
        terminal = desk.terminal("checkout", SERVICE, f"review/{change.number}", "--machine", container)
        terminal.expect("answers from", timeout=240)
        assert_is_of_the_change(cloud, change.patchsets[-1].shows)
        stop(terminal)
        source = desk.person.checkout(f"review~{change.number}", SERVICE) / "openstack_auth/views.py"
        line = "def login(request):\n"
        desk.edit(source, line, f"{line}    'stop' in request.GET and breakpoint()\n")
        terminal = desk.terminal("run", SERVICE, "--machine", container)
        terminal.expect("answers from", timeout=120)
        asked = pool.submit(ask, cloud, f"{PAGE}?stop")
        terminal.expect(PROMPT)
        terminal.sendline("p request.path * 2")
        terminal.expect(f"'{PAGE}{PAGE}'")
        terminal.expect(PROMPT)
        terminal.sendline("c")
        assert asked.result(60)[0] == 200
        stop(terminal)
        give_back(desk, SERVICE, container)
        assert productions(cloud, container) == before
        assert_is_productions(cloud)
