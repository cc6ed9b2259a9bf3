"""Packages come from where the host's own apt and pip get theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap.errors import DevswapError
from devswap.sandbox.sources import AptSource, host_distribution, parse_deb822, parse_one_line, pip_environment

DEB822 = """# made by an installer
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://mirror.example/backports
Suites: bookworm-backports
Components: main
Enabled: no
"""


def test_deb822_stanzas_are_read_with_continued_lines_and_without_disabled_ones() -> None:
    assert parse_deb822(DEB822) == [
        AptSource("http://mirror.example/debian", ("bookworm", "bookworm-updates"), ("main", "contrib")),
        AptSource("http://mirror.example/security", ("bookworm-security",), ("main",)),
    ]


def test_one_line_sources_are_read_with_options_and_without_comments() -> None:
    text = (
        "# deb http://old.example/debian buster main\n"
        "deb [arch=amd64] http://mirror.example/debian bookworm main contrib # x\n"
        "deb-src http://mirror.example/debian bookworm main\n"
    )
    assert parse_one_line(text) == [AptSource("http://mirror.example/debian", ("bookworm",), ("main", "contrib"))]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "etc/apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n')
    return tmp_path


def test_the_hosts_mirror_and_suite_are_taken_and_third_parties_are_not(host: Path) -> None:
    (host / "etc/apt/sources.list.d/debian.sources").write_text(DEB822)
    (host / "etc/apt/sources.list.d/tool.list").write_text("deb https://tool.example/apt stable main\n")
    (host / "etc/apt/sources.list.d/off.list.disabled").write_text("deb https://off.example/apt bookworm main\n")
    distribution = host_distribution(host)
    assert distribution.suite == "bookworm"
    assert distribution.mirror == "http://mirror.example/debian"
    assert distribution.sources_list() == (
        "deb http://mirror.example/debian bookworm main contrib\n"
        "deb http://mirror.example/debian bookworm-updates main contrib\n"
        "deb http://mirror.example/security bookworm-security main\n"
    )


def test_a_host_without_a_mirror_for_its_own_release_is_told_so(host: Path) -> None:
    with pytest.raises(DevswapError, match="mirror for bookworm"):
        _ = host_distribution(host).mirror


def test_only_what_a_container_can_reach_of_pips_settings_is_passed_on() -> None:
    listing = (
        "global.index-url='https://index.example/simple'\n"
        "global.extra-index-url='file:///opt/simple https://more.example/simple'\n"
        "global.find-links='/opt/wheels'\n"
        ":env:.trusted-host='index.example'\n"
    )
    assert pip_environment(listing, {}) == {
        "PIP_INDEX_URL": "https://index.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://more.example/simple",
        "PIP_TRUSTED_HOST": "index.example",
    }


def test_a_host_with_pips_defaults_passes_nothing_on() -> None:
    assert pip_environment("global.extra-index-url='file:///opt/simple'\n", {"PIP_FIND_LINKS": "/opt/wheels"}) == {}


def test_the_environment_beats_pips_files_and_proxies_are_passed_on() -> None:
    environment = {"PIP_INDEX_URL": "https://env.example/simple", "https_proxy": "http://proxy.example:3128"}
    assert pip_environment("global.index-url='https://file.example/simple'\n", environment) == {
        "PIP_INDEX_URL": "https://env.example/simple",
        "https_proxy": "http://proxy.example:3128",
    }
