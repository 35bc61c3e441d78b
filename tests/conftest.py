"""What every test may use: the corpus, the rights to build networks, and an honest account of what was skipped."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from support.needs import is_root, need

pytest_plugins = ["support.mariadb", "support.certificates"]
REPOSITORY = Path(__file__).resolve().parent.parent
SOAK_TIMEOUT_S = 3 * 3600

settings.register_profile("siemd", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("siemd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="also run the tests marked soak, which take long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Soak tests are left out, not skipped, unless they are asked for: nothing is missing that they would need."""
    long = [item for item in items if item.get_closest_marker("soak")]
    if long and not config.getoption("--soak"):
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(SOAK_TIMEOUT_S))
        if item.get_closest_marker("root") and not is_root():
            item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was skipped and why, so that a green run can't hide a test that never ran."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[text.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section(f"{sum(reasons.values())} tests were skipped")
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count:5}  {reason}")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real input with known answers, which does not come with the project."""
    folder = Path(os.environ.get("SIEMD_CORPUS") or REPOSITORY.parent / "shared" / "corpus")
    if not folder.is_dir():
        pytest.skip("no corpus: it lies neither in SIEMD_CORPUS nor in ../shared/corpus")
    return folder


@pytest.fixture(scope="session")
def root() -> None:
    """Skip without root."""
    if not is_root():
        pytest.skip("needs root")


@pytest.fixture(scope="session")
def netns(root: None) -> None:
    """Skip when network namespaces can't be made here."""
    need("ip", "ping")
    name = f"siemd-{os.getpid()}-probe"
    script = f"ip netns add {name} && ip netns exec {name} true"
    made = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"network namespaces can't be used here: {made.stderr.strip()}")
