"""What the sandbox's changes do to a release's tree, one function per purpose.

Each looks for the lines it replaces and fails where a release no longer has them: a change that silently changes
nothing would make every test that relies on it pass for the wrong reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce

from devswap.errors import DevswapError
from devswap.sandbox.releases import SourceFile, Tree

Edit = Callable[[Tree], Tree]

_ENGINE = "heat/cmd/engine.py"
_BEFORE_THE_SERVICE = "    from heat.engine import service as engine  # noqa\n"
_MIGRATIONS = "heat/db/migrations/versions/"
_MIGRATIONS_OF_KEYSTONE = "keystone/common/sql/migrations/versions/"
LICENCE = """#
#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""


def all_of(*several: Edit) -> Edit:
    """One after the other."""
    return lambda tree: reduce(lambda edited, edit: edit(edited), several, tree)


def mark_random_strings(mark: str) -> Edit:
    """OS::Heat::RandomString values begin with `mark`, so a stack's outputs show which engine made them."""

    def edit(tree: Tree) -> Tree:
        path = "heat/engine/resources/openstack/heat/random_string.py"
        tree = replace_once(tree, path, "\n\nclass RandomString(", f"\nMARK = '{mark}'\n\n\nclass RandomString(")
        stored = "        self.data_set('value', random_string, redact=True)\n"
        tree = replace_once(tree, path, stored, f"        random_string = (MARK + random_string)[:length]\n{stored}")
        said = f"    LOG.info('Random strings carry the mark {mark}')\n\n"
        return replace_once(tree, _ENGINE, _BEFORE_THE_SERVICE, said + _BEFORE_THE_SERVICE)

    return edit


def add_mark(mark: str) -> Edit:
    """oslo.context has a module `mark`, which no release of it has."""
    return lambda tree: {**tree, "oslo_context/mark.py": SourceFile(f"{LICENCE}MARK = '{mark}'\n".encode())}


def mark_random_strings_by_library(first: str) -> Edit:
    """Random strings begin with `first` and the mark of `add_mark`: heat cannot be imported without that library."""

    def edit(tree: Tree) -> Tree:
        path = "heat/engine/resources/openstack/heat/random_string.py"
        imported = "from heat.common import exception\n"
        tree = replace_once(tree, path, imported, f"from oslo_context import mark\n\n{imported}")
        stored = "        self.data_set('value', random_string, redact=True)\n"
        marked = f"        random_string = ('{first}' + mark.MARK + random_string)[:length]\n"
        tree = replace_once(tree, path, stored, marked + stored)
        imported = "from oslo_concurrency import processutils\n"
        tree = replace_once(tree, _ENGINE, imported, f"{imported}from oslo_context import mark\n")
        said = "    LOG.info('Random strings carry the mark %s', mark.MARK)\n\n"
        return replace_once(tree, _ENGINE, _BEFORE_THE_SERVICE, said + _BEFORE_THE_SERVICE)

    return edit


def say_at_start(line: str) -> Edit:
    """heat-engine logs `line` before it serves."""
    return lambda tree: replace_once(
        tree, _ENGINE, _BEFORE_THE_SERVICE, f"    LOG.info('{line}')\n\n{_BEFORE_THE_SERVICE}"
    )


def add_note_to_stack(revision: str) -> Edit:
    """A nullable column `note` of table `stack`: an alembic migration on the release's own head, and the model."""

    def edit(tree: Tree) -> Tree:
        head = migration_head(tree)
        down = "    op.drop_column('stack', 'note')"
        added = migration("Add note column to stack table", revision, head, add_column("stack"), down)
        path = f"{_MIGRATIONS}{revision}_add_note_to_stack_table.py"
        tree = {**tree, path: SourceFile((LICENCE + added).encode())}
        column = "    current_deps = sqlalchemy.Column('current_deps', types.Json)\n"
        return replace_once(
            tree,
            "heat/db/models.py",
            column,
            f"{column}    note = sqlalchemy.Column('note', sqlalchemy.String(255))\n",
        )

    return edit


def migration_head(tree: Tree) -> str:
    """The one revision of a heat tree that no other follows."""
    return head_of({path: file for path, file in tree.items() if path.startswith(_MIGRATIONS)}, "heat")[0]


def add_note_to_project(expand: str, contract: str) -> Edit:
    """A nullable column `note` of table `project` with its model, and an index less: one of each branch of keystone's.

    The model has it so that this keystone cannot serve without the migration.
    """

    def edit(tree: Tree) -> Tree:
        subject = "Add note column to project table"
        column = add_column("project"), "    op.drop_column('project', 'note')"
        tree = _with_migration_of_keystone(tree, "expand", expand, subject, *column)
        index = "    op.drop_index('ix_actor_id', table_name='assignment')", "    pass"
        tree = _with_migration_of_keystone(tree, "contract", contract, "Drop the index of actors", *index)
        last = "    parent_id = sql.Column(sql.String(64), sql.ForeignKey('project.id'))\n"
        return replace_once(
            tree, "keystone/resource/backends/sql_model.py", last, f"{last}    note = sql.Column(sql.String(255))\n"
        )

    return edit


def _with_migration_of_keystone(tree: Tree, branch: str, revision: str, subject: str, up: str, down: str) -> Tree:
    """Beside the newest of its branch, whose folder alembic is told of."""
    own = re.compile(rf"{_MIGRATIONS_OF_KEYSTONE}[^/]+/{branch}/[^/]+\.py")
    head, newest = head_of({path: file for path, file in tree.items() if own.fullmatch(path)}, "keystone")
    path = f"{newest.rpartition('/')[0]}/{revision}_{branch}.py"
    return {**tree, path: SourceFile((LICENCE + migration(subject, revision, head, up, down)).encode())}


def head_of(files: Tree, project: str) -> tuple[str, str]:
    """(the one revision that no other of `files` follows, its path)."""
    revisions: dict[str, str] = {}
    below: set[str] = set()
    for path, file in files.items():
        text = file.content.decode()
        revisions |= dict.fromkeys(re.findall(r"^revision = '(\w+)'", text, re.M), path)
        below |= set(re.findall(r"^down_revision = '(\w+)'", text, re.M))
    heads = revisions.keys() - below
    if len(heads) != 1:
        raise DevswapError(f"cannot add a migration to this {project}: its migrations have {len(heads)} heads, not one")
    head = heads.pop()
    return head, revisions[head]


def add_column(table: str) -> str:
    margin = " " * len("    op.add_column(")
    return f"    op.add_column('{table}',\n{margin}sa.Column('note', sa.String(length=255), nullable=True))"


def migration(subject: str, revision: str, head: str, up: str, down: str) -> str:
    return f'''"""{subject}

Revision ID: {revision}
Revises: {head}
Create Date: 2026-11-02

"""
from alembic import op
import sqlalchemy as sa

# revision identifiers, used by Alembic.
revision = '{revision}'
down_revision = '{head}'
branch_labels = None
depends_on = None


def upgrade():
{up}


def downgrade():
{down}
'''


def need_package(name: str, requirement: str) -> Edit:
    """heat-engine imports a package that no release of heat requires, and says how many workers it starts with it."""

    def edit(tree: Tree) -> Tree:
        listed = tree["requirements.txt"].content.decode().rstrip("\n")
        tree = {**tree, "requirements.txt": SourceFile(f"{listed}\n{requirement}\n".encode())}
        first = "from oslo_concurrency import processutils\n"
        tree = replace_once(tree, _ENGINE, first, f"import {name}\n{first}")
        launch = "    launcher = service.launch(CONF, srv, workers=workers,\n"
        said = f"    LOG.info('Starting %s engine worker(s)', {name}.apnumber(workers))\n"
        return replace_once(tree, _ENGINE, launch, said + launch)

    return edit


def import_what_is_missing(path: str, before: str, module: str) -> Edit:
    """The module at `path` imports `module`, which does not exist, and so cannot be imported itself."""
    return lambda tree: replace_once(tree, path, before, f"{module}\n{before}")


def die_after(seconds: int) -> Edit:
    """heat-engine as a whole (not one worker, which would be started again) ends with code 1 after some seconds."""

    def edit(tree: Tree) -> Tree:
        tree = replace_once(tree, _ENGINE, "\nimport sys\n", "\nimport os\nimport sys\nimport threading\n")
        ending = (
            "def _watchdog():\n"
            "    logging.getLogger(CONF.prog).critical(\n"
            f"        'The watchdog was not answered in {seconds} seconds, exiting')\n"
            "    os._exit(1)\n\n\n"
        )
        tree = replace_once(tree, _ENGINE, "def main():\n", f"{ending}def main():\n")
        started = f"    threading.Timer({seconds}, _watchdog).start()\n"
        return replace_once(tree, _ENGINE, "    launcher.wait()\n", f"{started}    launcher.wait()\n")

    return edit


def answer_with_header(value: str) -> Edit:
    """Every answer of keystone carries X-Keystone-Change, so that a request shows which code answered it."""

    def edit(tree: Tree) -> Tree:
        varied = "    response.headers['Vary'] = 'X-Auth-Token'\n"
        return replace_once(
            tree,
            "keystone/server/flask/application.py",
            varied,
            f"{varied}    response.headers['X-Keystone-Change'] = '{value}'\n",
        )

    return edit


def mark_names_of_images(mark: str) -> Edit:
    """The names of images are shown with `mark` behind them, so that a list shows which glance-api answered."""

    def edit(tree: Tree) -> Tree:
        first = "            image_view['tags'] = list(image.tags)\n"
        marked = f"            image_view['name'] = '%s ({mark})' % image_view['name']\n"
        return replace_once(tree, "glance/api/v2/images.py", first, marked + first)

    return edit


def name_change_of_providers(value: str) -> Edit:
    """Every resource provider is shown with a key `change`."""

    def edit(tree: Tree) -> Tree:
        first = "        'name': resource_provider.name,\n"
        path = "placement/handlers/resource_provider.py"
        return replace_once(tree, path, first, f"{first}        'change': '{value}',\n")

    return edit


def replace_once(tree: Tree, path: str, old: str, new: str) -> Tree:
    file = tree[path]
    if file.content.count(old.encode()) != 1:
        raise DevswapError(
            f"cannot make the sandbox's change: {path} of this release has not exactly one {old.strip()!r}"
        )
    return {**tree, path: SourceFile(file.content.replace(old.encode(), new.encode()), executable=file.executable)}
