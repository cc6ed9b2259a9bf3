"""Keeps secrets out of what people read: screen, log and journal."""

from __future__ import annotations

import re

_WORD = re.compile(r"\S+")
_URL_USER = re.compile(r"\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@]*:(?=.)", re.IGNORECASE)
# Keys are secrets (API_KEY, auth_encryption_key), but not those that are public, nor a database's.
# Lengths are bounded, so that a long line without a blank takes no long time.
_NAME = (
    r"\b[\w-]{0,60}(?:password|passwd|secret|token|(?:\b|_|-)pass|pwd|api_?key"
    r"|(?<!public)(?<!primary)(?<!foreign)[_-]key)\b"
)
_PATH = r"(?![\"']?/(?:etc|var|usr|opt|home|root|run|tmp|openstack)/)"
# A word that is quoted as a whole ('--setenv=ADMIN_PASS=a b'), as shlex.join and shells write it.
_QUOTED_WHOLE = re.compile(
    rf"""(?P<head>(?P<quote>["'])(?:[^\s"'=]{{0,60}}=)?-*{_NAME}\s*=\s*){_PATH}(?:(?!(?P=quote)).)+""", re.IGNORECASE
)
_ASSIGNED = re.compile(
    rf"""(?P<head>["']?{_NAME}["']?\s*[=:]\s*){_PATH}"""
    r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'][^\s]*)""",
    re.IGNORECASE,
)
# "cannot read /etc/passwd: it is gone": words before the name, and a sentence behind it. At the beginning of a line the
# name is a key, whatever its value looks like.
_WORDS_BEFORE = re.compile(r"[a-z][^\n=:]* (?:/[\w./-]*/)?$", re.IGNORECASE)
_SENTENCE = re.compile(r": (?:cannot|has|is|it|must|no|not|that|the|there|they|this|try|use|was) [a-z]+\b(?! *[=:])")
MASK = "***"


def mask(text: str) -> str:
    """`text` with the passwords of URLs and the values of password-like settings replaced by ***."""
    text = _WORD.sub(_without_url_password, text)
    text = _QUOTED_WHOLE.sub(rf"\g<head>{MASK}", text)
    return _ASSIGNED.sub(_without_value, text)


def _without_value(found: re.Match[str]) -> str:
    text = found.string
    before = text[text.rfind("\n", 0, found.start()) + 1 : found.start()][-200:]
    name = found["head"].rstrip(" :=")
    is_prose = name.isalpha() and _WORDS_BEFORE.search(before) and _SENTENCE.match(text, found.start() + len(name))
    return found[0] if is_prose else f"{found['head']}{MASK}"


def _without_url_password(word: re.Match[str]) -> str:
    """scheme://user:SECRET@host, up to the last @: passwords may hold one (RFC 3986 forbids it, people do it)."""
    text = word[0]
    end = text.rfind("@")
    user = _URL_USER.search(text, 0, end) if end > 0 else None
    return f"{text[: user.end()]}{MASK}{text[end:]}" if user else text
