"""uWSGI's ini files as uWSGI reads them: sections, placeholders, files that name others, conditions.

Pure: text in, options out. The rules are those of uWSGI 2.0 (core/ini.c, core/config.c, config_magic_table_fill). What
only a running uWSGI can know is refused where it decides something that devswap must know, and passed over elsewhere.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from devswap.errors import DevswapError

Read = Callable[[str], str | None]

LOADERS = ("ini", "include", "inherit", "config")
"""The options whose value is a file to read."""
_OTHER_FORMATS = ("xml", "xmlconfig", "yaml", "yml", "json", "js", "emperor")
_PLACEHOLDERS = ("set", "set-placeholder", "set-ph")
_CONDITION = re.compile(r"if-.+|ifenv|for(-.+)?")
_END = ("end", "endif", "end-if", "endfor", "end-for")
# Of uWSGI's one-letter placeholders, those that only it knows: times, numbers of processors and inodes, its own path …
_UNKNOWN = frozenset("tTVkuUgGbijIJ[")
_OF_THE_FIRST_FILE = "OPDSCENX"
_UNRESOLVED = re.compile(rf"%[{re.escape(''.join(sorted(_UNKNOWN)))}]|%\([^)]*\)|\$\([^)]*\)|@\([^)]*\)")
_DEEPEST = 8


@dataclass(frozen=True)
class Option:
    name: str
    value: str
    file: str
    """Where it stands; empty for the command line."""


class Reader:
    """Takes options in the order in which uWSGI does; `options` has all of them once it is `done`.

    `matters` tells the names of those that must be known for certain.
    """

    def __init__(self, read: Read, environment: Mapping[str, str], folder: str, matters: Callable[[str], bool]) -> None:
        self._read = read
        self._environment = environment
        self._folder = folder
        self._matters = matters
        self.options: list[Option] = []
        self.files: dict[str, tuple[str, str]] = {}
        """(path, section) of each value that named a file."""
        self.magic: dict[str, dict[str, str | None]] = {}
        """What the one-letter placeholders in a file stand for; None for what is not known."""
        self._first: dict[str, str] = {}
        self._last = ""
        self._inherited: list[str] = []
        self._depth = 0
        self._holds: bool | None = True
        """Whether the condition that stands before an option is met; None where that is not known."""
        self._said, self._subject = "", ""

    def take(self, name: str, value: str, file: str = "") -> None:
        if name in _END:
            self._holds = True
        elif name == "else":
            self._holds = None if self._holds is None else not self._holds
        elif self._holds is False:
            pass
        elif _CONDITION.fullmatch(name):
            self._said = f"{name} = {value}"
            self._holds = None if self._holds is None else self._is_met(name, value)
        elif self._holds is None:
            if self._matters(name):
                raise _unreadable(f"{file} has {name} behind {self._said}, which only uWSGI can decide")
        else:
            self._add(name, value.replace("%(_)", self._subject), file)

    def done(self) -> tuple[Option, ...]:
        """Everything that was taken, with its placeholders filled. Raises for one that matters and is not known."""
        while self._inherited:
            self._load(self._inherited.pop(0))
        return tuple(self._filled_options())

    def _add(self, name: str, value: str, file: str) -> None:
        if name in _OTHER_FORMATS:
            raise _unreadable(f"--{name} {value} is no ini file")
        self.options.append(Option(name, value, file))
        if name in _PLACEHOLDERS and "=" in value:
            inner, _, text = value.partition("=")
            self._add(inner, text, file)
        elif name == "inherit":  # read once all else is
            self._inherited.append(value)
        elif name in LOADERS:
            self._load(value)

    # --- conditions -------------------------------------------------------------------------------------------------

    def _is_met(self, name: str, value: str) -> bool | None:
        key, equals, wanted = value.partition("=")
        if name in ("if-reload", "if-not-reload"):
            return name == "if-not-reload"
        if name in ("if-file", "if-not-file"):
            self._subject = value
            return (self._read(posixpath.join(self._folder, value)) is not None) == (name == "if-file")
        if name in ("if-env", "ifenv", "if-not-env"):
            found = self._environment.get(key)
        elif name in ("if-opt", "if-not-opt"):
            found = next((each.value for each in self.options if each.name == key), None)
        else:
            return None
        self._subject = found or ""
        met = found == wanted if equals else found is not None
        return met != name.startswith("if-not-")

    # --- files ------------------------------------------------------------------------------------------------------

    def _load(self, value: str) -> None:
        if value == "-" or "://" in value:
            raise _unreadable(f"{value} is no file")
        named, _, section = value.rpartition(":") if ":" in value else (value, "", "")
        path = posixpath.join(self._folder, named) if named else self._last
        if posixpath.splitext(path)[1] in (".xml", ".yml", ".yaml", ".js", ".json"):
            raise _unreadable(f"{path} is no ini file")
        text = self._read(path)
        if text is None:
            raise _unreadable(f"there is no file {path}")
        if self._depth > _DEEPEST:
            raise _unreadable(f"{path} names files that name it again")
        self.files[value] = (path, section)
        self._last, self._depth = path, self._depth + 1
        filled = self._filled(text, path, {**_magic(path), "o": named, "x": section})
        for name, inner in _section(filled, section or "uwsgi"):
            self.take(name, inner, path)
        self._depth -= 1

    def _filled(self, text: str, path: str, own: Mapping[str, str]) -> str:
        """With all that `%` and one letter stand for; a letter that means nothing vanishes with its `%`."""
        self._first = self._first or {name: own[name.lower()] for name in _OF_THE_FIRST_FILE}
        hostname = (self._read("/etc/hostname") or "").strip()
        known = {**own, **self._first, "v": self._folder, "%": "%", "(": "%(", **({"h": hostname} if hostname else {})}
        said = set(re.findall(r"%(.)", text.replace("%%", "")))
        self.magic.setdefault(path, {}).update({name: known[name] for name in said & (own.keys() | self._first.keys())})
        self.magic[path].update(dict.fromkeys(said & set("bijIJ")))
        unknown = _UNKNOWN | ({"h"} - known.keys())
        return re.sub(r"%(.)", lambda match: match[0] if match[1] in unknown else known.get(match[1], ""), text)

    # --- what stands for what ---------------------------------------------------------------------------------------

    def _filled_options(self) -> Iterator[Option]:
        outside = [replace(option, value=self._from_outside(option.value)) for option in self.options]
        known: dict[str, str] = {}
        for option in outside:
            known.setdefault(option.name, option.value)
        for option in outside:
            value = re.sub(r"%\(([^)]*)\)", lambda match: known.get(match[1], match[0]), option.value)
            if known[option.name] == option.value:
                known[option.name] = value
            unresolved = _UNRESOLVED.search(value)
            if unresolved and self._matters(option.name):
                where = option.file or "its command line"
                raise _unreadable(f"{where} has {unresolved[0]} in {option.name}, which only uWSGI knows")
            yield replace(option, value=value)

    def _from_outside(self, value: str) -> str:
        """With variables of its environment and contents of files; uWSGI leaves one that is not there as it is."""
        value = re.sub(r"\$\(([^)]*)\)", lambda match: self._environment.get(match[1], match[0]), value)
        return re.sub(r"@\(([^)]*)\)", lambda match: self._content(match[1], match[0]), value)

    def _content(self, path: str, otherwise: str) -> str:
        text = self._read(posixpath.join(self._folder, path))
        return otherwise if text is None else text.removesuffix("\n")


def _magic(path: str) -> dict[str, str]:
    """What the letters stand for that are about the file they stand in."""
    folder, name = posixpath.split(path)
    stem, dot, ending = name.rpartition(".")
    parts = [part for part in folder.split("/") if part][:10]
    found = {
        "p": path,
        "d": f"{folder.rstrip('/')}/",
        "s": name,
        "c": posixpath.basename(folder),
        "e": ending if dot else "",
        "n": stem if dot else name,
    }
    return found | {str(number): part for number, part in enumerate(parts)}


def _section(text: str, wanted: str) -> Iterator[tuple[str, str]]:
    section = ""
    for raw in text.split("\n"):
        line = raw.strip(" \t\r")
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = line[1:-1]
        elif section == wanted:
            name, _, value = line.partition("=")
            yield name.rstrip(" \t\r"), value.lstrip(" \t\r")


def _unreadable(why: str) -> DevswapError:
    return DevswapError(f"cannot read how uWSGI is configured: {why}")
