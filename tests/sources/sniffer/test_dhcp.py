"""The parser of DHCP offers and router advertisements."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.sources.sniffer.dhcp import MAX_LISTED, parse_dhcp, parse_dhcpv6, parse_router_advertisement
from support.conversation import raw
from support.messages import dhcp, dhcpv6


@given(st.binary(max_size=400), st.binary(max_size=200))
def test_any_bytes(data: bytes, options: bytes) -> None:
    parse_dhcp(data)
    parse_dhcpv6(data)
    parse_router_advertisement(0, 1800, data)
    offer = parse_dhcp(dhcp(2, "192.0.2.1")[:240] + options)
    assert offer is None or len(offer.gateways) <= MAX_LISTED >= len(offer.dns_servers)
    advertised = parse_dhcpv6(b"\x02abc" + options)
    assert advertised is not None and len(advertised.dns_servers) <= MAX_LISTED
    told = parse_router_advertisement(0, 1800, bytes(8) + options)
    assert told is not None and len(told.prefixes) <= MAX_LISTED


def test_an_offer() -> None:
    offer = parse_dhcp(dhcp(2, "192.0.2.1", gateway="192.0.2.254", dns=("192.0.2.9", "192.0.2.8"), transaction=9))
    assert offer is not None
    assert (offer.message, offer.server, offer.offered) == ("offer", raw("192.0.2.1"), raw("192.0.2.50"))
    assert (offer.gateways, offer.dns_servers) == ((raw("192.0.2.254"),), (raw("192.0.2.8"), raw("192.0.2.9")))
    assert (offer.transaction, offer.client_mac) == (b"\0\0\0\x09", b"\x02\0\0\0\0\x50")


@pytest.mark.parametrize("message", [1, 3, 4, 6, 7, 8])
def test_other_messages_are_no_offers(message: int) -> None:
    assert parse_dhcp(dhcp(message, "192.0.2.1")) is None


def test_boot_servers_offer_no_address() -> None:
    assert parse_dhcp(dhcp(2, "192.0.2.1", vendor=b"PXEClient:Arch:00000")) is None


def test_an_offer_of_dhcpv6() -> None:
    offer = parse_dhcpv6(dhcpv6(2, b"\0\x03\0\x01abcdef", offered="2001:db8::50", dns=("2001:db8::53",)))
    assert offer is not None
    assert (offer.message, offer.server, offer.transaction) == ("advertise", b"\0\x03\0\x01abcdef", b"abc")
    assert (offer.offered, offer.dns_servers) == (raw("2001:db8::50"), (raw("2001:db8::53"),))
    assert parse_dhcpv6(dhcpv6(1, b"x")) is None
