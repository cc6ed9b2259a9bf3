"""A checkout's setup.py is a stranger's program: what it can reach when an overlay is built, and what it may leave."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from devswap.errors import DevswapError
from tests.integration.small import VENV, Site, site_packages, tree

pytestmark = pytest.mark.sandbox

# What it finds out leaves as the project's summary: that much any setup.py may say.
_SETUP = """
import json, os, shutil, socket, sys
import setuptools

def tried(path):
    try:
        with open(path, "a"):
            return "written"
    except OSError:
        return "refused"

found = {{
    "user": [os.getuid(), os.geteuid(), os.getgid()],
    "groups": os.getgroups(),
    "machine": socket.gethostname(),
    "sees the host": os.path.exists({proof!r}),
    "written": [path for path in {targets!r} if tried(path) == "written"],
}}
{more}
setuptools.setup(name="openstack-demo", version="2.0", packages=["demo"], description=json.dumps(found))
"""
_LEAVE_A_SHELL = """
shell = os.path.join(sys.prefix, "bin", "shell")
shutil.copy("/bin/sh", shell)
os.chmod(shell, 0o6755)
"""
_LEAVE_A_LINK = """
os.symlink({proof!r}, os.path.join(sys.prefix, "lib", "trap"))
"""


def _hostile(site: Site, more: str) -> Path:
    source = site.project()
    (source / "pyproject.toml").unlink()
    building = "/run/devswap/demo-engine/building"
    targets = [
        f"{building}/checkout/demo/__init__.py",
        f"{building}/tools/inside.py",
        f"{building}/../trap",
        f"{site_packages(site.python)}/demo/__init__.py",
        f"{VENV}/bin/trap",
        "/etc/cron.d/trap",
        "/root/trap",
        "/proc/sys/kernel/core_pattern",
    ]
    proof = str(site.folder / "proof")
    text = _SETUP.format(proof=proof, targets=targets, more=more.format(proof=proof))
    (source / "setup.py").write_text(text)
    (site.folder / "proof").write_text("of the host\n")
    return source


def test_a_build_runs_as_the_service_in_its_machine_and_can_write_nothing_but_its_own_overlay(site: Site) -> None:
    before = tree(site.machine, VENV, "/etc", "/root")
    built = site.prepare(site.request(_hostile(site, _LEAVE_A_SHELL)))
    (metadata,) = built.folder.glob("lib/python*/site-packages/openstack_demo-2.0.dist-info/METADATA")
    (summary,) = [line for line in metadata.read_text().splitlines() if line.startswith("Summary: ")]
    uid, gid = (int(site.machine.run(["id", flag, "demo"]).stdout) for flag in ("-u", "-g"))
    assert json.loads(summary.removeprefix("Summary: ")) == {
        "user": [uid, uid, gid],
        "groups": [gid],
        "machine": site.machine.name,
        "sees the host": False,
        "written": [],
    }
    assert stat.S_IMODE((built.folder / "bin/shell").stat().st_mode) == 0o755
    assert tree(site.machine, VENV, "/etc", "/root") == before


def test_what_a_build_leaves_for_root_to_follow_is_refused(site: Site) -> None:
    with pytest.raises(DevswapError, match=r"its build has left lib/trap, which is neither file nor folder"):
        site.prepare(site.request(_hostile(site, _LEAVE_A_LINK)))
    assert [path.name for path in (site.folder / "cache/overlays").glob("[!.]*")] == []
    assert (site.folder / "proof").read_text() == "of the host\n"
    assert os.stat(site.folder / "proof").st_uid == os.geteuid()
