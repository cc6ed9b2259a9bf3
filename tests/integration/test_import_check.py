"""The import check before every start: the code is the checkout's, and it can be imported, with no network."""

from __future__ import annotations

import shutil

import pytest

from devswap.errors import DevswapError
from tests.integration.small import (
    Site,
    check_import,
    check_origin,
)

pytestmark = pytest.mark.sandbox


def test_an_import_that_fails_is_told_with_its_last_lines(site: Site) -> None:
    request = site.request(site.project(code="import nowhere"))
    with (
        site.mounted(site.prepare(request), request),
        pytest.raises(
            DevswapError, match=r"cannot import demo\.engine: ModuleNotFoundError: No module named 'nowhere'"
        ),
    ):
        check_import(site)


def test_the_import_has_no_network(site: Site) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 8181), 2)"
    request = site.request(site.project(code=code))
    with (
        site.mounted(site.prepare(request), request),
        pytest.raises(DevswapError, match=r"Connection refused|unreachable"),
    ):
        check_import(site)


def test_code_that_would_be_productions_is_noticed(site: Site) -> None:
    request = site.request(site.project())
    with site.mounted(site.prepare(request), request):
        check_origin(site)
        shutil.rmtree(request.source / "demo")
        with pytest.raises(DevswapError, match=r"would not come from the checkout but from /openstack/venvs"):
            check_origin(site)


def test_a_module_that_reads_the_command_line_is_imported_all_the_same(site: Site) -> None:
    code = "import argparse; argparse.ArgumentParser().parse_args(); print('noise')"
    request = site.request(site.project(code=code))
    with site.mounted(site.prepare(request), request):
        check_import(site)


def test_what_makes_other_modules_importable_is_called_first(site: Site) -> None:
    request = site.request(site.project(code="def register():\n    raise RuntimeError('called')"))
    with site.mounted(site.prepare(request), request):
        check_import(site)
        with pytest.raises(DevswapError, match=r"cannot import demo\.engine:register: RuntimeError: called"):
            check_import(site, "demo.engine:register")


def test_a_module_that_nobody_imports_yet_must_be_readable_too(site: Site) -> None:
    """It may have been saved after the overlay was built, and be imported by the service's first request."""
    request = site.request(site.project())
    with site.mounted(site.prepare(request), request):
        late = request.source / "demo" / "late.py"
        late.write_text("")
        late.chmod(0o600)
        with pytest.raises(DevswapError, match=r"cannot read 1 file of the checkout, such as demo/late\.py"):
            check_import(site)
