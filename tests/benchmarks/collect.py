"""Runs tests/benchmarks/bench_*.py, each in a process of its own, and prints one table of what was measured.

A benchmark's `run()` returns (label, figure) pairs. Figures are ratios against a baseline of the same run where there
is one; nothing asserts seconds.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def measure(path: Path) -> list[tuple[str, str]]:
    """What one benchmark says, or why it could not."""
    done = subprocess.run([sys.executable, __file__, "--one", str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        return [(path.stem, f"not measured: {reason}")]
    return [(str(label), str(figure)) for label, figure in json.loads(done.stdout.splitlines()[-1])]


def one(path: Path) -> None:
    """Run a benchmark in this process; its pairs are the last line of the output, as JSON."""
    sys.path.insert(0, str(HERE.parent))  # for `support`, as under pytest
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    print(json.dumps([(label, figure) for label, figure in module.run()]))


def main(wanted: list[str]) -> int:
    """Measure all, or those whose names hold one of `wanted`."""
    paths = [
        path for path in sorted(HERE.glob("bench_*.py")) if not wanted or any(word in path.stem for word in wanted)
    ]
    if not paths:
        print(f"no benchmark is named like {' or '.join(wanted)}", file=sys.stderr)
        return 2
    failed = False
    for path in paths:
        print(f"\n{path.stem.removeprefix('bench_')}", flush=True)
        for label, figure in measure(path):
            failed |= figure.startswith("not measured")
            print(f"  {label:<64} {figure}", flush=True)
    return int(failed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(Path(sys.argv[2]))
    else:
        sys.exit(main(sys.argv[1:]))
