"""Rates of floods: who is counted, who is not, and how much may be remembered of them."""

from __future__ import annotations

from siemd.sources.sniffer.observers.floods import DETAILS_A_HOST, IcmpRates, UdpRates
from siemd.sources.sniffer.packet import ICMP, UDP, Packet


def datagram(number: int, victim: int = 1) -> Packet:
    packet = Packet(5, 60, UDP, number.to_bytes(4, "big"), bytes((10, 0, 0, victim)))
    packet.source_port, packet.destination_port = number % 60_000, number % 50_000
    return packet


def request(number: int, victim: int = 1) -> Packet:
    packet = Packet(5, 60, ICMP, number.to_bytes(4, "big"), bytes((10, 0, 0, victim)), icmp_type=8, seq=number % 60_000)
    packet.payload = bytes(16) + number.to_bytes(4, "big")
    return packet


def test_a_clock_that_stands_still_fills_no_memory() -> None:
    udp, icmp = UdpRates(64), IcmpRates(64)
    for number in range(20_000):
        udp.unanswered(datagram(number, number % 200), first=True)
        icmp.request(request(number, number % 200))
    assert len(udp._victims) == len(icmp._victims) == 64
    held = sum(len(one.ports) + len(one.source_ports) + len(one.sources) for one in udp._victims.values())
    assert held <= DETAILS_A_HOST * 64
    assert sum(len(one.sources) + len(one.payloads) for one in icmp._victims.values()) <= DETAILS_A_HOST * 64
    assert udp.lost > 0
    assert icmp.lost > 0
    (fact, *_) = udp.tick()
    assert fact.count == 100, "what is left out of the details still counts"
    udp.unanswered(datagram(1), first=True)
    assert udp.tick() == [], "a tick begins anew"


def test_an_answered_flow_does_not_count() -> None:
    udp = UdpRates(64)
    for number in range(100):
        packet = datagram(number)
        udp.unanswered(packet, first=True)
        if number >= 30:
            answer = Packet(5, 60, UDP, packet.destination_ip, packet.source_ip)
            answer.source_port, answer.destination_port = packet.destination_port, packet.source_port
            udp.answered(answer, 1)
    assert udp.tick() == []


def test_replies_that_were_asked_for_do_not_count() -> None:
    icmp = IcmpRates(64)
    for number in range(100):
        asked = Packet(5, 60, ICMP, b"\x0a\0\0\1", bytes((10, 0, number % 50, 9)), icmp_type=8, seq=number)
        icmp.request(asked)
        icmp.reply(Packet(5, 60, ICMP, asked.destination_ip, asked.source_ip, icmp_type=0, seq=number))
    assert icmp.tick() == []
