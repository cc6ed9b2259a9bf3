"""Services that answer requests, on a real cloud: heat-api and keystone, on a terminal, detached and under Apache."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pexpect
import pytest

from devswap.sandbox import changes
from devswap.sandbox.changes import BROKEN_IMPORT, HARMLESS, MIGRATION, NEW_REVISIONS_OF_KEYSTONE, Change
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud, certificate, wait_until
from tests.integration.people import Desk
from tests.integration.test_meanwhile import journal_of
from tests.integration.through_haproxy import FILES, UnderLoad, address, balancer

pytestmark = pytest.mark.sandbox

PROMPT = r"\(Pdb\) "
HEADER = "X-Keystone-Change"
EDITED = "/edited"
# Times of files are part of it: a file that was written and put back is not the file that was there. Keys rotate.
_LOOK = r"""
exec 2>/dev/null
section() { printf '\n== %s\n' "$1"; }
places='/etc/apache2 /etc/uwsgi /etc/heat/ /etc/keystone /var/www /etc/systemd /run/systemd/system /run/devswap'
section files
find $places -type d -not -path '*-keys/*' -printf '%p %U:%G %m\n' | sort
find $places -not -type d -not -path '*-keys/*' -printf '%p %y %l %T@ %U:%G %m\n' | sort
section content
find -L $places -type f -not -path '*-keys/*' -exec sha256sum {} + | sort
section venvs
find /openstack/venvs -printf '%p %y %s %T@ %U:%G %m\n' | sort | sha256sum
section units
for unit in apache2 heat-api heat-api-cfn keystone-wsgi-public; do
    systemctl show $unit -p Id,ActiveState,SubState,UnitFileState,DropInPaths,FragmentPath,User
done
systemctl list-units --all --plain --no-legend 'devswap*'
section mounts
cut -d' ' -f5,6 /proc/1/mountinfo | grep -v ^/run/credentials | sort
grep -l ' /run/devswap' /proc/[0-9]*/mountinfo
section processes
cat /proc/[0-9]*/cmdline | tr '\0' '\n' | grep '[/]run/devswap/'
ss -Hltn | awk '{print $4}' | sort
"""
# By hand, since the client does not show who answered it: the head of the answer that has the token
_TOKEN = """
import json, os, urllib.error, urllib.request
user = {"name": os.environ["OS_USERNAME"], "password": os.environ["OS_PASSWORD"], "domain": {"name": "Default"}}
scope = {"project": {"name": os.environ["OS_PROJECT_NAME"], "domain": {"name": "Default"}}}
auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
url, body = os.environ["OS_AUTH_URL"] + "/auth/tokens", json.dumps({"auth": auth}).encode()
asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
try:
    with urllib.request.urlopen(asked, timeout=60) as answer:
        print(answer.status, answer.headers)
except urllib.error.HTTPError as error:
    print(error.code, error.headers)
"""


@pytest.fixture
def heat(cloud: Cloud, desk: Desk) -> Iterator[str]:
    """heat-api's container, whole afterwards."""
    yield from _whole(cloud, desk, cloud.heat_api)


@pytest.fixture
def keystone(cloud: Cloud, desk: Desk) -> Iterator[str]:
    """One of keystone's two containers; both are whole afterwards."""
    first, second = (name for name in cloud.containers if "-keystone-" in name.replace("_", "-"))
    yield from _whole(cloud, desk, first, second)


_ENCRYPT = r"""
set -e
cat >/etc/ssl/keystone.pem
cp -a /etc/apache2/sites-available/keystone-httpd.conf /root/
told='SSLEngine on\n    SSLCertificateFile /etc/ssl/keystone.pem'
sed -i "s|^<VirtualHost .*|&\n    $told|" /etc/apache2/sites-available/keystone-httpd.conf
a2enmod -q ssl
systemctl restart apache2
"""
_DECRYPT = """
cp -a /root/keystone-httpd.conf /etc/apache2/sites-available/ && rm /root/keystone-httpd.conf /etc/ssl/keystone.pem
a2dismod -q ssl socache_shmcb
systemctl restart apache2
"""


@pytest.fixture
def in_tls(cloud: Cloud, tmp_path: Path) -> Iterator[bool]:
    """Whether Apache does TLS for keystone, and HAProxy speaks it with its server: where Apache runs it itself."""
    if cloud.era != "2015":
        yield False
        return
    on, balancer = cloud.container("-keystone-"), cloud.container("-haproxy-")
    cloud.run(["sh", "-c", _ENCRYPT], on=on, text=certificate(tmp_path))
    lines = f"/ {cloud.containers[on]}:\\(5000\\|35357\\) /"
    change = f"cp -a /etc/haproxy/haproxy.cfg /root/ && sed -i '{lines}s/ check / check ssl verify none /' \"$1\""
    cloud.sh(f"{change} && systemctl reload haproxy", "/etc/haproxy/haproxy.cfg", on=balancer)
    yield True
    cloud.sh("mv /root/haproxy.cfg /etc/haproxy/ && systemctl reload haproxy", on=balancer)
    cloud.sh(_DECRYPT, on=on)


def _whole(cloud: Cloud, desk: Desk, container: str, *others: str) -> Iterator[str]:
    before = look(cloud, container, *others)
    yield container
    for swap in clouds.swaps(desk.devswap("status", "--json").stdout):
        if swap["machine"] == f"lxc:{container}":
            desk.devswap("restore", swap["service"], "--machine", container, "--take-over")
    assert clouds.differences(before, look(cloud, container, *others)) == []


def look(cloud: Cloud, *containers: str) -> dict[str, str]:
    """All there is to compare of these containers, and HAProxy's files."""
    found = {"files of HAProxy": cloud.sh(FILES, on=balancer(cloud))}
    for container in containers:
        text = cloud.run(["sh", "-c", _LOOK], on=container, ok=False).stdout
        parts = (part.split("\n", 1) for part in text.split("\n== ")[1:] if "\n" in part)
        found |= {f"{container}: {name}": shown for name, shown in parts}
    return found


def ask(
    cloud: Cloud, container: str, port: int, path: str = "/v3", *, tls: bool = False, address: str | None = None
) -> str:
    """The head of the answer that the machine itself gives, or who else is at `address`."""
    address = address or cloud.containers[container]
    how = "HTTPSConnection" if tls else "HTTPConnection"
    trust = ", context=ssl._create_unverified_context()" if tls else ""
    script = f"""
import http.client, ssl
c = http.client.{how}("{address}", {port}, timeout=120{trust})
c.request("GET", "{path}")
r = c.getresponse()
print(r.status, r.headers)
"""
    return cloud.run(["python3", "-c", script], on=container).stdout


def token(cloud: Cloud) -> str:
    """The head of the answer that brings a token through HAProxy, which writes names of headers small."""
    return cloud.sh('. /root/openrc; exec python3 -c "$1"', _TOKEN, on=cloud.container("-utility-"))


def wait_for_token(cloud: Cloud, value: str) -> None:
    """Until one comes from the keystone that answers with this header, of which HAProxy may still think ill."""
    wait_until(lambda: f"{HEADER.lower()}: {value}" in token(cloud), f"a token of {value}", seconds=120)
    issued = cloud.sh(". /root/openrc; exec openstack token issue -f value -c id", on=cloud.container("-utility-"))
    assert len(issued) > 20


def header(change: Change) -> str:
    return change.patchsets[-1].shows.partition(": ")[2]


def stop(terminal: pexpect.spawn[str]) -> float:
    """Ctrl-C once: a second one would be by force, and the first one has to do. The seconds it took."""
    began = time.monotonic()
    terminal.sendcontrol("c")
    terminal.expect("is stopped, and still swapped", timeout=20)
    seconds = time.monotonic() - began
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert "Ctrl-C again" not in (terminal.before or "")
    assert terminal.exitstatus == 0
    assert seconds < 5, "2 s are promised, of a host that is not busy with other tests"
    return seconds


def at_a_prompt(terminal: pexpect.spawn[str], ask_it: Callable[[], str], *, seconds: float = 0) -> str:
    """A request that stops at a breakpoint, is looked at for `seconds`, and goes on: its answer."""
    heads: list[str] = []
    request = threading.Thread(target=lambda: heads.append(ask_it()))
    request.start()
    terminal.expect(PROMPT)
    terminal.sendline("p 6 * 7, __file__")
    terminal.expect(r"\(42, '/run/devswap/[a-z-]+/\d+/checkout/.*\.py'\)")
    terminal.expect(PROMPT)
    time.sleep(seconds)
    assert heads == []
    terminal.sendline("c")
    request.join()
    return heads[0]


@contextmanager
def edited_paste(cloud: Cloud, desk: Desk, container: str) -> Iterator[None]:
    """heat-api's development alone has a check of its health at another path, too; nothing of it is offered later."""
    usual = "/healthcheck: healthcheck\n"
    text = cloud.sh("cat /etc/heat/api-paste.ini", on=container) + "\n"
    assert usual in text
    line = ("edit", "heat-api", "api-paste.ini", "--machine", container, "--from", "-")
    with desk.start(*line, feed=text.replace(usual, f"{usual}{EDITED}: healthcheck\n", 1)) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    try:
        assert EDITED not in cloud.sh("cat /etc/heat/api-paste.ini", on=container)
        yield
    finally:
        desk.devswap("edit", "heat-api", "--machine", container, "--drop")


def stopping_tree(desk: Desk) -> Path:
    """Of heat, with a breakpoint that is met in a request for /?stop."""
    tree = desk.own_tree("stops")
    stops = "        if 'stop' in req.query_string: breakpoint()\n"
    desk.edit(tree / "heat/api/versions.py", "        version_objs = [\n", f"{stops}        version_objs = [\n")
    return tree


def test_heat_api_on_a_terminal_with_a_breakpoint_in_a_request_and_then_detached(
    cloud: Cloud, desk: Desk, heat: str, report: Callable[[str], None]
) -> None:
    tree, on = stopping_tree(desk), balancer(cloud)
    before = cloud.sh("cat /etc/haproxy/haproxy.cfg", on=on)
    terminal = desk.terminal("checkout", "heat-api", str(tree), "--machine", heat)
    terminal.expect("answers from")
    assert_patient(before, cloud.sh("cat /etc/haproxy/haproxy.cfg", on=on))
    # On one era, since it takes that long: HAProxy asks with requests there, and would give up after 50 s.
    seconds = 52 if cloud.era == "2015" else 0
    request = partial(ask, cloud, heat, 8004, "/?stop", address=address(cloud))
    assert at_a_prompt(terminal, request, seconds=seconds).startswith("300 ")
    ended = stop(terminal)
    report(f"{cloud.era}: Ctrl-C ended heat-api on a terminal in {ended:.1f} s")
    with edited_paste(cloud, desk, heat):
        desk.devswap("run", "heat-api", "--machine", heat, "--detach")
        assert ask(cloud, heat, 8004, EDITED).startswith("200 ")
    assert "timeout server 1h" not in cloud.sh("cat /etc/haproxy/haproxy.cfg", on=on)
    assert ask(cloud, heat, 8004, "/").startswith("300 ")
    assert "most recent call first" in desk.devswap("dump", "heat-api", "--machine", heat).stdout
    assert "serving (http://" in desk.devswap("status").stdout
    desk.devswap("restore", "heat-api", "--machine", heat)


def test_heat_api_cfn_on_a_terminal_and_then_detached(cloud: Cloud, desk: Desk, heat: str) -> None:
    """Where production's server is heat's own script, it is one that the checkout, like heat's master, has given up."""
    tree = stopping_tree(desk)
    if cloud.era == "2015":
        desk.edit(tree / "setup.cfg", "heat-api-cfn = ", "heat-api-cfn-of-old = ")
    terminal = desk.terminal("checkout", "heat-api-cfn", str(tree), "--machine", heat)
    if cloud.era == "2015":
        terminal.expect(r"heat\.wsgi\.cfn is served on [0-9.]+:8000 by devswap's own server")
    terminal.expect("answers from")
    request = partial(ask, cloud, heat, 8000, "/?stop", address=address(cloud))
    assert at_a_prompt(terminal, request).startswith("300 ")
    stop(terminal)
    desk.devswap("run", "heat-api-cfn", "--machine", heat, "--detach")
    assert ask(cloud, heat, 8000, "/", address=address(cloud)).startswith("300 ")
    desk.devswap("restore", "heat-api-cfn", "--machine", heat)


def test_an_application_that_fails_at_its_first_request_is_rolled_back(cloud: Cloud, desk: Desk, heat: str) -> None:
    tree = desk.own_tree("fails")
    desk.edit(
        tree / "heat/api/versions.py",
        "        version_objs = [\n",
        "        raise RuntimeError('at its first request')\n        version_objs = [\n",
    )
    failed = desk.devswap("checkout", "heat-api", str(tree), "--machine", heat, "--detach", "--wait", "8", code=1)
    assert "answers 500" in failed.stderr
    assert "production is back" in failed.stderr


def test_a_keystone_that_does_not_import_costs_no_outage(cloud: Cloud, desk: Desk, keystone: str) -> None:
    change = changes.change("keystone", BROKEN_IMPORT, cloud.era)
    failed = desk.devswap("checkout", "keystone", f"review/{change.number}", "--machine", keystone, "--apache", code=1)
    assert "user_tags" in failed.stderr
    assert "stopping" not in failed.stderr


def test_keystone_on_a_terminal_with_a_breakpoint_in_a_request_and_then_detached_with_a_migration(
    cloud: Cloud, desk: Desk, keystone: str, under_load: UnderLoad, report: Callable[[str], None]
) -> None:
    change, on, whole = changes.change("keystone", HARMLESS, cloud.era), balancer(cloud), look(cloud, keystone)
    with under_load("checkout on a terminal"):
        terminal = desk.terminal("checkout", "keystone", f"review/{change.number}", "--machine", keystone)
        terminal.expect("answers from")
    wait_for_token(cloud, header(change))
    ended = stop(terminal)
    report(f"{cloud.era}: Ctrl-C ended keystone on a terminal in {ended:.1f} s")
    source = application(desk, change)
    unedited = source.read_text()
    stops = "    if 'stop' in flask.request.query_string.decode(): breakpoint()\n"
    varied = "    response.headers['Vary'] = 'X-Auth-Token'\n"
    try:
        desk.edit(source, varied, f"    import flask\n{stops}{varied}")
        with under_load("run on a terminal"):
            again = desk.terminal("run", "keystone", "--machine", keystone)
            again.expect("answers from")
        assert at_a_prompt(again, partial(ask, cloud, keystone, 5000, "/v3?stop")).startswith("200 ")
        stop(again)
    finally:
        source.write_text(unedited)
    before, migration = cloud.schema("keystone"), changes.change("keystone", MIGRATION, cloud.era)
    with under_load("switch to --detach with a migration"):
        desk.devswap("checkout", "keystone", f"review/{migration.number}", "--machine", keystone, "--detach")
    migrated = cloud.schema("keystone")
    assert all(revision in migrated for revision in NEW_REVISIONS_OF_KEYSTONE)
    assert ("`note` varchar(255)" in migrated, "`ix_actor_id`" in migrated) == (True, False)
    assert "`ix_actor_id`" in before
    wait_for_token(cloud, header(migration))
    script = journal_of(cloud, "keystone", keystone).with_name("restore.sh")
    narrowed = cloud.sh(FILES, on=on)
    without = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    assert shutil.which("devswap", path=without["PATH"]) is None
    by_hand = subprocess.run(["sh", str(script)], env=without, capture_output=True, text=True, check=False)
    assert by_hand.returncode == 0, by_hand.stderr
    assert cloud.schema("keystone") == before
    assert cloud.sh(FILES, on=on) != narrowed
    found = clouds.differences(whole, look(cloud, keystone))
    assert [line for line in found if not re.search(r": (--- |\+\+\+ |@@ |\+/run/\S+ 0:0 755$)", line)] == []
    assert HEADER.lower() not in token(cloud).lower()
    desk.devswap("restore", "keystone", "--machine", keystone)


def test_keystone_under_its_web_server_installed_and_in_place(
    cloud: Cloud,
    desk: Desk,
    in_tls: bool,  # noqa: FBT001 - a fixture
    keystone: str,
    under_load: UnderLoad,
) -> None:
    change = changes.change("keystone", HARMLESS, cloud.era)
    line = ("checkout", "keystone", f"review/{change.number}", "--machine", keystone, "--apache")
    if in_tls:
        refused = desk.devswap(*line[:-1], "--detach", code=1)
        assert "Apache does TLS for it" in refused.stderr
        assert f"devswap checkout keystone review/{change.number} --apache" in refused.stderr
    if cloud.era == "2015":  # mod_wsgi
        stops = ("--break", "keystone.server.flask.application:application_factory")
        refused = desk.devswap(*line, *stops, code=2)
        assert "it has no terminal to prompt on" in refused.stderr
        assert f"are for a terminal: devswap checkout keystone review/{change.number}" in refused.stderr
    with under_load("checkout --apache --install"):
        desk.devswap(*line, "--install")
    wait_for_token(cloud, header(change))
    source = application(desk, change)
    unedited = source.read_text()
    try:
        _replace(source, header(change), "edited")
        with under_load("run after --apache"):
            desk.devswap("run", "keystone", "--machine", keystone)
        assert f"{HEADER}: {header(change)}" in ask(cloud, keystone, 5000, tls=in_tls)
        with under_load("switch after --apache"):
            desk.devswap("checkout", "keystone", str(source.parents[3]), "--machine", keystone)
        assert f"{HEADER}: edited" in ask(cloud, keystone, 5000, tls=in_tls)
        source.write_text(unedited)
        desk.devswap("run", "keystone", "--machine", keystone)
        wait_for_token(cloud, header(change))
        log = desk.devswap("logs", "keystone", "--machine", keystone).stdout
        assert re.search("mod_wsgi|uwsgi|keystone", log, re.IGNORECASE)
        with under_load("restore after --apache"):
            desk.devswap("restore", "keystone", "--machine", keystone)
        assert HEADER not in ask(cloud, keystone, 5000, tls=in_tls)
        _fails_at_its_first_request(cloud, desk, source, keystone)
    finally:
        source.write_text(unedited)


def _fails_at_its_first_request(cloud: Cloud, desk: Desk, source: Path, keystone: str) -> None:
    """Under mod_wsgi, which has loaded it by then."""
    if cloud.era != "2015":
        return
    varied = "    response.headers['Vary'] = 'X-Auth-Token'\n"
    _replace(source, varied, f"{varied}    raise RuntimeError('at its first request')\n")
    tree = str(source.parents[3])
    failed = desk.devswap("checkout", "keystone", tree, "--machine", keystone, "--apache", "--wait", "20", code=1)
    assert "answers 500" in failed.stderr
    assert "production is back" in failed.stderr


def assert_patient(before: str, after: str) -> None:
    """HAProxy waits an hour for the one backend, and nothing else is changed in its file."""
    (others, was), (others_now, is_now) = map(_backend, (before, after))
    assert others_now == others
    assert ("timeout server 1h" in was, "timeout server 1h" in is_now) == (False, True)
    assert (" fall 3" in was, " fall 3 " in is_now, "on-error mark-down" in is_now) == (True, False, True)


def _backend(text: str) -> tuple[str, str]:
    """(the rest of the file, what is said of heat-api's servers)."""
    head, title, rest = text.partition("backend heat_api-back\n")
    section, end, tail = rest.partition("\n\n")
    return head + title + end + tail, section


def application(desk: Desk, change: Change) -> Path:
    checkouts = desk.person.home / ".local/share/devswap/checkouts/keystone"
    return checkouts / f"review~{change.number}/keystone/server/flask/application.py"


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
