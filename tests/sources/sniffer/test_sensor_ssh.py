"""The sensor on SSH: connections by their banner, their tries, and when they are stated."""

from __future__ import annotations

from siemd.events import NetworkEvent
from siemd.sources.sniffer.sensor import Sensor, SensorConfig
from support.conversation import ATTACKER, VICTIM, Wire, facts_of, message, only

NONE, WRONG, RIGHT, TOO_MANY = (68, 52), (84, 52), (84, 28), (84, 76)
OFFER_REFUSED, OFFER_ACCEPTED, SIGNED = (140, 52), (140, 100), (308, 28)


def logins(wire: Wire) -> list[tuple[str, int, int]]:
    return [_login(fact) for fact in only(facts_of(wire.packets), "ssh_auth")]


def _login(fact: NetworkEvent) -> tuple[str, int, int]:
    assert (fact.source_ip, fact.destination_ip) == (ATTACKER, VICTIM)
    return fact.fields["outcome"], fact.fields["attempts"], fact.fields["failed_attempts"]


def test_failures_of_a_connection_are_one_fact() -> None:
    wire = Wire()
    wire.ssh([NONE, *[WRONG] * 5, TOO_MANY])
    assert logins(wire) == [("failure", 6, 6)]


def test_fields() -> None:
    wire = Wire()
    wire.ssh([NONE, WRONG], port=2222)
    (fact,) = only(facts_of(wire.packets), "ssh_auth")
    assert fact.destination_port == 2222
    assert fact.source_port is not None and fact.source_port >= 32_768
    assert fact.fields["client_version"] == "SSH-2.0-libssh_0.10.6"
    assert fact.fields["server_version"] == "SSH-2.0-OpenSSH_9.2p1"


def test_one_guess_a_connection_without_asking_first() -> None:
    wire = Wire()
    for _ in range(3):
        wire.ssh([(148, 52)])
    assert logins(wire) == [("failure", 1, 1)] * 3


def test_agent_with_four_wrong_keys() -> None:
    wire = Wire()
    wire.ssh([NONE, *[OFFER_REFUSED] * 4, OFFER_ACCEPTED, SIGNED, (112, 544), (112, 72)])
    assert logins(wire) == [("success", 1, 0)]


def test_agent_whose_keys_are_all_refused() -> None:
    wire = Wire()
    wire.ssh([NONE, *[OFFER_REFUSED] * 6])
    assert logins(wire) == [("none", 0, 0)]
    assert only(facts_of(wire.packets), "ssh_auth")[0].fields["refused_keys"] == 6


def test_server_that_sends_extensions_first() -> None:
    wire = Wire()
    wire.ssh([NONE, RIGHT, (112, 600)], ext_info=300)
    assert logins(wire) == [("success", 1, 0)]


def test_connection_without_a_try() -> None:
    wire = Wire()
    wire.ssh([NONE])
    wire.connection(ATTACKER, VICTIM, 22)
    assert logins(wire) == [("none", 0, 0)]


def test_success_is_stated_while_the_session_goes_on_and_after_failures_beside_it() -> None:
    wire = Wire()
    wire.ssh_parallel([[NONE, *[WRONG] * 6], [NONE, *[WRONG] * 3, RIGHT], [NONE, *[WRONG] * 5]], end=False)
    sensor = Sensor(SensorConfig())
    facts = sensor.feed(wire.packets)
    facts += sensor.advance(wire.now_us + 2_000_000)
    assert facts == []
    facts += sensor.advance(wire.now_us + 7_000_000)
    assert [_login(fact) for fact in facts] == [("success", 4, 3)]
    facts += sensor.advance(wire.now_us + 400_000_000)
    assert [_login(fact) for fact in facts[1:]] == [("failure", 6, 6), ("failure", 5, 5)]


def test_success_is_not_dated_before_failures_stated_before_it() -> None:
    wire = Wire()
    wire.ssh_parallel([[NONE, RIGHT], [NONE, *[WRONG] * 6]])
    facts = only(facts_of(wire.packets), "ssh_auth")
    assert [fact.fields["outcome"] for fact in facts] == ["failure", "success"]
    assert facts[0].time_us <= facts[1].time_us


def test_every_packet_twice() -> None:
    wire = Wire()
    wire.ssh([NONE, WRONG, WRONG, RIGHT])
    wire.packets = [packet for packet in wire.packets for _ in range(2)]
    assert logins(wire) == [("success", 3, 2)]


def test_capture_cut_by_a_snap_length() -> None:
    wire = Wire()
    wire.ssh([NONE, WRONG, WRONG])
    for packet in wire.packets:
        packet.payload = packet.payload[:96]
    assert logins(wire) == [("failure", 2, 2)]


def test_segments_of_any_size() -> None:
    """The key exchange may come in pieces that cut the packets' headers."""
    for size in (1, 2, 3, 5, 6, 7, 100):
        wire = Wire()
        wire.ssh([NONE, WRONG, WRONG])
        pieces = []
        for packet in wire.packets:
            if packet.payload_length <= 100 or packet.payload[:4] == b"SSH-":
                pieces.append(packet)
                continue
            for at in range(0, packet.payload_length, size):
                part = packet.payload[at : at + size]
                copy = wire.tcp("0.0.0.0", 0, "0.0.0.0", 0, packet.flags, packet.seq + at, packet.ack, part)
                copy.time_us = packet.time_us
                for name in ("source_ip", "source_port", "destination_ip", "destination_port"):
                    setattr(copy, name, getattr(packet, name))
                pieces.append(copy)
        wire.packets = pieces
        assert logins(wire) == [("failure", 2, 2)], size


def test_handshake_was_not_seen() -> None:
    """Who is the client is told by the key exchange's messages, on any port, whoever is seen first."""
    wire = Wire()
    wire.ssh([NONE, WRONG, WRONG], port=50_022)
    packets = wire.packets[2:]
    packets[0], packets[1] = packets[1], packets[0]
    wire.packets = packets
    assert logins(wire) == [("failure", 2, 2)]


def test_connection_that_was_open_before_the_capture_says_nothing() -> None:
    wire = Wire()
    wire.ssh([NONE, WRONG, WRONG, RIGHT, *[(36, 100)] * 20])
    wire.packets = wire.packets[12:]
    assert logins(wire) == []


def test_garbage_after_a_banner() -> None:
    wire = Wire()
    source_port, seq, peer = wire.connection(ATTACKER, VICTIM, 22, exchange=False)
    for payload in (b"SSH-2.0-x\r\n", b"\xff" * 500, b"SSH-", message(21, 1), b"\n"):
        wire.tcp(ATTACKER, source_port, VICTIM, 22, 24, seq, peer, payload)
        seq += len(payload)
    facts_of(wire.packets)


def test_more_connections_than_fit() -> None:
    wire = Wire()
    for _ in range(300):
        wire.ssh([NONE, WRONG], end=False)
    facts = facts_of(wire.packets, SensorConfig(max_hosts=256))
    assert len(only(facts, "ssh_auth")) == 300
