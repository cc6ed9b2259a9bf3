"""The changes under review on the sandbox's git server, for tests, demo and documentation to refer to by purpose.

Each exists once per era, based on what that era's production runs, so that what it shows is its own doing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from devswap.sandbox import (
    edits,
    edits_of_ceilometer,
    edits_of_cinder,
    edits_of_horizon,
    edits_of_neutron,
    edits_of_nova,
    edits_of_swift,
)
from devswap.sandbox.edits import Edit
from devswap.sandbox.releases import ERAS, REVIEW_HOST

HARMLESS = "harmless"
MIGRATION = "migration"
PACKAGE = "package"
BROKEN_IMPORT = "broken import"
DIES = "dies"
DEPENDS_ON = "depends on"
NEEDS_LIBRARY = "needs library"

# What the change for PACKAGE needs: pure Python, published, required by no OpenStack service.
MISSING_PACKAGE = "humanize"
NEW_REVISION = "5d3f0c8a1e42"
NEW_REVISIONS_OF_KEYSTONE = ("7c4e19d2b0a5", "e06b8f3d517c")
"""Of its branches expand and contract."""
NEW_REVISIONS_OF_NOVA = ("3b9a6d41c7e8", "8d2c5f70b1a4")
"""Of its cells and of its API."""
NEW_REVISIONS_OF_NEUTRON = ("c1f07a9e35d8", "94e2b6d80c7a")
"""Of its branches expand and contract."""
DIES_AFTER = 5

_FIRST_NUMBER = {"current": 910000, "2015": 905000}


@dataclass(frozen=True)
class Patchset:
    """One version of a change; `shows` is the text by which its effect is recognised (a mark, a header, a log line)."""

    edit: Edit
    shows: str


@dataclass(frozen=True)
class Change:
    number: int
    project: str
    era: str
    purpose: str
    subject: str
    text: str
    patchsets: tuple[Patchset, ...]
    depends_on: tuple[tuple[str, int], ...] = ()
    """(project, number) of the changes that it names in its footers."""

    @property
    def branch(self) -> str:
        return ERAS[self.era]

    @property
    def change_id(self) -> str:
        return f"I{hashlib.sha1(f'{self.project} {self.number}'.encode()).hexdigest()}"  # noqa: S324 - Gerrit's form

    def ref(self, patchset: int) -> str:
        """Where Gerrit keeps a patchset: refs/changes/01/910101/1."""
        return f"refs/changes/{self.number % 100:02d}/{self.number}/{patchset}"

    @property
    def pull_request(self) -> str:
        """Its newest patchset, where a host like GitHub would keep it."""
        return f"refs/pull/{self.number}/head"

    @property
    def message(self) -> str:
        footers = [
            *(f"Depends-On: https://{REVIEW_HOST}/c/openstack/{name}/+/{number}" for name, number in self.depends_on),
            f"Change-Id: {self.change_id}",
        ]
        return f"{self.subject}\n\n{self.text}\n\n" + "\n".join(footers) + "\n"


def _heat(era: str) -> tuple[Change, ...]:
    first = _FIRST_NUMBER[era] + 100
    marks = tuple(f"change-{first + 1}-{patchset}-" for patchset in (1, 2))
    line = f"Tokens of the new kind are welcome since change {first + 6}"
    return (
        Change(
            first + 1,
            "heat",
            era,
            HARMLESS,
            "Mark random strings with the change that made them",
            "A value of OS::Heat::RandomString says nothing about the engine that\n"
            "generated it. Let it begin with a mark, and log the mark at start.",
            tuple(Patchset(edits.mark_random_strings(mark), mark) for mark in marks),
        ),
        Change(
            first + 2,
            "heat",
            era,
            MIGRATION,
            "Add a note to stacks",
            "Operators keep remarks on stacks outside of heat. Add a nullable column\n"
            "for them; the API follows in a later change.",
            (Patchset(edits.add_note_to_stack(NEW_REVISION), NEW_REVISION),),
        ),
        Change(
            first + 3,
            "heat",
            era,
            PACKAGE,
            "Spell the number of workers out in the log",
            f"Uses {MISSING_PACKAGE}, a new requirement.",
            (Patchset(edits.need_package(MISSING_PACKAGE, f"{MISSING_PACKAGE}>=4.4.0 # MIT"), "engine worker(s)"),),
        ),
        Change(
            first + 4,
            "heat",
            era,
            BROKEN_IMPORT,
            "Move the archive of stacks to its own module",
            "WIP: the new module is not part of this change yet.",
            (
                Patchset(
                    edits.import_what_is_missing(
                        "heat/engine/service.py",
                        "from heat.engine import stack_lock\n",
                        "from heat.engine import stack_archive  # noqa: F401",
                    ),
                    "stack_archive",
                ),
            ),
        ),
        Change(
            first + 5,
            "heat",
            era,
            DIES,
            "Exit when the watchdog is not answered",
            "An engine that hangs is worse than one that ends.",
            (Patchset(edits.die_after(DIES_AFTER), "The watchdog was not answered"),),
        ),
        Change(
            first + 6,
            "heat",
            era,
            DEPENDS_ON,
            "Welcome tokens of the new kind",
            "Needs the change in keystone that lets answers name it.",
            (Patchset(edits.say_at_start(line), line),),
            depends_on=(("keystone", first + 101),),
        ),
        Change(
            first + 7,
            "heat",
            era,
            NEEDS_LIBRARY,
            "Mark random strings with the mark of oslo.context",
            "The library has a mark now, so heat needs none of its own.",
            (Patchset(edits.mark_random_strings_by_library(f"{first + 7}-"), f"{first + 7}-"),),
            depends_on=(("oslo.context", first + 201), ("keystone", first + 101)),
        ),
    )


def _keystone(era: str) -> tuple[Change, ...]:
    first = _FIRST_NUMBER[era] + 200
    header, migrated = f"{first + 1},1", f"{first + 3},1"
    return (
        Change(
            first + 1,
            "keystone",
            era,
            HARMLESS,
            "Name the change in every answer",
            "With several keystones behind one address it is hard to see which one\n"
            "answered. Add a header that says so.",
            (Patchset(edits.answer_with_header(header), f"X-Keystone-Change: {header}"),),
        ),
        Change(
            first + 2,
            "keystone",
            era,
            BROKEN_IMPORT,
            "Serve tags of users",
            "WIP: the API module is not part of this change yet.",
            (
                Patchset(
                    edits.import_what_is_missing(
                        "keystone/server/flask/application.py",
                        "from keystone.api import users\n",
                        "from keystone.api import user_tags  # noqa: F401",
                    ),
                    "user_tags",
                ),
            ),
        ),
        Change(
            first + 3,
            "keystone",
            era,
            MIGRATION,
            "Add a note to projects",
            "A nullable column for what operators write about them; and an index\n"
            "that no query uses goes once all keystones have moved on.",
            (
                Patchset(
                    edits.all_of(
                        edits.add_note_to_project(*NEW_REVISIONS_OF_KEYSTONE), edits.answer_with_header(migrated)
                    ),
                    f"X-Keystone-Change: {migrated}",
                ),
            ),
        ),
    )


def _oslo_context(era: str) -> tuple[Change, ...]:
    number = _FIRST_NUMBER[era] + 301
    marks = tuple(f"change-{number}-{patchset}-" for patchset in (1, 2))
    return (
        Change(
            number,
            "oslo.context",
            era,
            HARMLESS,
            "Add a mark",
            "Services that mark what they make need not each have a mark of their own.",
            tuple(Patchset(edits.add_mark(mark), mark) for mark in marks),
        ),
    )


def _one(era: str, behind: int, project: str, marked: Callable[[str], Edit], subject: str, text: str) -> Change:
    """The one change of a project, which shows itself by its number."""
    number = _FIRST_NUMBER[era] + behind
    return Change(number, project, era, HARMLESS, subject, text, (Patchset(marked(f"{number},1"), f"{number},1"),))


def _glance(era: str) -> Change:
    return _one(
        era,
        401,
        "glance",
        edits.mark_names_of_images,
        "Name the change behind the name of every image",
        "With several glances behind one address it is hard to see which one\nanswered.",
    )


def _placement(era: str) -> Change:
    return _one(
        era,
        501,
        "placement",
        edits.name_change_of_providers,
        "Name the change with every resource provider",
        "With several placements behind one address it is hard to see which one\nanswered.",
    )


def _nova(era: str) -> tuple[Change, ...]:
    first = _FIRST_NUMBER[era] + 600
    mark = f"{first + 1},1"
    return (
        Change(
            first + 1,
            "nova",
            era,
            HARMLESS,
            "Name the change with every server",
            "One sees which API shows a server, which conductor has made it, which\nscheduler"
            " has placed it, and which compute service has spawned it.",
            (Patchset(edits_of_nova.mark_servers(mark), mark),),
        ),
        Change(
            first + 2,
            "nova",
            era,
            MIGRATION,
            "Add notes to services and hosts",
            "Nullable columns for what operators write about them, and a version by\n"
            "which services know of each other that they have them.",
            (Patchset(edits_of_nova.raise_version_and_add_notes(*NEW_REVISIONS_OF_NOVA), NEW_REVISIONS_OF_NOVA[0]),),
        ),
    )


def _cinder(era: str) -> Change:
    return _one(
        era,
        701,
        "cinder",
        edits_of_cinder.mark_volumes,
        "Name the change with every volume",
        "One sees which API shows a volume, which scheduler has placed it, and\nwhich volume service has made it.",
    )


def _ceilometer(era: str) -> Change:
    return _one(
        era,
        801,
        "ceilometer",
        edits_of_ceilometer.mark_samples,
        "Name the change with every sample",
        "One sees which agent has polled a sample, and which one has published it.",
    )


def _swift(era: str) -> tuple[Change, ...]:
    number = _FIRST_NUMBER[era] + 902
    return (
        _one(
            era,
            901,
            "swift",
            edits_of_swift.mark_answers,
            "Name the change in every answer, and with every object",
            "One sees which proxy answers, which object server has read an object, and\nwhich one has stored it.",
        ),
        Change(
            number,
            "swift",
            era,
            MIGRATION,
            "Note in each database which services have opened it",
            "A column that comes to a database when it is opened for the first time,\nas others did before it.",
            (Patchset(edits_of_swift.note_who_opens_databases(), edits_of_swift.SEEN_BY),),
        ),
    )


def _horizon(era: str) -> Change:
    return _one(
        era,
        1101,
        "horizon",
        edits_of_horizon.mark_login_page,
        "Name the change on the login page",
        "In its text, in a file that it leads to, and in a rule of its stylesheet.",
    )


def _neutron(era: str) -> tuple[Change, ...]:
    number = _FIRST_NUMBER[era] + 1002
    return (
        _one(
            era,
            1001,
            "neutron",
            edits_of_neutron.mark_networks,
            "Name the change with every network, port and agent",
            "One sees which API shows a network, which server has heard of an agent,\nand which code runs as root.",
        ),
        Change(
            number,
            "neutron",
            era,
            MIGRATION,
            "Add notes to agents",
            "A nullable column for what operators write about them; and an index\n"
            "that no query needs goes once all servers have moved on.",
            (Patchset(edits_of_neutron.add_note_to_agents(*NEW_REVISIONS_OF_NEUTRON), NEW_REVISIONS_OF_NEUTRON[0]),),
        ),
    )


CHANGES = tuple(change for era in ERAS for change in (*_heat(era), *_keystone(era), *_oslo_context(era)))
# Those to projects that a sandbox can have besides: see additions.py.
ADDED = (
    *(own(era) for era in ERAS for own in (_glance, _placement)),
    *_nova("current"),
    *_neutron("current"),
    *_swift("current"),
    *(own("current") for own in (_cinder, _ceilometer, _horizon)),
)


def change(project: str, purpose: str, era: str = "current") -> Change:
    """The change of `project` made for `purpose`: `change("heat", HARMLESS).ref(2)`."""
    return next(
        each for each in (*CHANGES, *ADDED) if (each.project, each.purpose, each.era) == (project, purpose, era)
    )
