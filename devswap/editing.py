"""`devswap edit`: a file of /etc for development alone."""

from __future__ import annotations

import difflib
import hashlib
import posixpath
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from devswap import edits, fingerprint, locate, plan, systemd, way
from devswap.edits import Copy, Edits
from devswap.errors import CommandFailed, DevswapError, UsageError
from devswap.host import Host
from devswap.journal import Swap
from devswap.machine import Machine
from devswap.masking import mask
from devswap.slot import Slot

_UNREADABLE = 1  # test(1)
_READ_SECONDS = 30.0  # a pipe in the place of a file would be waited for


@dataclass(frozen=True)
class _Place:
    """Where the copies of one swap are, and where they are seen."""

    host: Host
    swap: Swap

    @property
    def machine(self) -> Machine:
        return self.host.machine(self.swap.machine)

    @property
    def slot(self) -> Slot:
        return plan.slot(self.swap.service, self.swap.slot)

    @property
    def edits(self) -> Edits:
        return edits.of(self.host, self.swap.service, self.swap.machine)


def edit(host: Host, service: str, machine: str | None, file: str, change: Callable[[str, str], str]) -> str:
    """Give development its own copy of `file`, which `change` makes of (name, text); what to say then.

    Raises DevswapError, and then nothing has changed, where the service could not start with it.
    """
    place = _of_swap(host, service, machine)
    path = _path(place.swap, file)
    _require_folders(place, path)
    theirs, found = _text(place.machine, path, service, edits.account(place.swap)), place.edits
    mine = _to_go_on_from(place, found, path)
    text = change(posixpath.basename(path), mine if mine is not None else theirs or "")
    if text == (theirs or ""):
        if path in found.copies:
            found.without(path)
            return f"{path} is as production's: the copy is forgotten"
        return f"{path} was not changed"
    if text == mine and path in found.of_swap(place.swap):
        return f"{path} was not changed"
    _put(place, path, text, found.text(path))
    made_of = found.copies[path].production if mine is not None else _digest(theirs)
    found.with_copy(path, Copy(host.home().user, made_of, place.swap.since, edits.account(place.swap)))
    return _told(service, [path])


def _to_go_on_from(place: _Place, found: Edits, path: str) -> str | None:
    """The copy that is in force, or the person's own from an earlier swap; somebody else's is not asked for."""
    if path in found.of_others(place.swap):
        if found.copies[path].user != place.host.home().user:
            return None
        place.host.say(f"going on from what you made of {path} for an earlier swap; --drop forgets that")
    return found.text(path)


def again(host: Host, service: str, machine: str | None) -> str:
    """Have the copies of an earlier swap in force."""
    place = _of_swap(host, service, machine)
    found = place.edits
    if not found.copies:
        raise _nothing(service)
    return _told(service, found.for_swap(place.swap).of_swap(place.swap))


def _told(service: str, paths: Sequence[str]) -> str:
    return f"{service} reads its own copy of {', '.join(paths)} from its next start on: devswap run {service}"


def _nothing(service: str) -> DevswapError:
    return DevswapError(f"nobody has edited a file of {service}", hint=f"devswap edit {service} FILE")


def drop(host: Host, service: str, machine: str | None, file: str | None) -> str:
    """Forget the copy of `file`, or all of them; also when the service is not swapped any more."""
    found = _of_anybody(host, service, machine)
    paths = sorted(found.copies) if file is None else [_named(found, file)]
    for path in paths:
        found = found.without(path)
    return f"forgotten: {', '.join(paths)}"


def differences(host: Host, service: str, machine: str | None, file: str | None) -> Iterator[str]:
    """Unified, of production's files against the copies; without passwords."""
    found = _of_anybody(host, service, machine)
    for path in sorted(found.copies) if file is None else [_named(found, file)]:
        account = found.copies[path].account
        if not all(account):
            raise DevswapError(
                f"cannot compare {path}: it was not noted as whom {service} reads production's",
                hint=f"devswap edit {service} --again, while it is swapped",
            )
        theirs = _text(host.machine(found.machine), path, service, account)
        if _digest(theirs) != found.copies[path].production:
            yield f"# production's {path} was changed after the copy was made"
        old, new = (mask(text).splitlines() for text in (theirs or "", found.text(path) or ""))
        yield from difflib.unified_diff(old, new, f"production{path}", f"{service}{path}", lineterm="")


def _of_swap(host: Host, service: str, machine: str | None) -> _Place:
    journal = locate.swap(host, service, machine)
    locate.require_owner(host, journal)
    place = _Place(host, journal.swap)
    if way.is_in_apache(journal.swap):
        raise DevswapError(
            f"Apache runs {service}, and reads production's files", hint="leave --apache out of its checkout"
        )
    mounted = place.machine.mounted(place.slot.checkout), place.machine.mounted(place.slot.edited)
    if mounted[0] and not mounted[1]:
        raise DevswapError(
            f"{service} was taken over by a devswap that knew nothing of edited files",
            hint=f"once more: devswap checkout {service} {journal.swap.ref}",
        )
    if not mounted[1]:
        raise DevswapError(
            f"the checkout of {service} is not in {place.machine.name}: its machine was restarted",
            hint=f"devswap run {service}, or devswap restore {service}",
        )
    return place


def _of_anybody(host: Host, service: str, machine: str | None) -> Edits:
    found = [each for each in edits.of_service(host, service) if locate.is_named(each.machine, machine)]
    if len(found) == 1:
        return found[0]
    if found:
        where = ", ".join(each.machine for each in found)
        raise UsageError(f"files of {service} are edited in {where}", hint=f"say which: --machine {found[0].machine}")
    raise _nothing(service)


def _path(swap: Swap, file: str) -> str:
    """The path of `file`, which is below the folders of the service's configuration."""
    folders = fingerprint.watched_from_json(swap.watched).folders
    path = posixpath.normpath(posixpath.join(folders[0], file))
    if not edits.is_plain(path):
        raise UsageError(f"{path!r} has signs in its name that a unit cannot be told", hint="edit another file")
    if not any(path.startswith(f"{folder}/") for folder in folders):
        raise UsageError(
            f"{file} is no file below {' or '.join(folders)}",
            hint=f"devswap edit {swap.service} {shlex.quote(posixpath.basename(path))}",
        )
    return path


def _require_folders(place: _Place, path: str) -> None:
    """Raise where what should be a folder above `path` is a file, in production or among the copies."""
    above = posixpath.dirname(path)
    while above != "/":
        if above in place.edits.copies or (place.machine.exists(above) and not place.machine.is_folder(above)):
            raise UsageError(f"{above} is a file", hint=f"devswap edit {place.swap.service} {above}")
        above = posixpath.dirname(above)


def _named(found: Edits, file: str) -> str:
    named = [path for path in found.copies if path == file or path.endswith(f"/{file}")]
    if len(named) == 1:
        return named[0]
    raise UsageError(f"there is no copy of {file}", hint=f"there are copies of {', '.join(sorted(found.copies))}")


def _text(machine: Machine, path: str, service: str, account: tuple[str, str]) -> str | None:
    """Production's file, read as the service's user: whoever works with the service sees no more of it than that."""
    if machine.is_folder(path):
        raise UsageError(f"{path} is a folder", hint="a file in it")
    if not machine.exists(path):
        return None
    user, group = account
    unit = f"devswap-{service}-reads.service"
    try:
        read = systemd.run_in_unit(
            machine, unit, ["cat", "--", path], user=user, group=group, cwd="/", timeout=_READ_SECONDS
        )
    except CommandFailed as error:
        raise _unreadable(machine, user, path) from error
    if "\ufffd" in read.stdout:  # in the place of what is not UTF-8
        raise DevswapError(f"cannot edit {path}: it is no text", hint="only text in UTF-8 can be edited")
    return read.stdout


def _unreadable(machine: Machine, user: str, path: str) -> DevswapError:
    return DevswapError(
        f"{user} in {machine.name} could not read {path}: nothing was changed",
        hint=f"may {user} read production's, and pass the folders above it?",
    )


def _put(place: _Place, path: str, text: str, before: str | None) -> None:
    """Write the copy, then see whether a unit can be started that reads it."""
    machine, target = place.machine, f"{place.slot.edited}{path}"
    like = next((each for each in (path, *place.swap.deployment["config_files"]) if machine.exists(each)), None)
    machine.write_text(target, text, mode=0o600, like=like)
    try:
        _try(place, path)
    except BaseException:
        if before is None:
            machine.remove(target)
        else:
            machine.write_text(target, before, mode=0o600, like=like)
        raise


def _try(place: _Place, path: str) -> None:
    swap = place.swap
    paths = sorted({path, *edits.in_force(place.host, swap)})
    try:
        systemd.run_in_unit(
            place.machine,
            f"devswap-{swap.service}-check.service",
            ["test", "-r", path],
            user=swap.deployment["user"],
            group=swap.deployment["group"],
            properties=edits.view(place.machine, place.slot, paths),
        )
    except CommandFailed as error:
        user, name = swap.deployment["user"], place.machine.name
        if error.result.code == _UNREADABLE:
            raise _unreadable(place.machine, user, path) from error
        raise DevswapError(
            f"{name} cannot show {swap.service} a file of its own: {error.result.tail or error.result.code}",
            hint="does its container allow mounts? systemd says more: journalctl -b",
        ) from error


def _digest(text: str | None) -> str:
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()
