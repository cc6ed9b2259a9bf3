"""What is asked of which index, by what pip says; pip itself is run in tests/integration/test_packages.py."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

import pytest

from devswap.errors import CommandFailed, DevswapError
from devswap.installer import Inside, Installer
from devswap.machine import Machine
from devswap.package_index import Indexes, IndexPolicy
from devswap.process import Result
from devswap.requirements import Production, Unmet
from devswap.slot import Slot

LACKING = (
    "ERROR: Could not find a version that satisfies the requirement libone (from versions: none)\n"
    "ERROR: No matching distribution found for libone\n"
)
UNHEARD = "Could not fetch URL http://u:geheim@repo/w/: connection error: Connection refused - skipping\n"


class Silent:
    """A machine whose private index does not answer; `asked` are the commands of pip."""

    name = "web"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def run(self, argv: Sequence[str], **_: Any) -> Result:
        if argv[0] == "systemctl":
            return Result(tuple(argv), 0, "", "")
        arguments = json.loads(argv[-1])["arguments"]
        self.asked.append(arguments[0])
        said = UNHEARD + LACKING if arguments[0] == "index" else LACKING
        raise CommandFailed("pip failed", result=Result(tuple(argv), 1, said, ""))


@pytest.mark.parametrize("policy", [IndexPolicy.FALLBACK, IndexPolicy.PRIVATE])
def test_what_a_private_page_may_have_is_neither_lacking_nor_fetched_while_it_does_not_answer(
    policy: IndexPolicy,
) -> None:
    machine, said = Silent(), list[str]()
    inside = Inside(cast(Machine, machine), Slot("/checkout", "/overlay"), "devswap-x.service", "heat", "heat")
    indexes = Indexes(links=("http://u:geheim@repo/w/",))
    installer = Installer(inside, indexes, policy, Production({}, {}, lambda name: ()), said.append)
    with pytest.raises(DevswapError, match="which may have libone, does not answer: http://u:") as told:
        installer.install([Unmet("libone", "libone", "demo needs it")], "")
    assert "geheim" not in told.value.message
    assert machine.asked == ["install", "index"]
    assert said == []
