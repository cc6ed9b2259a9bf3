"""What the sandbox's changes do to a release of horizon; see edits.py."""

from __future__ import annotations

from devswap.sandbox.edits import Edit, replace_once
from devswap.sandbox.releases import SourceFile, Tree


def mark_login_page(mark: str) -> Edit:
    """The login page names `mark`, and so do a static file that it leads to and a rule of its stylesheet."""

    def edit(tree: Tree) -> Tree:
        logo = '  <img class="splash-logo" src={% themable_asset "img/logo-splash.svg" %}>\n'
        said = f'  <a class="change" href="{{{{ STATIC_URL }}}}dashboard/change.txt">change {mark}</a>\n'
        tree = replace_once(tree, "openstack_dashboard/templates/auth/_splash.html", logo, logo + said)
        tree = {**tree, "openstack_dashboard/static/dashboard/change.txt": SourceFile(f"{mark}\n".encode())}
        path = "openstack_dashboard/static/dashboard/scss/horizon.scss"
        styled = f'a.change {{ font-family: "change {mark}"; }}\n'
        return {**tree, path: SourceFile(tree[path].content + styled.encode())}

    return edit
