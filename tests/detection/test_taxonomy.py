"""Sigma's names of fields in groups, values and sentences, where the records spell them otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from siemd.events import LogEvent

SYSMON, SECURITY = "Microsoft-Windows-Sysmon/Operational", "Security"
PROCESS = r"""
title: A shell
name: shell
logsource: {product: windows, category: process_creation}
detection: {s: {Image|endswith: '\cmd.exe'}, condition: s}
"""


def process(moment: float, channel: str, parent: str) -> LogEvent:
    names = {"Image": r"C:\cmd.exe", "ParentImage": parent}
    if channel == SECURITY:
        names = {"NewProcessName": r"C:\cmd.exe", "ParentProcessName": parent}
    event_id = 1 if channel == SYSMON else 4688
    return LogEvent(
        time_us=int(moment * 1e6),
        table="channel_logs",
        platform="windows",
        channel=channel,
        event_id=event_id,
        fields=dict(names),
    )


def test_sysmon_and_the_security_log_count_together(tools: Any) -> None:
    ruleset = tools.rules(
        f"{PROCESS}---\ntitle: c\nname: c\ncorrelation:\n  type: event_count\n  rules: [shell]\n"
        "  group-by: [ParentImage]\n  timespan: 1m\n  condition: {gte: 3}\n"
    )
    detector = tools.detector(ruleset)
    events = [
        process(n, channel, parent)
        for n, channel in enumerate((SYSMON, SECURITY, SECURITY))
        for parent in ("a", f"b{n}")
    ]
    (alert,) = detector.process(events)
    assert (alert.rule, alert.count, alert.group) == ("c", 3, {"ParentImage": "a"})
    assert detector.counters()["ungrouped_events"] == 0


@pytest.mark.parametrize("channel", [SYSMON, SECURITY])
def test_groups_and_sentences_of_a_plain_rule(tools: Any, channel: str) -> None:
    ruleset = tools.rules(f"{PROCESS}siemd: {{group: [ParentImage], reason: '{{Image}} of {{ParentImage}}'}}\n")
    (alert,) = tools.detector(ruleset).process([process(0, channel, "x")])
    assert (alert.group, alert.reason) == ({"ParentImage": "x"}, r"C:\cmd.exe of x")


def test_facts_of_the_wire_by_the_names_of_firewalls(tools: Any) -> None:
    ruleset = tools.rules(
        "title: d\nname: denied\nlogsource: {category: firewall}\ndetection: {s: {action: refused}, condition: s}\n"
        "---\ntitle: c\nname: c\ncorrelation:\n  type: value_count\n  rules: [denied]\n"
        "  group-by: [src_ip, dst_ip]\n  timespan: 1m\n  condition: {gte: 4, field: dst_port}\n"
    )
    fields = [{"outcome": "refused", "destination_ports": ports} for ports in ([21, 22], [22, 23], [80])]
    facts = [
        tools.fact(n, "tcp_probe", source_ip="10.0.0.1", destination_ip="10.0.0.2", fields=one)
        for n, one in enumerate(fields)
    ]
    detector = tools.detector(ruleset)
    assert detector.process(facts[:2]) == []
    (alert,) = detector.process(facts[2:])
    assert alert.group == {"src_ip": "10.0.0.1", "dst_ip": "10.0.0.2"}
    assert "4 different values of dst_port" in alert.reason
