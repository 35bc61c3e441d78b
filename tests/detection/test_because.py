"""An incident says which tests of the rule held, and on which values."""

from __future__ import annotations

from typing import Any

from siemd.detection.because import MAX_TESTS

RULE = """
title: Odd command
logsource: {product: windows, category: process_creation}
detection:
  image: {Image|endswith: ['\\sh.exe', '\\cmd.exe']}
  line: [{CommandLine|contains|all: [whoami, priv]}, {CommandLine|contains: nothing}]
  parent: {ParentImage|endswith: x.exe}
  condition: image and line and not parent
"""


def reason(tools: Any, rule: str, channel: str, event_id: int, **fields: Any) -> str:
    event = tools.log(0, **fields)
    event.channel, event.event_id = channel, event_id
    (alert,) = tools.detector(tools.rules(rule)).process([event])
    text: str = alert.reason
    return text


def test_what_held_is_said_with_its_value(tools: Any) -> None:
    fields = {"Image": "C:\\w\\CMD.exe", "CommandLine": "cmd /c WhoAmI /priv", "ParentImage": "y"}
    said = reason(tools, RULE, "Microsoft-Windows-Sysmon/Operational", 1, **fields)
    assert 'Image ends with "\\cmd.exe" (C:\\w\\CMD.exe)' in said
    assert 'CommandLine contains "whoami" (cmd /c WhoAmI /priv)' in said
    assert "nothing" not in said
    assert "Parent" not in said


def test_fields_have_the_names_of_the_record(tools: Any) -> None:
    fields = {"NewProcessName": "C:\\w\\cmd.exe", "CommandLine": "whoami /priv"}
    assert 'NewProcessName ends with "\\cmd.exe"' in reason(tools, RULE, "Security", 4688, **fields)


def test_keywords_and_long_rules(tools: Any) -> None:
    rule = "title: t\nlogsource: {product: windows}\ndetection: {keywords: [evil], condition: keywords}\n"
    assert "evil" in reason(tools, rule, "x", 1, A="an EVIL word")
    many = [f"v{number}" for number in range(2 * MAX_TESTS)]
    rule = f"title: t\nlogsource: {{product: windows}}\ndetection: {{s: {{A: {many}}}, condition: s}}\n"
    assert reason(tools, rule, "x", 1, A=many[-1]) == "t"


def test_hostile_values_are_tamed_here_too(tools: Any) -> None:
    rule = "title: t\nlogsource: {product: windows}\ndetection: {s: {A|contains: x}, condition: s}\n"
    said = reason(tools, rule, "c", 1, A="x\x1b[2J\r\n" * 500)
    assert said.isprintable()
    assert len(said) < 300
