"""The sensor on DNS: questions with answers, names below a domain, domains that don't exist."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from siemd.sources.sniffer.packet import ACK, PSH
from siemd.sources.sniffer.sensor import SensorConfig
from support.conversation import Script, Wire, facts_of, only, played, rules_raised, twice
from support.messages import AAAA, CNAME, MX, NULL, TXT, A, answer, query, record, resolve, txt

CLIENT, SERVER, RESOLVER = "192.0.2.5", "198.51.100.53", "192.0.2.53"


def noise(number: int, size: int) -> bytes:
    """Bytes that look random, the same in every run."""
    return b"".join(hashlib.sha256(b"%d %d" % (number, part)).digest() for part in range(size // 32 + 1))[:size]


def test_a_question_and_its_answer_are_one_fact() -> None:
    wire = Wire()
    resolve(wire, CLIENT, "WWW.Example.Org", [record(CNAME, b"\x01x\xc0\x10"), record(A, bytes((203, 0, 113, 7)))])
    (fact,) = only(facts_of(wire.packets), "dns_query")
    assert (fact.source_ip, fact.destination_ip, fact.destination_port, fact.count) == (CLIENT, SERVER, 53, 1)
    assert fact.fields == {
        "query": "www.example.org",
        "record_type": "A",
        "domain": "example.org",
        "answers": ["x.example.org", "203.0.113.7"],
        "response_code": "NOERROR",
        "vlan": 0,
    }


def test_the_same_question_within_a_tick_is_one_fact() -> None:
    wire = Wire(start_us=1_795_000_000_000_000)
    for _ in range(20):
        resolve(wire, CLIENT, "www.example.org")
    (fact,) = only(facts_of(wire.packets), "dns_query")
    assert fact.count == 20


def test_unanswered_questions() -> None:
    wire = Wire()
    for _ in range(3):
        wire.udp(CLIENT, 40_000, SERVER, 53, query("gone.example.org"))
    (fact,) = only(facts_of(wire.packets), "dns_query")
    assert (fact.count, fact.fields["response_code"], fact.fields["answers"]) == (3, "", [])


def test_answers_alone_suffice() -> None:
    wire = Wire()
    wire.udp(SERVER, 53, CLIENT, 40_000, answer("www.example.org", [], AAAA, code=3))
    (fact,) = only(facts_of(wire.packets), "dns_query")
    assert (fact.source_ip, fact.fields["response_code"], fact.fields["record_type"]) == (CLIENT, "NXDOMAIN", "AAAA")


def test_dns_over_tcp() -> None:
    wire = Wire()
    for payload, back in ((query("www.example.org", TXT), False), (answer("www.example.org", [txt(b"hi")], TXT), True)):
        ends = (SERVER, 53, CLIENT, 40_000) if back else (CLIENT, 40_000, SERVER, 53)
        wire.tcp(*ends, PSH | ACK, 1, 1, len(payload).to_bytes(2, "big") + payload)
    (fact,) = only(facts_of(wire.packets), "dns_query")
    assert fact.fields["answers"] == ["hi"]


def test_questions_can_be_switched_off_and_the_rest_goes_on() -> None:
    wire = Wire()
    iodine(wire)
    facts = facts_of(wire.packets, SensorConfig(dns_queries=False))
    assert only(facts, "dns_query") == []
    assert only(facts, "dns_names")


def test_a_tunnel_is_not_a_flood_of_facts() -> None:
    wire = Wire(start_us=1_795_000_000_000_000)
    for number in range(5000):
        resolve(wire, CLIENT, f"x{number}.example.org")
    wire.wait(2)
    resolve(wire, CLIENT, "www.example.net")
    facts = facts_of(wire.packets)
    assert len(only(facts, "dns_query")) <= 32 * 2 + 1
    assert only(facts, "dns_query")[-1].fields["query"] == "www.example.net"


def test_a_flood_of_domains_is_not_one_of_facts() -> None:
    wire = Wire(start_us=1_795_000_000_000_000)
    for number in range(5000):
        resolve(wire, CLIENT, f"www.x{number}.example")
    assert len(only(facts_of(wire.packets), "dns_query")) == 4096


# What real tools do


def iodine(wire: Wire, *, kind: int = NULL, count: int = 60) -> None:
    for number in range(count):
        data = noise(number, 120).replace(b".", b"x")
        resolve(wire, CLIENT, [data[:60], data[60:], b"t", b"example", b"org"], [record(kind, data)], kind=kind)
        wire.wait(0.05)


def iodine_idle(wire: Wire) -> None:
    for number in range(75):
        resolve(wire, CLIENT, [b"p" + noise(number, 4).hex().encode(), b"t", b"example", b"org"], [], kind=NULL)
        wire.wait(4)


def iodine_without_dns(wire: Wire) -> None:
    """Its raw mode, when client and server see each other."""
    for number in range(5):
        resolve(wire, CLIENT, [b"v" + noise(number, 4).hex().encode(), b"t", b"example", b"org"], [], kind=NULL)
    for number in range(20):
        wire.udp(CLIENT, 40_000, SERVER, 53, b"\x10\xd1\x9e\x20" + noise(number, 80))
        wire.udp(SERVER, 53, CLIENT, 40_000, b"\x10\xd1\x9e\x20" + noise(~number, 80))


def iodine_with_private_types(wire: Wire) -> None:
    iodine(wire, kind=65_399, count=20)


def iodine_with_addresses(wire: Wire) -> None:
    iodine(wire, kind=A)


def dnscat2(wire: Wire) -> None:
    for number in range(90):
        kind = (TXT, CNAME, MX)[number % 3]
        resolve(wire, CLIENT, f"{noise(number, 9).hex()}.example.org", [], kind=kind)
        wire.wait(1)


def dnscat2_straight_to_the_server(wire: Wire) -> None:
    for number in range(90):
        kind = (TXT, CNAME, MX)[number % 3]
        resolve(wire, CLIENT, f"dnscat.{noise(number, 9).hex()}.{noise(~number, 20).hex()}1", [], kind=kind)
        wire.wait(1)


def dns2tcp(wire: Wire) -> None:
    for number in range(80):
        text = noise(number, 30).hex()[:45]
        resolve(wire, CLIENT, f"{text}.=connect.t.example.org", [txt(noise(number, 100))], kind=TXT)
        wire.wait(0.1)


def file_in_hexadecimal(wire: Wire) -> None:
    text = b"root:x:0:0:root:/root:/bin/bash daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n" * 40
    for at in range(0, len(text), 30):
        chunk = f"{at:04}{text[at + at % 7 : at + 26].decode()}".encode()
        resolve(wire, CLIENT, f"{chunk.hex()[:62]}.exfil.example.net", [], code=3)
        wire.wait(0.2)


def binary_file_in_lines_of_a_hash(wire: Wire) -> None:
    for number in range(60):  # like hashes, but those are asked for addresses
        resolve(wire, CLIENT, f"{noise(number, 16).hex()}.t.example.org", kind=TXT)


def file_in_lines_of_a_hash(wire: Wire) -> None:
    """xxd -p -c 16: as long as an MD5, but it is text."""
    for number in range(80):
        resolve(wire, CLIENT, f"{f'line {number:5} secret'[:16].encode().hex()}.example.net", [], code=3)
        wire.wait(0.2)


def tunnel_through_a_resolver(wire: Wire) -> None:
    for number in range(80):
        text = f"{noise(number, 30).hex()}.t.example.org"
        wire.udp(CLIENT, 40_000 + number, RESOLVER, 53, query(text, TXT))
        resolve(wire, RESOLVER, text, [txt(b"x" * 200)], kind=TXT)
        wire.udp(RESOLVER, 53, CLIENT, 40_000 + number, answer(text, [txt(b"x" * 200)], TXT))
        wire.wait(0.2)


TUNNELS: list[Script] = [
    iodine,
    iodine_idle,
    iodine_without_dns,
    iodine_with_private_types,
    iodine_with_addresses,
    dnscat2,
    dnscat2_straight_to_the_server,
    dns2tcp,
    file_in_hexadecimal,
    file_in_lines_of_a_hash,
    binary_file_in_lines_of_a_hash,
    tunnel_through_a_resolver,
]


@pytest.mark.parametrize("script", TUNNELS, ids=lambda one: one.__name__)
def test_a_tunnel_is_one_incident(script: Script) -> None:
    assert rules_raised(played(script)) == ["dns_tunnel"]


def made_up_domains(wire: Wire) -> None:
    for number in range(60):
        resolve(wire, CLIENT, f"{noise(number, 6).hex()}.{('com', 'net', 'biz', 'info')[number % 4]}", code=3)
        wire.wait(1)


def made_up_domains_among_good_ones(wire: Wire) -> None:
    for number in range(120):
        resolve(wire, CLIENT, f"{noise(number, 6).hex()}.ru", code=3)
        if number % 3 == 0:
            resolve(wire, CLIENT, f"www.shop{number % 9}.example")
        wire.wait(1)


@pytest.mark.parametrize("script", [made_up_domains, made_up_domains_among_good_ones], ids=lambda one: one.__name__)
def test_made_up_domains_are_one_incident(script: Script) -> None:
    assert rules_raised(played(script)) == ["nxdomain_burst"]


# What merely looks like it


def resolver_at_work(wire: Wire) -> None:
    for number in range(300):
        resolve(wire, CLIENT, f"host{number}.example.com")
        wire.wait(0.02)


def browsing(wire: Wire) -> None:
    for number in range(400):
        for kind in (A, AAAA, 65):
            resolve(wire, CLIENT, f"{('www', 'static', 'img', 'api')[number % 4]}.shop{number // 4}.com", kind=kind)
        wire.wait(0.3)


def content_networks(wire: Wire) -> None:
    for number in range(60):
        for kind in (A, AAAA):
            resolve(wire, CLIENT, f"d{noise(number, 7).hex()}.cloudfront.net", kind=kind)
            resolve(wire, CLIENT, f"r{number % 9}---sn-{noise(number, 4).hex()}.googlevideo.com", kind=kind)
            resolve(wire, CLIENT, f"{noise(number, 16).hex()}-clientnsv4-s.akamaihd.net", kind=kind)
        wire.wait(1)


def cluster_of_services(wire: Wire) -> None:
    for turn in range(4):
        for number in range(120):
            for kind in (A, AAAA):
                text = f"team{number}-metrics-collector-primary.monitoring-{number % 7}.svc.cluster.local"
                resolve(wire, CLIENT, text, kind=kind)
        wire.wait(20 + turn)


def virus_scanner(wire: Wire) -> None:
    for number in range(200):
        resolve(wire, CLIENT, f"{hashlib.md5(b'%d' % number).hexdigest()}.hash.example.net")
        resolve(wire, CLIENT, f"{hashlib.sha1(b'%d' % number).hexdigest()}.malware.hash.cymru.com", kind=TXT)
        wire.wait(0.5)


def block_lists(wire: Wire) -> None:
    for number in range(200):
        where = f"{number}.{number * 7 % 250}.113.203"
        resolve(wire, RESOLVER, f"{where}.zen.spamhaus.org", code=3)
        resolve(wire, RESOLVER, f"{where}.bl.example.net", [], kind=TXT, code=3)
        digits = ".".join(noise(number, 16).hex())
        resolve(wire, RESOLVER, f"{digits}.bl6.example.net", code=3)
        wire.wait(0.5)


def reverse_lookups(wire: Wire) -> None:
    for number in range(250):
        resolve(wire, CLIENT, f"{number}.2.0.192.in-addr.arpa", [], kind=12, code=3)
        resolve(wire, CLIENT, f"{'.'.join(noise(number, 16).hex())}.ip6.arpa", [], kind=12, code=3)


def mail_server(wire: Wire) -> None:
    for number in range(150):
        domain = f"sender{number}.example" if number % 4 else f"gone{number}.test"
        code = 0 if number % 4 else 3
        for text, kind in ((domain, MX), (domain, TXT), (f"_dmarc.{domain}", TXT), (f"s1._domainkey.{domain}", TXT)):
            resolve(wire, RESOLVER, text, [], kind=kind, code=code if text == domain else 0)
        wire.wait(0.5)


def keys_of_one_mail_provider(wire: Wire) -> None:
    for number in range(120):
        resolve(wire, RESOLVER, f"selector{noise(number, 12).hex()}._domainkey.example.com", [txt(b"k=rsa")], kind=TXT)


def directory_clients(wire: Wire) -> None:
    for number in range(60):
        text = f"_ldap._tcp.site{number}._sites.dc._msdcs.corp.example.com"
        resolve(wire, CLIENT, text, [], kind=33)


def browser_that_tests_its_resolver(wire: Wire) -> None:
    for number in range(60):
        resolve(wire, CLIENT, noise(number, 6).hex(), code=3)
        resolve(wire, CLIENT, f"{noise(number, 6).hex()}.corp.example.com", code=3)
        resolve(wire, CLIENT, f"printer{number}.local", code=3)
        resolve(wire, CLIENT, f"nas{number}.fritz.box.home", code=3)


def search_domains(wire: Wire) -> None:
    for number in range(100):
        resolve(wire, CLIENT, f"www.shop{number}.com.corp.example.org", code=3)
        resolve(wire, CLIENT, f"www.shop{number}.com")


def advertisements_that_are_blocked(wire: Wire) -> None:
    for number in range(160):
        resolve(wire, CLIENT, f"www.shop{number % 60}{number % 3}.com", code=3 if number % 4 == 0 else 0)
        wire.wait(1)


def walk_over_a_zone(wire: Wire) -> None:
    for number in range(200):
        resolve(wire, CLIENT, f"host{number}.example.com", [], kind=47)


def health_checks_of_a_cloud(wire: Wire) -> None:
    for _ in range(20):
        for number in range(30):
            resolve(wire, CLIENT, f"{noise(number, 16).hex()}.eu-central-1.health.example.com")
        wire.wait(10)


def resolver_that_is_away(wire: Wire) -> None:
    for number in range(200):
        resolve(wire, CLIENT, f"www.shop{number}.com", answered=False)
        wire.wait(0.1)


def names_given_out_by_providers(wire: Wire) -> None:
    """What browsers of an office ask for through one forwarder."""
    for number in range(100):
        for text in (
            f"backup-{noise(number, 16).hex()}.s3.eu-west-1.amazonaws.com",
            f"{noise(number, 16).hex()}.safeframe.googlesyndication.com",
            f"p2-{noise(number, 8).hex()}-{noise(number, 8).hex()}-if-v6exp3-v4.metric.gstatic.com",
        ):
            resolve(wire, CLIENT, text)
        wire.wait(1)


def devices_of_a_cloud(wire: Wire) -> None:
    for number in range(100):
        resolve(wire, CLIENT, f"{uuid.UUID(bytes=noise(number, 16))}.iot.example.com")
        wire.wait(2)


def senders_that_do_not_exist(wire: Wire) -> None:
    for number in range(60):
        resolve(wire, RESOLVER, f"{noise(number, 5).hex()}.com", kind=MX, code=3)
        resolve(wire, RESOLVER, f"_dmarc.{noise(number, 5).hex()}.com", kind=TXT, code=3)
        wire.wait(3)


def broken_messages(wire: Wire) -> None:
    for number in range(200):
        wire.udp(CLIENT, 40_000, SERVER, 53, query(f"www{number}.example.com")[: number % 30])
        wire.udp(SERVER, 53, CLIENT, 40_000, noise(number, number))


def servers_that_refuse(wire: Wire) -> None:
    for number in range(100):
        resolve(wire, CLIENT, f"www.shop{number}.com", code=(2, 5)[number % 2])


BENIGN: list[Script] = [
    resolver_at_work,
    browsing,
    content_networks,
    cluster_of_services,
    virus_scanner,
    block_lists,
    reverse_lookups,
    mail_server,
    keys_of_one_mail_provider,
    directory_clients,
    browser_that_tests_its_resolver,
    search_domains,
    advertisements_that_are_blocked,
    walk_over_a_zone,
    health_checks_of_a_cloud,
    resolver_that_is_away,
    names_given_out_by_providers,
    devices_of_a_cloud,
    senders_that_do_not_exist,
    broken_messages,
    servers_that_refuse,
]


@pytest.mark.parametrize("script", BENIGN, ids=lambda one: one.__name__)
def test_benign_look_alike_is_silent(script: Script) -> None:
    packets = played(script)
    assert rules_raised(packets) == []
    assert rules_raised(twice(packets)) == []
    assert rules_raised(packets[1::2]) == []  # only answers
