"""Which packages an overlay gets, from which index, and what is said about it."""

from __future__ import annotations

import logging

import pytest

from devswap.errors import DevswapError, PackagesRefused
from devswap.package_index import PRIVATE, PUBLIC, IndexPolicy
from tests.integration.small import (
    LINKS,
    Site,
)
from tests.packages import make_project

pytestmark = pytest.mark.sandbox


def test_the_private_index_is_asked_first_whatever_the_public_one_has(site: Site) -> None:
    built = site.prepare(site.request(site.project("libprivate", "libboth>=1.0")))
    assert {(each.name, each.version, each.origin) for each in built.installed} == {
        ("libprivate", "1.0", PRIVATE),
        ("libboth", "1.0", PRIVATE),
    }


def test_what_the_private_index_lacks_comes_from_the_public_one_and_is_said(site: Site) -> None:
    built = site.prepare(site.request(site.project("libprivate", "libpublic>=1")))
    found = {each.name: each for each in built.installed}
    assert found["libprivate"].origin == PRIVATE
    assert (found["libpublic"].version, found["libpublic"].origin) == ("1.5", PUBLIC)
    assert (found["libdeep"].origin, found["libdeep"].why) == (PUBLIC, "libpublic needs it")
    assert "libpublic>=1 comes from the public index: the private one does not have it" in site.said


def test_a_version_that_is_missing_privately_comes_from_the_public_index(site: Site) -> None:
    built = site.prepare(site.request(site.project("libboth>=2")))
    assert [(each.version, each.origin) for each in built.installed] == [("2.0", PUBLIC)]
    assert "libboth>=2 comes from the public index: the private one has only 1.0" in site.said


def test_what_changes_against_production_is_told(site: Site) -> None:
    built = site.prepare(site.request(site.project("libold", "libupgrade>=2")))
    (only,) = built.installed
    assert (only.name, only.previous, only.version) == ("libupgrade", "1.0", "2.0")
    assert only.why == "openstack-demo needs libupgrade>=2, production has 1.0"


def test_extras_of_packages_that_production_has_are_met(site: Site) -> None:
    built = site.prepare(site.request(site.project("libone[fast]")))
    assert [each.name for each in built.installed] == ["libfast"]


def test_markers_are_judged_for_the_machines_python(site: Site) -> None:
    wanted = ("nowhere; python_version < '3'", "libold; sys_platform == 'linux'")
    built = site.prepare(site.request(site.project(*wanted)))
    assert built.installed == ()


def test_constraints_hold_but_for_the_project_and_what_its_requirements_rule_out(site: Site) -> None:
    constraints = "libpublic===1.0\nopenstack-demo===0.1\nlibold===7.0\nlibboth===1.0\n"
    built = site.prepare(site.request(site.project("libpublic", "libold", "libboth>=2"), constraints=constraints))
    assert {(each.name, each.version, each.constraint) for each in built.installed} == {
        ("libpublic", "1.0", "libpublic===1.0"),
        ("libdeep", "1.0", None),
        ("libboth", "2.0", None),
    }
    assert "the constraint libboth===1.0 is left out: openstack-demo needs libboth>=2" in site.said


def test_what_production_has_serves_even_where_no_index_has_it_for_this_machine(site: Site) -> None:
    built = site.prepare(site.request(site.project("libkept>=1.0")))
    assert built.installed == ()


def test_the_private_policy_names_all_that_is_missing_and_what_allows_it(site: Site) -> None:
    request = site.request(site.project("libprivate", "libpublic", "libboth>=2"), policy=IndexPolicy.PRIVATE)
    with pytest.raises(PackagesRefused, match=r"lacks libboth>=2, libpublic$") as caught:
        site.prepare(request)
    assert caught.value.hint == "allow the public index for what is missing"
    assert [path.name for path in (site.folder / "cache/overlays").glob("[!.]*")] == []
    assert list((site.folder / "cache/overlays").glob("*.part")) == []


def test_the_public_policy_asks_the_public_index_alone(site: Site) -> None:
    built = site.prepare(site.request(site.project("libprivate"), policy=IndexPolicy.PUBLIC))
    assert [(each.version, each.origin) for each in built.installed] == [("9.0", PUBLIC)]


def test_pip_settings_of_2015_are_obeyed_and_left_alone(site: Site) -> None:
    settings = f"[global]\nno-index = True\nfind-links = {LINKS}\n"
    site.machine.write_text("/root/.pip/pip.conf", settings)
    try:
        built = site.prepare(site.request(site.project("libprivate", "libpublic"), private_links=()))
    finally:
        after = site.machine.read_text("/root/.pip/pip.conf")
        site.machine.remove("/root/.pip/pip.conf")
    assert {each.name: each.origin for each in built.installed} == {
        "libprivate": PRIVATE,
        "libpublic": PUBLIC,
        "libdeep": PUBLIC,
    }
    assert after == settings


def test_secrets_of_an_index_show_up_nowhere(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    link = "http://cloud:geheim@127.0.0.1:8181/wheels/"
    built = site.prepare(site.request(site.project("libprivate", "libpublic"), private_links=(link,)))
    with pytest.raises(DevswapError) as caught:
        site.prepare(site.request(make_project(site.folder / "other", requires=["nowhere"]), private_links=(link,)))
    texts = [caplog.text, *site.said, str(caught.value), (built.folder / "devswap.json").read_text()]
    assert not any("geheim" in text for text in texts)


def test_what_a_private_page_may_have_is_not_taken_from_the_public_index_while_it_does_not_answer(site: Site) -> None:
    links = (LINKS, "http://cloud:geheim@127.0.0.1:9/wheels/")  # nobody listens there
    request = site.request(site.project("libpublic"), private_links=links)
    words = r"which may have libpublic, does not answer: http://\S+@127\.0\.0\.1:9/"
    with pytest.raises(DevswapError, match=words) as told:
        site.prepare(request)
    assert "geheim" not in str(told.value)
    assert "--index-policy public" in (told.value.hint or "")
    assert not any("public index" in text for text in site.said)
    source = make_project(site.folder / "other", requires=["libprivate"])
    built = site.prepare(site.request(source, private_links=links))
    assert [each.origin for each in built.installed] == [PRIVATE], "what another page has is had"
