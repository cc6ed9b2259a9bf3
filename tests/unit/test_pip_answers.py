"""What is read out of pip's words; the samples are pip's own (26.3, and 22.0 where it differed)."""

from __future__ import annotations

import json

import pytest
from packaging.requirements import Requirement

from devswap.pip_answers import FailedBuild, by_name, conflicting, failed_build, missing, taken, unheard


def test_a_package_that_no_index_has() -> None:
    (found,) = missing(
        "ERROR: Could not find a version that satisfies the requirement humanize>=4.4.0 (from versions: none)\n"
        "ERROR: No matching distribution found for humanize>=4.4.0\n"
    )
    assert (found.name, found.requirement, found.versions) == ("humanize", "humanize>=4.4.0", ())


def test_a_version_that_is_not_there_beside_those_that_are() -> None:
    (found,) = missing(
        "ERROR: Could not find a version that satisfies the requirement Oslo.DB>=17 (from heat)"
        " (from versions: 1.0, 16.0)\n"
    )
    assert (found.name, found.requirement, found.versions) == ("oslo-db", "Oslo.DB>=17", ("1.0", "16.0"))


def test_the_parties_of_a_conflict() -> None:
    said = (
        "INFO: pip is looking at multiple versions of libpublic\n\nThe conflict is caused by:\n"
        "    The user requested libpublic\n"
        "    other 1.0 depends on libpublic<3 and >=1\n"
        '    third 2.0 depends on libpublic>=2; python_version >= "3"\n'
        "    The user requested (constraint) libpublic===2.5\n\n"
        "ERROR: ResolutionImpossible: for help visit …\n"
    )
    (found,) = by_name(conflicting(said))
    assert found.name == "libpublic"
    assert Requirement(found.requirement) == Requirement("libpublic<3,===2.5,>=1,>=2")


def test_words_like_a_conflicts_mean_nothing_without_one() -> None:
    assert conflicting("    The user requested libpublic\n") == []


def test_the_report_tells_where_each_package_came_from_and_who_wanted_it() -> None:
    items = [
        {"metadata": {"name": "A", "version": "1", "requires_dist": ["b_c>=2"]}, "requested": True},
        {"metadata": {"name": "B.C", "version": "2"}, "requested": False},
    ]
    report = json.dumps({"install": [{**item, "download_info": {"url": "http://i/x.whl"}} for item in items]})
    assert [(each.name, each.version, each.needed_by) for each in taken(report)] == [
        ("a", "1", None),
        ("b-c", "2", "A"),
    ]


def test_a_missing_header_is_named_with_the_package_that_has_it() -> None:
    said = (
        "  building '_ldap' extension\n  Modules/LDAPObject.c:16:10: fatal error: lber.h: No such file or directory\n"
        "  error: command '/usr/bin/gcc' failed with exit code 1\n"
        "  ERROR: Failed building wheel for python-ldap\n"
    )
    assert failed_build(said) == FailedBuild("python-ldap", "the header lber.h", "libldap-dev")


def test_a_missing_compiler_is_named() -> None:
    said = (
        "error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory\nERROR: Failed building wheel for a\n"
    )
    found = failed_build(said)
    assert found == FailedBuild("a", "a compiler (x86_64-linux-gnu-gcc)", "build-essential python3-dev")


@pytest.mark.parametrize(
    ("words", "lacks", "install"),
    [
        ("Package libvirt was not found in the pkg-config search path.", "libvirt", "libvirt-dev"),
        ("Package 'libsystemd', required by 'virtual:world', not found", "libsystemd", "libsystemd-dev"),
        ("No package 'strange' found", "strange", None),
        ("Error: pg_config executable not found.", "pg_config", "libpq-dev"),
        ("/bin/sh: 1: mysql_config: not found", "mysql_config", "libmariadb-dev"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'pkg-config'", "pkg-config", "pkg-config"),
    ],
)
def test_a_missing_library_is_named_where_the_build_asks_for_it(words: str, lacks: str, install: str | None) -> None:
    said = f"  {words}\n  error: subprocess-exited-with-error\nERROR: Failed building wheel for one\n"
    assert failed_build(said) == FailedBuild("one", lacks, install)


def test_a_build_that_fails_for_a_reason_unknown_is_still_named() -> None:
    said = (
        "error: subprocess-exited-with-error\nERROR: Failed to build 'strange' when getting requirements to build wheel"
    )
    assert failed_build(said) == FailedBuild("strange", None, None)


def test_what_is_no_build_is_none() -> None:
    assert failed_build("ERROR: No matching distribution found for a\n") is None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            "Could not fetch URL http://repo:8181/w/: HTTPConnectionPool(host='repo', port=8181): Max retries exceeded"
            " with url: /w/ (Caused by ResponseError('too many 500 error responses')) - skipping",
            (
                "http://repo:8181/w/",
                "HTTPConnectionPool(host='repo', port=8181): Max retries exceeded"
                " with url: /w/ (Caused by ResponseError('too many 500 error responses'))",
            ),
        ),
        (
            "Could not fetch URL http://repo/w/: connection error: [Errno 111] Connection refused - skipping",
            ("http://repo/w/", "connection error: [Errno 111] Connection refused"),
        ),
        (
            "Could not fetch URL http://u:****@repo/w/: 401 Client Error: Unauthorized for url: x - skipping",
            ("http://u:****@repo/w/", "401 Client Error: Unauthorized for url: x"),
        ),
        (
            "Could not fetch URL http://repo/w/: 429 Client Error: Too Many Requests for url: x - skipping",
            ("http://repo/w/", "429 Client Error: Too Many Requests for url: x"),
        ),
        ("Could not fetch URL http://repo/simple/demo/: 404 Client Error: Not Found - skipping", None),
        ("Could not fetch URL http://repo/simple/demo/: 403 Client Error: Forbidden - skipping", None),
        (
            "Could not fetch URL http://repo/w/: 400 Client Error: Bad Request for url: http://repo/w/ - skipping",
            ("http://repo/w/", "400 Client Error: Bad Request for url: http://repo/w/"),
        ),
    ],
)
def test_a_page_that_did_not_answer_is_told_from_one_that_has_nothing(line: str, found: tuple[str, str] | None) -> None:
    assert unheard(f"Looking in links: …\n{line}\nERROR: No matching distribution found for demo") == found
