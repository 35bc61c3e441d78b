"""Every mode of the real tools at once, each from an address of its own: each attack is one incident of its rules."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.daemon import Siemd
from support.needs import need
from support.netlab import Lab
from support.waiting import wait_until

pytestmark = [pytest.mark.root, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")]

ON_THE_SERVER: dict[str, Any] = {"sources": {"sniffer": {"interface": "eth0"}, "journal": {"enabled": False}}}
NMAP = "nmap -n -Pn --max-retries 1 -e eth0 -S SOURCE"
NMAP6 = "nmap -6 -n -Pn --max-retries 1 -e eth0 -S SOURCE6"
# A web server on port 8000, one that is silent on 8001, an SSH banner on 8022.
SERVICES = "8000,8001,8022"
SERVER = """
import http.server, socketserver, threading
def serve(port, greeting, answer):
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(greeting)
            if self.request.recv(1000) and answer:
                self.request.sendall(answer)
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    server = socketserver.ThreadingTCPServer(("0.0.0.0", port), Handler)
    threading.Thread(target=server.serve_forever).start()
serve(8001, b"", b"")
serve(8022, b"SSH-2.0-OpenSSH_9.2p1\\r\\n", b"")
http.server.ThreadingHTTPServer(("0.0.0.0", 8000), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


class Mode(NamedTuple):
    """A tool in one mode, and the rules of which it is one incident each."""

    command: str
    rules: str


# SOURCE is the attacker's address for this mode, VICTIM the server's.
MODES = [
    Mode(f"{NMAP} -sS -p 1-300 VICTIM", "port_scan_syn"),
    Mode(f"{NMAP} -sT -p 1-300 VICTIM", "port_scan_connect"),
    Mode(f"{NMAP} -sF -p 1-100 VICTIM", "port_scan_fin"),
    Mode(f"{NMAP} -sN -p 1-100 VICTIM", "port_scan_null"),
    Mode(f"{NMAP} -sX -p 1-100 VICTIM", "port_scan_xmas"),
    Mode(f"{NMAP} -sM -p 1-100 VICTIM", "port_scan_maimon"),
    Mode(f"{NMAP} -sA -p 1-100 VICTIM", "port_scan_ack"),
    Mode(f"{NMAP} -sW -p 1-100 VICTIM", "port_scan_ack"),
    Mode(f"{NMAP} -sU -p 1000-1050 VICTIM", "port_scan_udp"),
    Mode(f"{NMAP} -sY -p 1-40 VICTIM", "port_scan_sctp"),
    Mode(f"{NMAP} -sZ -p 1-40 VICTIM", "port_scan_sctp"),
    Mode(f"{NMAP} -sO --min-rate 100 VICTIM", "ip_protocol_scan"),
    Mode(f"{NMAP} -O -p 1-40,8000 VICTIM", "port_scan_syn os_fingerprint"),
    Mode(f"{NMAP} -sV -p {SERVICES} VICTIM", "service_version_scan"),
    Mode(f"{NMAP} -sV -p 8000 VICTIM", "service_version_scan"),
    Mode(f"{NMAP} -A -p 1-40,8000 VICTIM", "port_scan_syn os_fingerprint service_version_scan"),
    Mode(f"{NMAP} -f -sS -p 1-60 VICTIM", "port_scan_syn fragmented_header"),
    Mode(f"{NMAP} --mtu 16 -sF -p 1-60 VICTIM", "port_scan_fin fragmented_header"),
    Mode(f"{NMAP} -sS -T2 -p 1-20 VICTIM", "port_scan_syn"),
    Mode(f"{NMAP6} -sS -p 1-100 VICTIM6", "port_scan_syn"),
    Mode(f"{NMAP6} -sT -p 1-100 VICTIM6", "port_scan_connect"),
    Mode(f"{NMAP6} -sF -p 1-60 VICTIM6", "port_scan_fin"),
    Mode(f"{NMAP6} -sX -p 1-60 VICTIM6", "port_scan_xmas"),
    Mode(f"{NMAP6} -sA -p 1-60 VICTIM6", "port_scan_ack"),
    Mode(f"{NMAP6} -sU --min-rate 50 -p 1000-1040 VICTIM6", "port_scan_udp"),
    Mode(f"{NMAP6} -sY -p 1-40 VICTIM6", "port_scan_sctp"),
    Mode(f"{NMAP6} -sO --min-rate 100 VICTIM6", "ip_protocol_scan"),
    Mode(f"{NMAP6} -O -p 1-40,8000 VICTIM6", "port_scan_syn os_fingerprint"),
    Mode("hping3 -q -a SOURCE --scan 1-60 -S VICTIM", "port_scan_syn"),
    Mode(
        "masscan VICTIM -p1-60 --rate 300 --wait 1 --adapter-ip SOURCE --interface eth0 --router-mac MAC",
        "port_scan_syn",
    ),
    Mode("hping3 -q -S -i u200 -c 2500 -a SOURCE -p 8000 VICTIM", "syn_flood"),
    Mode("hping3 -q -S -i u200 -c 2500 -a SOURCE -p 9 VICTIM", "syn_flood"),
    Mode("hping3 -q -S -i u200 -c 2500 --rand-source -p 8000 VICTIM", "syn_flood"),
    Mode("hping3 -q -2 -i u200 -c 2500 -a SOURCE -p 5000 VICTIM", "udp_flood"),
    Mode("hping3 -q -2 -i u200 -c 2500 --rand-source -p 53 VICTIM", "udp_flood"),
    Mode("hping3 -q -1 -i u200 -c 2500 -a SOURCE VICTIM", "icmp_flood"),
    Mode("hping3 -q -1 -i u200 -c 2500 --rand-source VICTIM", "icmp_flood"),
    Mode("ping -q -f -c 2500 -I SOURCE VICTIM", "icmp_flood"),
    Mode("ping -q -f -c 2500 -I SOURCE6 VICTIM6", "icmp_flood"),
]
DECOYS = Mode(f"{NMAP} -sS -p 1-100 -D DECOYS VICTIM", "port_scan_syn")  # one incident for each address
DECOY_ADDRESSES = ("10.66.0.201", "10.66.0.202")
BENIGN = [
    "ping -q -c 20 -i 0.1 VICTIM",
    "ping -q -c 20 -i 0.1 -s 1400 VICTIM",
    "ping -q -c 3 -s 4000 VICTIM",
    "traceroute -n VICTIM",
    "traceroute -n -I VICTIM",
    "traceroute -n -T -p 8000 VICTIM",
    "traceroute -n -T -p 81 VICTIM",
    "traceroute -n -U VICTIM",
    "tracepath -n VICTIM",
    "mtr -n -r -c 15 -i 0.1 VICTIM",
    "mtr -n -r -u -c 15 -i 0.1 VICTIM",
    "mtr -n -r -T -c 15 -i 0.1 VICTIM",
]
MakeSiemd = Callable[..., Siemd]


@pytest.fixture
def addresses(lab: Lab) -> Iterator[dict[Mode, dict[str, str]]]:
    """What the words in capitals mean for each mode: addresses of the attacker and the server that no other uses."""
    every = [*MODES, DECOYS]
    words = {}
    mac = lab.server.run("cat", "/sys/class/net/eth0/address").strip()
    for number, mode in enumerate(every):
        words[mode] = {
            "SOURCE6": f"fd66::a:{number + 1:x}",
            "VICTIM6": f"fd66::b:{number + 1:x}",
            "SOURCE": f"10.66.0.{100 + number}",
            "VICTIM": f"10.66.0.{11 + number}",
            "DECOYS": ",".join((*DECOY_ADDRESSES, "ME")),
            "MAC": mac,
        }
    batch = [(lab.attacker, f"{address}/24") for address in DECOY_ADDRESSES]
    batch += [(lab.attacker, f"{word['SOURCE']}/24") for word in words.values()]
    batch += [(lab.attacker, f"{word['SOURCE6']}/64") for word in words.values()]
    batch += [(lab.server, f"{word['VICTIM6']}/64") for word in words.values()]
    for host, address in batch:
        host.run("ip", "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
    yield words
    for host, address in batch:
        host.run("ip", "address", "del", address, "dev", "eth0", check=False)


def command(mode: Mode, words: dict[str, str]) -> list[str]:
    line = mode.command
    for word in sorted(words, key=len, reverse=True):
        line = line.replace(word, words[word])
    return line.split()


def test_every_mode_is_one_incident_of_its_rules(
    lab: Lab, addresses: dict[Mode, dict[str, str]], make_siemd: MakeSiemd, tmp_path: Path
) -> None:
    need("nmap", "hping3", "masscan", "traceroute", "mtr")
    services = lab.server.start("python3", "-c", SERVER, output=tmp_path / "services", cwd=tmp_path)
    siemd = make_siemd(ON_THE_SERVER, host=lab.server).start().sniffing()
    try:
        wait_until(lambda: ":8000" in lab.server.run("ss", "-tln"), "the services listen")
        with ThreadPoolExecutor(6) as pool:
            longest_first = sorted(addresses, key=lambda mode: "-A " not in mode.command and "-sV" not in mode.command)
            runs = {
                mode: pool.submit(lab.attacker.run, *command(mode, addresses[mode]), check=False)
                for mode in longest_first
            }
            for line in BENIGN:
                lab.client.run(*line.replace("VICTIM", lab.server.address).split(), check=False)
            said = {mode: run.result() for mode, run in runs.items()}
    finally:
        services.terminate()
        services.wait()
    assert siemd.stop() == 0, "which also has every pending fact stated"

    wrong = []
    for mode, words in addresses.items():
        expected = Counter(mode.rules.split() * (1 + len(DECOY_ADDRESSES) if mode is DECOYS else 1))
        found = Counter(alert["rule"] for alert in about(siemd, *words.values()))
        if found != expected:
            wrong.append((" ".join(command(mode, words)), dict(found), mode.rules, said[mode][-300:]))
    assert wrong == []
    assert about(siemd, lab.client.address) == []
    assert all("decoys" in alert["reason"] for alert in about(siemd, addresses[DECOYS]["VICTIM"]))


def about(siemd: Siemd, *addresses: str) -> list[dict[str, Any]]:
    """The incidents of any of these sources or victims."""
    return [alert for alert in siemd.alerts() if set(addresses) & set(alert["group"].values())]
