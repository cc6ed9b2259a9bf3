"""What a checkout changes against production: commits, files of /etc, options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devswap import diff, diff_commits, diff_files, diff_options, diff_validator
from devswap.diff_commits import Installed
from devswap.diff_options import Listed
from devswap.errors import DevswapError
from devswap.git import Git
from devswap.journal import Journal
from devswap.machine import Machine
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.unit import examples
from tests.unit.served import Developer, Upstream, git

SITE = "/openstack/venvs/heat-1/lib/python3.11/site-packages"
SECRET = "password = geheim\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "cloud").mkdir()
    return SimulatedCloud(tmp_path / "cloud").machine(images.HEAT)


@pytest.fixture
def checkout(developer: Developer, heat: Upstream) -> Git:
    """Of a change that adds a filter to api-paste.ini, on top of the release that production has."""
    heat.commit(
        "With etc",
        **{
            "etc/heat/api-paste.ini": "[app]\none\n",
            "etc/heat/policy.json": "{}\n",
            "etc/heat/rootwrap.d/heat.filters": "[Filters]\n",
            "etc/heat/heat.conf.sample": "",
            "etc/README": "",
            "etc/other.yaml": "a: b\n",
        },
    )
    git(heat.work, "tag", "-a", "-m", "3.0.0", "3.0.0")
    heat.push("master", "--tags")
    heat.patchset(124, 1, **{"etc/heat/api-paste.ini": "[app]\none\ntwo\n"})
    return Git(developer.home, developer("review/124").path, {"safe.directory": "*"}, quiet=True)


def test_productions_version_is_its_tag_or_the_commit_that_pbr_noted(checkout: Git, heat: Upstream) -> None:
    tagged = git(heat.bare, "rev-parse", "3.0.0^{commit}")
    assert diff_commits.base(checkout, Installed("3.0.0", None)) == diff_commits.Base("3.0.0", tagged)
    older = git(heat.bare, "rev-parse", "2.0.0^{commit}")
    assert diff_commits.base(checkout, Installed("2.0.1.dev3", older[:8])) == diff_commits.Base(older[:8], older)
    assert diff_commits.base(checkout, Installed("3.0.0", "0123456")) == diff_commits.Base("3.0.0", tagged)
    assert diff_commits.base(checkout, Installed("9.9.9", "0123456")) is None


def test_production_says_what_it_has_installed(machine: Machine) -> None:
    folder = f"{SITE}/openstack_heat-3.0.0.dist-info"
    machine.write_text(f"{folder}/METADATA", "")
    assert diff_commits.installed(machine, [SITE], "openstack-heat") == Installed("3.0.0", None)
    for noted, sha in (('{"git_version": "1a2b3c4", "is_release": false}', "1a2b3c4"), ("[]", None), ("{", None)):
        machine.write_text(f"{folder}/pbr.json", noted)
        assert diff_commits.installed(machine, [SITE], "openstack-heat").sha == sha
    with pytest.raises(DevswapError, match="cannot find openstack-nova among production's packages"):
        diff_commits.installed(machine, [SITE], "openstack-nova")


def test_the_commits_of_both_sides_are_counted_and_edits_named(
    checkout: Git, developer: Developer, heat: Upstream
) -> None:
    base = diff_commits.Base("3.0.0", git(heat.bare, "rev-parse", "3.0.0^{commit}"))
    found = diff_commits.since(checkout, base)
    assert (found.count, found.lacks, found.edited) == (1, 0, [])
    assert found.log[0].endswith(" Change 124")
    developer.write(checkout.folder / "engine.py", "edited\n")
    beside = diff_commits.Base("patchset", git(heat.bare, "rev-parse", "refs/changes/23/123/2"))
    git(checkout.folder, "fetch", "--quiet", heat.url, "refs/changes/23/123/2", home=developer.home)
    found = diff_commits.since(checkout, beside)
    assert (found.count, found.lacks, found.edited) == (2, 1, ["engine.py"])


def test_no_folder_of_the_checkout_leads_root_elsewhere(checkout: Git, machine: Machine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "policy.json").write_text("of the host\n")
    (checkout.folder / "etc/heat").rename(tmp_path / "heat")
    (checkout.folder / "etc/heat").symlink_to(elsewhere)
    machine.write_text("/etc/heat/policy.json", "of the host\n")
    (found,) = [
        each
        for each in diff_files.compared(machine, checkout, None, ["/etc/heat"])
        if each.path == "/etc/heat/policy.json"
    ]
    assert (found.state, found.added, found.removed) == ("differs", 0, 1)


def test_files_of_the_checkout_are_held_against_those_of_etc(
    checkout: Git, machine: Machine, developer: Developer, heat: Upstream
) -> None:
    machine.write_text("/etc/heat/api-paste.ini", f"[app]\none\n{SECRET}")
    machine.write_text("/etc/heat/policy.json", "{}\n")
    base = git(heat.bare, "rev-parse", "3.0.0^{commit}")
    found = {file.path: file for file in diff_files.compared(machine, checkout, base, ["/etc/heat"])}
    assert {path: (file.kind, file.state, file.changed) for path, file in found.items()} == {
        "/etc/heat/api-paste.ini": ("api-paste", "differs", True),
        "/etc/heat/policy.json": ("policy", "same", False),
        "/etc/heat/rootwrap.d/heat.filters": ("rootwrap", "missing", False),
        "/etc/heat/other.yaml": ("other", "missing", False),
    }
    assert [path for path, file in found.items() if not file.matters] == [
        "/etc/heat/other.yaml",
        "/etc/heat/policy.json",
    ]
    paste = found["/etc/heat/api-paste.ini"]
    assert (paste.source, paste.added, paste.removed) == ("etc/heat/api-paste.ini", 1, 1)
    assert "geheim" not in repr(found)
    developer.write(checkout.folder / "etc/other.yaml", "a: c\n")
    edited = {file.path: file for file in diff_files.compared(machine, checkout, base, ["/etc/heat"])}
    assert edited["/etc/heat/other.yaml"].changed, "an edit in no commit counts"
    unknown = diff_files.compared(machine, checkout, None, ["/etc/heat"])
    assert {file.changed for file in unknown} == {None}


def test_a_swap_without_a_checkout_has_nothing_to_compare(tmp_path: Path) -> None:
    host, swap = SimulatedCloud(tmp_path).host(), examples.swap(checkout="")
    Journal.create(host.journals.folder(swap.service, swap.machine), swap)
    with pytest.raises(DevswapError, match="heat-engine has no checkout"):
        diff.of(host, "heat-engine", None)


def test_options_that_come_go_and_are_renamed() -> None:
    before = Listed(
        {
            "heat": {
                "DEFAULT.old": (False, []),
                "DEFAULT.kept": (False, []),
                "a.moved": (False, []),
                "a.soon": (False, []),
            },
            "tests": {"x.y": (False, [])},
        },
        {},
    )
    after = Listed(
        {
            "heat": {
                "DEFAULT.kept": (False, []),
                "b.moved": (False, ["a.moved"]),
                "a.soon": (True, []),
                "b.new": (False, []),
            }
        },
        {"tests": "ModuleNotFoundError()"},
    )
    found = diff_options.compared(before, after, ["DEFAULT.old", "a.moved", "DEFAULT.kept", "x.y"])
    assert found == diff_options.Options(
        new=["b.moved", "b.new"],
        removed=["DEFAULT.old"],
        deprecated=["a.soon"],
        renamed={"a.moved": "b.moved"},
        set=["DEFAULT.old", "a.moved"],
        failed={"tests": "ModuleNotFoundError()"},
    )


def test_what_production_sets_is_read_by_name(machine: Machine) -> None:
    text = f"debug = true\n# no = 1\n[database]\nconnection-debug: 1\n  {SECRET}[oslo_db]\n{SECRET}"
    machine.write_text("/etc/heat/heat.conf", text)
    found = diff_options.set_in(machine, ["/etc/heat/heat.conf", "/etc/heat/none.conf"])
    assert found == ["DEFAULT.debug", "database.connection_debug", "oslo_db.password"]
    assert "geheim" not in json.dumps(found)


def test_the_validators_findings_are_read_without_values() -> None:
    said = (
        "ERROR:root:DEFAULT/engine_workers is not part of the sample config\n"
        "WARNING:oslo_config.validator:Deprecated opt database/idle_timeout found\n"
        'INFO:root:Ignoring missing option "password" from group "keystone_authtoken" because the group\n'
        "ERROR:root:DEFAULT/engine_workers is not part of the sample config\n"
    )
    found = ["DEFAULT.engine_workers: not known", "database.idle_timeout: deprecated"]
    assert diff_validator.parsed(said) == found
