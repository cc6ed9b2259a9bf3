"""What of a project's requirements production's packages leave open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

from devswap.requirements import (
    Production,
    combined,
    constraints_beside,
    held,
    packages,
    requirement_lines,
    requires_dist,
    ruled_out,
    unmet,
)

PYTHON = {"python_version": "3.9", "python_full_version": "3.9.2", "sys_platform": "linux", "os_name": "posix"}


def production(*names: str, requires: Mapping[str, Sequence[str]] | None = None) -> Production:
    return Production(packages(names), PYTHON, lambda name: (requires or {}).get(name, []))


def needs(wanted: Sequence[str], has: Production, **options: str) -> list[str]:
    return [need.requirement for need in unmet(wanted, has, of="heat", **options)]


@pytest.mark.parametrize(
    ("entry", "name", "version"),
    [
        ("oslo.config-9.8.0.dist-info", "oslo-config", "9.8.0"),
        ("openstack_heat-26.0.3.dev1.dist-info", "openstack-heat", "26.0.3.dev1"),
        ("PyYAML-6.0.egg-info", "pyyaml", "6.0"),
        ("Paste-3.5.2-py3.11.egg-info", "paste", "3.5.2"),
        ("zope_interface-5.0+local1.dist-info", "zope-interface", "5.0+local1"),
    ],
)
def test_packages_are_known_by_their_metadata_folders(entry: str, name: str, version: str) -> None:
    assert packages(["heat", "_pth.pth", entry])[name].version == version


def test_names_are_compared_as_the_index_compares_them() -> None:
    assert needs(["Oslo.Config>=9", "oslo_config"], production("oslo.config-9.8.0.dist-info")) == []


def test_a_missing_package_and_a_version_too_old_are_unmet() -> None:
    found = unmet(["humanize>=4.4", "oslo.db>=17"], production("oslo_db-16.0.dist-info"), of="heat")
    assert [(need.name, need.why) for need in found] == [
        ("humanize", "heat needs humanize>=4.4"),
        ("oslo-db", "heat needs oslo.db>=17, production has 16.0"),
    ]


def test_a_prerelease_that_production_runs_satisfies() -> None:
    assert needs(["heat>=26.0"], production("heat-26.1.0.dev5.dist-info")) == []


def test_a_version_that_is_none_is_trusted() -> None:
    assert needs(["python-apt>=2"], production("python_apt-unknown_by_distributor!.dist-info")) == []


def test_markers_are_judged_for_the_machines_python_and_not_for_the_hosts() -> None:
    wanted = ["tomli; python_version < '3.11'", "nothing; python_version >= '3.10'", "winlib; sys_platform == 'win32'"]
    assert needs(wanted, production()) == ["tomli"]


def test_extras_of_present_packages_lead_to_what_they_need() -> None:
    requires = {"oslo-service": ["cotyledon>=2; extra == 'threading'", "eventlet; extra == 'eventlet'"]}
    has = production("oslo.service-4.2.0.dist-info", requires=requires)
    found = unmet(["oslo.service[threading]>=4"], has, of="heat")
    assert [(need.requirement, need.why) for need in found] == [
        ("cotyledon>=2", "oslo.service[threading] needs cotyledon>=2")
    ]


def test_extras_that_lead_back_to_their_package_come_to_an_end() -> None:
    requires = {"one": ["one[b]; extra == 'a'", "two; extra == 'b'"]}
    assert needs(["one[a]"], production("one-1.0.dist-info", requires=requires)) == ["two"]


def test_the_projects_own_extras_count_if_asked_for() -> None:
    wanted = ["python-ldap>=3; extra == 'ldap'"]
    assert needs(wanted, production()) == []
    assert [need.requirement for need in unmet(wanted, production(), of="keystone", extras=["ldap"])] == [
        "python-ldap>=3"
    ]


def test_a_project_does_not_install_itself() -> None:
    assert needs(["openstack-heat[test]"], production(), own="openstack_heat") == []


def test_an_address_instead_of_a_version_is_always_unmet() -> None:
    wanted = ["oslo.db @ https://example.org/oslo.db.tar.gz"]
    assert needs(wanted, production("oslo_db-16.0.dist-info")) == wanted


def test_constraints_leave_out_the_project_and_keep_what_production_has() -> None:
    text = (
        "# upper\nopenstack-heat===25.0\nnew===1.0\noslo.db===16.5;python_version<'4'\nold===9;python_version>'3.10'\n"
    )
    kept = constraints_beside(text, production("oslo_db-16.0.dist-info"), own="openstack-heat")
    assert kept == "new===1.0\noslo.db<=16.5\n"


def test_a_package_that_production_has_in_a_later_version_may_stay() -> None:
    assert constraints_beside("a===1.0", production("a-2.0.dist-info"), own="heat") == "a<=2.0\n"


def test_a_package_that_is_to_change_gets_the_constraint_as_it_is() -> None:
    assert constraints_beside("a===1.0", production("a-0.5.dist-info"), own="heat", changing=["A"]) == "a===1.0\n"


def test_a_constraint_that_the_checkout_itself_rules_out_is_told_with_the_reason() -> None:
    wanted = unmet(["a>=2", "b>=1"], production("a-1.0.dist-info"), of="heat")
    found = ruled_out("a===1.9\nb===1.5\nc===1\na<9\n", wanted)
    assert {line: need.why for line, need in found.items()} == {"a===1.9": "heat needs a>=2, production has 1.0"}


def test_a_constraint_says_no_place() -> None:
    assert constraints_beside("a @ https://example.org/a.whl\nb===1\n", production(), own="heat") == "b===1\n"


def test_what_holds_a_package_at_its_version_is_a_pin() -> None:
    constraints = "Oslo.DB===17.0\na<=2\n"
    assert held(constraints, "oslo-db") == "Oslo.DB===17.0"
    assert held(constraints, "a") is None


@given(present=st.integers(0, 50), pin=st.integers(0, 50))
def test_a_constraint_never_drives_out_what_production_has(present: int, pin: int) -> None:
    text = constraints_beside(f"a==1.{pin}", production(f"a-1.{present}.dist-info"), own="heat")
    assert Requirement(text.strip()).specifier.contains(Version(f"1.{present}"))


def test_lines_that_are_no_requirements_are_passed_over() -> None:
    text = "# comment\n-e .\n--hash=x\n\npbr>=6 # Apache\n  a==1\\\n ;python_version>'3'\n"
    assert requirement_lines(text) == ["pbr>=6", "a==1 ;python_version>'3'"]


def test_requirements_are_read_from_metadata_with_a_long_description() -> None:
    text = "Name: heat\nRequires-Dist: pbr>=6\nRequires-Dist: a; extra == 'x'\n\nRequires-Dist: no\n"
    assert requires_dist(text) == ["pbr>=6", "a; extra == 'x'"]


def test_several_requirements_of_a_package_become_one() -> None:
    assert Requirement(combined(["a[x]>=1", "a<3", "a[y]"])) == Requirement("a[x,y]>=1,<3")
