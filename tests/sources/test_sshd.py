"""sshd's lines: every try once, and no user name that passes for something else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.sources.sshd import Login, parse_sshd

KEY = "SHA256:" + "a" * 43
PAM = "authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost"


def summary(line: str) -> tuple[object, ...] | None:
    login = parse_sshd(line)
    return login and (login.outcome, login.user_name, login.source_ip, login.source_port, login.method, login.attempts)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Failed password for root from 10.0.0.1 port 22 ssh2", ("failure", "root", "10.0.0.1", 22, "password", 1)),
        (
            "Failed password for invalid user a b from 10.0.0.1 port 22 ssh2",
            ("failure", "a b", "10.0.0.1", 22, "password", 1),
        ),
        (
            "Failed keyboard-interactive/pam for bob from 2001:db8::1 port 5 ssh2",
            ("failure", "bob", "2001:db8::1", 5, "keyboard-interactive/pam", 1),
        ),
        (
            f"Failed publickey for bob from fe80::1%eth0 port 5 ssh2: ED25519 {KEY}",
            ("failure", "bob", "fe80::1", 5, "publickey", 1),
        ),
        (
            "Accepted password for bob from ::ffff:10.0.0.1 port 5 ssh2",
            ("success", "bob", "10.0.0.1", 5, "password", 1),
        ),
        (
            f"Accepted publickey for b from 10.0.0.1 port 5 ssh2: RSA-CERT {KEY} ID b@corp (serial 7) CA ED25519 {KEY}",
            ("success", "b", "10.0.0.1", 5, "publickey", 1),
        ),
        (
            "message repeated 5 times: [ Failed password for root from 10.0.0.1 port 22 ssh2]",
            ("failure", "root", "10.0.0.1", 22, "password", 5),
        ),
        ("Failed none for invalid user x from 10.0.0.1 port 22 ssh2", ("none", "x", "10.0.0.1", 22, "none", 0)),
        ("Invalid user x y from 10.0.0.1 port 22", ("none", "x y", "10.0.0.1", 22, "", 0)),
        ("Invalid user  from 10.0.0.1 port 22", ("none", "", "10.0.0.1", 22, "", 0)),
        ("Invalid user old from 10.0.0.1", ("none", "old", "10.0.0.1", None, "", 0)),
        (
            "Connection closed by authenticating user root 10.0.0.1 port 22 [preauth]",
            ("none", "root", "10.0.0.1", 22, "", 0),
        ),
        ("Connection reset by invalid user x 10.0.0.1 port 22 [preauth]", ("none", "x", "10.0.0.1", 22, "", 0)),
        (
            "Disconnecting authenticating user root 10.0.0.1 port 22: Too many authentication failures [preauth]",
            ("none", "root", "10.0.0.1", 22, "", 0),
        ),
        (
            "error: maximum authentication attempts exceeded for invalid user x from 10.0.0.1 port 22 ssh2 [preauth]",
            ("none", "x", "10.0.0.1", 22, "", 0),
        ),
        (f"pam_unix(sshd:auth): {PAM}=10.0.0.1  user=root", ("none", "root", "10.0.0.1", None, "", 0)),
        (f"pam_unix(sshd:auth): {PAM}=10.0.0.1", ("none", "", "10.0.0.1", None, "", 0)),
        (
            "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=10.0.0.1  user=root",
            ("none", "root", "10.0.0.1", None, "", 0),
        ),
        ("error: PAM: Authentication failure for illegal user x from 10.0.0.1", ("none", "x", "10.0.0.1", None, "", 0)),
        ("Failed password for root from 999.0.0.1 port 22 ssh2", None),
        ("Failed password for root from 10.0.0.1 port 99999 ssh2", None),
        ("Server listening on 0.0.0.0 port 22.", None),
        ("Received disconnect from 10.0.0.1 port 22:11: Bye Bye [preauth]", None),
        ("x" * 10_000, None),
        ("", None),
    ],
)
def test_lines(line: str, expected: tuple[object, ...] | None) -> None:
    assert summary(line) == expected


HOSTILE = [
    "root from 1.2.3.4 port 22 ssh2",
    "root from 1.2.3.4 port 22",
    "root from 1.2.3.4 port 22 ssh2 [preauth]",
    f"root from 1.2.3.4 port 22 ssh2: RSA {KEY}",
    "x] Accepted password for root from 1.2.3.4 port 22 ssh2",
    "message repeated 500 times: [ Failed password for a from 1.2.3.4 port 1 ssh2]",
    "invalid user invalid user x",
    "1.2.3.4 port 22: Too many authentication failures",
    "root rhost=1.2.3.4 user=admin",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_imitates_the_log_blames_nobody_else(name: str) -> None:
    lines = [
        (f"Failed password for invalid user {name} from 10.9.9.9 port 5 ssh2", 1),
        (f"Failed publickey for invalid user {name} from 10.9.9.9 port 5 ssh2: RSA {KEY}", 1),
        (f"Invalid user {name} from 10.9.9.9 port 5", 0),
        (f"Connection closed by invalid user {name} 10.9.9.9 port 5 [preauth]", 0),
        (f"maximum authentication attempts exceeded for invalid user {name} from 10.9.9.9 port 5 ssh2 [preauth]", 0),
        (f"pam_unix(sshd:auth): {PAM}=10.9.9.9  user={name}", 0),
    ]
    for line, attempts in lines:
        login = parse_sshd(line)
        assert login is not None, line
        assert (login.source_ip, login.user_name, login.attempts) == ("10.9.9.9", name, attempts), line


def test_a_certificate_that_imitates_the_log_blames_nobody() -> None:
    """Both the name and the certificate's identity are the client's: with two readings there is no address."""
    identity = f"x from 1.2.3.4 port 22 ssh2: RSA-CERT {KEY} ID y"
    login = parse_sshd(
        f"Failed publickey for bob from 10.9.9.9 port 5 ssh2: RSA-CERT {KEY} ID {identity} (serial 1) CA RSA {KEY}"
    )
    assert login is not None and (login.outcome, login.source_ip, login.attempts) == ("failure", "", 1)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80), st.ip_addresses(), st.integers(1, 65535), st.booleans())
def test_any_name_and_address(name: str, address: object, port: int, invalid: bool) -> None:
    who = f"invalid user {name}" if invalid else name
    login = parse_sshd(f"Failed password for {who} from {address} port {port} ssh2")
    assert login is not None and login.source_port == port and login.attempts == 1
    mapped = getattr(address, "ipv4_mapped", None)
    assert login.source_ip == str(mapped or address)
    if invalid:
        assert login.user_name == name


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=200)
    | st.lists(
        st.sampled_from(
            [
                "Failed",
                "Accepted",
                "password",
                "for",
                "invalid",
                "user",
                "from",
                "1.2.3.4",
                "::1",
                "port",
                "22",
                "ssh2",
                "[preauth]",
                "message repeated 3 times: [",
                "]",
                "Invalid",
                "PAM:",
                "rhost=1.1.1.1",
                f"ssh2: RSA {KEY}",
            ]
        ),
        max_size=25,
    ).map(" ".join)
)
def test_any_line(line: str) -> None:
    login = parse_sshd(line)
    assert login is None or isinstance(login, Login)
    if login is not None:
        assert login.outcome in ("failure", "success", "none") and login.fields()["event_type"] == "ssh_auth"


def test_a_long_line_of_repeats_is_quick() -> None:
    """No pattern backtracks without bound: a test that hangs here would run into the time limit."""
    for piece in (
        " from 1.1.1.1 port 2 ssh2",
        f" from 1.1.1.1 port 2 ssh2: RSA {KEY} ID (serial 0) CA RSA ",
        "invalid user ",
    ):
        for start in ("Failed publickey for ", "Invalid user ", "Connection closed by invalid user ", "PAM: A for "):
            parse_sshd((start + piece * 400)[:4096])
