"""The shipped hooks by which what a service does as root is the checkout's code: what they declare."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from devswap import hook_run, hooks
from devswap.errors import DevswapError

OWN = "/run/devswap/{}/hooks"
VENV = "/openstack/venvs/x-33.0.1"
BINS = (f"{VENV}/bin", "/usr/bin")
ROOTWRAP = f"root_helper = sudo {VENV}/bin/neutron-rootwrap %s/rootwrap.conf\n"
DAEMON = f"root_helper_daemon = sudo {VENV}/bin/neutron-rootwrap-daemon %s/rootwrap.conf\n"
CONTEXTS = {
    "neutron/privileged/__init__.py": "default = PrivContext(__name__, cfg_section='privsep')\n"
    "link_cmd = PrivContext(\n    __name__,\n    cfg_section='privsep_link',\n)\n",
    "cinder/privsep/__init__.py": "sys_admin_pctxt = PrivContext(\n    'cinder',\n"
    "    cfg_section='cinder_sys_admin',\n)\n",
    "nova/privsep/__init__.py": "sys_admin_pctxt = PrivContext('nova', cfg_section='nova_sys_admin')\n",
}


@dataclass(frozen=True)
class Site:
    """Production's configuration and a checkout, below one folder."""

    top: Path

    def write(self, path: str, text: str) -> str:
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(file)

    def asked(
        self, project: str, service: str, config: str = "", *, say: list[str] | None = None, **more: Any
    ) -> hook_run.Answer:
        told: dict[str, Any] = {
            "service": service,
            "project": project,
            "machine": "lxc:aio1-agents",
            "user": project,
            "files": OWN.format(service),
            "production": {"virtualenv": VENV, "config": [self.write(f"etc/{project}.conf", config)]},
            "places": {"host": {"checkout": str(self.top / "checkout"), "overlay": "/run/devswap/x/1/overlay"}},
            **more,
        }
        (prepared,) = hooks.find(project, service, hooks.shelves(None, 0))
        assert (prepared.on, prepared.stage) == ("machine", "prepared")
        return hook_run.call(replace(prepared, on="host"), None, told, [].append if say is None else say.append)  # type: ignore[arg-type]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    for path, text in CONTEXTS.items():
        made.write(f"checkout/{path}", text)
    for project in ("neutron", "nova", "cinder"):
        made.write(f"checkout/etc/{project}/rootwrap.d/rootwrap.filters", "[Filters]\nnew: CommandFilter, new, root\n")
    made.write("etc/rootwrap.d/rootwrap.filters", "[Filters]\nold: CommandFilter, old, root\n")
    made.write("etc/rootwrap.d/vendor.filters", "[Filters]\nvendor: CommandFilter, vendor, root\n")
    filters, programs = tmp_path / "etc/rootwrap.d", f"{VENV}/bin,/sbin"
    said = f"[DEFAULT]\nfilters_path = {filters},/usr/share/none\nexec_dirs = {programs}\ndaemon_timeout = 600\n"
    made.write("etc/rootwrap.conf", said)
    return made


def by_path(answer: hook_run.Answer) -> Mapping[str, hook_run.Declared]:
    return {file.path: file for file in answer.files}


def test_an_agent_has_rootwrap_with_the_checkouts_filters_and_scripts_of_the_overlay(site: Site) -> None:
    etc, service = site.top / "etc", "neutron-dhcp-agent"
    own, answer = OWN.format(service), site.asked("neutron", service, f"[agent]\n{ROOTWRAP % etc}{DAEMON % etc}")
    files = by_path(answer)
    assert answer.environment == {
        "OS_AGENT__ROOT_HELPER": f"sudo {own}/bin/neutron-rootwrap {own}/rootwrap.conf",
        "OS_AGENT__ROOT_HELPER_DAEMON": "",  # which would outlive some agents
    }
    options = configparser.RawConfigParser()
    options.read_string(files[f"{own}/rootwrap.conf"].text)
    assert options.defaults()["filters_path"] == f"{own}/rootwrap.d"
    assert options.defaults()["exec_dirs"] == f"{own}/bin,/run/devswap/x/1/overlay/bin,{VENV}/bin,/sbin"
    assert options.defaults()["daemon_timeout"] == "600"
    assert "new: " in files[f"{own}/rootwrap.d/rootwrap.filters"].text
    assert "old: " not in "".join(file.text for file in answer.files)
    assert "vendor: " in files[f"{own}/rootwrap.d/vendor.filters"].text
    for script in ("neutron-rootwrap", "privsep-helper"):
        made = files[f"{own}/bin/{script}"]
        assert (made.mode, made.text.splitlines()[0]) == (0o755, "#!/run/devswap/x/1/overlay/bin/python -BI")


def test_sudo_is_told_of_no_more_than_these_with_their_own_configuration(site: Site) -> None:
    etc, service = site.top / "etc", "neutron-l3-agent"
    own = OWN.format(service)
    rules = by_path(site.asked("neutron", service, f"[agent]\n{ROOTWRAP % etc}{DAEMON % etc}"))[
        f"/etc/sudoers.d/devswap-{service}"
    ]
    assert rules.mode == 0o440
    assert rules.text.splitlines() == [
        f"neutron ALL = (root) NOPASSWD: {own}/bin/neutron-rootwrap {own}/rootwrap.conf *",
    ]


def test_a_helper_that_production_starts_by_a_command_of_its_own_is_the_overlays_too(site: Site) -> None:
    etc, service = site.top / "etc", "neutron-dhcp-agent"
    config = f"[agent]\n{ROOTWRAP % etc}[privsep_link]\nhelper_command = sudo {VENV}/bin/privsep-helper\n"
    answer, own = site.asked("neutron", service, config), OWN.format(service)
    command = f"sudo {own}/bin/privsep-helper --config-file {etc}/neutron.conf"
    assert answer.environment["OS_PRIVSEP_LINK__HELPER_COMMAND"] == command
    assert "OS_PRIVSEP__HELPER_COMMAND" not in answer.environment
    rule = f"NOPASSWD: {own}/bin/privsep-helper --config-file {etc}/neutron.conf --privsep_context *\n"
    assert rule in by_path(answer)[f"/etc/sudoers.d/devswap-{service}"].text


def test_where_sudo_is_used_without_rootwrap_each_context_has_its_helper(site: Site) -> None:
    answer = site.asked("neutron", "neutron-dhcp-agent", "[agent]\nroot_helper = sudo\n")
    assert set(answer.environment) == {"OS_PRIVSEP__HELPER_COMMAND", "OS_PRIVSEP_LINK__HELPER_COMMAND"}
    assert not any("rootwrap" in path for path in by_path(answer))


def test_nova_compute_finds_productions_rootwrap_which_finds_the_overlays_helper(site: Site) -> None:
    etc, service = site.top / "etc", "nova-compute"
    answer, own = (
        site.asked("nova", service, f"[DEFAULT]\nrootwrap_config = {etc}/rootwrap.conf\n"),
        OWN.format(service),
    )
    files = by_path(answer)
    assert answer.environment == {"OS_DEFAULT__ROOTWRAP_CONFIG": f"{own}/rootwrap.conf"}
    assert (
        f"NOPASSWD: {VENV}/bin/nova-rootwrap {own}/rootwrap.conf *\n" in files[f"/etc/sudoers.d/devswap-{service}"].text
    )
    assert re.search(rf"^exec_dirs = {own}/bin,", files[f"{own}/rootwrap.conf"].text, re.MULTILINE)
    unwrapped = site.asked("nova", service, "[workarounds]\ndisable_rootwrap = True\n")
    assert set(unwrapped.environment) == {"OS_NOVA_SYS_ADMIN__HELPER_COMMAND"}


def test_cinder_backup_finds_them_in_the_same_way_as_nova_compute(site: Site) -> None:
    etc, service = site.top / "etc", "cinder-backup"
    answer, own = (
        site.asked("cinder", service, f"[DEFAULT]\nrootwrap_config = {etc}/rootwrap.conf\n"),
        OWN.format(service),
    )
    files = by_path(answer)
    assert answer.environment == {"OS_DEFAULT__ROOTWRAP_CONFIG": f"{own}/rootwrap.conf"}
    allowed = [f"cinder ALL = (root) NOPASSWD: {folder}/cinder-rootwrap {own}/rootwrap.conf *" for folder in BINS]
    assert files[f"/etc/sudoers.d/devswap-{service}"].text.splitlines() == allowed
    filters = files[f"{own}/rootwrap.d/zz-devswap.filters"].text
    config_file = ["--config-file", f"{site.top}/etc/cinder.conf"]
    for context in ("cinder.privsep.sys_admin_pctxt", "os_brick.privileged.default"):
        assert lets_through(filters, ["privsep-helper", *config_file, "--privsep_context", context, *AT])
    context = "nova.privsep.sys_admin_pctxt"
    assert not lets_through(filters, ["privsep-helper", *config_file, "--privsep_context", context, *AT])


@pytest.mark.parametrize(
    ("project", "service", "more"),
    [
        ("neutron", "neutron-dhcp-agent", {"machine": "local:"}),
        ("neutron", "neutron-dhcp-agent", {"machine": "ssh:root@aio2"}),
        ("nova", "nova-compute", {"user": "root"}),
    ],
)
def test_what_would_be_root_of_a_host_has_nothing(site: Site, project: str, service: str, more: dict[str, Any]) -> None:
    assert site.asked(project, service, **more) == hook_run.Answer()


@pytest.mark.parametrize(
    ("project", "service"),
    [("neutron", "neutron-server"), ("nova", "nova-api"), ("nova", "nova-conductor"), ("cinder", "cinder-volume")],
)
def test_what_needs_no_root_has_no_hook(project: str, service: str) -> None:
    assert hooks.find(project, service, hooks.shelves(None, 0)) == ()


def lets_through(filters: str, asked: list[str]) -> bool:
    """As rootwrap's RegExpFilter does."""
    parser = configparser.RawConfigParser()
    parser.read_string(filters)
    for _, value in parser.items("Filters"):
        kind, _, _, *patterns = (word.strip() for word in value.split(","))
        assert kind == "RegExpFilter"
        if len(patterns) == len(asked) and all(map(re.match, (f"{each}$" for each in patterns), asked)):
            return True
    return False


CONFIG, CONTEXT = ["--config-file", "{etc}/neutron.conf"], ["--privsep_context", "neutron.privileged.link_cmd"]
AT = ["--privsep_sock_path", "/tmp/tmpx1_/privsep.sock"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([*CONFIG, *CONTEXT, *AT], 42),
        ([*CONFIG, "--config-file", "{etc}/plugins/x.ini", *CONTEXT, *AT], 42),
        ([*CONFIG, "--config-dir", "{etc}/neutron.conf.d/", *CONTEXT, *AT], 42),
        (["--config-file", "/tmp/own.conf", *CONTEXT, *AT], 1),
        (["--config-file", "{etc}/../own.conf", *CONTEXT, *AT], 1),
        ([*CONFIG, "--privsep_context", "os.system", *AT], 1),
        ([*CONFIG, "--privsep_context", "neutron.privileged.other", *AT], 1),
        ([*CONFIG, *CONTEXT, "--privsep_sock_path", "/etc/privsep.sock"], 1),
        ([*CONFIG, *CONTEXT, *AT, "--config-file", "/tmp/own.conf"], 1),
    ],
)
def test_privseps_helper_takes_productions_files_and_the_checkouts_contexts_alone(
    site: Site, words: list[str], code: int
) -> None:
    etc, service = site.top / "etc", "neutron-l3-agent"
    files = by_path(site.asked("neutron", service, f"[agent]\n{ROOTWRAP % etc}"))
    asked = [word.format(etc=etc) for word in words]
    own = OWN.format(service)
    assert lets_through(files[f"{own}/rootwrap.d/zz-devswap.filters"].text, ["privsep-helper", *asked]) == (code == 42)
    # sudo and filters of others do not look as closely
    script = site.write("bin/privsep-helper", files[f"{own}/bin/privsep-helper"].text)
    site.write("lib/oslo_privsep/__init__.py", "")
    site.write("lib/oslo_privsep/daemon.py", "def helper_main():\n    return 42\n")
    ran = subprocess.run(
        [sys.executable, "-B", script, *asked],
        env={**os.environ, "PYTHONPATH": str(site.top / "lib")},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == code, ran.stderr


def test_nova_computes_helper_knows_the_contexts_of_its_libraries(site: Site) -> None:
    config = f"[DEFAULT]\nrootwrap_config = {site.top}/etc/rootwrap.conf\n"
    files = by_path(site.asked("nova", "nova-compute", config))
    filters = files[f"{OWN.format('nova-compute')}/rootwrap.d/zz-devswap.filters"].text
    config_file = ["--config-file", f"{site.top}/etc/nova.conf"]
    for context in ("nova.privsep.sys_admin_pctxt", "os_brick.privileged.default"):
        assert lets_through(filters, ["privsep-helper", *config_file, "--privsep_context", context, *AT])


def test_what_the_checkouts_filters_let_through_besides_productions_is_said(site: Site) -> None:
    said: list[str] = []
    site.asked("neutron", "neutron-l3-agent", f"[agent]\n{ROOTWRAP % (site.top / 'etc')}", say=said)
    (line,) = [line for line in said if "production's filters do not" in line]
    assert line.endswith("or otherwise: new")


def test_what_sudo_would_read_otherwise_is_refused(site: Site) -> None:
    with pytest.raises(DevswapError, match="sudo would read something else"):
        site.asked("neutron", "neutron-dhcp-agent", "[agent]\nroot_helper = sudo\n", user="neutron,ALL")


@pytest.mark.parametrize("project", ["nova", "cinder"])
def test_the_projects_have_the_same_hook(project: str) -> None:
    top = Path(hooks.__file__).parent.parent / "hooks"
    assert (top / "neutron/prepared").read_bytes() == (top / project / "prepared").read_bytes()
