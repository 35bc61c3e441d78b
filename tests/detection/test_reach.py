"""Whether a rule can fire on a host, why not, and what Windows must be told first."""

from __future__ import annotations

from typing import Any

import pytest

from siemd.detection.reach import Collected, Reach, logs_of, reach_of
from siemd.detection.rule import LogSource
from siemd.sources.windows_events import WindowsEventsConfig

LINUX = Collected(missing={"windows": "the host does not run Windows"}, facts=frozenset({"tcp_probe", "ping"}))
WINDOWS = Collected(
    missing={"linux": "the host does not run Linux"},
    channels=frozenset(name.lower() for name in WindowsEventsConfig().channels),
)


def reach(tools: Any, logsource: str, collected: Collected, selection: str = "{A: x}") -> Reach:
    text = f"title: t\nname: r\nlogsource: {logsource}\ndetection: {{s: {selection}, condition: s}}\n"
    ruleset = tools.rules(text)
    return reach_of(ruleset.rules[0], ruleset, collected)


@pytest.mark.parametrize(
    ("logsource", "collected", "kind", "reason"),
    [
        ("{product: siemd, category: network}", LINUX, "", ""),
        ("{product: siemd, category: network}", Collected(missing={"network": "off"}), "platform", "off"),
        ("{category: firewall}", LINUX, "", ""),
        ("{category: network}", LINUX, "", ""),
        ("{category: dns}", LINUX, "source", "the sensor states no facts such as dns_query"),
        ("{product: linux, service: sshd}", LINUX, "", ""),
        ("{product: linux, service: sshd}", WINDOWS, "platform", "does not run Linux"),
        ("{product: windows, service: security}", LINUX, "platform", "does not run Windows"),
        ("{product: windows, service: security}", WINDOWS, "", ""),
        ("{product: windows}", WINDOWS, "", ""),
        ("{product: windows, service: capi2}", WINDOWS, "channel", "sources.windows_events.channels"),
        ("{product: windows, category: file_access}", WINDOWS, "source", "no source of product windows, category"),
        ("{product: aws, service: cloudtrail}", LINUX, "source", "no source of product aws, service cloudtrail"),
        ("{category: webserver}", LINUX, "source", "the sensor states no facts such as http_request"),
        ("{category: edr}", LINUX, "source", "category edr"),
    ],
)
def test_what_keeps_a_rule_from_firing(
    tools: Any, logsource: str, collected: Collected, kind: str, reason: str
) -> None:
    found = reach(tools, logsource, collected)
    assert (found.kind, found.fires) == (kind, not kind)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("logsource", "selection", "needs"),
    [
        ("{product: windows, service: windefend}", "{EventID: 1116}", ""),
        ("{product: windows, service: security}", "{EventID: 4624}", ""),
        ("{product: windows, service: security}", "{EventID: 4698}", "Other Object Access Events"),
        ("{product: windows, service: security}", "{EventID: ['4698', 4702], A: x}", "Other Object Access Events"),
        ("{product: windows, service: security}", "{EventID: [4698, 4624]}", ""),
        ("{product: windows, service: security}", "{EventID: [4662, 5136]}", "Directory Service Access or Directory"),
        ("{product: windows, service: security}", "{A: x}", ""),
        ("{product: windows, category: ps_script}", "{A: x}", "script block logging"),
        ("{product: windows, category: process_creation}", "{A: x}", "Process Creation, with command lines"),
        ("{product: windows, category: image_load}", "{A: x}", "Sysmon installed"),
        ("{product: windows, service: system}", "{EventID: 7045}", ""),
    ],
)
def test_what_windows_must_be_told(tools: Any, logsource: str, selection: str, needs: str) -> None:
    found = reach(tools, logsource, WINDOWS, selection)
    assert found.fires
    assert bool(found.needs) is bool(needs)
    assert needs in " | ".join(found.needs)


def test_what_a_linux_host_must_be_told(tools: Any) -> None:
    assert "audit system" in reach(tools, "{product: linux, service: auditd}", LINUX).needs[0]
    found = reach(tools, "{product: linux, category: process_creation}", LINUX)
    needs = ("Sysmon for Linux", "the Linux audit system with a rule that records execve")
    assert (found.fires, found.needs) == (True, needs)
    found = reach(tools, "{product: linux, category: process_creation}", WINDOWS)
    assert (found.kind, found.reason) == ("platform", "the host does not run Linux")


@pytest.mark.parametrize(
    ("source", "logs"),
    [
        (LogSource(product="windows", service="security"), ["Security"]),
        (LogSource(product="windows"), ["every Windows event log"]),
        (LogSource(product="windows", category="registry_set"), ["Microsoft-Windows-Sysmon/Operational (event 13)"]),
        (LogSource(product="linux", service="sudo"), ["the journal (sudo)"]),
        (LogSource(product="linux"), ["the journal", "Linux-Sysmon/Operational"]),
        (LogSource(product="siemd"), ["the facts of the wire", "the samples of this host's load"]),
        (LogSource(product="aws"), []),
    ],
)
def test_where_events_stand(source: LogSource, logs: list[str]) -> None:
    assert logs_of(source) == logs


def correlation(kind: str) -> str:
    return f"""
title: here
name: here
logsource: {{product: siemd, category: network}}
detection: {{s: {{event_type: x}}, condition: s}}
---
title: elsewhere
name: elsewhere
logsource: {{product: windows, category: ps_script}}
detection: {{s: {{A: x}}, condition: s}}
---
title: both
name: both
correlation:
  type: {kind}
  rules: [here, elsewhere]
  timespan: 5m
  {"condition: {gte: 2}" if kind == "event_count" else ""}
"""


def test_a_correlation_needs_all_or_any_of_its_rules(tools: Any) -> None:
    for kind, fires in (("event_count", True), ("temporal", False)):
        ruleset = tools.rules(correlation(kind))
        (rule,) = ruleset.correlations
        assert reach_of(rule, ruleset, LINUX).fires is fires
        assert "script block logging of PowerShell" in reach_of(rule, ruleset, WINDOWS).needs


def test_a_rule_that_is_off_says_why(tools: Any) -> None:
    ruleset = tools.rules(correlation("temporal"), disabled=["here"])
    found = reach_of(ruleset.find("here")[0], ruleset, LINUX)
    assert (found.kind, found.reason) == ("off", "switched off by detection.disabled")
