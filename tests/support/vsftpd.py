"""A real FTP server in a namespace of the lab; its users are those that support.sshd added there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.needs import find
from support.netlab import Namespace
from support.waiting import wait_until

CONFIG = """
listen=YES
background=NO
anonymous_enable=NO
local_enable=YES
ssl_enable=NO
use_localtime=YES
delay_failed_login=0
max_login_fails=3
secure_chroot_dir={folder}
pam_service_name=login
check_shell=NO
seccomp_sandbox=NO
"""


class Vsftpd:
    """vsftpd on port 21."""

    def __init__(self, host: Namespace, folder: Path) -> None:
        empty = folder / "empty"
        empty.mkdir(parents=True)
        config = folder / "vsftpd.conf"
        config.write_text(CONFIG.format(folder=empty))
        self._output = folder / "vsftpd.log"
        self._process: subprocess.Popen[bytes] = host.start(find("vsftpd") or "vsftpd", config, output=self._output)
        wait_until(lambda: _listens(host) or self._process.poll() is not None, "vsftpd listens")
        assert self._process.poll() is None, self._output.read_text()

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(10)


def _listens(host: Namespace) -> bool:
    return ":21 " in host.run("ss", "-lnt", check=False)
