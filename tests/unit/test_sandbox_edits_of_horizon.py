"""What the sandbox's changes do to horizon, on lines as horizon has them, without the network."""

from __future__ import annotations

import pytest

from devswap.errors import DevswapError
from devswap.sandbox.edits_of_horizon import mark_login_page
from devswap.sandbox.releases import SourceFile, Tree

_PAGE = "openstack_dashboard/templates/auth/_splash.html"
_STYLE = "openstack_dashboard/static/dashboard/scss/horizon.scss"
_LOGO = '  <img class="splash-logo" src={% themable_asset "img/logo-splash.svg" %}>\n'


def a_tree() -> Tree:
    return {_PAGE: SourceFile(_LOGO.encode()), _STYLE: SourceFile(b'@import "debt";\n')}


def test_a_template_and_two_static_files_carry_the_mark() -> None:
    texts = {path: file.content.decode() for path, file in mark_login_page("mark-1")(a_tree()).items()}
    assert '<a class="change" href="{{ STATIC_URL }}dashboard/change.txt">change mark-1</a>' in texts[_PAGE]
    assert texts["openstack_dashboard/static/dashboard/change.txt"] == "mark-1\n"
    assert texts[_STYLE].splitlines()[0] == '@import "debt";'
    assert "change mark-1" in texts[_STYLE]


def test_a_horizon_without_the_line_is_an_error() -> None:
    with pytest.raises(DevswapError, match="has not exactly one"):
        mark_login_page("mark-1")({**a_tree(), _PAGE: SourceFile(b"another release\n")})
