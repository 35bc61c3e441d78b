"""A real OpenSSH server in a namespace of the lab, with users that exist nowhere else."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from support.needs import find
from support.netlab import Namespace
from support.waiting import wait_until

USER = "alice"
PASSWORD = "correct horse 7"
# The password above as crypt(3) with SHA-512; it opens nothing but this server.
PASSWORD_HASH = "$6$siemdtests$hTfaXCO1iiAR26eRl3lOq0BCKIGQEM.UjbPscwLejEwjQzsWMfeqSRDPLpLr24gXHgsJQElR58evYsj.zY6Vo1"

CONFIG = """
ListenAddress {address}
Port {port}
HostKey {folder}/host_key
PidFile none
UsePAM no
PasswordAuthentication yes
KbdInteractiveAuthentication no
PubkeyAuthentication yes
AuthorizedKeysFile none
AuthorizedKeysCommand /bin/cat {folder}/client_key.pub
AuthorizedKeysCommandUser root
UseDNS no
LogLevel VERBOSE
MaxStartups 200
PerSourcePenalties no
Subsystem sftp internal-sftp
"""


class Sshd:
    """sshd with the user `alice`. Her account is in /etc/netns of the namespace, so this machine never knows her."""

    def __init__(self, host: Namespace, folder: Path, port: int = 22) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.host = host
        self.port = port
        self.log = folder / "sshd.log"
        self.key = folder / "client_key"
        self._folder = folder
        self._binary = find("sshd") or "sshd"
        self._add_user()
        for name in ("host_key", "client_key"):
            if not (folder / name).exists():
                make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
                subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
        self._ask = folder / "askpass"  # made once: several logins may run at a time
        self._ask.write_text('#!/bin/sh\nprintf "%s\\n" "$SIEMD_TEST_PASSWORD"\n')
        self._ask.chmod(0o755)
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # compiled into sshd: its privilege separation folder
        command = [self._binary, "-D", "-e", "-f", self._config()]
        self._process = host.start(*command, output=self.log)
        wait_until(lambda: "Server listening" in self.words() or self._process.poll(), "sshd listens")
        assert self._process.poll() is None, self.words()

    def words(self) -> str:
        """What sshd has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(10)

    def login(self, client: Namespace, password: str | None = None, command: str = "true") -> bool:
        """A session of a real ssh client that runs a command, with the key or with a password; whether it was let in.

        command: one that says nothing.
        """
        only = "publickey" if password is None else "password"
        line = [
            *("ssh", "-F", "none", "-i", self.key, "-p", str(self.port)),
            *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={os.devnull}", "-o", "LogLevel=ERROR"),
            *("-o", f"PreferredAuthentications={only}", "-o", "NumberOfPasswordPrompts=1"),
            *(f"{USER}@{self.host.address}", command),
        ]
        environment = os.environ | {
            "SSH_ASKPASS": str(self._ask),
            "SSH_ASKPASS_REQUIRE": "force",
            "SIEMD_TEST_PASSWORD": password or "",
            "DISPLAY": "",
        }
        words = client.run(*line, check=False, env=environment)
        assert not words or "Permission denied" in words, words
        return not words

    def _add_user(self) -> None:
        """Copy this machine's accounts for the namespace, and add one."""
        for name, line in (
            ("passwd", f"{USER}:x:4242:4242::/:/bin/sh"),
            ("shadow", f"{USER}:{PASSWORD_HASH}:19000:0:99999:7:::"),
            ("group", f"{USER}:x:4242:"),
        ):
            known = Path("/etc", name).read_text()
            if name == "passwd" and not re.search("^sshd:", known, re.MULTILINE):
                line = f"sshd:x:4243:65534::/run/sshd:/usr/sbin/nologin\n{line}"
            copy = self.host.etc(name)
            copy.write_text(f"{known.rstrip()}\n{line}\n")
            copy.chmod(0o600 if name == "shadow" else 0o644)

    def _config(self) -> Path:
        """The configuration, less what this version of sshd does not know."""
        text = CONFIG.format(address=self.host.address, port=self.port, folder=self._folder)
        path = self._folder / "sshd_config"
        path.write_text(text)
        checked = subprocess.run([self._binary, "-t", "-f", path], capture_output=True, text=True, check=False)
        for number in re.findall(r"line (\d+): Bad configuration option", checked.stderr):
            lines = text.splitlines()
            lines[int(number) - 1] = ""
            text = "\n".join(lines) + "\n"
        path.write_text(text)
        return path
