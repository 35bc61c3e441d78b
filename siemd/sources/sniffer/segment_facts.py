"""The facts about a segment's own protocols: addresses, offers, names, and what pings carry."""

from __future__ import annotations

from siemd.sources.sniffer.fact_kind import VLAN, FactKind

_WHO_ASKED = "the client that asked"

SEGMENT_FACTS = (
    FactKind(
        "arp_conflict",
        "An address that one MAC claims by ARP (IPv6: neighbour discovery) was claimed by another one, or a MAC "
        "answered at least three times within 60 s for an address without being asked. Routers that share virtual "
        "MACs (VRRP, HSRP, GLBP) are left out.",
        ("source_ip", "destination_ip", "protocol", "message"),
        {
            "source_mac": "of the two MACs the one that tells it unasked more often, else the one that came later",
            "other_mac": "the other one; empty when only unasked answers were seen",
            "moves": "how often within 60 s the claim went from one MAC to another: 1 is a failover, many are a fight",
            "unasked_answers": "answers of `source_mac` for this address within 60 s to hosts that had not asked; of "
            "those to all hosts a burst counts once",
            "announcements": "how often within 60 s it told all hosts so; those of one burst count once",
            "gateway": "whether the address is that of a gateway, as DHCP or router advertisements told",
            "vlan": VLAN,
        },
        {
            "source_ip": "the address that is claimed",
            "destination_ip": "who was told last",
            "protocol": "arp or ndp",
        },
    ),
    FactKind(
        "dhcp_offer",
        "A DHCP or DHCPv6 server offered or acknowledged an address. `count`: messages.",
        ("source_ip", "destination_ip", "protocol", "count", "message"),
        {
            "dhcp_message": "offer, ack, advertise or reply",
            "server": "the server's identifier: its address, or its DUID in hexadecimal",
            "source_mac": "the hardware address that the message came from",
            "client_mac": "the client's hardware address; empty for DHCPv6",
            "offered_ip": "the address given",
            "gateways": "the routers given",
            "dns_servers": "the DNS servers given",
            "rivals": "other servers that lately answered the same question, or gave addresses of the same network, "
            "but other gateways or DNS servers",
            "rival_count": "how many those are",
            "vlan": VLAN,
        },
        {"source_ip": "the server, or its relay", "destination_ip": "the client, or all", "protocol": "dhcp or dhcpv6"},
    ),
    FactKind(
        "router_advertisement",
        "A default router of IPv6 advertised itself. `count`: advertisements.",
        ("source_ip", "protocol", "count", "message"),
        {
            "source_mac": "the router's hardware address",
            "prefixes": "the networks it advertises",
            "dns_servers": "the DNS servers it advertises",
            "lifetime_s": "how long it will be a router, in seconds",
            "managed": "whether it tells hosts to ask DHCPv6 for addresses",
            "rivals": "other routers that lately advertised other networks or DNS servers",
            "rival_count": "how many those are",
            "vlan": VLAN,
        },
        {"source_ip": "the router"},
    ),
    FactKind(
        "name_answer",
        "A host answered when the whole segment was asked for a name. Not: answers of name servers (WINS), names of "
        "groups, and what is repeated from other networks. `count`: answers.",
        ("source_ip", "protocol", "count", "message"),
        {
            "name_service": "llmnr, netbios or mdns",
            "names": "the distinct names answered for, lower-case, without `.local`",
            "source_mac": "the hardware address of the host that answered",
            "vlan": VLAN,
        },
        {"source_ip": "who answered", "protocol": "llmnr, netbios or mdns"},
    ),
    FactKind(
        "device",
        "A network card was heard of for the first time: by ARP, neighbour discovery, or when it asked for an address.",
        ("source_ip", "message"),
        {
            "source_mac": "its hardware address",
            "random_mac": "whether that address is one made up by the host (locally administered)",
            "learning": "whether the sensor began to watch less than `learning` ago, when everything is new",
            "vlan": VLAN,
        },
        {"source_ip": "the address it claims, if any"},
    ),
    FactKind(
        "icmp_payload",
        "Pings of one host to another carried something that is no filling of an operating system and not what earlier "
        "ones carried, or the replies were not what was sent. The first 24 bytes are left out: they hold time and "
        "number. `count`: packets with such data.",
        ("source_ip", "destination_ip", "protocol", "count", "message"),
        {
            "data_bytes": "the size of those packets' payloads, in both directions",
            "text_bytes": "of those the ones that are text",
            "largest": "the largest of those payloads, in bytes",
            "altered_replies": "replies that differ from their request, or come before it, with something new",
            "patterns": "packets filled with a new pattern of a few bytes (ping -p)",
            "heads": "the first four bytes of those payloads in hexadecimal, at most four of them: signs of tools",
            "entropy": "of the data, in bits for each byte: about 4 for text, near 8 for what is encrypted or packed",
            "vlan": VLAN,
        },
        {"source_ip": "who pinged", "destination_ip": "who was pinged"},
    ),
    FactKind(
        "dns_query",
        "A DNS question (UDP or TCP, port 53) was answered, or was not within `answer_timeout`; at most 32 in a tick "
        "for one client and domain, and 4,096 in all. Switched by `dns_queries`. `count`: questions.",
        ("source_ip", "destination_ip", "destination_port", "protocol", "count", "message"),
        {
            "query": "the name, lower-case, without the last dot",
            "record_type": "A, AAAA, TXT …",
            "domain": "the registered domain that the name is in; empty without one",
            "answers": "the addresses, names and texts of the answer, at most 32",
            "response_code": "NOERROR, NXDOMAIN …; empty when there was no answer",
            "vlan": VLAN,
        },
        {"source_ip": _WHO_ASKED, "destination_ip": "the DNS server", "protocol": "dns"},
    ),
    FactKind(
        "dns_names",
        "A client asked for new names below one registered domain, and for at least ten since `memory` ago. All "
        "figures are since then. `count`: questions since the fact before.",
        ("source_ip", "destination_ip", "protocol", "count", "message"),
        {
            "domain": "the registered domain; a dot for names that are in none",
            "questions": "how many questions for names below it",
            "unique_names": "distinct names below it",
            "unique_labels": "distinct labels below it",
            "unique_percent": "share of the questions that asked for a name for the first time",
            "mean_length": "bytes of labels that were new, for each name: what a name could carry",
            "longest": "length of the longest part of a name below the domain",
            "name_bytes": "bytes of labels that were new, in all",
            "entropy": "of those bytes, in bits for each byte",
            "record_types": "the types asked for, at most eight",
            "data_type_percent": "share of questions for types that carry much: NULL, TXT, CNAME, MX, SRV, KEY, ANY, "
            "and private ones; names that begin with an underscore are left out",
            "lookup_percent": "share of names that are addresses, hashes of files (asked for addresses) or services: "
            "block lists, virus scanners, mail",
            "answer_bytes": "bytes of the answers",
            "mean_answer_bytes": "bytes of one answer",
            "vlan": VLAN,
        },
        {"source_ip": _WHO_ASKED, "destination_ip": "the DNS server asked first", "protocol": "dns"},
    ),
    FactKind(
        "nxdomain",
        "A client asked for addresses of names in public domains and was told that they do not exist. `count`: "
        "domains.",
        ("source_ip", "protocol", "count", "message"),
        {
            "domains": "the distinct registered domains of those names, at most 1,024",
            "nxdomain_percent": "share of this client's latest answers that said so: low for a browser, high for "
            "malware that tries made-up domains",
            "vlan": VLAN,
        },
        {"source_ip": _WHO_ASKED, "protocol": "dns"},
    ),
    FactKind(
        "not_dns",
        "Datagrams to or from port 53 were no messages of DNS. `count`: datagrams.",
        ("source_ip", "destination_ip", "protocol", "count", "message"),
        {
            "heads": "the first four bytes of those datagrams in hexadecimal, at most eight of them: signs of tools",
            "vlan": VLAN,
        },
        {"source_ip": "who sent them", "destination_ip": "who was to get them", "protocol": "udp"},
    ),
)
