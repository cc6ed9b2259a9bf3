"""Who is behind a run, and what of theirs may be used."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from devswap.errors import DevswapError
from devswap.invoker import UserHome, invoking_user
from devswap.process import Identity

NOBODY = pwd.getpwnam("nobody")
ROOT = os.geteuid() == 0


def test_with_sudo_it_is_the_person_who_typed_it() -> None:
    who = invoking_user({"SUDO_UID": str(NOBODY.pw_uid), "SUDO_USER": "nobody"}, uid=0)
    assert (who.user, who.uid, who.home) == ("nobody", NOBODY.pw_uid, Path(NOBODY.pw_dir))
    assert who.identity is not None
    assert (who.identity.uid, who.identity.gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert NOBODY.pw_gid in who.identity.groups
    assert who.folder == Path(NOBODY.pw_dir) / ".local/share/devswap"


@pytest.mark.parametrize("environment", [{}, {"SUDO_UID": ""}, {"SUDO_UID": "x"}, {"SUDO_UID": "0"}])
def test_root_without_sudo_is_root_itself(environment: dict[str, str]) -> None:
    who = invoking_user(environment, uid=0)
    assert (who.user, who.identity) == ("root", None)


def test_without_root_nobody_else_can_be_claimed() -> None:
    who = invoking_user({"SUDO_UID": "0", "SUDO_USER": "root"}, uid=NOBODY.pw_uid)
    assert (who.user, who.identity) == ("nobody", None)


def test_a_number_that_this_host_does_not_know_is_said() -> None:
    with pytest.raises(DevswapError, match="no user with the number 4000123") as caught:
        invoking_user({"SUDO_UID": "4000123"}, uid=0)
    assert caught.value.hint


def test_their_processes_get_their_home_and_nothing_of_roots() -> None:
    who = UserHome("ada", 1234, Identity(1234, 1234), Path("/home/ada"), Path("/home/ada/x"))
    outer = {"HOME": "/root", "PATH": "/bin", "LD_PRELOAD": "x", "GIT_DIR": "/x", "https_proxy": "http://proxy"}
    assert who.environment(outer) == {
        "HOME": "/home/ada",
        "USER": "ada",
        "LOGNAME": "ada",
        "LC_ALL": "C.UTF-8",
        "PATH": "/bin",
        "https_proxy": "http://proxy",
    }


def test_what_does_not_exist_yet_is_theirs_to_make(tmp_path: Path) -> None:
    who = UserHome("me", os.geteuid(), None, tmp_path, tmp_path / "folder")
    who.check_owner(tmp_path / "folder" / "deep" / "below")


@pytest.mark.skipif(not ROOT, reason="needs root to make files of another user")
@pytest.mark.parametrize("foreign", [".local", ".local/share", ".local/share/devswap"])
def test_a_folder_of_somebody_else_anywhere_on_the_way_is_refused(tmp_path: Path, foreign: str) -> None:
    who = UserHome("ada", 1234, None, tmp_path, tmp_path / ".local/share/devswap")
    who.folder.mkdir(parents=True)
    who.check_owner(who.folder / "mirrors")
    os.chown(tmp_path / foreign, 4321, 4321)
    with pytest.raises(DevswapError, match=f"cannot use {tmp_path / foreign}: it belongs to user 4321, not to ada"):
        who.check_owner(who.folder / "mirrors")
