"""The loggers of all parts, and the one place where structlog is loaded: without rich.

structlog loads that, if it is there, for tracebacks in colour, which siemd never shows: 5 MiB, and a quarter of the
time in which all of siemd is imported.
"""

from __future__ import annotations

import sys
from typing import Any

_HEAVY = "rich"

_hidden = _HEAVY not in sys.modules
if _hidden:
    sys.modules[_HEAVY] = None  # type: ignore[assignment]  # an import of it fails
try:
    import structlog
finally:
    if _hidden:
        del sys.modules[_HEAVY]

__all__ = ["get_logger", "structlog"]


def get_logger(name: str) -> Any:
    """The logger of a part of siemd."""
    return structlog.get_logger(name)
