"""No secret reaches a person's screen."""

from __future__ import annotations

import json

import pytest

from devswap import console
from devswap.masking import mask


@pytest.mark.parametrize(
    "text",
    [
        "mysql+pymysql://heat:SECRET@db/heat?charset=utf8",
        "mysql://heat:SECRET@SECRET@db/heat",
        "rabbit://a:SECRET@h1:5671,b:SECRET@h2:5671//heat",
        "connection = mysql://heat:%SECRET%40@db",
        "password=SECRET",
        "OS_PASSWORD: SECRET",
        "'admin_password': 'SECRET'",
        "auth_encryption_key = SECRET",
        "MYSQL_PWD=SECRET",
        "X-Auth-Token: SECRET",
        "ADMIN_PASS=SECRET",
        "export OS_API_KEY=SECRET",
        "memcache_secret_key = SECRET",
        "password = 'a SECRET b'",
        'password="a \\" SECRET b"',
        "password=a,SECRET",
        "password=a&SECRET",
        "password=a'SECRET'",
        """'--setenv=ADMIN_PASS=a SECRET' next""",
        "{'password': 'a, SECRET', 'other': 1}",
        "the password: SECRET is wrong",
        "cannot use password: SECRET",
        "a line\npassword: SECRET it is",
        "heat admin_password: SECRET",
        "/heat/password: SECRET",
        "a key /heat/password: SECRET",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    assert "SECRET" not in mask(text)
    assert "***" in mask(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://opendev.org/openstack/heat",
        "ssh://git@host/x",
        "heat-engine runs at 10:20",
        "public_key = AAAAB3",
        "ssl_key = /etc/heat/ssl.key",
        "a foreign_key: stack_id",
        "compass: north",
        "cannot read /etc/passwd: it is gone",
        "/etc/heat and /etc/passwd: they are not whole",
        "a wrong password: try another one",
        "ask for a token: there is none",
    ],
)
def test_what_holds_none_stays(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize("text", ["password: it is", "x password: it", "x password = it is", "x os_token: it is"])
def test_a_password_that_is_a_word_is_masked_all_the_same(text: str) -> None:
    assert "***" in mask(text)


def test_a_long_word_without_a_password_takes_no_long_time() -> None:
    """Hours, if each place where a URL may begin were read to the end."""
    text = "x://" * 200_000
    assert mask(text) == text


def test_nor_what_a_script_reads(capsys: pytest.CaptureFixture[str]) -> None:
    """What a unit has logged last is part of why it does not start."""
    told = "cannot start heat-api.service: Job failed\ntransport_url = rabbit://heat:SECRET@mq/heat"
    console.show_json({"failed": [told], "swaps": [{"why": told, "outage": 1.5, "at": ("a", None)}]})
    shown = capsys.readouterr().out
    assert "SECRET" not in shown
    masked = told.replace("SECRET", "***")
    assert json.loads(shown) == {
        "version": 1,
        "failed": [masked],
        "swaps": [{"why": masked, "outage": 1.5, "at": ["a", None]}],
    }
