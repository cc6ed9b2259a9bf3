"""The errors devswap tells people about.

DevswapError                exit 1: it failed, production is as before
├── UsageError              exit 2: the command line or the settings ask for something impossible
├── NotWhole                exit 3: production is not whole, `devswap restore` goes on
├── Unrecognised            exit 3 in the end: a file of a step is neither as it was nor as the step left it
├── Postponed               exit 3 in the end: an undo must wait, and is in the way of no other
├── NotServing              exit 1: what was started does not answer, and what had begun is rolled back
├── Busy                    exit 1: somebody works on the swap or its database, and is not ended or waited for
├── PackagesRefused         exit 1: the policy for indexes forbids what the checkout needs
├── OtherDatabase           exit 1: a database that devswap's tools can neither ask nor save, where that is needed
├── MachineGone             exit 1: the machine does not exist any more; a rollback passes it over
├── Interrupted             exit 130: Ctrl-C, and what had begun is rolled back
└── CommandFailed           a process ended with a code that its caller does not understand
    └── CommandTimeout      a process had not ended at its deadline
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devswap.process import Result


class DevswapError(Exception):
    """What could not be done and why (lowercase, no period), with what to type next as `hint`."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(DevswapError):
    exit_code = 2


class NotWhole(DevswapError):
    exit_code = 3


class Unrecognised(DevswapError):
    """The file `path` of the machine `on` is somebody else's work by now: an undo leaves it, and stops.

    It `can_stay` unless production cannot run beside it; it `can_go` unless others need the file too.
    """

    def __init__(self, message: str, *, on: str, path: str, can_stay: bool = True, can_go: bool = True) -> None:
        super().__init__(message)
        self.on = on
        self.path = path
        self.can_stay = can_stay
        self.can_go = can_go


class OtherDatabase(DevswapError):
    pass


class Postponed(DevswapError):
    """The step stays in the journal for its `cause`; what comes after it on the way back is done all the same."""

    def __init__(self, cause: DevswapError) -> None:
        super().__init__(cause.message, hint=cause.hint)
        self.cause = cause


class Untouched(DevswapError):
    """A takeover that was given up before it changed anything of `service`: what runs goes on."""

    def __init__(self, message: str, *, service: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.service = service


class NotServing(DevswapError):
    """A run that must serve ends with it; one that need not stays as it is."""


class Busy(DevswapError):
    """The restore after a restart passes such a swap over; a run on a terminal asks again."""


class PackagesRefused(DevswapError):
    """Who knows the command that was typed says how it would be allowed."""


class MachineGone(DevswapError):
    """What was changed on the machine `address` went with it."""

    def __init__(self, message: str, *, address: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.address = address


class Interrupted(DevswapError):
    exit_code = 130


class CommandFailed(DevswapError):
    """Carries the `result`, so that a caller can say it in the user's words."""

    def __init__(self, message: str, *, result: Result, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.result = result


class CommandTimeout(CommandFailed):
    pass
