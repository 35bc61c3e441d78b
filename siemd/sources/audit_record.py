"""Audit records of the Linux kernel under the names of the audit system itself, however they came into the journal.

journald reads them from the kernel and gives their fields names of its own (`_AUDIT_FIELD_A0`), but leaves most values
as the kernel spells them: in quotes, or in hexadecimal when they hold a blank. auditd's plugin for syslog hands over
the whole line (`type=EXECVE msg=audit(…): argc=2 a0="ls" …`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

SYSLOG_IDENTIFIERS = ("auditd", "audispd", "audisp-syslog")
MAX_PAIRS = 256

# journald's own names of what it knows; the others are (_)AUDIT_FIELD_ and the name in capitals.
_JOURNALD = {
    "_AUDIT_TYPE_NAME": "type",
    "_AUDIT_LOGINUID": "auid",
    "_AUDIT_SESSION": "ses",
    "_PID": "pid",
    "_PPID": "ppid",
    "_UID": "uid",
    "_EUID": "euid",
    "_FSUID": "fsuid",
    "_GID": "gid",
    "_EGID": "egid",
    "_FSGID": "fsgid",
    "_TTY": "tty",
    "_COMM": "comm",
    "_EXE": "exe",
    "_CMDLINE": "proctitle",
}
_PREFIXES = ("_AUDIT_FIELD_", "AUDIT_FIELD_")
_HEX = re.compile(r"(?:[0-9A-F]{2})+")
_ARGUMENT = re.compile(r"a\d+")
_TEXTS = ("cwd", "key", "data")
_TEXTS_OF_LINES = (*_TEXTS, "name", "path", "comm", "exe", "acct", "cmd", "proctitle")  # journald reads these itself
_LINE = re.compile(r"(?:node=\S+ )?type=([A-Z][A-Z0-9_]*) (?:msg=)?audit\([^)]*\): ?")
_PAIR = re.compile(r"([A-Za-z][\w-]*)=(\"[^\"]*\"|'[^']*'|[^\s\"']+)")

# name: number on x86_64, number on aarch64 (None: not there). What rules ask for, not all.
_ARCHITECTURES = {"c000003e": 0, "c00000b7": 1}
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "accept": (43, 202), "accept4": (288, 242), "adjtimex": (159, 171), "bind": (49, 200), "bpf": (321, 280),
    "chmod": (90, None), "chown": (92, None), "chroot": (161, 51), "clock_settime": (227, 112), "clone": (56, 220),
    "connect": (42, 203), "creat": (85, None), "delete_module": (176, 106), "execve": (59, 221),
    "execveat": (322, 281), "fchmod": (91, 52), "fchmodat": (268, 53), "fchown": (93, 55), "fchownat": (260, 54),
    "finit_module": (313, 273), "fork": (57, None), "fsetxattr": (190, 7), "ftruncate": (77, 46),
    "init_module": (175, 105), "ioctl": (16, 29), "kexec_file_load": (320, 294), "kexec_load": (246, 104),
    "kill": (62, 129), "lchown": (94, None), "link": (86, None), "linkat": (265, 37), "listen": (50, 201),
    "lsetxattr": (189, 6), "memfd_create": (319, 279), "mknod": (133, None), "mknodat": (259, 33),
    "mmap": (9, 222), "mount": (165, 40), "mprotect": (10, 226), "open": (2, None), "openat": (257, 56),
    "perf_event_open": (298, 241), "personality": (135, 92), "pivot_root": (155, 41), "prctl": (157, 167),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "reboot": (169, 142),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "rmdir": (84, None),
    "sethostname": (170, 161), "setdomainname": (171, 162), "setgid": (106, 144), "setns": (308, 268),
    "setregid": (114, 143), "setresgid": (119, 149), "setresuid": (117, 147), "setreuid": (113, 145),
    "settimeofday": (164, 170), "setuid": (105, 146), "setxattr": (188, 5), "socket": (41, 198),
    "swapon": (167, 224), "symlink": (88, None), "symlinkat": (266, 36), "sysinfo": (99, 179),
    "syslog": (103, 116), "truncate": (76, 45), "umount2": (166, 39), "uname": (63, 160), "unlink": (87, None),
    "unlinkat": (263, 35), "unshare": (272, 97), "utimensat": (280, 88), "vfork": (58, None),
}  # fmt: skip
_NAME_OF_CALL = [{numbers[column]: name for name, numbers in _CALLS.items()} for column in (0, 1)]


def audit_fields(record: Mapping[str, Any], message: str, *, from_kernel: bool) -> dict[str, str]:
    """The fields of an audit record by the names of the audit system (`type`, `a0`, `exe`); empty when it is none.

    from_kernel: whether journald read it; else it is a line of auditd's. `SYSCALL` is the name of the system call, as
    auditd adds it to `syscall`, its number.
    """
    pairs = _from_journald(record) if from_kernel else _from_line(message)
    arguments = pairs.get("type") == "EXECVE"  # elsewhere they are numbers
    texts = _TEXTS if from_kernel else _TEXTS_OF_LINES
    fields = {
        name: _plain(value, is_text=arguments if _ARGUMENT.fullmatch(name) else name in texts)
        for name, value in pairs.items()
    }
    if "SYSCALL" not in fields and (call := _call(fields.get("arch", ""), fields.get("syscall", ""))):
        fields["SYSCALL"] = call
    return fields


def _from_journald(record: Mapping[str, Any]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for name, value in record.items():
        own = _JOURNALD.get(name, "")
        for prefix in _PREFIXES:
            if name.startswith(prefix):
                own = name.removeprefix(prefix).lower()
        if own and isinstance(value, str):
            pairs.setdefault(own, value)
    for name in ("comm", "exe"):  # a program that reports to the audit system says of whom it speaks
        if isinstance(value := record.get(f"AUDIT_FIELD_{name.upper()}"), str):
            pairs[name] = value
    return pairs


def _from_line(line: str) -> dict[str, str]:
    start = _LINE.match(line)
    if start is None:
        return {}
    pairs = {"type": start[1]}
    hits = [*_PAIR.finditer(line, start.end())][:MAX_PAIRS]
    for name, value in ((hit[1], hit[2]) for hit in hits):
        if name == "msg" and value.startswith("'"):
            for inner in _PAIR.finditer(value[1:-1]):
                pairs[inner[1]] = inner[2]
        else:
            pairs.setdefault(name, value)
    return pairs


def _plain(value: str, *, is_text: bool) -> str:
    """A value without quotes; text that the kernel wrote in hexadecimal is read."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    if is_text and _HEX.fullmatch(value):
        data = bytes.fromhex(value)
        if any(byte <= 32 or byte in (34, 127) or byte > 127 for byte in data):  # else the kernel had quoted it
            return data.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    return value


def _call(arch: str, number: str) -> str:
    column = _ARCHITECTURES.get(arch.lower())
    if column is None or not number.isdecimal() or len(number) > 4:
        return ""
    return _NAME_OF_CALL[column].get(int(number), "")
