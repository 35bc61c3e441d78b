"""The kinds of facts about rarer scans, the fingerprints of scanners, and floods."""

from __future__ import annotations

from siemd.sources.sniffer.fact_kind import VLAN, FactKind

_PAIR = ("source_ip", "destination_ip", "protocol", "count", "message")

SCAN_FACTS = (
    FactKind(
        "tcp_check",
        "A TCP connection that whoever opened it ended first, without having sent anything: it tells that the port is "
        "open. Of a port that one host checks again and again only the first such connection is stated. `count`: "
        "connections.",
        ("source_ip", "destination_ip", "destination_port", "protocol", "count", "message"),
        {
            "destination_ports": "the distinct ports, ascending, at most 1,024; a longer list goes on in further facts",
            "vlan": VLAN,
        },
    ),
    FactKind(
        "sctp_probe",
        "An SCTP packet that asks whether a port is open did not lead to an association. `count`: probes.",
        ("source_ip", "destination_ip", "destination_port", "protocol", "count", "message"),
        {
            "probe": "init, or cookie_echo for one that no INIT came before",
            "outcome": "refused (ABORT or ICMP unreachable), unanswered (nothing within `answer_timeout`), or "
            "half_open (accepted, then never completed)",
            "destination_ports": "the distinct ports, ascending, at most 1,024; a longer list goes on in further facts",
            "vlan": VLAN,
        },
    ),
    FactKind(
        "ip_protocol_probe",
        "A packet of an IP protocol other than ICMP, TCP, UDP and SCTP was refused, or had nothing behind its IP "
        "header and was not answered. Not: multicast, and what lately came back from that host. `count`: packets.",
        _PAIR,
        {
            "outcome": "refused (ICMP: protocol unreachable, or another error) or unanswered (nothing within "
            "`answer_timeout`)",
            "ip_protocols": "the distinct numbers of IP protocols, ascending",
            "vlan": VLAN,
        },
    ),
    FactKind(
        "os_probe",
        "Packets that only tools for the recognition of operating systems send. `count`: packets.",
        _PAIR,
        {
            "signatures": "the distinct ones, ascending: syn_window_1 (and 63, 4, 16, 512), ecn, null, syn_fin, ack, "
            "closed_syn and closed_xmas (TCP with nmap's time stamp), udp_300_c, icmp_code_9",
            "vlan": VLAN,
        },
    ),
    FactKind(
        "service_probe",
        "A client's first words on a TCP connection are one of the questions by which nmap -sV recognises services, or "
        "it said none on a connection to a port that it had just found open by a SYN made by hand. `count`: "
        "connections.",
        _PAIR,
        {
            "probes": "the distinct questions, ascending, in nmap's names: GetRequest, GenericLines, RTSPRequest …; "
            "found_open for one of them, or none, after the SYN of a scan",
            "destination_ports": "the distinct ports, ascending",
            "marked": "whether one of the questions is nobody else's, or came after the silence of 4 s and more in "
            "which nmap awaits a banner",
            "vlan": VLAN,
        },
    ),
    FactKind(
        "fragmented_header",
        "First fragments of IP datagrams with less than 24 bytes behind the IP header: no link is that narrow. "
        "`nmap -f` sends them, to hide TCP's flags from filters. `count`: fragments.",
        _PAIR,
        {"vlan": VLAN},
    ),
    FactKind(
        "udp_rate",
        "Within one tick at least 64 datagrams reached a host in flows that it never answered, whoever sent them. "
        "`count`: such datagrams; `destination_port`: the port that most of them went to.",
        ("destination_ip", "destination_port", "protocol", "count", "message"),
        {
            "source_count": "the distinct sources, at most 1,024",
            "flow_count": "the flows (source, its port, port) that began in this tick",
            "port_packets": "datagrams to that port",
            "source_port": "the port that most came from: 53, 123, 1900 … for answers that nobody asked for",
            "bytes": "bytes of these datagrams on the wire",
            "vlan": VLAN,
        },
    ),
    FactKind(
        "icmp_flood_rate",
        "Within one tick at least 32 ICMP or ICMPv6 requests (echo, timestamp, address mask), or echo replies that it "
        "did not ask for, reached a host, whoever sent them. `count`: these.",
        ("destination_ip", "protocol", "count", "message"),
        {
            "source_count": "the distinct sources, at most 1,024",
            "payload_count": "the different payloads behind byte 16, at most 64: 1 for ping, many for a tunnel",
            "bytes": "bytes of these packets on the wire",
            "vlan": VLAN,
        },
    ),
)
