"""The reference page of the facts, made from their declarations."""

from __future__ import annotations

from siemd.sources.sniffer.facts import FACTS

_ATTRIBUTES = {
    "source_ip": "who asked: the prober, the pinging host, the SSH client",
    "source_port": "the client's port",
    "destination_ip": "who was asked",
    "destination_port": "the port; the lowest of `destination_ports` where there are several",
    "protocol": "tcp, udp, icmp, icmpv6, arp or ndp",
    "user_name": "the user, the first one of several",
    "count": "how many packets (tries, handshakes) this fact stands for",
    "message": "the fact as a sentence",
}

_HEAD = """\
# Facts of the network sensor

The sensor turns packets into facts: network events that say what happened on the wire, without judging it. Rules
judge (`config/rules/network`), and every threshold stands in them. A rule for facts begins with

```yaml
title: A TCP port was probed
logsource:
  product: siemd
  category: network
detection:
  selection:
    event_type: tcp_probe
  condition: selection
```

and may use every field below, with `host` and `time_us` beside them. A list matches when any of its values does, and a
`value_count` correlation counts each of them.

Facts are gathered for a `tick` (1 s): there is at most one fact for each kind, source, destination, outcome and VLAN
in a tick, so that a scan of 65,535 ports is a hundred events. Their time is that of the newest packet behind them.
When more than 64 sources reach for one host within a tick, sources with a port or two say nothing: they are most
likely forged. What the sensor holds back, forgets or judges early for lack of memory is counted (see `siemd status`).

This page is made from `siemd/sources/sniffer/facts.py`: `python -m siemd.sources.sniffer.facts_page > docs/facts.md`.
"""


def page() -> str:
    """The whole page in Markdown."""
    parts = [_HEAD]
    for kind in FACTS.values():
        rows = [f"| `{name}` | {kind.meanings.get(name) or _ATTRIBUTES[name]} |" for name in kind.attributes]
        rows += [f"| `{name}` | {text} |" for name, text in kind.fields.items()]
        parts.append(f"## {kind.name}\n\n{kind.when}\n\n| field | meaning |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
