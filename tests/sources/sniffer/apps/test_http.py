"""HTTP: requests with their answers, over connections of every kind; no body, no password."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.events import NetworkEvent
from siemd.sources.sniffer.apps.http import without_secrets
from siemd.sources.sniffer.sensor import SensorConfig
from support.conversation import VICTIM, Wire, facts_of, only
from support.streams import Turn, cut, http, mix_up, talk, without


def requests(wire: Wire) -> list[NetworkEvent]:
    return only(facts_of(wire.packets), "http_request")


def told(turns: list[Turn], **options: Any) -> list[tuple[str, str, int]]:
    """Method, uri and status of each request of one connection."""
    wire = Wire()
    talk(wire, turns, **options)
    return [(fact.fields["method"], fact.fields["uri"], fact.fields["status"]) for fact in requests(wire)]


def test_fields() -> None:
    wire = Wire()
    talk(wire, http("/a/b.php?x=1&y=2", 200, agent="curl/8", fields="Referer: http://r.example/\r\n"), port=8080)
    (fact,) = requests(wire)
    assert (fact.destination_ip, fact.destination_port, fact.protocol) == (VICTIM, 8080, "tcp")
    assert fact.fields == {
        "method": "GET",
        "http_host": "www.example.org",
        "uri": "/a/b.php?x=1&y=2",
        "path": "/a/b.php",
        "query": "x=1&y=2",
        "extension": "php",
        "url": "http://www.example.org/a/b.php?x=1&y=2",
        "user_agent": "curl/8",
        "referrer": "http://r.example/",
        "status": 200,
        "vlan": 0,
    }


def test_many_requests_on_one_connection() -> None:
    turns = [turn for number in range(5) for turn in http(f"/{number}", 200 + number, body=3000)]
    assert told(turns) == [("GET", f"/{number}", 200 + number) for number in range(5)]


def test_pipelined_requests_and_answers_in_one_segment() -> None:
    asked = b"".join(http(f"/{number}")[0][1] for number in range(4))
    answered = b"".join(http("", 200 + number, body=10)[1][1] for number in range(4))
    assert told([(">", asked), ("<", answered)]) == [("GET", f"/{number}", 200 + number) for number in range(4)]


def test_bodies_are_passed_over() -> None:
    post = b"POST /up HTTP/1.1\r\nContent-Length: 26\r\n\r\nGET /not-a-request HTTP/1.1"[:-1]
    chunked = (
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;x=y\r\nHTTP/\r\n1A\r\n" + bytes(26) + b"\r\n0\r\nTrailer: 1\r\n\r\n"
    )
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"
    turns = [
        (">", post),
        ("<", b"HTTP/1.1 100 Continue\r\n\r\n" + chunked),
        (">", b"HEAD /h HTTP/1.1\r\n\r\n"),
        ("<", head),
        (">", b"GET /n HTTP/1.1\r\n\r\n"),
        ("<", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"),
        *http("/last", 404),
    ]
    for segment in (1, 3, 1400):
        assert told(turns, segment=segment) == [
            ("POST", "/up", 201),
            ("HEAD", "/h", 200),
            ("GET", "/n", 304),
            ("GET", "/last", 404),
        ]


def test_a_body_until_the_end_and_a_request_without_an_answer() -> None:
    assert told([(">", b"GET / HTTP/1.0\n\n"), ("<", b"HTTP/1.0 200 OK\n\nHTTP/1.0 404 no\n\n")]) == [("GET", "/", 200)]
    assert told([(">", b"GET /x HTTP/1.1\r\n\r\n")]) == [("GET", "/x", 0)]
    assert told([(">", b"GET /x HTTP/1.1\r\n\r\n")], end="reset") == [("GET", "/x", 0)]
    assert told([(">", b"GET /x HTTP/1.1\r\n\r\n")], end="") == [("GET", "/x", 0)]


def test_requests_to_a_proxy() -> None:
    wire = Wire()
    talk(wire, http("http://user:secret@there.example/p?q", 200), port=3128)
    talk(wire, http("there.example:443", 200, method="CONNECT"), port=3128)
    one, two = requests(wire)
    assert (one.fields["http_host"], one.fields["uri"]) == ("there.example", "/p?q")
    assert one.fields["url"] == "http://there.example/p?q"
    assert two.fields["uri"] == "there.example:443"
    assert b"secret" not in repr(one).encode()


def test_only_one_side_is_seen() -> None:
    wire = Wire()
    talk(wire, http("/one", 200))
    wire.packets = [packet for packet in wire.packets if packet.destination_port == 80]
    assert [fact.fields["uri"] for fact in requests(wire)] == ["/one"]
    wire = Wire()
    talk(wire, http("/one", 200))
    wire.packets = [packet for packet in wire.packets if packet.source_port == 80]
    assert requests(wire) == []


def test_beginning_was_not_seen() -> None:
    """Whoever is seen first: who asks is the client."""
    wire = Wire()
    talk(wire, [*http("/one", 200), *http("/two", 404)], port=50_080)
    wire.packets = wire.packets[4:]
    (fact,) = requests(wire)
    assert (fact.fields["uri"], fact.fields["status"], fact.destination_port) == ("/two", 404, 50_080)


def test_segments_shuffled_and_doubled() -> None:
    turns = [turn for number in range(6) for turn in http(f"/{number}", 200 + number, body=1500)]
    expected = [f"/{number}" for number in range(6)]
    for seed in range(20):
        wire = Wire()
        talk(wire, turns, segment=40)
        wire.packets = mix_up(wire.packets, seed)
        assert [fact.fields["uri"] for fact in requests(wire)] == expected, seed


def test_lost_segments_cost_only_what_was_in_them() -> None:
    turns = [turn for number in range(10) for turn in http(f"/{number}", 200, body=4000)]
    wire = Wire()
    talk(wire, turns)
    lost = without(wire.packets, lambda packet: b"GET /4 " in packet.payload)
    found = {fact.fields["uri"] for fact in only(facts_of(lost), "http_request")}
    assert {f"/{number}" for number in range(10)} - found == {"/4"}
    lost = without(wire.packets, lambda packet: packet.payload == bytes(1400))  # within bodies
    facts = only(facts_of(lost), "http_request")
    assert [(fact.fields["uri"], fact.fields["status"]) for fact in facts] == [(f"/{n}", 200) for n in range(10)]


def test_snap_length() -> None:
    turns = [turn for number in range(5) for turn in http(f"/{number}", 404, body=4000)]
    wire = Wire()
    talk(wire, turns)
    for packet in wire.packets:
        packet.payload = packet.payload[:200]
    assert [fact.fields["status"] for fact in requests(wire)] == [404] * 5


def test_equal_requests_of_a_tick_are_one_fact_and_there_is_a_limit_to_different_ones() -> None:
    wire = Wire(step_us=1)
    for _ in range(5):
        talk(wire, http("/same"), pause_s=0)
    (fact,) = requests(wire)
    assert fact.count == 5
    wire = Wire(step_us=1)
    for number in range(100):
        talk(wire, http(f"/{number}", 404), pause_s=0)
    facts = facts_of(wire.packets)
    assert len(only(facts, "http_request")) == 64
    (errors,) = only(facts, "http_errors")
    assert len(errors.fields["paths"]) == errors.count == 100
    assert errors.fields["error_percent"] == 100


def test_basic_authentication_names_the_user_and_never_the_password() -> None:
    word = base64.b64encode(b"alice:hunter2!").decode()
    wire = Wire()
    for status in (401, 401, 200):
        talk(wire, http("/private", status, fields=f"Authorization: Basic {word}\r\n"))
    facts = facts_of(wire.packets)
    tries = [(fact.fields["outcome"], fact.fields["attempts"], fact.user_name) for fact in only(facts, "login")]
    assert tries == [("failure", 2, "alice"), ("success", 1, "alice")]
    assert not any("hunter2" in repr(fact) or word in repr(fact) for fact in facts)


@pytest.mark.parametrize(
    ("uri", "masked"),
    [
        ("/login?user=a&password=hunter2", "/login?user=a&password=***"),
        ("/x?API_KEY=abc%2Fdef==&z=1", "/x?API_KEY=***&z=1"),
        ("/x?token=abc;pwd=1#frag", "/x?token=***;pwd=***#frag"),
        ("/login?password=' OR 1=1--", "/login?password=' OR 1=1--"),
        ("/login?pass=%27%20or%201", "/login?pass=%27%20or%201"),
        ("/login?pwd=../../etc/passwd", "/login?pwd=../../etc/passwd"),
        ("/plain", "/plain"),
    ],
)
def test_secrets_in_a_query(uri: str, masked: str) -> None:
    assert without_secrets(uri) == masked


def test_long_and_odd_texts_are_bounded() -> None:
    wire = Wire()
    talk(wire, [(">", b"GET /" + b"a\xff" * 3000 + b"\x00\x07 HTTP/1.1\r\nUser-Agent: " + b"u" * 3000 + b"\r\n\r\n")])
    (fact,) = requests(wire)
    assert len(fact.fields["uri"]) <= 1024
    assert len(fact.fields["user_agent"]) == 256
    assert fact.fields["uri"].isprintable()


def test_a_head_without_an_end_is_given_up() -> None:
    assert told([(">", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000), *http("/after")]) == [("GET", "/after", 200)]


def test_a_body_that_looks_like_another_protocol() -> None:
    post = b"POST /up HTTP/1.1\r\nContent-Length: 8\r\n\r\n"
    turns = [(">", post), (">", b"SSH-2.0-"), ("<", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), *http("/next")]
    assert told(turns) == [("POST", "/up", 200), ("GET", "/next", 200)]


def test_another_protocol_after_an_upgrade_is_not_read() -> None:
    upgrade = [(">", b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"), ("<", b"HTTP/1.1 101 Switching\r\n\r\n")]
    assert told([*upgrade, *http("/not-http")]) == [("GET", "/ws", 101)]


def test_switched_off() -> None:
    config = SensorConfig()
    config.applications.http = False
    wire = Wire()
    talk(wire, http("/"))
    assert only(facts_of(wire.packets, config), "http_request") == []


@given(st.lists(st.tuples(st.sampled_from("<>"), st.binary(max_size=80)), max_size=20), st.integers(1, 60))
def test_any_bytes_behind_a_request(turns: list[Turn], segment: int) -> None:
    wire = Wire()
    talk(wire, [*http("/", body=3), *turns], segment=segment)
    assert requests(wire)[0].fields["status"] == 200


@given(st.data())
def test_any_damage_in_any_pieces(data: st.DataObject) -> None:
    turns = [turn for number in range(3) for turn in http(f"/{number}", body=30)]
    wire = Wire()
    talk(wire, turns)
    for packet in wire.packets:
        if packet.payload and data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(packet.payload) - 1))
            packet.payload = packet.payload[:at] + data.draw(st.binary(max_size=3)) + packet.payload[at + 1 :]
            packet.payload_length = len(packet.payload)
    facts_of(cut(wire.packets, data.draw(st.integers(1, 100))))
