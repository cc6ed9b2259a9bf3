"""HAProxy's configuration as text: what is read from it, and that an edit changes its own line and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devswap import haproxy, haproxy_edits
from devswap.haproxy import Server
from devswap.haproxy_edits import Edit

PATH = "/etc/haproxy/haproxy.cfg"
TEXT = """# Ansible managed
global
    stats socket /run/a.sock mode 660
    stats socket unix@/run/b.sock level admin expose-fd listeners # "the" one
    daemon
defaults
    mode http
    timeout server 50s
    default-server inter 3s
frontend keystone-front
    bind :5000
    default_backend keystone-back
backend keystone-back   # two of them
    balance leastconn
\tserver  one 10.0.0.1:5000   check  weight 10 # the "first"
    server two 10.0.0.2:5000 check inter 12000 rise 3 fall 3
    server old 10.0.0.3:5000 check backup
listen mysql
    mode tcp
    default-server backup
    server one 10.0.0.1:3306 check
    server two [fd00::2]:3306 no-backup disabled
    server "with space" db.example.org:3306 ssl verify none
"""


def servers(text: str = TEXT) -> dict[str, Server]:
    return {server.key: server for server in haproxy.read([(PATH, text)]).servers}


def test_what_moves_traffic_is_read() -> None:
    found = servers()
    assert list(found) == [
        "keystone-back/one",
        "keystone-back/two",
        "keystone-back/old",
        "mysql/one",
        "mysql/two",
        "mysql/with space",
    ]
    one, two, named = found["keystone-back/one"], found["mysql/two"], found["mysql/with space"]
    assert (one.host, one.port, one.http, one.backup, one.disabled) == ("10.0.0.1", 5000, True, False, False)
    assert found["keystone-back/old"].backup
    assert found["mysql/one"].backup
    assert (two.host, two.port, two.http, two.backup, two.disabled) == ("fd00::2", 3306, False, False, True)
    assert (named.tls, named.backup) == (True, True)


def test_the_socket_that_may_do_most_is_the_one() -> None:
    found = haproxy.read([(PATH, TEXT)])
    assert found.socket == haproxy.Socket("/run/b.sock", admin=True, passes_listeners=True)
    operator = haproxy.read([(PATH, TEXT.replace("level admin", "level operator"))])
    assert operator.socket is not None
    assert not operator.socket.admin
    assert haproxy.read([(PATH, "global\n    stats socket ipv4@127.0.0.1:999 level admin\n")]).socket is None


def test_defaults_reach_the_files_behind_them_and_variables_are_seen() -> None:
    found = haproxy.read([("/a", "defaults\n mode http\n"), ("/b", 'backend x\n server a "${HOST}":80 check\n')])
    assert found.servers[0].http
    assert found.variables == {"HOST"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('server "a b" 1:2 # c', ["server", "a b", "1:2"]),
        (r"stats realm Haproxy\ Statistics", ["stats", "realm", "Haproxy Statistics"]),
        ("http-request set-header x 'a # b'", ["http-request", "set-header", "x", "a # b"]),
        (r'say "a \"b\"" \# c', ["say", 'a "b"', "#", "c"]),
        ("server a 1:2#comment", ["server", "a", "1:2"]),
        ("   ", []),
        ("# only", []),
    ],
)
def test_words_are_read_as_haproxy_reads_them(line: str, expected: list[str]) -> None:
    assert haproxy.texts(line) == expected


@pytest.mark.parametrize(
    ("key", "flags", "expected"),
    [
        ("keystone-back/one", (True, False), '\tserver  one 10.0.0.1:5000   check  weight 10 backup # the "first"'),
        (
            "keystone-back/one",
            (True, True),
            '\tserver  one 10.0.0.1:5000   check  weight 10 backup disabled # the "first"',
        ),
        ("keystone-back/old", (False, False), "    server old 10.0.0.3:5000 check"),
        ("mysql/one", (False, False), "    server one 10.0.0.1:3306 check no-backup"),
        ("mysql/two", (True, False), "    server two [fd00::2]:3306"),
        ("keystone-back/two", (False, False), "    server two 10.0.0.2:5000 check inter 12000 rise 3 fall 3"),
    ],
)
def test_flags_are_words_at_the_end_and_the_rest_of_the_line_stays(
    key: str, flags: tuple[bool, bool], expected: str
) -> None:
    assert haproxy_edits.flagged(servers()[key], backup=flags[0], disabled=flags[1]) == expected


def test_patience_forgives_an_hour_of_failed_checks_and_no_refused_connection() -> None:
    found = servers()
    two = found["keystone-back/two"]
    assert haproxy_edits.patient(two, two.line).endswith(
        "inter 12000 rise 3 fall 300 observe layer4 error-limit 1 on-error mark-down"
    )
    assert " fall 1200 " in haproxy_edits.patient(found["keystone-back/one"], found["keystone-back/one"].line)
    unchecked = found["mysql/two"]
    assert haproxy_edits.patient(unchecked, unchecked.line) == unchecked.line


@pytest.mark.parametrize(
    ("defaults", "line", "fall"),
    [
        ("", "check", 1800),  # every two seconds, as HAProxy does by itself
        ("default-server inter 5s fall 2", "check", 720),
        ("default-server inter 5s\n    default-server check inter 10s", "", 360),
        ("default-server inter 5s", "check inter 20s", 180),
        ("default-server inter 20s fastinter 500", "check", 7200),
        ("default-server fastinter 1s", "check inter 1m fastinter 30s", 120),
    ],
)
def test_patience_counts_checks_as_the_defaults_space_them(defaults: str, line: str, fall: int) -> None:
    text = f"defaults\n    {defaults}\nbackend a\n    server one 10.0.0.1:80 {line}\n"
    one = servers(text)["a/one"]
    assert f"fall {fall} observe layer4" in haproxy_edits.patient(one, one.line)
    text = f"backend a\n    {defaults}\n    server one 10.0.0.1:80 {line}\nbackend b\n    server one 10.0.0.1:80\n"
    assert haproxy_edits.patient(servers(text)["a/one"], one.line) == haproxy_edits.patient(one, one.line)
    assert servers(text)["b/one"].defaults == ()


def test_patience_leaves_what_the_defaults_say_of_errors() -> None:
    defaults = "default-server check observe layer7 on-error fail-check"
    one = servers(f"backend a\n    {defaults}\n    server one 10.0.0.1:80\n")["a/one"]
    assert haproxy_edits.patient(one, one.line) == "    server one 10.0.0.1:80 fall 1800"


def test_a_backend_without_a_timeout_of_its_own_gets_one_and_loses_it_again() -> None:
    edit = haproxy_edits.patient_backend(PATH, TEXT, "backend keystone-back")
    assert edit == Edit(PATH, "backend keystone-back", None, "    timeout server 1h")
    patient, _ = haproxy_edits.edited(TEXT, [edit])
    assert "two of them\n    timeout server 1h\n    balance" in patient
    assert haproxy_edits.patient_backend(PATH, patient, "backend keystone-back") is None
    assert haproxy_edits.edited(patient, [edit.back]) == (TEXT, [])


def test_a_timeout_that_is_there_is_raised_and_put_back() -> None:
    text = TEXT.replace("    balance leastconn\n", "    timeout server  5000s # long\n")
    edit = haproxy_edits.patient_backend(PATH, text, "backend keystone-back")
    assert edit is not None
    assert edit.after == "    timeout server  1h # long"
    assert haproxy_edits.edited(haproxy_edits.edited(text, [edit])[0], [edit.back]) == (text, [])


# --- what holds for every text ---------------------------------------------------------------------------------------

NAMES = ["one", "two", "three"]
BACKENDS = ["keystone-back", "heat_api-back"]
spaces = st.sampled_from([" ", "  ", "\t", " \t "])
options = st.lists(
    st.sampled_from(["check", "inter 12000", "rise 3", "fall 3", "weight 10", "backup", "disabled", "cookie 'a # b'"]),
    unique=True,
    max_size=5,
)
noise = st.sampled_from(
    [
        "",
        "    # server one backup",
        "    balance leastconn",
        "\toption httpchk HEAD /",
        "    timeout  server 50s",
        "  \r",
    ]
)


@st.composite
def server_line(draw: st.DrawFn, name: str) -> str:
    between = draw(spaces)
    words = ["server", name, "10.0.0.1:5000", *draw(options)]
    return "    " + between.join(words) + draw(st.sampled_from(["", " ", "  # comment", "\r"]))


@st.composite
def configuration(draw: st.DrawFn) -> str:
    lines = ["# top", "global", "    stats socket /run/x level admin"]
    for backend in BACKENDS:
        lines.append(f"{draw(st.sampled_from(['', '  ']))}backend{draw(spaces)}{backend}")
        for name in NAMES:
            lines += [*draw(st.lists(noise, max_size=2)), draw(server_line(name))]
    lines += draw(st.lists(noise, max_size=2))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


roles = st.dictionaries(
    st.sampled_from([f"{backend}/{name}" for backend in BACKENDS for name in NAMES]),
    st.tuples(st.booleans(), st.booleans()),
)


def narrowed(text: str, wanted: dict[str, tuple[bool, bool]]) -> list[Edit]:
    found = servers(text)
    lines = {key: haproxy_edits.flagged(found[key], backup=b, disabled=d) for key, (b, d) in wanted.items()}
    return [
        Edit(PATH, found[key].section, found[key].line, line) for key, line in lines.items() if line != found[key].line
    ]


@given(configuration(), roles)
def test_an_edit_changes_its_own_lines_alone_and_is_taken_back_to_the_byte(
    text: str, wanted: dict[str, tuple[bool, bool]]
) -> None:
    edits = narrowed(text, wanted)
    after, strange = haproxy_edits.edited(text, edits)
    assert strange == []
    before_lines, after_lines = text.split("\n"), after.split("\n")
    assert len(before_lines) == len(after_lines)
    changed = [pair for pair in zip(before_lines, after_lines, strict=True) if pair[0] != pair[1]]
    assert sorted(changed) == sorted((edit.before or "", edit.after or "") for edit in edits)
    assert {key: (servers(after)[key].backup, servers(after)[key].disabled) for key in wanted} == wanted
    assert haproxy_edits.edited(after, edits) == (after, [])
    assert haproxy_edits.edited(after, [edit.back for edit in edits]) == (text, [])
    assert haproxy_edits.edited(text, [edit.back for edit in edits]) == (text, [])


@given(configuration(), st.lists(noise.filter(lambda line: "timeout" not in line), max_size=3))
def test_edits_of_others_to_other_lines_are_kept(text: str, foreign: list[str]) -> None:
    edits = narrowed(text, {"keystone-back/one": (True, False), "keystone-back/two": (False, True)})
    after, _ = haproxy_edits.edited(text, edits)
    theirs, expected = ("\n".join(["# theirs", *foreign, each, *foreign]) for each in (after, text))
    assert haproxy_edits.edited(theirs, [edit.back for edit in edits]) == (expected, [])


@given(configuration(), st.booleans())
def test_two_swaps_in_one_file_are_taken_back_in_either_order(text: str, first_goes_first: bool) -> None:  # noqa: FBT001
    """Of two services, or of two servers of one backend, where both move the traffic of the other."""
    first = narrowed(text, {"keystone-back/one": (False, True), "heat_api-back/one": (False, True)})
    halfway, _ = haproxy_edits.edited(text, first)
    second = narrowed(halfway, {"keystone-back/two": (True, False), "heat_api-back/three": (True, True)})
    both, _ = haproxy_edits.edited(halfway, second)
    for edits in (first, second) if first_goes_first else (second, first):
        both, strange = haproxy_edits.edited(both, [edit.back for edit in edits])
        assert strange == []
    assert both == text


def test_flags_of_two_swaps_on_one_line_are_taken_back_in_either_order() -> None:
    backup = narrowed(TEXT, {"keystone-back/two": (True, False)})
    with_backup, _ = haproxy_edits.edited(TEXT, backup)
    out = narrowed(with_backup, {"keystone-back/two": (True, True)})
    both, _ = haproxy_edits.edited(with_backup, out)
    still_out, strange = haproxy_edits.edited(both, [edit.back for edit in backup])
    assert strange == []
    assert servers(still_out)["keystone-back/two"].disabled
    assert not servers(still_out)["keystone-back/two"].backup
    assert haproxy_edits.edited(still_out, [edit.back for edit in out]) == (TEXT, [])


def test_a_line_that_somebody_else_has_changed_stays_and_is_named() -> None:
    edits = narrowed(TEXT, {"keystone-back/two": (True, False)})
    after, _ = haproxy_edits.edited(TEXT, edits)
    theirs = after.replace("rise 3 fall 3", "rise 1 fall 9")
    kept, strange = haproxy_edits.edited(theirs, [edit.back for edit in edits])
    assert kept == theirs
    assert strange == ["server two of backend keystone-back"]


def test_a_section_that_is_gone_is_named() -> None:
    edits = narrowed(TEXT, {"keystone-back/two": (True, False)})
    assert haproxy_edits.edited("global\n", [edit.back for edit in edits])[1] != []


def test_a_section_inherits_from_the_defaults_that_it_names() -> None:
    text = """
defaults web
    mode http
    default-server check
defaults tls from web
    mode tcp
backend one from web
    server a 10.0.0.1:8004
backend two from tls
    server b 10.0.0.1:5000
backend three
    server c 10.0.0.1:8000
defaults
    mode http
backend four from tls
    server d 10.0.0.1:5000
"""
    servers = haproxy.read([("x", text)]).servers
    assert [(each.name, each.http) for each in servers] == [("a", True), ("b", False), ("c", False), ("d", False)]
    assert all("check" in each.inherited for each in servers)
