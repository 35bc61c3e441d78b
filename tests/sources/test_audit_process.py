"""Process creations out of audit records, by every way into the journal, and what forged or broken ones can't do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from siemd.detection import DetectionConfig, Detector, load_ruleset
from siemd.events import LogEvent
from siemd.sources.audit_process import MAX_CALLS, MAX_PROCESSES, AuditProcesses
from siemd.sources.journal_record import event_from_journal

TIME = {"__REALTIME_TIMESTAMP": "1767225600000000"}
KERNEL = {**TIME, "_TRANSPORT": "audit", "SYSLOG_IDENTIFIER": "audit"}


def from_kernel(number: int, exe: str, *words: str, pid: int = 700, parent: int = 600, **more: str) -> list[LogEvent]:
    """One execve as journald reads it from the kernel."""
    call = {
        "_AUDIT_TYPE_NAME": "SYSCALL", "_AUDIT_FIELD_ARCH": "c000003e", "_AUDIT_FIELD_SYSCALL": "59",
        "_AUDIT_FIELD_SUCCESS": "yes", "_EXE": exe, "_PID": str(pid), "_PPID": str(parent), "_UID": "0",
    }  # fmt: skip
    arguments = {f"_AUDIT_FIELD_A{index}": f'"{word}"' for index, word in enumerate(words)}
    execve = {"_AUDIT_TYPE_NAME": "EXECVE", "_AUDIT_FIELD_ARGC": str(len(words)), **arguments}
    other = {"_AUDIT_TYPE_NAME": "CWD", "_AUDIT_FIELD_CWD": '"/tmp"'}
    return [
        event_from_journal({**KERNEL, "_AUDIT_ID": str(number), **record, **more}) for record in (call, execve, other)
    ]


def from_auditd(number: int, exe: str, *words: str) -> list[LogEvent]:
    """The same as auditd's plugin hands it to syslog."""
    arguments = " ".join(f'a{index}="{word}"' for index, word in enumerate(words))
    start = f"msg=audit(1767225600.1:{number}):"
    lines = [
        f'type=SYSCALL {start} arch=c000003e syscall=59 success=yes ppid=600 pid=700 uid=33 exe="{exe}" UID="www-data"',
        f"type=EXECVE {start} argc={len(words)} {arguments}",
    ]
    return [event_from_journal({**TIME, "SYSLOG_IDENTIFIER": "audisp-syslog", "MESSAGE": line}) for line in lines]


def seen(*events: LogEvent) -> list[dict[str, Any]]:
    """The fields of the process creations."""
    processes = AuditProcesses()
    for event in events:
        processes.see(event)
    return [event.fields for event in events if "Image" in event.fields]


def test_a_program_as_the_kernel_tells_it() -> None:
    (made,) = seen(*from_kernel(7, "/usr/bin/base64", "base64", "-d", "x"))
    assert (made["Image"], made["CommandLine"]) == ("/usr/bin/base64", "base64 -d x")
    assert (made["ProcessId"], made["ParentProcessId"], made["User"]) == ("700", "600", "root")
    assert "ParentImage" not in made


def test_a_program_as_auditd_tells_it() -> None:
    (made,) = seen(*from_auditd(7, "/usr/bin/nc", "nc", "-e", "/bin/sh"))
    assert (made["Image"], made["CommandLine"], made["User"]) == ("/usr/bin/nc", "nc -e /bin/sh", "www-data")


def test_the_parent_is_known_once_it_was_seen() -> None:
    shell = from_kernel(7, "/usr/bin/bash", "bash", "-c", "x", pid=600, parent=1)
    made = seen(*shell, *from_kernel(8, "/usr/bin/id", "id"))[1]
    assert (made["ParentImage"], made["ParentCommandLine"]) == ("/usr/bin/bash", "bash -c x")


def test_records_of_two_programs_may_be_mixed() -> None:
    first, second = from_kernel(7, "/a", "a"), from_kernel(8, "/b", "b", pid=701)
    made = seen(first[0], second[0], second[1], first[1])
    assert {fields["Image"]: fields["CommandLine"] for fields in made} == {"/a": "a", "/b": "b"}


def test_what_is_no_process() -> None:
    failed = from_kernel(7, "/a", "a", _AUDIT_FIELD_SUCCESS="no")
    alone = from_kernel(8, "/b", "b")[1]
    assert seen(*failed, alone) == []
    forged = event_from_journal(
        {**TIME, "_UID": "1000", "SYSLOG_IDENTIFIER": "audit", "MESSAGE": 'type=EXECVE msg=audit(1.2:7): a0="x"'}
    )
    assert seen(from_kernel(7, "/a", "a")[0], forged) == []


def test_they_are_bounded() -> None:
    processes = AuditProcesses()
    for number in range(MAX_CALLS * 3):
        processes.see(from_kernel(number, "/a", "a")[0])
    assert len(processes._calls) == MAX_CALLS
    for number in range(MAX_PROCESSES + 100):
        for event in from_kernel(number, "/a", "a", pid=number):
            processes.see(event)
    assert len(processes._processes) == MAX_PROCESSES


VALUES = st.one_of(st.text(max_size=30), st.lists(st.text(max_size=5), max_size=3), st.none(), st.integers())
NAMES = st.sampled_from(["type", "SYSCALL", "success", "exe", "pid", "ppid", "uid", "UID", "a0", "a1", "_AUDIT_ID"])


@given(st.lists(st.dictionaries(NAMES, VALUES | st.sampled_from(["SYSCALL", "EXECVE", "execve", "yes"]))))
def test_any_records(records: list[dict[str, Any]]) -> None:
    processes = AuditProcesses()
    for fields in records:
        event = LogEvent(time_us=1, table="security_logs", platform="linux", fields=dict(fields))
        processes.see(event)
        assert all(event.fields[name] == value for name, value in fields.items())
        assert all(isinstance(event.fields[name], str) for name in set(event.fields) - set(fields))


RULE = """
title: A shell by netcat
id: 2d6f0bd1-7f1c-4a0e-9a5e-0d5d3f6f8a11
logsource: {product: linux, category: process_creation}
detection:
  selection:
    Image|endswith: [/nc, /ncat]
    CommandLine|contains: ' -e '
  filter:
    ParentImage|endswith: /backup
  condition: selection and not filter
level: high
"""


def test_rules_for_process_creations_read_them(tmp_path: Path) -> None:
    (tmp_path / "netcat.yml").write_text(RULE)
    detector = Detector(load_ruleset([tmp_path]), DetectionConfig(), "here")
    processes = AuditProcesses()
    events = [*from_auditd(7, "/usr/bin/nc", "nc", "-e", "/bin/sh"), *from_kernel(8, "/usr/bin/nc", "nc", "-l")]
    for event in events:
        processes.see(event)
    (alert,) = detector.process(events)
    assert alert.count == 1


def test_public_rules_read_them(corpus: Path) -> None:
    folder = corpus / "sigma" / "rules" / "linux" / "process_creation"
    detector = Detector(load_ruleset([folder]), DetectionConfig(), "here")
    processes = AuditProcesses()
    lines = [
        ("/usr/bin/base64", "base64", "-d", "/tmp/x"),
        ("/usr/bin/crontab", "crontab", "-r"),
        ("/usr/bin/chattr", "chattr", "-i", "/etc/passwd"),
        ("/usr/bin/python3", "python3", "-m", "http.server", "8000"),
        ("/usr/bin/ls", "ls", "-l"),
    ]
    events = [event for number, words in enumerate(lines) for event in from_kernel(number, *words)]
    for event in events:
        processes.see(event)
    files = {Path(rule.path).name: rule.title for rule in detector.ruleset.rules}
    names = ("base64_decode", "crontab_removal", "chattr_immutable_removal", "python_http_server_execution")
    wanted = {files[f"proc_creation_lnx_{name}.yml"] for name in names}
    found = {alert.title for alert in detector.process(events)}
    assert wanted <= found, wanted - found
