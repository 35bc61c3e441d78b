"""Real tools deceive a segment and tunnel through it; what merely looks like them is benign."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.daemon import Siemd
from support.needs import need
from support.netlab import Lab
from support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")]

ON_THE_SERVER: dict[str, Any] = {"sources": {"sniffer": {"interface": "eth0"}, "journal": {"enabled": False}}}
MakeSiemd = Callable[..., Siemd]

RESOLVER = """
import socket
served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
served.bind(("0.0.0.0", 53))
print("ready", flush=True)
while True:
    question, client = served.recvfrom(512)
    served.sendto(question[:2] + b"\\x81\\x80" + question[4:6] + b"\\0\\1" + bytes(4) + question[12:]
        + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4\\xcb\\0\\x71\\7", client)
"""
ASKER = """
import socket, struct, sys
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(5)
for number in range(300):
    labels = [f"host{number}".encode(), b"example", b"com"]
    name = b"".join(bytes((len(label),)) + label for label in labels)
    asking.sendto(struct.pack(">HHHHHH", number, 256, 1, 0, 0, 0) + name + b"\\0\\0\\1\\0\\1", (sys.argv[1], 53))
    asking.recv(512)
"""


def only_incident(siemd: Siemd, rule: str) -> dict[str, Any]:
    """The one incident that siemd told of until it was stopped."""
    assert siemd.stop() == 0
    incidents = {alert["incident_id"]: alert for alert in siemd.alerts()}
    assert [alert["rule"] for alert in incidents.values()] == [rule], incidents
    return next(iter(incidents.values()))


def mac_of(lab: Lab) -> str:
    return lab.attacker.run("cat", "/sys/class/net/eth0/address").strip()


def end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(30)


def test_arpspoof_from_its_beginning_to_its_end(lab: Lab, make_siemd: MakeSiemd, tmp_path: Path) -> None:
    need("arpspoof")
    siemd = make_siemd(ON_THE_SERVER, host=lab.server).start().sniffing()
    lab.server.run("ping", "-c", "1", lab.client.address)
    command = ("arpspoof", "-i", "eth0", "-t", lab.server.address, lab.client.address)
    spoofing = lab.attacker.start(*command, output=tmp_path / "arpspoof")
    try:
        wait_until(lambda: siemd.alerts("arp_spoof"), "the alert")
    finally:
        end(spoofing)  # it then tells the truth five times
        lab.server.run("ip", "neigh", "flush", "dev", "eth0")
    incident = only_incident(siemd, "arp_spoof")
    assert incident["group"] == {"source_mac": mac_of(lab)}


def test_a_file_in_pings(lab: Lab, make_siemd: MakeSiemd, tmp_path: Path) -> None:
    need("hping3")
    siemd = make_siemd(ON_THE_SERVER, host=lab.server).start().sniffing()
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(6_000))
    lab.attacker.run(*f"hping3 --icmp -d 300 -E {secret} -c 30 -i u20000 {lab.server.address}".split(), check=False)
    wait_until(lambda: siemd.alerts("icmp_tunnel"), "the alert")
    incident = only_incident(siemd, "icmp_tunnel")
    assert incident["group"] == {"source_ip": lab.attacker.address, "destination_ip": lab.server.address}


def test_a_network_in_dns(lab: Lab, make_siemd: MakeSiemd, tmp_path: Path) -> None:
    need("iodine", "iodined")
    siemd = make_siemd(ON_THE_SERVER, host=lab.server).start().sniffing()
    served = ("iodined", "-f", "-c", "-P", "x", "10.99.0.1", "t.example.org")
    server = lab.server.start(*served, output=tmp_path / "iodined")
    try:
        wait_until(lambda: b"Listening" in (tmp_path / "iodined").read_bytes(), "iodined listens")
        command = ("iodine", "-f", "-r", "-P", "x", "-T", "NULL", lab.server.address, "t.example.org")
        client = lab.attacker.start(*command, output=tmp_path / "iodine")
        try:
            wait_until(lambda: siemd.alerts("dns_tunnel"), "the alert")
        finally:
            end(client)
    finally:
        end(server)
    incident = only_incident(siemd, "dns_tunnel")
    assert incident["group"] == {"domain": "example.org"}


def test_large_pings_a_failover_and_a_busy_resolver_raise_nothing(
    lab: Lab, make_siemd: MakeSiemd, tmp_path: Path
) -> None:
    siemd = make_siemd(ON_THE_SERVER, host=lab.server).start().sniffing()
    for options in ("-s 1400", "-s 56 -p ff", "-s 1200 -p deadbeef", "-s 5000"):
        lab.client.run("ping", "-c", "20", "-i", "0.02", *options.split(), lab.server.address)
    for host in (lab.client, lab.attacker):  # an address moves from one to the other, who announces it
        host.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_notify")
        host.run("ip", "address", "add", "10.66.0.200/24", "dev", "eth0")
        lab.server.run("ping", "-c", "2", "-i", "0.2", "10.66.0.200", check=False)
        host.run("ip", "address", "del", "10.66.0.200/24", "dev", "eth0")
    output = tmp_path / "resolver"
    resolver = lab.server.start(sys.executable, "-c", RESOLVER, output=output)
    try:
        wait_until(lambda: b"ready" in output.read_bytes(), "the resolver listens")
        lab.client.run(sys.executable, "-c", ASKER, lab.server.address)
    finally:
        end(resolver)
    assert siemd.stop() == 0
    assert siemd.alerts() == []
    (row,) = siemd.rows("SELECT SUM(count) AS questions FROM logs WHERE event_type = 'dns_names'")
    assert row["questions"] == 300
