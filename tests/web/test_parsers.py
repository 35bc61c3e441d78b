"""What is read out of hostile headers: never an exception, and nothing that was not plainly said."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.storage.reading import time_us
from siemd.storage.tables import time_text
from siemd.web.access.passwords import PasswordRefused, check_password
from siemd.web.access.secrets import bearer_token, hash_secret, new_secret, new_token
from siemd.web.access.totp import matching_step, new_recovery_codes, new_totp_secret, plain_recovery_code
from siemd.web.cookies import PLAIN_NAME, TLS_NAME, clear_cookie, read_cookie, set_cookie
from siemd.web.headers import with_security
from siemd.web.origin import (
    MAX_FORWARDED,
    Host,
    client_of,
    is_forged,
    is_known,
    is_same_origin,
    known_hosts,
    parse_host,
)
from siemd.web.times import rfc3339, stored_time

PROXIES = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
header = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=300)
address = st.one_of(st.ip_addresses().map(str), st.sampled_from(["10.0.0.1", "10.9.9.9", "fd00::1", "192.0.2.1"]))


@given(header)
def test_any_cookie_header(text: str) -> None:
    for name in (PLAIN_NAME, TLS_NAME):
        value = read_cookie(text, name)
        assert value is None or (f"{name}={value}" in text and value.replace("-", "a").replace("_", "a").isalnum())


@given(st.lists(st.tuples(st.sampled_from([PLAIN_NAME, TLS_NAME, "x", ""]), st.sampled_from(["a", "b", "c=d", ""]))))
def test_cookies_are_found_and_doubtful_ones_are_not(pairs: list[tuple[str, str]]) -> None:
    text = "; ".join(f"{name}={value}" for name, value in pairs)
    values = {value for name, value in pairs if name == PLAIN_NAME}
    expected = values.pop() if len(values) == 1 else None
    assert read_cookie(text, PLAIN_NAME) == (expected if expected and expected.isalnum() else None)


def test_what_is_set_is_read_again() -> None:
    secret = new_secret()
    for scheme, name in (("http", PLAIN_NAME), ("https", TLS_NAME)):
        said = set_cookie(scheme, secret, 60)
        assert read_cookie(said.partition(";")[0], name) == secret
        assert ("; Secure" in said) == (scheme == "https") and "Path=/;" in said and "Domain" not in said
        assert "Max-Age=0" in clear_cookie(scheme)


@given(header)
def test_any_authorization_header(text: str) -> None:
    token = bearer_token(text)
    assert token is None or (token in text and token.startswith("siemd_") and len(token) == 49)


def test_a_token_is_found() -> None:
    token = new_token()
    assert bearer_token(f"Bearer {token}") == bearer_token(f"bearer   {token} ") == token
    for wrong in (token, f"Basic {token}", f"Bearer {token}x", f"Bearer {token} {token}", f"Bearer {token[:-1]}"):
        assert bearer_token(wrong) is None
    assert len({hash_secret(new_secret()) for _ in range(100)}) == 100


@given(header)
def test_any_host_header(text: str) -> None:
    host = parse_host(text)
    if host is not None:
        assert host.name == host.name.lower() and not set(host.name) & set("/@#?[] \t\r\n")
        assert host.port is None or 0 < host.port <= 65535


@given(header, st.sampled_from(["http", "https"]), st.sampled_from(["siem.example", "127.0.0.1", "::1"]))
def test_any_origin_header(text: str, scheme: str, name: str) -> None:
    if is_same_origin(text, scheme, Host(name, 8514)):
        shown = f"[{name}]" if ":" in name else name
        assert text.lower() == f"{scheme}://{shown}:8514"


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("https://siem.example", "siem.example", True),
        ("https://siem.example:443", "siem.example", True),
        ("https://siem.example", "siem.example:443", True),
        ("https://SIEM.example", "siem.example", True),
        ("https://siem.example:8443", "siem.example", False),
        ("http://siem.example", "siem.example", False),
        ("https://siem.example.evil", "siem.example", False),
        ("https://siem.example/", "siem.example", False),
        ("https://siem.example@evil", "siem.example", False),
        ("https://[::1]:443", "[0:0::1]", True),
        ("null", "siem.example", False),
        ("", "siem.example", False),
    ],
)
def test_origins(origin: str, host: str, same: bool) -> None:
    parsed = parse_host(host)
    assert parsed
    assert is_same_origin(origin, "https", parsed) == same


@given(st.dictionaries(st.sampled_from(["origin", "sec-fetch-site"]), header), st.booleans())
def test_a_change_that_is_not_forged_said_where_from(headers: dict[str, str], has_cookie: bool) -> None:
    if not is_forged(headers, "https", Host("siem.example", None), has_cookie=has_cookie):
        assert headers.get("sec-fetch-site") in (None, "same-origin")
        assert headers.get("origin", "https://siem.example").lower().removesuffix(":443") == "https://siem.example"
        assert headers or not has_cookie


@given(address, st.lists(st.one_of(address, header), max_size=60), header)
def test_forwarded_headers_are_believed_from_proxies_only(peer: str, hops: list[str], proto: str) -> None:
    headers = {"x-forwarded-for": ",".join(hops), "x-forwarded-proto": proto}
    client = client_of(peer, "http", headers, PROXIES)
    ipaddress.ip_address(client.address)
    if not client.trusted:
        assert client.address == peer and client.scheme == "http"
    assert client.scheme in ("http", "https")


@pytest.mark.parametrize(
    ("hops", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1, 10.2.2.2", "192.0.2.1"),
        ("192.0.2.1:1234", "192.0.2.1"),
        ("[2001:db8::1]:1234", "2001:db8::1"),
        ("nonsense", "10.0.0.1"),
        ("6.6.6.6, nonsense", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("6.6.6.6," + "10.0.0.2," * (MAX_FORWARDED + 5) + "10.0.0.3", "10.0.0.2"),
    ],
)
def test_the_nearest_stranger_is_who_asks(hops: str, expected: str) -> None:
    """Whatever a client writes into the header itself stands further left than what our proxies add."""
    assert client_of("10.0.0.1", "http", {"x-forwarded-for": hops}, PROXIES).address == expected


def test_names_of_strangers_are_not_ours() -> None:
    known = known_hosts(["siem.example."])
    for text, ours in (("siem.example", True), ("SIEM.EXAMPLE:1", True), ("192.0.2.9", True), ("evil.example", False)):
        host = parse_host(text)
        assert host
        assert is_known(host, known) == ours


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=5), st.booleans())
def test_every_answer_gets_its_headers_once(headers: list[tuple[bytes, bytes]], tls: bool) -> None:
    made = with_security([*headers, (b"Content-Security-Policy", b"default-src *")], tls=tls, request_id="x")
    names = [name.lower() for name, _value in made]
    assert names.count(b"content-security-policy") == 1 and names.count(b"x-content-type-options") == 1
    assert (b"strict-transport-security" in names) >= tls
    assert b"default-src *" not in [value for _name, value in made]


@given(st.text(max_size=300), st.text(max_size=64))
def test_any_password(password: str, name: str) -> None:
    try:
        check_password(password, name, 12)
    except PasswordRefused as refused:
        assert str(refused) and (len(password) < 20 or password not in str(refused))
    else:
        assert 12 <= len(password) <= 256


@given(st.text(max_size=40))
def test_any_code(text: str) -> None:
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    step = matching_step(secret, text, 1_000_000_000.0)
    assert step is None or abs(step - 1_000_000_000 // 30) <= 1
    plain = plain_recovery_code(text)
    assert plain is None or len(plain) == 16


def test_codes_of_rfc_6238() -> None:
    """The appendix's secret in base32; its codes have eight digits, of which the last six are ours."""
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for moment, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        assert matching_step(secret, code, moment) == moment // 30
        assert matching_step(secret, code, moment + 30) == moment // 30, "a clock that is off by one step"
        assert matching_step(secret, code, moment + 90) is None
    assert len(new_totp_secret()) == 32
    assert all(plain_recovery_code(code) for code in new_recovery_codes())


@given(st.datetimes(timezones=st.one_of(st.none(), st.timezones())))
def test_times_of_requests(given_time: datetime) -> None:
    text = stored_time(given_time)
    assert len(text) == 26
    if datetime(1971, 1, 1, tzinfo=UTC) < given_time.replace(tzinfo=UTC) < datetime(2099, 1, 1, tzinfo=UTC):
        assert time_text(time_us(text)) == text
        aware = given_time if given_time.tzinfo else given_time.replace(tzinfo=UTC)
        assert datetime.fromisoformat(rfc3339(text)) == aware.astimezone(
            UTC
        )  # a gap of summer time equals nothing else
