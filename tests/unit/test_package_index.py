"""Which index pip is told to ask, out of the settings that a machine has."""

from __future__ import annotations

import pytest

from devswap.package_index import Indexes, settings, told_apart

LINKS = "http://10.0.0.1:8181/os-releases/33.0.1/debian-12-x86_64/wheels/"


def indexes(*texts: str, variables: dict[str, str] | None = None, links: tuple[str, ...] = ()) -> Indexes:
    return told_apart(settings(texts, variables or {}), variables or {}, links)


def test_no_settings_mean_no_private_index_and_pips_own_public_one() -> None:
    found = indexes()
    assert not found.has_private
    assert not any(name.startswith("PIP_INDEX") for name in found.ask_public())


def test_no_index_of_2015_is_lifted_for_the_public_index_only() -> None:
    found = indexes("[global]\nno-index = True\nfind-links = http://repo/links http://repo/more\n")
    assert found.ask_private()["PIP_NO_INDEX"] == "1"
    assert found.ask_private()["PIP_FIND_LINKS"] == "http://repo/links http://repo/more"
    assert found.ask_public()["PIP_NO_INDEX"] == "0"
    assert "PIP_FIND_LINKS" not in found.ask_public()


def test_the_index_that_the_machine_names_is_its_public_one() -> None:
    found = indexes(
        "[global]\nindex-url = https://mirror/simple\nextra-index-url = https://other/simple\n", links=(LINKS,)
    )
    assert found.ask_public()["PIP_INDEX_URL"] == "https://mirror/simple"
    assert found.ask_public()["PIP_EXTRA_INDEX_URL"] == "https://other/simple"
    assert "PIP_INDEX_URL" not in found.ask_private()
    assert found.ask_private()["PIP_NO_INDEX"] == "1"


def test_addresses_that_discovery_knows_are_links_or_an_index_by_their_form() -> None:
    found = indexes(links=(LINKS, "http://10.0.0.1:8181/simple/"))
    asked = found.ask_private()
    assert asked["PIP_FIND_LINKS"] == LINKS
    assert asked["PIP_INDEX_URL"] == "http://10.0.0.1:8181/simple/"
    assert asked["PIP_NO_INDEX"] == "0"


def test_hosts_of_private_indexes_without_tls_are_trusted_and_no_others() -> None:
    found = indexes(
        "[global]\ntrusted-host = known\nindex-url = http://mirror/simple\n", links=(LINKS, "https://safe/x/")
    )
    assert found.ask_private()["PIP_TRUSTED_HOST"] == "known 10.0.0.1:8181"
    assert found.ask_public()["PIP_TRUSTED_HOST"] == "known"


def test_later_files_win_and_the_environment_beats_them() -> None:
    files = ["[global]\nfind-links = http://a/\ntimeout = 1\n", "[global]\nfind-links = http://b/\n"]
    assert indexes(*files).links == ("http://b/",)
    assert indexes(*files, variables={"PIP_FIND_LINKS": "http://c/"}).links == ("http://c/",)
    assert indexes(*files).ask_public()["PIP_TIMEOUT"] == "1"


def test_the_section_for_install_beats_the_global_one_in_whatever_file() -> None:
    found = indexes("[install]\nfind-links = http://install/\n", "[global]\nfind-links = http://global/\n")
    assert found.links == ("http://install/",)


def test_an_empty_value_is_none_as_pip_sees_it() -> None:
    found = indexes("[global]\nno-index = true\nfind-links =\n", variables={"PIP_NO_INDEX": ""})
    assert found.links == ()
    assert settings(["[global]\nno-index = true\n"], {"PIP_NO_INDEX": ""})["no-index"] == "true"


@pytest.mark.parametrize("option", ["target", "user", "require-hashes", "prefix", "constraint", "no-deps"])
def test_settings_that_change_what_an_install_does_stay_behind(option: str) -> None:
    found = indexes(f"[global]\n{option} = 1\n")
    name = f"PIP_{option.upper().replace('-', '_')}"
    assert name not in found.ask_private()
    assert name not in found.ask_public()


def test_that_a_private_index_has_early_releases_is_not_said_of_the_public_one() -> None:
    """OpenStack-Ansible had both settings in its first years."""
    found = indexes("[global]\nno-index = True\npre = True\n[install]\nfind-links =\n  http://10.0.0.1:8181/x/\n")
    assert (found.ask_private()["PIP_PRE"], "PIP_PRE" in found.ask_public()) == ("True", False)
    assert indexes("[global]\npre = True\n").ask_public()["PIP_PRE"] == "True"


def test_no_other_pip_settings_are_read() -> None:
    assert indexes().ask_public()["PIP_CONFIG_FILE"] == "/dev/null"
    assert indexes().ask_private()["PIP_CONFIG_FILE"] == "/dev/null"


def test_a_sites_proxy_goes_along() -> None:
    found = indexes(variables={"https_proxy": "http://proxy:3128", "LANG": "C"})
    assert found.ask_public()["https_proxy"] == "http://proxy:3128"
    assert "LANG" not in found.ask_public()


def test_a_broken_file_does_not_hide_the_others() -> None:
    assert indexes("find-links = no section", "[global]\nfind-links = http://b/\n").links == ("http://b/",)
