"""Syslog against receivers that read strictly: frames, headers and values that no text forges."""

from __future__ import annotations

import errno
import os
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.notify.base import Message, Undelivered
from siemd.notify.connect import unreached
from siemd.notify.syslog import MAX_DATAGRAM, Syslog, SyslogConfig, encode, octet_counted
from support.certificates import Certificates
from support.syslogd import Syslogd, frames, parse
from support.waiting import wait_until


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_message_arrives(message: Message, certificates: Certificates, transport: str) -> None:
    secure = certificates if transport == "tls" else None
    with Syslogd(transport, secure) as receiver:
        ca = str(certificates.ca) if secure else ""
        channel = Syslog(SyslogConfig(host="127.0.0.1", port=receiver.port, transport=transport, ca=ca))  # type: ignore[arg-type]
        said = channel.send(message)
        assert ("taken by" in said) == (transport != "udp")
        (record,) = wait_until(lambda: list(receiver.records), "the receiver has it")
    assert record.priority == 10 * 8 + 3
    assert (record.host, record.app, record.kind) == ("web-1", "siemd", "incident")
    assert record.data["id"] == message.uid and record.data["rule"] == "port_scan" and record.data["kind"] == "open"
    assert record.text == message.text.replace("\n", " | ")


def test_a_receiver_of_others_is_refused(message: Message, other_certificates: Certificates) -> None:
    with Syslogd("tls", other_certificates) as receiver:
        for ca in ("", str(other_certificates.ca)):
            with pytest.raises(Undelivered, match=r"certificate of .* is not trusted"):
                Syslog(SyslogConfig(host="127.0.0.1", port=receiver.port, transport="tls", ca=ca)).send(message)
        assert not receiver.records


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_nobody_there(message: Message, transport: str) -> None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(type=kind) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        if transport == "udp":
            taken.close()
        with pytest.raises(Undelivered, match=r"refused the connection"):
            Syslog(SyslogConfig(host="127.0.0.1", port=port, transport=transport)).send(message)  # type: ignore[arg-type]


def test_a_connection_that_is_reset_was_not_told(message: Message) -> None:
    with Syslogd("tcp") as receiver:
        receiver.broken = 1
        channel = Syslog(SyslogConfig(host="127.0.0.1", port=receiver.port, transport="tcp"))
        with pytest.raises(Undelivered, match=r"closed the connection half way"):
            channel.send(message)
        channel.send(message)
        assert len(receiver.records) == 1


def test_a_receiver_that_speaks_no_tls(message: Message) -> None:
    with Syslogd("tcp") as receiver:
        receiver.broken = 1
        channel = Syslog(SyslogConfig(host="127.0.0.1", port=receiver.port, transport="tls"))
        with pytest.raises(Undelivered, match=r"TLS|closed the connection"):
            channel.send(message)


hostile = st.text(max_size=60) | st.sampled_from(
    [
        '"] [siemd@32473 id="forged"] ',
        "x\n<13>1 - - - - - - forged",
        "\\",
        '\\"',
        "]",
        "a\0b",
        "٣\u202eevil",
        "é" * 3000,
    ]
)


@settings(deadline=None)
@given(hostile, hostile, hostile, hostile, st.integers(200, 8192))
def test_no_text_forges_a_message(host: str, route: str, rule: str, text: str, most: int) -> None:
    message = Message(
        uid="00ff", host=host, route=route, subject="s", text=text, level="critical", time_us=0,
        incidents=[{"kind": "open", "rule": rule, "incident_id": rule, "count": 3}],
    )  # fmt: skip
    whole = encode(message, 10, 1 << 20)
    record = parse(whole)
    assert record.priority == 82
    assert record.data["id"] == "00ff", "the first is ours, and there is no second"
    assert set(record.data) == {"id", "route", "level", "kind", "rule", "incident_id", "count"}
    assert record.data["count"] == "3"
    assert not any(ord(character) < 32 or ord(character) == 127 for character in whole.decode("utf-8"))
    cut = encode(message, 10, most)
    assert len(cut) <= most and whole.startswith(cut)
    cut.decode("utf-8")
    assert frames(octet_counted(whole) + octet_counted(cut)) == [whole, cut]


def test_a_datagram_has_its_size(message: Message) -> None:
    message.text = "é" * 100_000
    assert len(encode(message, 10, MAX_DATAGRAM)) <= MAX_DATAGRAM


def test_tls_files_are_for_tls() -> None:
    config = SyslogConfig(host="h", transport="tcp", ca="x.pem")
    assert [key for key, _message, _hint in config.mistakes()] == ["ca"]


def test_a_reset_that_comes_before_our_own_end_is_told_as_one() -> None:
    error = OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
    assert "closed the connection half way" in str(unreached(error, "logs.example:514"))
