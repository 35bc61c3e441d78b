"""Process creations out of audit records: the program, its command line and its parent, under Sigma's names.

The kernel tells one execve in several records of one number, the SYSCALL before the EXECVE, which has the arguments.
Here the EXECVE gets what the SYSCALL knows, so that Sigma's rules for process creations read it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

from siemd.events import LogEvent

MAX_CALLS = 256  # system calls whose EXECVE has not come yet; it comes at once
MAX_PROCESSES = 4096  # of which the image and command line are known to their children
MAX_ARGUMENTS = 256
MAX_COMMAND_LINE = 8192

_ID = re.compile(r"\baudit\((\d{1,20}\.\d{1,9}:\d{1,20})\)")
_EXECUTES = ("execve", "execveat")


class _Process(NamedTuple):
    image: str
    command_line: str = ""


class AuditProcesses:
    """Adds Image, CommandLine, ParentImage … to the EXECVE records of one host, seen in their order."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._processes: OrderedDict[str, _Process] = OrderedDict()

    def see(self, event: LogEvent) -> None:
        """Look at one record of the journal, whatever it is."""
        fields = event.fields
        kind = fields.get("type")
        if kind == "SYSCALL":
            if fields.get("SYSCALL") in _EXECUTES and fields.get("success", "yes") == "yes":
                _remember(self._calls, _id_of(event), fields, MAX_CALLS)
        elif kind == "EXECVE":
            call = self._calls.pop(_id_of(event), None)
            if call is not None:
                self._add(fields, call)

    def _add(self, fields: dict[str, Any], call: Mapping[str, Any]) -> None:
        made = _Process(_text(call, "exe"), _command_line(fields))
        pid, parent_pid = _text(call, "pid"), _text(call, "ppid")
        parent = self._processes.get(parent_pid, _Process(""))
        user = _text(call, "UID") or ("root" if _text(call, "uid") == "0" else _text(call, "uid"))
        found = {
            "Image": made.image,
            "CommandLine": made.command_line,
            "ProcessId": pid,
            "ParentProcessId": parent_pid,
            "ParentImage": parent.image,
            "ParentCommandLine": parent.command_line,
            "User": user,
        }
        for name, value in found.items():
            if value:
                fields.setdefault(name, value)
        _remember(self._processes, pid, made, MAX_PROCESSES)


def _remember(book: OrderedDict[str, Any], name: str, value: Any, most: int) -> None:
    if not name:
        return
    book[name] = value
    book.move_to_end(name)
    if len(book) > most:
        book.popitem(last=False)


def _id_of(event: LogEvent) -> str:
    """What the records of one system call have in common; "" where it is not told."""
    if own := _text(event.fields, "_AUDIT_ID"):
        return own
    found = _ID.search(event.message)
    return found[1] if found else ""


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _command_line(fields: Mapping[str, Any]) -> str:
    """The arguments, as far as the record has them: a very long one is told in further records."""
    words = []
    for number in range(MAX_ARGUMENTS):
        word = fields.get(f"a{number}")
        if not isinstance(word, str):
            break
        words.append(word)
    return " ".join(words)[:MAX_COMMAND_LINE]
