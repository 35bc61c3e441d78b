"""config/siemd.service as systemd itself judges it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.needs import need

UNIT = Path(__file__).resolve().parents[2] / "config" / "siemd.service"
EXECUTABLE = "/opt/siemd/bin/siemd"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with the siemd that is tested as its command, since systemd-analyze looks whether it is there."""
    need("systemd-analyze")
    text = UNIT.read_text()
    assert f"ExecStart={EXECUTABLE} run\n" in text
    siemd = Path(sys.executable).with_name("siemd")
    assert siemd.exists()
    path = tmp_path / "siemd.service"
    path.write_text(text.replace(EXECUTABLE, str(siemd)))
    return path


def test_systemd_accepts_the_unit(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    about_siemd = [line for line in (done.stdout + done.stderr).splitlines() if "siemd" in line]
    assert (done.returncode, about_siemd) == (0, [])


def test_systemd_would_refuse_a_mistake(unit: Path) -> None:
    """So that the test above says something."""
    unit.write_text(unit.read_text().replace("Type=notify", "Type=notifi").replace("WatchdogSec=30", "WatchdogSek=30"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert "notifi" in done.stderr
    assert "WatchdogSek" in done.stderr


def test_the_unit_grants_one_capability_and_little_else() -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))
    assert settings["AmbientCapabilities"] == settings["CapabilityBoundingSet"] == "CAP_NET_RAW"
    assert settings["Type"] == "notify"
    assert settings["NoNewPrivileges"] == settings["DynamicUser"] == settings["ProtectHome"] == "yes"
    assert settings["ProtectSystem"] == "strict"
