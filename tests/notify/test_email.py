"""E-mail against a real SMTP server: TLS in each way, logins, refusals, and headers that no text breaks."""

from __future__ import annotations

import contextlib
import email
import email.policy
import re
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.notify.base import Message, Undelivered
from siemd.notify.email import Email, EmailConfig, compose
from siemd.notify.text import tame
from siemd.units import Seconds
from support.certificates import Certificates
from support.mailbox import Mailbox


def config(port: int, **others: object) -> EmailConfig:
    settings = {"host": "127.0.0.1", "port": port, "sender": "siemd@site.example", "to": ["ops@site.example"]}
    return EmailConfig(**(settings | {"tls": "none", "timeout_s": Seconds(5)} | others))  # type: ignore[arg-type]


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
def test_a_mail_arrives(message: Message, certificates: Certificates, tls: str) -> None:
    with Mailbox(tls=tls, certificates=certificates, user=("siemd", "pa ss")) as box:
        channel = Email(config(box.port, tls=tls, user="siemd", password="pa ss", ca=str(certificates.ca)))
        assert "taken" in channel.send(message)
        (mail,) = box.mails
    assert mail["Subject"] == message.subject
    assert mail["To"] == "ops@site.example"
    assert mail["Message-ID"] == f"<{message.uid}@site.example>"
    assert mail["References"] == "<abc123.incident@site.example>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().splitlines() == message.text.splitlines()
    assert box.envelopes == [["ops@site.example"]]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_certificate_of_others_is_refused(message: Message, other_certificates: Certificates, tls: str) -> None:
    with Mailbox(tls=tls, certificates=other_certificates, user=("siemd", "right")) as box:
        for ca in ("", str(other_certificates.ca)):
            with pytest.raises(Undelivered, match=r"certificate of .* is not trusted"):
                Email(config(box.port, tls=tls, ca=ca, user="siemd", password="right")).send(message)
        assert not box.mails


def test_no_starttls_no_mail(message: Message) -> None:
    with Mailbox(tls="none") as box:
        with pytest.raises(Undelivered, match=r"STARTTLS"):
            Email(config(box.port, tls="starttls")).send(message)
        assert not box.mails


def test_a_wrong_password_is_said(message: Message) -> None:
    with Mailbox(user=("siemd", "right")) as box:
        with pytest.raises(Undelivered, match=r"refused the login of siemd: 535.*check user and password") as caught:
            Email(config(box.port, user="siemd", password="wrong")).send(message)
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words", "of_message"),
    [
        ("451 later", "refused the message: 451 later", True),
        ("552 too large", "refused the message: 552 too large", True),
        ("close", "closed the connection half way", False),
        ("silent", "closed the connection half way|did not answer", False),
    ],
)
def test_what_goes_wrong_has_a_name(message: Message, answer: str, words: str, of_message: bool) -> None:
    with Mailbox() as box:
        box.answers = [answer]
        with pytest.raises(Undelivered, match=words) as caught:
            Email(config(box.port, timeout_s=Seconds(0.5))).send(message)
        assert caught.value.of_message is of_message


def test_recipients_that_are_refused(message: Message) -> None:
    with Mailbox() as box:
        box.refuse = {"gone@site.example"}
        said = Email(config(box.port, to=["gone@site.example", "ops@site.example"])).send(message)
        assert "not for gone@site.example: 550" in said, "the others have it: it is not sent again"
        assert box.envelopes == [["ops@site.example"]]
        with pytest.raises(Undelivered, match=r"refused every recipient: gone@site.example: 550"):
            Email(config(box.port, to=["gone@site.example"])).send(message)


def test_nobody_there(message: Message) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(Undelivered, match=r"refused the connection"):
            Email(config(taken.getsockname()[1])).send(message)


@settings(deadline=None)
@given(st.text(max_size=300), st.text(max_size=300))
def test_no_text_breaks_a_header(subject: str, line: str) -> None:
    text = tame(line, 400)
    message = Message(
        uid="00ff", host="h", route="r", subject=tame(subject, 150), text=text, level="low", time_us=0, thread="ab"
    )
    raw = compose(message, config(25)).as_bytes(policy=email.policy.SMTP)
    head, _, _body = raw.partition(b"\r\n\r\n")
    names = [row.partition(b":")[0].decode() for row in head.split(b"\r\n") if row[:1] not in (b" ", b"\t")]
    expected = {
        "Subject", "From", "To", "Date", "Message-ID", "References", "Auto-Submitted", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip
    assert set(names) == expected and len(names) == len(expected)
    assert all(len(row) <= 998 for row in raw.split(b"\r\n"))
    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert re.sub(r"\s+", " ", str(read["Subject"])).strip() == re.sub(r"\s+", " ", message.subject).strip()


@pytest.mark.parametrize(
    ("others", "key"),
    [
        ({"to": ["nobody"]}, "to"),
        ({"to": ["a@b\r\nBcc: c@d"]}, "to"),
        ({"sender": "A <a@b>"}, "from"),
        ({"host": "mail.example", "user": "u", "password": "p"}, "tls"),
    ],
)
def test_a_mistaken_configuration_is_refused(others: dict[str, object], key: str) -> None:
    assert [where for where, _message, _hint in config(25, **others).mistakes()] == [key]


@pytest.mark.parametrize("tls", ["none", "starttls", "tls"])
def test_a_greeting_that_never_ends_is_cut_off(message: Message, tls: str) -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepted = threading.Event()

        def drip() -> None:
            connection, _address = listening.accept()
            accepted.set()
            with connection, contextlib.suppress(OSError):
                while not ended.wait(0.02):
                    connection.sendall(b"2")

        failures: list[Undelivered] = []
        channel = Email(config(listening.getsockname()[1], tls=tls))

        def send() -> None:
            try:
                channel.send(message)
            except Undelivered as error:
                failures.append(error)

        threads = [threading.Thread(target=drip), threading.Thread(target=send)]
        for thread in threads:
            thread.start()
        assert accepted.wait(10)
        while threads[1].is_alive():  # the connection may not be known for a moment
            channel.abort()
            threads[1].join(0.05)
        ended.set()
        threads[0].join(10)
    assert failures
