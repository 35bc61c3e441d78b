"""The kinds of facts that the payload of TCP connections gives."""

from __future__ import annotations

from siemd.sources.sniffer.fact_kind import VLAN, FactKind

_ONE_TARGET = ("source_ip", "destination_ip", "destination_port", "protocol", "count", "message")

APPLICATION_FACTS = (
    FactKind(
        "login",
        "Tries to log in by FTP, SMTP, POP3, IMAP, telnet, HTTP (basic authentication), SMB or RDP, recognised by what "
        "is said on any port, of one outcome, in a tick; a success is stated some seconds later. Within TLS nothing is "
        "seen. Secrets are never kept. `count`: tries; `user_name`: the first user, where one was named.",
        ("source_ip", "destination_ip", "destination_port", "protocol", "user_name", "count", "message"),
        {
            "service": "ftp, smtp, pop3, imap, telnet, http, smb or rdp",
            "outcome": "success, failure or unknown (no answer was seen). RDP hides it: failure is then a connection "
            "that ended soon after the handshake and with few bytes, and there is no success",
            "attempts": "the tries",
            "user_names": "the distinct users, at most 64",
            "method": "how: pass, plain, login, apop, basic, ntlm …",
            "cleartext": "whether the password could be read on the wire",
            "vlan": VLAN,
        },
    ),
    FactKind(
        "http_request",
        "HTTP/1 requests that are alike, on any port, with the status of the answer. At most 64 different ones between "
        "two hosts in a tick; more are counted. Values of parameters named like a password or a key are masked. Sigma "
        "rules for `category: webserver` and `proxy` read it. `count`: requests.",
        _ONE_TARGET,
        {
            "method": "GET, POST …",
            "http_host": "what the client takes the server for (Host)",
            "uri": "path and query as they were sent, at most 1,024 characters",
            "path": "the part before `?`",
            "query": "the part behind it",
            "extension": "what follows the last dot of the path's last part",
            "url": "host and uri together",
            "user_agent": "the program, as it says itself",
            "referrer": "where the client says it comes from",
            "status": "the answer's status, 0 if none was seen",
            "vlan": VLAN,
        },
    ),
    FactKind(
        "http_errors",
        "A web server answered requests of one client with a status of 400 to 499. `count`: such requests.",
        _ONE_TARGET,
        {
            "paths": "the distinct paths with their queries, ascending, at most 256; a longer list goes on in further "
            "facts",
            "error_percent": "share of these among the client's latest requests to that server",
            "referred_percent": "share of these to which a page of the same site led, as the client says: high for a "
            "browser on a broken page, 0 for a scanner",
            "user_agent": "the program, as it says itself, of the latest such request",
            "vlan": VLAN,
        },
    ),
    FactKind(
        "tls_hello",
        "A TLS connection was begun, on any port (also after STARTTLS and in RDP). At most 64 different ones between "
        "two hosts in a tick; more are counted. `count`: connections.",
        _ONE_TARGET,
        {
            "server_name": "the name that the client asks for (SNI), in small letters",
            "ja4": "the client's JA4 fingerprint",
            "tls_version": "the highest version offered: 1.3, 1.2 …",
            "alpn": "the protocols offered: h2, http/1.1 …",
            "vlan": VLAN,
        },
    ),
    FactKind(
        "periodicity",
        "A host has opened connections to a port of another 12 times, and then after each 4 more, if they look like a "
        "program's on a timer. Connections begun within 0.25 s are one contact. The latest 64 contacts count.",
        ("source_ip", "destination_ip", "destination_port", "protocol", "message"),
        {
            "score": "0 to 100 (stated from 50 on): regularity of the intervals (Bowley skew, median absolute "
            "deviation), and likeness of sizes and durations",
            "contacts": "how many so far",
            "interval_s": "the median interval in seconds",
            "interval_skew": "Bowley skew of the intervals, -1 to 1",
            "interval_mad_percent": "their median absolute deviation, in percent of the median",
            "bytes_mad_percent": "the same of the bytes of the side that varies more",
            "bytes_up": "the client's bytes in a contact, the median",
            "bytes_down": "the server's",
            "duration_ms": "how long a connection lasts, the median",
            "periodic_targets": "how many targets (host and port) the source contacts regularly: many for monitoring",
            "periodic_sources": "how many hosts contact that target regularly: many for a service that all use",
            "pings": "how many pings of the source the destination lately answered: many for monitoring",
            "service": "what is spoken: http, tls, ftp …, empty if not known",
            "method": "of the latest HTTP request",
            "user_agent": "of the latest HTTP request",
            "name": "the path of the latest HTTP request, or the server's name in TLS",
            "refused_paths": "how many different paths the server lately refused (400 to 499), at most 16",
            "vlan": VLAN,
        },
    ),
)
