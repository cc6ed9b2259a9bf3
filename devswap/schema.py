"""What a catalogue file may say, key by key, and in what form.

Users write such files too, and devswap works with them as root: a name ends up in paths, in names of units and on
command lines. So each value is held against the form that its kind has, and nothing else passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from devswap.errors import UsageError


@dataclass(frozen=True)
class Form:
    """The form of a value: how it is called, and whether one has it."""

    called: str
    fits: Callable[[Any], bool]


Forms = Mapping[str, "Form | Forms"]


def _text(called: str, pattern: str) -> Form:
    return Form(called, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None)


def _list(called: str, of: Form) -> Form:
    return Form(called, lambda value: isinstance(value, list) and all(of.fits(each) for each in value))


def _is_settings(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return all(re.fullmatch(r"[A-Za-z_]\w*", name) and _LINE.fits(text) for name, text in value.items())


def _is_command(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and _SCRIPT.fits(value[0]) and all(map(_LINE.fits, value))


def _is_port(value: Any) -> bool:
    return type(value) is int and 0 < value < 65536


_LINE = _text("a text of one line", r"[^\x00-\x1f\x7f]*")
_WORD = _text("a word", r"[^\s\x00-\x1f\x7f]+")
_NAME = _text("a name of small letters, digits and dashes", r"[a-z0-9][a-z0-9-]*")
_SCRIPT = _text("the name of a script", r"[A-Za-z0-9][\w.-]*")
_MODULE = _text("the name of a module", r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_CHECKED = _text("the name of a module", r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*)?")
_MODULES = _list("a list of names of modules", _CHECKED)
_UNITS = _list("a list of names of units, without .service", _text("", r"[A-Za-z0-9][\w@:.-]*"))
_PATHS = _list("a list of absolute paths", _text("", r"(?!.*/\.\.(/|$))/[^/\s]+/\S+"))
_FOLDERS = _list("a list of folders of the source tree", _text("", r"(?!.*\.\.)[A-Za-z0-9]\S*"))
_OPTION = _text("", r"OS_[A-Za-z0-9_]+")
_VARIABLES = ("environment", "one_worker")
_SETTINGS = Form("a table of variables", _is_settings)
_PORT = Form("the number of a port", _is_port)

_SQL = _text("the name of a table or a column", r"[A-Za-z_]\w*")
_OPTION_NAME = _text("the name of an option", r"\w[\w-]*")
_COMMANDS = _list("a list of commands, each a list of words", Form("", _is_command))

_COLUMN: Forms = {"table": _SQL, "key": _SQL, "column": _SQL}
DATABASE: Forms = {
    "group": _LINE,
    "option": _OPTION_NAME,
    "sync": _COMMANDS,
    "migrations": _FOLDERS,
    "units": _UNITS,
    "index": {
        "group": _LINE,
        "option": _OPTION_NAME,
        "sync": _COMMANDS,
        "listed_sync": _COMMANDS,
        "migrations": _FOLDERS,
        **_COLUMN,
    },
    "put_back": _COLUMN,
}
SERVICE: Forms = {
    "units": _UNITS,
    "known_by": _PATHS,
    "entry_point": _SCRIPT,
    "check": _MODULES,
    "environment": _SETTINGS,
    "one_worker": _SETTINGS,
    "on_terminal": _list("a list of words", _WORD),
    "queue": {"topic": _WORD, "backends": _OPTION_NAME},
    "called_by": _list("a list of names of services", _NAME),
    "outage": _LINE,
    "starts": _list("a list of words", _WORD),
    "ports": _list("a list of numbers of ports", _PORT),
    "web": {
        "path": _text("a path", r"/[\x21-\x7e]*"),
        "module": _MODULE,
        "group": _LINE,
        "host": _OPTION_NAME,
        "port": _PORT,
        "hosted": Form("true, or not there", lambda value: value is True),
    },
    "database": Form("false, or not there", lambda value: value is False),
    "sqlite": {
        "group": _LINE,
        "option": _OPTION_NAME,
        "default": _text("an absolute path", r"(?!.*/\.\.(/|$))/[^\s]+"),
        "files": _list("a list of patterns of paths below the folder", _text("", r"(?!.*\.\.)[A-Za-z0-9*]\S*")),
    },
    "unsupported": _LINE,
    "supported_where": {
        "group": _LINE,
        "option": _OPTION_NAME,
        "begins": _list("a list of words", _WORD),
        "of_each": _OPTION_NAME,
    },
}
PROJECT: Forms = {
    "project": _NAME,
    "remote": _text("an address", r"[A-Za-z0-9/][^\s\x00-\x1f\x7f]*"),
    "distribution": _text("a name of the package index", r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?"),
    "package": _MODULE,
    "config": _PATHS,
    "oslo_config": Form("false, or not there", lambda value: value is False),
    "environment": _SETTINGS,
    "unsupported": _LINE,
    "database": DATABASE,
}


def check(file: str, read: Mapping[str, Any]) -> None:
    """Raises UsageError that names file and key for what a catalogue file must not say; what it lacks is left open."""
    _check(file, "", {key: value for key, value in read.items() if key != "service"}, PROJECT)
    services = read.get("service", {})
    if not isinstance(services, dict):
        raise _wrong(file, "service", "a table of services")
    for name, table in services.items():
        if not _NAME.fits(name):
            raise _wrong(file, f"service.{name}", _NAME.called)
        _check(file, f"service.{name}.", table, SERVICE)


def check_of_home(file: str, read: Mapping[str, Any], folders: Collection[str]) -> None:
    """The same for what `check` has passed, of a file in a home: it must not say what root would act on.

    Some units begin as root, and whatever they are given begins with them: variables are options of oslo.config, and
    nothing that a loader, a shell or uWSGI obeys. Configuration is read by root: it is in one of `folders`.
    """
    tables = [("", read), *((f"service.{name}.", table) for name, table in read.get("service", {}).items())]
    named = [f"{where}{key}.{name}" for where, table in tables for key in _VARIABLES for name in table.get(key, {})]
    for key in named:
        if not _OPTION.fits(key.rpartition(".")[2]):
            raise _of_root(file, key, "the variable of an option, OS_…")
    for path in read.get("config", ()):
        if path.rpartition("/")[0] not in folders:
            raise _of_root(file, f"config with {path}", "in a folder of a service that is known without it")


def _of_root(file: str, key: str, called: str) -> UsageError:
    hint = "files of root's may have others: /etc/devswap/services"
    return UsageError(f"the catalogue file {file} has {key}, which in a home must be {called}", hint=hint)


def _check(file: str, where: str, table: Any, forms: Forms) -> None:
    if not isinstance(table, dict):
        raise _wrong(file, where.rstrip("."), "a table")
    for key, value in table.items():
        form = forms.get(key)
        if form is None:
            hint = f"known: {', '.join(sorted(forms))}"
            raise UsageError(f"the catalogue file {file} has an unknown key {where}{key}", hint=hint)
        if not isinstance(form, Form):
            _check(file, f"{where}{key}.", value, form)
        elif not form.fits(value):
            raise _wrong(file, f"{where}{key}", form.called)


def _wrong(file: str, key: str, called: str) -> UsageError:
    return UsageError(f"the catalogue file {file} has {key}, which must be {called}")
