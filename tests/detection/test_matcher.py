"""Modifiers, values and their traps: what matches and what does not."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from siemd.events import LogEvent, NetworkEvent, UsageSample

CASES: list[tuple[str, dict[str, Any], bool]] = [
    # plain values: case-insensitive, lists are OR, maps are AND
    ("selection: {A: Evil}", {"A": "eVIL"}, True),
    ("selection: {A: Evil}", {"A": "evil "}, False),
    ("selection: {A: [one, two]}", {"A": "TWO"}, True),
    ("selection: {A: x, B: y}", {"A": "x", "B": "z"}, False),
    ("selection: [{A: x}, {B: y}]", {"A": "q", "B": "y"}, True),
    ("selection: {A: x}", {}, False),
    # multi-valued fields match when any value does
    ("selection: {A: x}", {"A": ["w", "x"]}, True),
    ("selection: {'A|endswith': y}", {"A": ["w", "xy"]}, True),
    ("selection: {A: 443}", {"A": [80, 443]}, True),
    # wildcards and their escapes
    (r"selection: {A: 'a*c'}", {"A": "abbc"}, True),
    (r"selection: {A: 'a*c'}", {"A": "abcd"}, False),
    (r"selection: {A: 'a?c'}", {"A": "abc"}, True),
    (r"selection: {A: 'a?c'}", {"A": "ac"}, False),
    (r"selection: {A: 'a*'}", {"A": "a\nb"}, True),
    (r"selection: {A: 'a\*c'}", {"A": "a*c"}, True),
    (r"selection: {A: 'a\*c'}", {"A": "abc"}, False),
    (r"selection: {A: 'a\\*c'}", {"A": "a\\bbc"}, True),
    (r"selection: {A: 'a\\*c'}", {"A": "a*c"}, False),
    (r"selection: {A: 'a\\\*c'}", {"A": "a\\*c"}, True),
    (r"selection: {A: 'a\\\*c'}", {"A": "a\\bc"}, False),
    (r"selection: {A: 'C:\Windows\x.exe'}", {"A": "c:\\windows\\X.exe"}, True),
    (r"selection: {A: '\\\\server\share'}", {"A": "\\\\server\\share"}, True),
    (r"selection: {A: 'end\'}", {"A": "end\\"}, True),
    (r"selection: {'A|contains': 'a?b*c'}", {"A": "__a1b___c__"}, True),
    (r"selection: {'A|contains': 'a?b*c'}", {"A": "__ab___c__"}, False),
    (r"selection: {A: '*'}", {"A": "anything"}, True),
    (r"selection: {A: '*'}", {}, False),
    # "" and null
    ("selection: {A: ''}", {"A": ""}, True),
    ("selection: {A: ''}", {"A": "x"}, False),
    ("selection: {A: ''}", {}, False),
    ("selection: {A: null}", {}, True),
    ("selection: {A: null}", {"A": None}, True),
    ("selection: {A: null}", {"A": ""}, True),  # event logs write an empty string where a rule says null
    ("selection: {A: null}", {"A": "x"}, False),
    ("selection: {A: [null, x]}", {"A": "x"}, True),
    # booleans, and numbers against strings
    ("selection: {A: 'true'}", {"A": True}, True),
    ("selection: {A: true}", {"A": "True"}, True),
    ("selection: {A: false}", {"A": True}, False),
    ("selection: {A: 1}", {"A": True}, False),
    ("selection: {A: 4625}", {"A": "4625"}, True),
    ("selection: {A: '4625'}", {"A": 4625}, True),
    ("selection: {A: 5}", {"A": 5.0}, True),
    ("selection: {A: 16}", {"A": "0x10"}, True),
    ("selection: {A: 5}", {"A": "55"}, False),
    ("selection: {'A|contains': 62}", {"A": 4625}, True),
    ("selection: {'A|startswith': 46}", {"A": "4625"}, True),
    # modifiers on text
    ("selection: {'A|contains': vil}", {"A": "eVILs"}, True),
    ("selection: {'A|startswith': ev}", {"A": "EVIL"}, True),
    ("selection: {'A|startswith': vil}", {"A": "EVIL"}, False),
    ("selection: {'A|endswith': [a, il]}", {"A": "EVIL"}, True),
    ("selection: {'A|contains|all': [a, b]}", {"A": "xbxax"}, True),
    ("selection: {'A|contains|all': [a, b]}", {"A": "xbxx"}, False),
    ("selection: {'A|cased': Evil}", {"A": "Evil"}, True),
    ("selection: {'A|cased': Evil}", {"A": "evil"}, False),
    ("selection: {'A|contains|cased': VI}", {"A": "eVIl"}, True),
    ("selection: {'A|contains|cased': VI}", {"A": "evil"}, False),
    ("selection: {'A|cased': 'E*l'}", {"A": "evil"}, False),
    ("selection: {'A|neq': x}", {"A": "y"}, True),
    ("selection: {'A|neq': [x, y]}", {"A": "y"}, False),
    ("selection: {'A|neq': 5}", {"A": 6}, True),
    # regular expressions: case matters, found anywhere
    ("selection: {'A|re': 'b+c$'}", {"A": "abbc"}, True),
    ("selection: {'A|re': 'B+'}", {"A": "abbc"}, False),
    ("selection: {'A|re|i': 'B+'}", {"A": "abbc"}, True),
    ("selection: {'A|re': 'a.c'}", {"A": "a\nc"}, False),
    ("selection: {'A|re|s': 'a.c'}", {"A": "a\nc"}, True),
    ("selection: {'A|re': '^c'}", {"A": "a\nc"}, False),
    ("selection: {'A|re|m|i': '^C'}", {"A": "a\nc"}, True),
    ("selection: {'A|re': 'x(?i)Y'}", {"A": "xy"}, True),
    ("selection: {'A|re': '4\\d2'}", {"A": 4625}, True),
    ("selection: {'A|re': '^46\\d'}", {"A": 4625}, True),
    # networks
    ("selection: {'A|cidr': 10.0.0.0/8}", {"A": "10.9.8.7"}, True),
    ("selection: {'A|cidr': 10.0.0.0/8}", {"A": "11.9.8.7"}, False),
    ("selection: {'A|cidr': [192.168.0.0/16, 'fe80::/10']}", {"A": "fe80::1%eth0"}, True),
    ("selection: {'A|cidr': 10.0.0.0/8}", {"A": "::ffff:10.1.2.3"}, True),
    ("selection: {'A|cidr': 10.0.0.0/8}", {"A": "not an address"}, False),
    ("selection: {'A|cidr': '::/0'}", {"A": "10.0.0.1"}, False),
    # comparisons
    ("selection: {'A|lt': 5}", {"A": 4}, True),
    ("selection: {'A|lte': 5}", {"A": "5"}, True),
    ("selection: {'A|gt': 5}", {"A": 5}, False),
    ("selection: {'A|gte': '0.5'}", {"A": 0.75}, True),
    ("selection: {'A|gt': 5}", {"A": "many"}, False),
    ("selection: {'A|gt': 5}", {}, False),
    ("selection: {'A|gt': 0}", {"A": True}, False),
    # existence
    ("selection: {'A|exists': true}", {"A": None}, True),
    ("selection: {'A|exists': 'True'}", {}, False),
    ("selection: {'A|exists': false}", {}, True),
    ("selection: {'A|exists': false}", {"A": ""}, False),
    # dashes
    ("selection: {'A|windash|contains': ' -enc '}", {"A": "x /ENC y"}, True),
    ("selection: {'A|contains|windash': ' -a -b'}", {"A": "x –a ―b"}, True),
    ("selection: {'A|contains|windash': ' -a'}", {"A": "x +a"}, False),
    ("selection: {'A|contains|windash': 'key-value'}", {"A": "key/value"}, False),
    # other fields of the same event
    ("selection: {'A|fieldref': B}", {"A": "Same", "B": "sAME"}, True),
    ("selection: {'A|fieldref': B}", {"A": "Same"}, False),
    ("selection: {'A|fieldref|cased': B}", {"A": "Same", "B": "same"}, False),
    ("selection: {'A|fieldref|startswith': B}", {"A": "same here", "B": "Same"}, True),
    ("selection: {'A|fieldref|endswith': B}", {"A": "same here", "B": "HERE"}, True),
    ("selection: {'A|fieldref|contains': B}", {"A": "same here", "B": "e h"}, True),
    ("selection: {'A|fieldref|neq': B}", {"A": "x", "B": "y"}, True),
    # parts of dates
    ("selection: {'A|hour': 3}", {"A": "2026-11-22T03:04:05.678Z"}, True),
    ("selection: {'A|minute': 4}", {"A": "2026-11-22 03:04:05"}, True),
    ("selection: {'A|day': 22, 'A|month': 11, 'A|year': 2026, 'A|week': 47}", {"A": "2026-11-22T03:04:05Z"}, True),
    ("selection: {'A|hour|gte': 18}", {"A": "2026-11-22T03:04:05Z"}, False),
    ("selection: {'A|hour|lt': 6}", {"A": "2026-11-22T03:04:05Z"}, True),
    ("selection: {'A|hour': 3}", {"A": "yesterday"}, False),
    # keywords search every value of the event
    ("selection: [evil, worse]", {"A": "x", "B": "so EVIL!"}, True),
    ("selection: [evil]", {"A": {"deep": ["an evil thing"]}}, True),
    ("selection: evil", {"evil": "only the name"}, False),
    ("selection: {'|all': [one, two]}", {"A": "one", "B": "two"}, True),
    ("selection: {'|all': [one, two]}", {"A": "one"}, False),
    ("selection: ['e*l']", {"A": "so evil!"}, True),
    ("selection: [4711]", {"A": 47112}, True),
    ("selection: {'|re': 'ev[a-i]l'}", {"A": "an evil"}, True),
    ("selection: {'|re': 'Ev[a-i]l'}", {"A": "an evil"}, False),
    ("selection: [evil, {A: x}]", {"A": "x"}, True),
    # names with dots and spaces
    ("selection: {a.b: x}", {"a": {"b": "x"}}, True),
    ("selection: {a.b: x}", {"a.b": "x"}, True),
    ("selection: {Threat Name: x}", {"Threat Name": "x"}, True),
    # conditions
    ("a: {A: x}\nb: {B: y}\nc: {C: z}\ncondition: a or b and c", {"A": "x"}, True),
    ("a: {A: x}\nb: {B: y}\nc: {C: z}\ncondition: (a or b) and c", {"A": "x"}, False),
    ("a: {A: x}\nb: {B: y}\ncondition: not a and b", {"B": "y"}, True),
    ("a: {A: x}\nb: {B: y}\ncondition: not (a and b)", {"B": "y"}, True),
    ("a: {A: x}\nb: {B: y}\ncondition: not not a", {"A": "x"}, True),
    ("sel_a: {A: x}\nsel_b: {B: y}\ncondition: 1 of sel_*", {"B": "y"}, True),
    ("sel_a: {A: x}\nsel_b: {B: y}\ncondition: all of sel_*", {"B": "y"}, False),
    ("sel_a: {A: x}\nsel_b: {B: y}\ncondition: any of them", {"B": "y"}, True),
    ("sel_a: {A: x}\n_off: {B: y}\ncondition: all of them", {"A": "x"}, True),
    ("s: {A: x}\nfilter_1: {B: y}\ncondition: s AND NOT 1 OF filter_*", {"A": "x", "B": "y"}, False),
    ("a: {A: x}\nb: {B: y}\ncondition: [a, b]", {"B": "y"}, True),
    ("a_1_x: {A: x}\na_2_x: {B: y}\ncondition: all of a_*_x", {"A": "x", "B": "y"}, True),
]


@pytest.mark.parametrize(("detection", "fields", "expected"), CASES)
def test_cases(tools: Any, detection: str, fields: dict[str, Any], expected: bool) -> None:
    assert tools.matches(detection, **fields) is expected


@pytest.mark.parametrize("shift", range(3))
def test_base64_at_every_alignment(tools: Any, shift: int) -> None:
    hidden = base64.b64encode(b"abc"[:shift] + b"http://evil.example/" + b"tail").decode()
    assert tools.matches("selection: {'A|base64offset|contains': 'http://evil.example/'}", A=f"x {hidden} y")


def test_encodings(tools: Any) -> None:
    wide = base64.b64encode("whoami".encode("utf-16-le")).decode()
    assert tools.matches("selection: {'A|base64': whoami}", A=base64.b64encode(b"whoami").decode())
    assert tools.matches("selection: {'A|wide|base64': whoami}", A=wide)
    assert tools.matches("selection: {'A|utf16le|base64|contains': whoami}", A=f"-enc {wide}")
    assert tools.matches("selection: {'A|utf16be|base64': x}", A=base64.b64encode(b"\0x").decode())
    assert tools.matches("selection: {'A|utf16|base64': x}", A=base64.b64encode(b"\xff\xfex\0").decode())
    assert tools.matches("selection: {'A|wide|contains': cmd}", A="c\0m\0d\0")


LOGSOURCE_CASES: list[tuple[str, Any, bool]] = [
    ("{product: siemd, category: network}", NetworkEvent(time_us=0, event_type="x", fields={"A": "x"}), True),
    ("{product: siemd, category: usage}", NetworkEvent(time_us=0, event_type="x", fields={"A": "x"}), False),
    ("{product: siemd}", NetworkEvent(time_us=0, event_type="x", fields={"A": "x"}), True),
    ("{product: windows}", NetworkEvent(time_us=0, event_type="x", fields={"A": "x"}), False),
    ("{product: windows, service: security}", ("windows", "Security", 1, ""), True),
    ("{product: windows, service: security}", ("windows", "System", 1, ""), False),
    ("{product: windows, service: Custom/Operational}", ("windows", "custom/operational", 1, ""), True),
    ("{product: windows, service: powershell}", ("windows", "PowerShellCore/Operational", 4104, ""), True),
    ("{product: windows, category: ps_script}", ("windows", "PowerShellCore/Operational", 4103, ""), False),
    (
        "{product: windows, category: process_creation}",
        ("windows", "Microsoft-Windows-Sysmon/Operational", 1, ""),
        True,
    ),
    (
        "{product: windows, category: process_creation}",
        ("windows", "Microsoft-Windows-Sysmon/Operational", 3, ""),
        False,
    ),
    ("{product: windows, category: process_creation}", ("windows", "Security", 4688, ""), True),
    (
        "{product: windows, category: process_creation, service: sysmon}",
        ("windows", "Security", 4688, ""),
        False,
    ),
    ("{product: windows, category: nonsense}", ("windows", "Security", 4688, ""), False),
    ("{category: antivirus}", ("windows", "Microsoft-Windows-Windows Defender/Operational", 1116, ""), True),
    ("{product: linux, service: sshd}", ("linux", "auth", 0, "sshd"), True),
    ("{product: linux, service: sshd}", ("linux", "auth", 0, "sshd-session"), True),
    ("{product: linux, service: sshd}", ("linux", "auth", 0, "sudo"), False),
    ("{product: linux, service: auth}", ("linux", "authpriv", 0, "sudo"), True),
    ("{product: linux, service: cron}", ("linux", "cron", 0, "CRON"), True),
    ("{product: linux, service: cron}", ("linux", "daemon", 0, "CRON"), True),
    ("{product: linux, service: someapp}", ("linux", "daemon", 0, "SomeApp"), True),
    ("{product: linux}", ("linux", "daemon", 0, "anything"), True),
    ("{product: linux}", ("windows", "daemon", 0, "anything"), False),
    ("{product: okta}", ("windows", "daemon", 0, "anything"), False),
]


@pytest.mark.parametrize(("logsource", "event", "expected"), LOGSOURCE_CASES)
def test_logsources(tools: Any, logsource: str, event: Any, expected: bool) -> None:
    if isinstance(event, tuple):
        platform, channel, event_id, provider = event
        event = LogEvent(
            time_us=0,
            table="channel_logs",
            platform=platform,
            channel=channel,
            event_id=event_id,
            provider=provider,
            fields={"A": "x"},
        )
    ruleset = tools.rules(f"title: t\nlogsource: {logsource}\ndetection: {{s: {{A: x}}, condition: s}}")
    assert bool(tools.detector(ruleset).process([event])) is expected


def test_usage_samples(tools: Any) -> None:
    ruleset = tools.rules(
        "title: t\nlogsource: {product: siemd, category: usage}\ndetection: {s: {'cpu_percent|gte': 95}, condition: s}"
    )
    detector = tools.detector(ruleset)
    assert not detector.process([UsageSample(time_us=0, cpu_percent=20.0, ram_percent=1.0)])
    assert detector.process([UsageSample(time_us=1, cpu_percent=97.5, ram_percent=1.0)])


def test_process_creation_fields_of_the_security_log(tools: Any) -> None:
    ruleset = tools.rules(
        "title: t\nlogsource: {product: windows, category: process_creation}\n"
        r"detection: {s: {'Image|endswith': '\evil.exe', 'ParentImage|fieldref|neq': Image}, condition: s}"
    )
    event = LogEvent(
        time_us=0,
        table="security_logs",
        platform="windows",
        channel="Security",
        event_id=4688,
        fields={"EventID": 4688, "NewProcessName": r"C:\evil.exe", "ParentProcessName": r"C:\x.exe"},
    )
    assert tools.detector(ruleset).process([event])


def test_registry_delete_means_keys_and_values(tools: Any) -> None:
    ruleset = tools.rules(
        "title: t\nlogsource: {product: windows, category: registry_delete}\n"
        "detection: {s: {TargetObject: x}, condition: s}"
    )
    sysmon = {"table": "channel_logs", "platform": "windows", "channel": "Microsoft-Windows-Sysmon/Operational"}
    for kind, expected in (("DeleteKey", True), ("DeleteValue", True), ("CreateKey", False)):
        event = LogEvent(time_us=0, event_id=12, fields={"EventType": kind, "TargetObject": "x"}, **sysmon)
        assert bool(tools.detector(ruleset).process([event])) is expected


def test_typed_columns_stand_in_for_native_names(tools: Any) -> None:
    ruleset = tools.rules(
        "title: t\nlogsource: {product: windows, service: security}\n"
        "detection: {s: {EventID: 7, Computer: c1, user_name: bob, level: error}, condition: s}"
    )
    event = LogEvent(
        time_us=0,
        table="security_logs",
        platform="windows",
        channel="Security",
        event_id=7,
        computer="C1",
        user_name="Bob",
        level="error",
    )
    assert tools.detector(ruleset).process([event])


def test_rules_for_other_event_ids_cost_nothing(tools: Any) -> None:
    ruleset = tools.rules(
        "title: t\nlogsource: {product: windows, service: security}\n"
        "detection: {s: {EventID: [1, 2], A: x}, condition: s}"
    )
    detector = tools.detector(ruleset)
    assert len(detector._matcher.program(("windows", "Security", 2))) == 1
    assert len(detector._matcher.program(("windows", "Security", 3))) == 0


def test_hostile_channel_names_do_not_fill_the_memory(tools: Any) -> None:
    from siemd.detection.matcher import MAX_ROUTES

    ruleset = tools.rules("title: t\nlogsource: {product: windows}\ndetection: {s: {A: x}, condition: s}")
    detector = tools.detector(ruleset)
    for number in range(MAX_ROUTES + 10):
        event = tools.log(A="y")
        event.channel = f"channel {number}"
        detector.process([event])
    assert len(detector._matcher._programs) <= MAX_ROUTES


def test_wildcards_are_matched_in_linear_time(tools: Any) -> None:
    assert not tools.matches("selection: {A: '" + "*a" * 30 + "*b'}", A="a" * 50_000)
