"""A person's editor runs as that person, and what it leaves is looked at before it is believed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap import editor
from devswap.errors import DevswapError, UsageError
from devswap.invoker import UserHome
from devswap.process import Identity


def nobody(tmp_path: Path) -> UserHome:
    return UserHome("nobody", 65534, Identity(65534, 65534), tmp_path, tmp_path)


def program(tmp_path: Path, script: str) -> dict[str, str]:
    """An editor that everybody may run."""
    os.chmod(tmp_path, 0o755)
    path = Path("/run") / f"devswap-test-{os.getpid()}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"EDITOR": str(path), "PATH": os.environ["PATH"]}


@pytest.fixture
def memory() -> Iterator[Path]:
    """Where editors have their copies; nobody but root may look into the tests' own folders."""
    with tempfile.TemporaryDirectory(dir="/run") as name, pytest.MonkeyPatch.context() as patch:
        Path(name).chmod(0o711)
        patch.setattr(editor, "_MEMORY", Path(name))
        yield Path(name)
    (Path("/run") / f"devswap-test-{os.getpid()}").unlink(missing_ok=True)


def test_what_a_killed_one_has_left_is_swept(memory: Path, tmp_path: Path) -> None:
    left, open_still = memory / "devswap-edit-4194305-x", memory / f"devswap-edit-{os.getpid()}-y"
    for folder in (left, open_still):
        folder.mkdir()
    editor.edit(nobody(tmp_path), "x", "text", program(tmp_path, "true"))
    assert list(memory.iterdir()) == [open_still]


def test_the_editor_runs_as_the_person_on_a_copy_that_nobody_else_may_read(memory: Path, tmp_path: Path) -> None:
    script = 'stat -c %a "$1" "$(dirname "$1")" >> "$1"; id -un >> "$1"; basename "$1" >> "$1"'
    found = editor.edit(nobody(tmp_path), "heat.conf", "secret\n", program(tmp_path, script))
    assert found == "secret\n600\n700\nnobody\nheat.conf\n"
    assert not list(memory.iterdir())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "ended with 3"),
        ('ln -sf /etc/shadow "$1"', "cannot read"),
        ('rm "$1"; mkfifo "$1"', "no plain file"),
        ('rm "$1"', "cannot read"),
        (r'printf "\377" > "$1"', "no text"),
    ],
)
def test_what_an_editor_leaves_is_not_believed(memory: Path, tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(DevswapError, match=said):
        editor.edit(nobody(tmp_path), "x", "text", program(tmp_path, script))
    assert not list(memory.iterdir())


def test_a_file_that_is_no_text_is_not_taken_for_one(memory: Path, tmp_path: Path) -> None:
    theirs = memory / "latin"
    theirs.write_bytes(b"gr\xfc\xdfe\n")
    theirs.chmod(0o644)
    with pytest.raises(UsageError, match="is no text"):
        editor.read_as(nobody(tmp_path), str(theirs))
    with pytest.raises(UsageError, match="standard input is no text"):
        editor.of_text("standard input", theirs.read_text(encoding="utf-8", errors="surrogateescape"))


def test_without_an_editor_and_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no editor"):
        editor.edit(nobody(tmp_path), "x", "text", {})


@pytest.mark.parametrize(
    ("named", "said"), [("vi 'x", "cannot read EDITOR"), ("/etc/hostname", "cannot run"), ("/none", "cannot run")]
)
def test_an_editor_that_cannot_be_run_is_named(memory: Path, tmp_path: Path, named: str, said: str) -> None:
    with pytest.raises(DevswapError, match=said):
        editor.edit(nobody(tmp_path), "x", "text", {"EDITOR": named, "PATH": os.environ["PATH"]})
    assert not list(memory.iterdir())
