"""Kinds of records as they come from event logs, with the rules that public rule sets have for them."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

import pytest

from siemd.events import LogEvent
from siemd.sources.journal_record import event_from_journal
from siemd.sources.windows_flat import event_from_flat
from siemd.sources.windows_record import event_from_xml

SYSMON, SECURITY = "Microsoft-Windows-Sysmon/Operational", "Security"
DEFENDER = "Microsoft-Windows-Windows Defender/Operational"


def record(channel: str, event_id: int, body: str, provider: str = "Some-Provider", level: int = 4) -> str:
    return (
        '<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System>'
        f'<Provider Name="{provider}" Guid="{{x}}"/><EventID Qualifiers="0">{event_id}</EventID><Level>{level}</Level>'
        '<TimeCreated SystemTime="2026-03-11T05:16:41.8157206Z"/><EventRecordID>7</EventRecordID>'
        f"<Channel>{channel}</Channel><Computer>host.corp</Computer></System>{body}</Event>"
    )


def data(**values: str) -> str:
    """EventData; a double underscore stands for a space in a name."""
    items = "".join(f'<Data Name="{name.replace("__", " ")}">{escape(text)}</Data>' for name, text in values.items())
    return f"<EventData>{items}</EventData>"


def unnamed(*texts: str) -> str:
    return "<EventData>" + "".join(f"<Data>{escape(text)}</Data>" for text in texts) + "</EventData>"


def user_data(name: str, **values: str) -> str:
    inner = "".join(f"<{key}>{escape(text)}</{key}>" for key, text in values.items())
    return f'<UserData><{name} xmlns="http://x/y">{inner}</{name}></UserData>'


# The logsource and the selection of a rule, and a record that it has to match.
KINDS: list[tuple[str, str, str]] = [
    (
        "{product: windows, category: process_creation}",
        "{Image|endswith: '\\\\cmd.exe', Hashes|contains: 'IMPHASH=AB', User|contains: AUTHORI, LogonId: '0x3e7'}",
        record(
            SYSMON,
            1,
            data(
                Image="C:\\Windows\\cmd.exe",
                Hashes="SHA1=1,IMPHASH=ab01",
                User="NT AUTHORITY\\SYSTEM",
                LogonId="0x3e7",
            ),
        ),
    ),
    (
        "{product: windows, category: process_creation}",
        "{Image|endswith: '\\\\cmd.exe', ParentImage|endswith: '\\\\w3wp.exe', IntegrityLevel: [System, S-1-16-16384]}",
        record(
            SECURITY,
            4688,
            data(
                NewProcessName="C:\\Windows\\cmd.exe",
                ParentProcessName="C:\\x\\w3wp.exe",
                CommandLine="cmd /c WHOAMI",
                MandatoryLabel="S-1-16-16384",
            ),
        ),
    ),
    (
        "{product: windows, category: registry_set}",
        "{TargetObject|endswith: '\\\\Flag', Details: 'DWORD (0x00000001)'}",
        record(
            SYSMON, 13, data(EventType="SetValue", TargetObject="HKLM\\Software\\Flag", Details="DWORD (0x00000001)")
        ),
    ),
    (
        "{product: windows, category: registry_delete}",
        "{TargetObject|contains: '\\\\Run'}",
        record(SYSMON, 12, data(EventType="DeleteValue", TargetObject="HKU\\S-1\\Run\\x")),
    ),
    (
        "{product: windows, category: registry_add}",
        "{TargetObject|contains: '\\\\Run'}",
        record(SYSMON, 12, data(EventType="CreateKey", TargetObject="HKU\\S-1\\Run\\x")),
    ),
    (
        "{product: windows, category: registry_event}",
        "{EventType: RenameKey, NewName|endswith: x}",
        record(SYSMON, 14, data(EventType="RenameKey", TargetObject="HKU\\a", NewName="HKU\\x")),
    ),
    (
        "{product: windows, category: network_connection}",
        "{Initiated: 'true', DestinationPort: [443, 4444], DestinationIp|cidr: 10.0.0.0/8, SourceIsIpv6: false}",
        record(
            SYSMON, 3, data(Initiated="true", DestinationPort="4444", DestinationIp="10.1.2.3", SourceIsIpv6="false")
        ),
    ),
    (
        "{product: windows, category: image_load}",
        "{Signed: 'false', ImageLoaded|endswith: '.dll', Company: null}",
        record(SYSMON, 7, data(Signed="false", ImageLoaded="C:\\x.DLL", Company="")),
    ),
    (
        "{product: windows, category: ps_script}",
        "{ScriptBlockText|contains|all: ['IEX', 'Get-It']}",
        record("Microsoft-Windows-PowerShell/Operational", 4104, data(ScriptBlockText="$a\r\nGet-It | iex", Path="")),
    ),
    (
        "{product: windows, category: ps_classic_start}",
        "{Data|contains|all: ['HostApplication=powershell', 'EngineVersion=2']}",
        record(
            "Windows PowerShell", 400, unnamed("Available", "None", "EngineVersion=2.0\n\tHostApplication=powershell")
        ),
    ),
    (
        "{product: windows, service: windefend}",
        "{EventID: 5007, NewValue|contains: Exclusions}",
        record(DEFENDER, 5007, data(Old__Value="", New__Value="HKLM\\X\\Exclusions\\Paths\\C = 0x0")),
    ),
    (
        "{product: windows, service: windefend}",
        "{EventID: 1116, SourceName: AMSI, ThreatName|contains: eicar, 'Threat Name|contains': EICAR}",
        record(DEFENDER, 1116, data(Source__Name="AMSI", Threat__Name="Virus:DOS/EICAR_Test_File")),
    ),
    (
        "{product: windows, service: windefend}",
        "{Feature_Name: '%%886'}",
        record(DEFENDER, 3002, data(Feature__Name="%%886")),
    ),
    (
        "{category: antivirus}",
        "{Signature|contains: Mimikatz, Filename|endswith: '.exe'}",
        record(DEFENDER, 1116, data(Threat__Name="HackTool:Win64/Mimikatz", Path="file:_C:\\m.exe")),
    ),
    (
        "{product: windows, service: wmi}",
        "{EventID: 5861, PossibleCause|contains: CommandLine}",
        record(
            "Microsoft-Windows-WMI-Activity/Operational",
            5861,
            user_data("Operation_ESStoConsumerBinding", Namespace="//./root", PossibleCause="CommandLineEventConsumer"),
        ),
    ),
    (
        "{product: windows, service: system}",
        "{EventID: 104, Provider_Name: Microsoft-Windows-Eventlog, Channel: [Security, System]}",
        record(
            "System",
            104,
            user_data("LogFileCleared", SubjectUserName="a", Channel="Security"),
            "Microsoft-Windows-Eventlog",
        ),
    ),
    (
        "{product: windows, service: security}",
        "{EventID: 1102, Provider_Name: Microsoft-Windows-Eventlog}",
        record(SECURITY, 1102, user_data("LogFileCleared", SubjectUserName="a"), "Microsoft-Windows-Eventlog"),
    ),
    (
        "{product: windows, service: system}",
        "{EventID: 7045, ImagePath|contains: '%COMSPEC%', ServiceName|re: '^[A-Za-z]{4}$', Level: 4}",
        record("System", 7045, data(ServiceName="abCd", ImagePath="%COMSPEC% /c echo"), "Service Control Manager"),
    ),
    (
        "{product: windows, service: system}",
        "{EventID: 7036, param1: 'Windows Defender', Binary|contains: '5700'}",
        record(
            "System",
            7036,
            data(param1="Windows Defender", param2="stopped").replace(
                "</EventData>", "<Binary>570069006E</Binary></EventData>"
            ),
        ),
    ),
    (
        "{product: windows, service: security}",
        "{EventID: 4662, AccessMask: '0x100', Properties|contains: 1131f6aa-9c07-11d1-f79f-00c04fc2dcd2}",
        record(
            SECURITY, 4662, data(AccessMask="0x100", Properties="%%7688\n\t\t{1131f6aa-9c07-11d1-f79f-00c04fc2dcd2}\n")
        ),
    ),
    (
        "{product: windows, service: security}",
        "{EventID: [4624, 4648], LogonType: [3, 9], IpAddress|cidr: ['127.0.0.0/8', '::1/128'], KeyLength: 0}",
        record(SECURITY, 4624, data(LogonType="9", IpAddress="::1", KeyLength="0")),
    ),
    (
        "{product: windows, service: taskscheduler}",
        "{EventID: 141, TaskName|contains: 'Windows\\\\Update', UserName|contains: admin}",
        record(
            "Microsoft-Windows-TaskScheduler/Operational", 141, data(TaskName="\\Windows\\Update\\x", UserName="ADMIN")
        ),
    ),
    (
        "{product: windows, service: application}",
        "{Provider_Name: MsiInstaller, EventID: 1033, Message|contains: AteraAgent}",
        record("Application", 1033, unnamed("AteraAgent", "1.8", "1033"), "MsiInstaller"),
    ),
    (
        "{product: windows, service: msexchange-management}",
        "[Set-OabVirtualDirectory]",
        record("MSExchange Management", 1, unnamed("Set-OabVirtualDirectory", "-ExternalUrl 'http://x'")),
    ),
    (
        "{product: windows, service: security}",
        "{EventID: 4741, ComputerName: host.corp, PasswordLastSet: null}",
        record(SECURITY, 4741, data(PasswordLastSet="")),
    ),
    (
        "{product: linux, category: process_creation}",
        "{Image|endswith: /nc, CommandLine|contains: ' -e '}",
        record("Linux-Sysmon/Operational", 1, data(Image="/usr/bin/nc", CommandLine="nc -e /bin/sh"), "Linux-Sysmon"),
    ),
]


def fires(tools: Any, logsource: str, selection: str, event: Any) -> bool:
    ruleset = tools.rules(
        f"title: t\nlogsource: {logsource}\ndetection:\n  selection: {selection}\n  condition: selection\n"
    )
    return bool(tools.detector(ruleset).process([event]))


@pytest.mark.parametrize(("logsource", "selection", "xml"), KINDS)
def test_records_match_rules_of_their_kind(tools: Any, logsource: str, selection: str, xml: str) -> None:
    assert fires(tools, logsource, selection.replace("\\\\", "\\"), event_from_xml(xml))


def test_names_with_spaces_in_flattened_records(tools: Any) -> None:
    flat = {"EventID": 1116, "Channel": DEFENDER, "@timestamp": "2026-01-01T00:00:00Z", "Threat Name": "x"}
    assert fires(tools, "{product: windows, service: windefend}", "{ThreatName: x}", event_from_flat(flat))


def test_the_kernels_audit_records_as_journald_reads_them(tools: Any) -> None:
    record = {"__REALTIME_TIMESTAMP": "1767225600000000", "_TRANSPORT": "audit", "SYSLOG_IDENTIFIER": "audit"}
    record |= {"_AUDIT_TYPE_NAME": "EXECVE", "_AUDIT_FIELD_A0": '"chattr"', "_AUDIT_FIELD_A1": '"-i"'}
    event = event_from_journal(record)
    rule = "{type: EXECVE, a0: chattr, a1|contains: '-i'}"
    assert fires(tools, "{product: linux, service: auditd}", rule, event)
    assert not fires(tools, "{product: linux, service: cron}", rule, event)


def test_audit_records_with_their_own_names(tools: Any) -> None:
    fields = {"type": "SYSCALL", "comm": "insmod", "key": "x"}
    event = LogEvent(time_us=0, table="system_logs", platform="linux", provider="audisp-syslog", fields=fields)
    assert fires(tools, "{product: linux, service: auditd}", "{type: SYSCALL, comm: insmod}", event)


def test_facts_of_the_wire_answer_rules_for_firewalls(tools: Any) -> None:
    fact = tools.fact(
        0,
        "tcp_probe",
        source_ip="10.0.0.1",
        destination_ip="10.0.0.2",
        fields={"destination_ports": [21, 23], "outcome": "refused"},
    )
    assert fires(tools, "{category: firewall}", "{dst_port: [23, 80], src_ip|cidr: 10.0.0.0/8, action: refused}", fact)
    assert not fires(tools, "{category: firewall}", "{dst_port: 80}", fact)
    assert not fires(tools, "{category: firewall, product: cisco}", "{dst_port: 23}", fact)
    assert not fires(tools, "{category: dns}", "{src_ip: 10.0.0.1}", fact)
    assert fires(tools, "{category: network}", "{src_ip: 10.0.0.1}", fact)


@pytest.mark.parametrize("logsource", ["{product: linux}", "{product: linux, service: sysmon}"])
def test_what_linux_means_holds_for_its_sysmon(tools: Any, logsource: str) -> None:
    event = event_from_xml(record("Linux-Sysmon/Operational", 1, data(CommandLine="nc -e /bin/sh"), "Linux-Sysmon"))
    assert fires(tools, logsource, "['nc -e /bin/sh']", event)


@pytest.mark.parametrize(
    ("logsource", "hit"),
    [
        ("{category: process_creation}", True),
        ("{category: process_creation, service: sysmon}", True),
        ("{service: sysmon}", True),
        ("{service: security}", False),
        ("{category: network_connection}", False),
        ("{category: webserver}", False),
        ("{service: nginx}", False),
    ],
)
def test_a_logsource_without_a_product_means_every_product(tools: Any, logsource: str, hit: bool) -> None:
    event = event_from_xml(record("Microsoft-Windows-Sysmon/Operational", 1, data(Image="x")))
    assert fires(tools, logsource, "{Image: x}", event) is hit
