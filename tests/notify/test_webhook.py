"""Webhooks against a real HTTP server: what is sent, what is believed, and what every misbehaviour is called."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.notify.base import Message, Undelivered
from siemd.notify.webhook import Webhook, WebhookConfig, key_of, signed
from siemd.units import Seconds
from support.certificates import Certificates
from support.hook import Hook
from support.waiting import wait_until


def verify(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """As a receiver does it, from the words of the specification alone."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    content = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    expected = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return hmac.compare_digest(headers["webhook-signature"], f"v1,{expected}")


def test_a_message_arrives_signed(message: Message) -> None:
    with Hook() as hook:
        config = WebhookConfig(url=hook.url + "?a=1", secret="s3cret", headers={"Authorization": "Bearer t"})
        assert "200" in Webhook(config).send(message)
        (got,) = hook.received
    assert got.path == "/hook?a=1"
    assert got.headers["webhook-id"] == message.uid == got.document["id"]
    assert got.headers["authorization"] == "Bearer t"
    assert got.headers["content-type"] == "application/json"
    assert verify(got.headers, got.body, "s3cret")
    assert not verify(got.headers, got.body + b" ", "s3cret")
    assert not verify(got.headers | {"webhook-timestamp": "1"}, got.body, "s3cret")
    assert got.document["subject"] == message.subject
    assert got.document["incidents"][0]["incident_id"] == "abc123"


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: not text.startswith("whsec_")) | st.binary(min_size=1), st.binary())
def test_any_body_under_any_key_is_verified(secret: str | bytes, body: bytes) -> None:
    if isinstance(secret, bytes):
        secret = "whsec_" + base64.b64encode(secret).decode()
    try:
        key_of(secret)
    except UnicodeEncodeError:  # a lone surrogate, which no YAML file holds
        return
    headers = signed("id", 1_795_000_000, body, secret)
    assert verify(headers, body, secret)
    assert not verify(headers, body + b"x", secret)


def test_a_trusted_certificate_is_needed(
    message: Message, certificates: Certificates, other_certificates: Certificates
) -> None:
    with Hook(certificate=(certificates.cert, certificates.key)) as hook:
        assert "200" in Webhook(WebhookConfig(url=hook.url, ca=str(certificates.ca))).send(message)
        with pytest.raises(Undelivered, match=r"certificate of .* is not trusted.*ca: FILE"):
            Webhook(WebhookConfig(url=hook.url)).send(message)
    with (
        Hook(certificate=(other_certificates.cert, other_certificates.key)) as hook,
        pytest.raises(Undelivered, match=r"is not trusted.*127.0.0.1"),
    ):
        Webhook(WebhookConfig(url=hook.url, ca=str(other_certificates.ca))).send(message)
    assert len(hook.received) == 0


def test_redirects_are_not_followed(message: Message) -> None:
    with Hook() as elsewhere, Hook() as hook:
        hook.redirect_to = elsewhere.url
        hook.answers = ["redirect"]
        with pytest.raises(Undelivered, match=r"307.*redirects are not followed"):
            Webhook(WebhookConfig(url=hook.url)).send(message)
        assert not elsewhere.received


@pytest.mark.parametrize(
    ("answer", "words", "of_message"),
    [
        (500, "500 Internal Server Error: as the test wants it", False),
        (503, "503", False),
        (429, "429", False),
        (401, "check secret", False),
        (404, "check the path", False),
        (413, "413", True),
        (422, "422", True),
        ("close", "closed the connection half way", False),
        ("half", "does not answer in HTTP|closed the connection", False),
        ("garbage", "does not answer in HTTP", False),
        ("silent", "did not answer in time", False),
    ],
)
def test_what_goes_wrong_has_a_name(message: Message, answer: int | str, words: str, of_message: bool) -> None:
    with Hook() as hook:
        hook.answers = [answer]
        with pytest.raises(Undelivered, match=words) as caught:
            Webhook(WebhookConfig(url=hook.url, timeout_s=Seconds(0.5))).send(message)
        assert caught.value.of_message is of_message


def test_an_endless_answer_is_not_read_to_the_end(message: Message) -> None:
    with Hook() as hook:
        hook.answers = ["endless"]
        assert "200" in Webhook(WebhookConfig(url=hook.url)).send(message)


@pytest.mark.parametrize("answer", ["silent", "drip"])
def test_a_server_that_takes_its_time_is_cut_off(message: Message, answer: str) -> None:
    with Hook() as hook:
        hook.answers = [answer]
        webhook = Webhook(WebhookConfig(url=hook.url))
        failures: list[Undelivered] = []

        def send() -> None:
            try:
                webhook.send(message)
            except Undelivered as error:
                failures.append(error)

        thread = threading.Thread(target=send)
        thread.start()
        wait_until(lambda: hook.received, "the request is there")
        webhook.abort()
        thread.join(20)
        assert not thread.is_alive()
        assert failures or answer == "drip", "what has begun with 200 is taken"


def test_nobody_there(message: Message) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Undelivered, match=rf"127.0.0.1:{port} refused the connection"):
            Webhook(WebhookConfig(url=f"http://127.0.0.1:{port}/")).send(message)


def test_proxies_of_the_environment_are_not_asked(message: Message, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hook() as proxy, Hook() as hook:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        Webhook(WebhookConfig(url=hook.url)).send(message)
        assert hook.received and not proxy.received


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"url": "ftp://host/x"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://user:pw@host/x"}, "url"),
        ({"url": "http://host.example/x"}, "url"),
        ({"url": "https://host:99999/x"}, "url"),
        ({"url": "https://host/a b"}, "url"),
        ({"url": "https://host/\r\nX: y"}, "url"),
        ({"url": "https://host/x", "secret": "whsec_***"}, "secret"),
        ({"url": "https://host/x", "headers": {"X": "a\r\nY: b"}}, "headers"),
        ({"url": "https://host/x", "headers": {"Content-Length": "1"}}, "headers"),
        ({"url": "https://host/x", "headers": {"webhook-id": "1"}}, "headers"),
    ],
)
def test_a_mistaken_configuration_is_refused(config: dict[str, object], key: str) -> None:
    assert [where for where, _message, _hint in WebhookConfig(**config).mistakes()] == [key]  # type: ignore[arg-type]


def test_a_right_configuration_is_not() -> None:
    for url in ("https://host.example/x?y=z", "http://localhost:1/", "http://127.0.0.1/", "https://[2001:db8::1]/x"):
        assert not list(WebhookConfig(url=url, headers={"Authorization": "Bearer a b"}).mistakes())
    assert not list(WebhookConfig(url="http://host.example/", plain=True).mistakes())
