"""Settings come from files, then from the environment, then from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import settings
from devswap.errors import UsageError


def put(home: Path, text: str) -> None:
    path = home / ".config/devswap/config.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def load(home: Path, environment: dict[str, str] | None = None) -> settings.Settings:
    return settings.load(home, environment or {}, trusted=frozenset({0, home.stat().st_uid}))


def test_the_environment_wins_over_the_users_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    put(tmp_path, 'branches_url = "https://a"\nwait = 5\nindex_policy = "private"\n')
    found = load(tmp_path, {"DEVSWAP_WAIT": "7", "DEVSWAP_STATE_DIR": "/elsewhere", "DEVSWAP_PRIVATE_LINKS": "x y"})
    assert (found.branches_url, found.wait, found.index_policy) == ("https://a", 7.0, "private")
    assert found.state_dir == Path("/elsewhere")
    assert found.private_links == ("x", "y")
    assert settings.override(found, {"wait": 9}).wait == 9.0


def test_gerrits_rest_is_asked_without_the_password_that_fetches(tmp_path: Path) -> None:
    found = load(tmp_path, {"DEVSWAP_CHANGES_URL": "https://me:secret@review.example.org/openstack"})
    assert found.rest == "https://review.example.org"


@pytest.mark.parametrize("text", ["no_such = 1", 'index_policy = "all"', "not toml", 'wait = "soon"'])
def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path, text: str) -> None:
    put(tmp_path, text)
    with pytest.raises(UsageError):
        load(tmp_path)


def test_somebody_elses_file_is_not_believed(tmp_path: Path) -> None:
    put(tmp_path, "wait = 5")
    with pytest.raises(UsageError, match="belongs to uid"):
        settings.load(tmp_path, {}, trusted=frozenset({4321}))
