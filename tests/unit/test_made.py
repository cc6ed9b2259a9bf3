"""What a hook makes for a web server: modules before all others, and files that are shown in production's place."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest

from devswap import apache, foreseen, hook_run, hooks, hooks_of_swap, plan, swap
from devswap.deployment import Deployment, Hosted, Interpreter
from devswap.errors import DevswapError, UsageError
from devswap.hooks import Hook
from devswap.service import load_catalogue
from devswap.slot import Made, Slot
from devswap.steps.apache import PointSite
from devswap.steps.unit import OwnUnit
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences

VENV = "/openstack/venvs/horizon-33.0.1"
PACKAGES = f"{VENV}/lib/python3.11/site-packages"
PLACE = Slot(checkout="/run/devswap/horizon/1/checkout", overlay="/run/devswap/horizon/1/overlay")
MADE = Made("/run/devswap/horizon/1/made/python", {"/static": "/run/devswap/horizon/1/made/static"})
SITE = f"""Listen 10.0.0.1:80
<VirtualHost 10.0.0.1:80>
    WSGIScriptAlias / {PACKAGES}/openstack_dashboard/wsgi.py
    WSGIDaemonProcess horizon user=horizon group=horizon python-path={PACKAGES}
    WSGIProcessGroup horizon
    Alias /static/ /srv/static/
    Alias /manual /srv/manual
</VirtualHost>
"""
TEXT = "#!/bin/sh\n# devswap: run-on = machine\n# devswap: makes = yes\n{}\n"


def dashboard(site: str = SITE) -> Deployment:
    return Deployment(
        service=load_catalogue().get("horizon"),
        machine=Machine(),  # type: ignore[arg-type]
        unit="apache2.service",
        user="horizon",
        group="horizon",
        command=(f"{PACKAGES}/openstack_dashboard/wsgi.py",),
        environment={},
        interpreter=Interpreter(f"{VENV}/bin/python", "3.11", (PACKAGES,), VENV),
        config_files=("/etc/horizon/local_settings.py",),
        forks=False,
        active=True,
        hosted=Hosted("/etc/apache2/sites-enabled/dashboard.conf", site),
        addresses=("http://10.0.0.1:80",),
    )


def test_under_anything_but_apache_it_is_refused_before_anything_is_fetched() -> None:
    wish = Wish("horizon", "plain", None, None, detach=True)
    foreseen.require_possible(dashboard(), wish, None)
    own = replace(dashboard(), hosted=None, unit="horizon-dashboard.service")
    with pytest.raises(DevswapError, match=r"of its own \(horizon-dashboard.service\) runs it in aio1-horizon"):
        foreseen.require_possible(own, wish, None)


class Machine:
    address, name = "lxc:aio1-horizon", "aio1-horizon"


def answering(answer: object) -> str:
    return TEXT.format(f"echo {shlex.quote(json.dumps(answer))}")


# --- what a web server is told ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["/static/", "//static"])
def test_apache_runs_the_checkouts_own_file_with_what_was_made_before_all_else(written: str) -> None:
    """The second is OpenStack-Ansible's, below a root of /: Apache takes several slashes for one."""
    production = SITE.replace("Alias /static/", f"Alias {written}")
    step = plan.run_step(dashboard(production), PLACE, in_apache=True, made=MADE)
    assert isinstance(step, PointSite)
    site = apache.read(step.text)
    (host,) = site.hosts
    assert host.script == f"{PLACE.checkout}/openstack_dashboard/wsgi.py"
    options = {"user": "horizon", "group": "horizon", "python-home": PLACE.overlay, "python-path": MADE.python}
    assert site.process(host) == options
    assert [each.words for each in host.all("Alias")] == [
        ("/static", MADE.aliases["/static"]),
        ("/manual", "/srv/manual"),
    ]
    for folder in (f"{PLACE.checkout}/openstack_dashboard", MADE.aliases["/static"]):
        assert f'<Directory "{folder}">\n        Require all granted\n' in step.text


def test_without_any_of_it_the_site_has_productions_files() -> None:
    step = plan.run_step(dashboard(), PLACE, in_apache=True)
    assert isinstance(step, PointSite)
    (host,) = apache.read(step.text).hosts
    assert [each.words for each in host.all("Alias")] == [("/static/", "/srv/static/"), ("/manual", "/srv/manual")]
    assert "python-path" not in apache.read(step.text).process(host)


def test_on_a_terminal_a_server_of_its_own_shows_the_same() -> None:
    command = plan.command(dashboard(), PLACE, MADE)
    assert command.argv[3:] == (
        f"10.0.0.1:80={PLACE.checkout}/openstack_dashboard/wsgi.py",
        f"/static={MADE.aliases['/static']}",
    )
    assert command.environment["PYTHONPATH"] == MADE.python
    assert "PYTHONPATH" not in plan.command(dashboard(), PLACE).environment


def test_who_listens_on_a_low_port_there_may_do_so() -> None:
    for port, low in (("80", True), ("8080", False)):
        found = dashboard(SITE.replace(":80", f":{port}"))
        steps = plan.takeover(found, "", PLACE, between=[], made=MADE)
        assert [step.low_ports for step in steps if isinstance(step, OwnUnit)] == [low]


def test_a_file_that_is_run_in_place_is_not_installed() -> None:
    wish = Wish("horizon", "plain", None, None, detach=False, install=True)
    with pytest.raises(UsageError, match="in place"):
        foreseen.require_possible(dashboard(), wish, None)
    elsewhere = dashboard(SITE.replace(f"{PACKAGES}/openstack_dashboard", "/srv/horizon"))
    foreseen.require_possible(elsewhere, wish, None)


# --- what a hook declares --------------------------------------------------------------------------------------------


def test_that_it_makes_something_is_declared_and_is_for_the_machine_only() -> None:
    assert hooks.read("/hooks/it", "prepared", 0, TEXT.format("true")).makes
    for text in (TEXT.replace("= machine", "= host"), TEXT.replace("= yes", "= maybe")):
        with pytest.raises(UsageError, match="declares makes ="):
            hooks.read("/hooks/it", "prepared", 0, text)


@pytest.mark.parametrize(
    "answer",
    [
        {"made": {"python": "../x"}},
        {"made": {"python": "/etc"}},
        {"made": {"python": 1}},
        {"made": {"aliases": {"/static": ".."}}},
        {"made": {"aliases": {"/static\n": "static"}}},
        {"made": {"aliases": {"static": "static"}}},
        {"made": {"aliases": ["/static"]}},
        {"made": {"modules": "x"}},
        {"made": []},
        {"files": {}, "made": {}},
    ],
)
def test_what_it_must_not_declare(answer: object) -> None:
    told = {"service": "horizon", "places": {"machine": {"made": PLACE.made}}}
    hook = hooks.read("/hooks/it", "prepared", 0, TEXT.format("true"))
    with pytest.raises(DevswapError, match="as it must"):
        hook_run._answer(hook, json.dumps(answer), told)


def test_only_who_makes_something_declares_it_and_only_in_time() -> None:
    told = {"service": "horizon", "places": {"machine": {"made": PLACE.made}}}
    said = json.dumps({"made": {"python": "python", "aliases": {"/a/static": "static"}}})
    hook = hooks.read("/hooks/it", "prepared", 0, TEXT.format("true"))
    made = Made(f"{PLACE.made}/python", {"/a/static": f"{PLACE.made}/static"})
    assert hook_run._answer(hook, said, told) == hook_run.Answer((), made)
    with pytest.raises(DevswapError, match="as it must not"):
        hook_run._answer(replace(hook, makes=False), said, told)
    with pytest.raises(DevswapError, match="only prepared may"):
        hook_run._answer(replace(hook, stage="started"), said, told)


# --- in a swap -------------------------------------------------------------------------------------------------------


def take_over(cloud: SimulatedCloud, *found: Hook) -> None:
    cloud.hooks = list(found)
    swap.checkout(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)


def test_its_folder_is_the_services_users_to_write_as_long_as_it_is_swapped(cloud: SimulatedCloud) -> None:
    whole, machine = cloud.take(), cloud.machine(images.HEAT)
    take_over(cloud, hooks.read("/hooks/started", "started", 0, TEXT.format("true")))
    made = "/run/devswap/heat-engine/1/made"
    assert made in machine.mounted(made)
    (folder,) = (cloud.state / "cache/made").iterdir()
    assert (folder.stat().st_uid, folder.stat().st_gid, folder.stat().st_mode & 0o777) == (110, 112, 0o755)
    assert cloud.hooks_run[0]["made"] == made
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)
    assert machine.mounted("/run/devswap") == []
    assert not folder.exists()
    assert [line for line in differences(cloud, whole) if "cache" not in line] == []


def test_a_plan_leaves_nothing_that_was_made_and_another_checkout_only_its_own(cloud: SimulatedCloud) -> None:
    hook = hooks.read("/hooks/started", "started", 0, TEXT.format("true"))
    cloud.hooks = [hook]
    swap.plan(cloud.host(), Wish("heat-engine", "plain", None, None, detach=True), cloud.makers)
    assert list((cloud.state / "cache/made").iterdir()) == []
    take_over(cloud, hook)
    (first,) = (cloud.state / "cache/made").iterdir()
    take_over(cloud, hook)
    (second,) = (cloud.state / "cache/made").iterdir()
    assert second != first


def test_hooks_that_make_nothing_have_no_folder(cloud: SimulatedCloud) -> None:
    take_over(cloud, hooks.read("/hooks/prepared", "prepared", 0, TEXT.replace("yes", "no").format("true")))
    assert not (cloud.state / "cache/made").exists()
    assert cloud.machine(images.HEAT).mounted("/run/devswap/heat-engine/1/made") == []


def test_what_no_apache_could_be_told_is_refused_while_production_serves(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    text = answering({"made": {"python": "python"}})
    with pytest.raises(DevswapError, match="has something for Apache, which does not run it"):
        take_over(cloud, hooks.read("/hooks/prepared", "prepared", 0, text))
    assert [line for line in differences(cloud, whole) if "cache" not in line] == []


def test_one_hook_at_most_tells_the_web_server() -> None:
    assert hooks_of_swap._together(dashboard(), [MADE]) == MADE
    with pytest.raises(DevswapError, match="two hooks"):
        hooks_of_swap._together(dashboard(), [MADE, MADE])
