"""A week of a small network as siemd would have stored it: what pages of charts are looked at and tested with."""

from __future__ import annotations

import math
import random
from typing import Any

from siemd.events import Batch, now_us
from support.batches import alert, batch, connection, log, probe, usage

HOUR_US = 3_600_000_000
DAYS = 7
HOSTILE = "<img src=x onerror=alert(1)>\u202e'; DROP TABLE logs; --"
_OUTSIDE = (
    "185.220.101.4",
    "45.155.205.233",
    "92.63.197.153",
    "193.27.228.10",
    "141.98.10.60",
    "80.94.92.7",
    "8.8.8.8",
)
_INSIDE = tuple(f"10.20.0.{number}" for number in (4, 7, 11, 12, 20, 31, 45, 60))
_RULES = (
    ("port_scan_syn", "medium", "SYN scan"),
    ("ssh_brute_force", "high", "Guessed SSH passwords"),
    ("dns_tunnel", "high", "DNS tunnel"),
    ("ping_sweep", "low", "Ping sweep"),
    ("new_service_installed", "informational", "A service was installed"),
    ("ssh_success_after_failures", "critical", "A login after many failures"),
)
_HOSTS = ("gateway", "web-01", "db-01", "dc-01")
_USERS = ("root", "admin", "oracle", "svc_backup", "j.meyer", HOSTILE)


def week(*, seed: int = 5) -> list[Batch]:
    """Batches of a week that ends now; alike at each call but for the times."""
    chance = random.Random(seed)
    now = now_us()
    return [
        batch(*_facts(chance, now), source="sniffer", host="gateway"),
        batch(*_connections(chance, now), source="connections", host="gateway"),
        *(batch(*_logs(chance, now, host), source="windows", host=host) for host in _HOSTS[1:]),
        *(batch(*_usage(chance, now, host), source="metrics", host=host) for host in _HOSTS),
        batch(*_alerts(chance, now), source="detection", host="gateway"),
    ]


def _moment(chance: random.Random, now: int) -> int:
    """Most of it by day, and half of it in the last one."""
    while True:
        age_h = chance.random() ** 2 * DAYS * 24
        time_us = now - int(age_h * HOUR_US)
        hour = time_us // HOUR_US % 24
        if chance.random() < 0.25 + 0.75 * math.exp(-((hour - 14) ** 2) / 24):
            return time_us


def _ordered(chance: random.Random, now: int, count: int) -> list[int]:
    return sorted(_moment(chance, now) for _ in range(count))


def _facts(chance: random.Random, now: int) -> list[Any]:
    kinds = (
        "tcp_probe",
        "tcp_probe",
        "tcp_probe",
        "udp_probe",
        "ping",
        "ssh_auth",
        "dns_names",
        "tls_hello",
        "http_request",
    )
    made = []
    for seq, time_us in enumerate(_ordered(chance, now, 900), 1):
        kind = chance.choice(kinds)
        source = _OUTSIDE[min(int(chance.expovariate(0.7)), len(_OUTSIDE) - 1)]
        target = _INSIDE[min(int(chance.expovariate(0.5)), len(_INSIDE) - 1)]
        fields: dict[str, Any] = {"outcome": chance.choice(("refused", "unanswered"))}
        if kind == "dns_names":
            source, target = target, "8.8.8.8"
            fields = {"domain": chance.choice(("example.com", "microsoft.com", "t.evil-cdn.net", HOSTILE))}
        elif kind == "tls_hello":
            source, target = target, source
            fields = {"server_name": chance.choice(("github.com", "pypi.org", "update.example.net"))}
        elif kind == "http_request":
            fields = {"http_host": "shop.example.net", "method": "GET", "status": chance.choice((200, 404, 401))}
        port = chance.choice((22, 80, 443, 445, 3389, 8080, 53))
        made.append(
            probe(
                seq,
                time_us=time_us,
                event_type=kind,
                source_ip=source,
                destination_ip=target,
                destination_port=port,
                fields=fields,
                message=f"{source}: {kind} to {target}:{port}",
                host="gateway",
                user_name="",
                protocol="udp" if kind in ("udp_probe", "dns_names") else "tcp",
            )
        )
    return made


def _connections(chance: random.Random, now: int) -> list[Any]:
    made = []
    for seq, time_us in enumerate(_ordered(chance, now, 500), 1):
        port = chance.choice((443, 443, 443, 80, 8006, 22))
        fields = {
            "state": chance.choice(("closed", "closed", "reset_by_destination", "open")),
            "duration_s": chance.expovariate(0.2),
            "source_packets": 9,
            "destination_packets": 12,
            "source_bytes": int(chance.paretovariate(0.8) * 900),
            "destination_bytes": int(chance.paretovariate(0.7) * 9000),
            "service": {443: "tls", 80: "http", 22: "ssh"}.get(port, ""),
            "midstream": False,
            "vlan": 0,
        }
        made.append(
            connection(
                seq,
                time_us=time_us,
                source_ip=chance.choice(_INSIDE),
                destination_ip=chance.choice(_OUTSIDE),
                destination_port=port,
                fields=fields,
                host="gateway",
                source="connections",
            )
        )
    return made


def _logs(chance: random.Random, now: int, host: str) -> list[Any]:
    tables = ("security_logs", "security_logs", "security_logs", "system_logs", "application_logs", "channel_logs")
    return [
        log(
            seq,
            time_us=time_us,
            table=chance.choice(tables),
            event_id=chance.choice((4624, 4625, 4625, 4688, 7045)),
            user_name=chance.choice(_USERS),
            host=host,
            computer=host,
            source_ip=chance.choice(_OUTSIDE),
            level="information",
        )
        for seq, time_us in enumerate(_ordered(chance, now, 250), 1)
    ]


def _usage(chance: random.Random, now: int, host: str) -> list[Any]:
    base = 15 + 12 * _HOSTS.index(host)
    made = []
    for seq in range(1, 24 * 12 + 1):
        time_us = now - (24 * 12 - seq) * HOUR_US // 12
        wave = math.sin(time_us / HOUR_US / 3.5 + base)
        made.append(
            usage(
                seq,
                time_us=time_us,
                host=host,
                cpu_percent=max(1.0, base + 12 * wave + chance.gauss(0, 4)),
                ram_percent=35.0 + base / 2 + 2 * wave,
                disk_percent=40.0 + base / 3 + seq / 60,
                disk_read_bytes_s=abs(wave) * 3e6,
                disk_write_bytes_s=1e6 + abs(chance.gauss(0, 5e5)),
                network_received_bytes_s=2e6 * (1.2 + wave),
                network_sent_bytes_s=8e5 * (1.3 + wave),
                load_1m=abs(wave) * 2,
            )
        )
    return made


def _alerts(chance: random.Random, now: int) -> list[Any]:
    made = []
    for seq, time_us in enumerate(_ordered(chance, now, 60), 1):
        rule, level, title = _RULES[min(int(chance.expovariate(0.6)), len(_RULES) - 1)]
        source = chance.choice(_OUTSIDE)
        made.append(
            alert(
                seq,
                time_us=time_us,
                first_seen_us=time_us,
                last_seen_us=time_us,
                incident_id=f"incident-{seq}",
                rule=rule,
                level=level,
                title=title,
                host="gateway",
                group={"source_ip": source},
                count=chance.randint(1, 400),
                reason=f"{source} did what “{title}” tells of, {chance.randint(15, 900)} times",
            )
        )
    return made
