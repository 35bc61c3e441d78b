"""Durations and sizes: what people write is what they get, and what they can't have meant is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.units import Bytes, Seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("10s", 10), ("5m", 300), ("2h", 7200), ("30d", 2_592_000), ("1w", 604_800), (7, 7), (0.25, 0.25),
     ("1.5h", 5400), (" 3 s ", 3), ("0", 0), ("250us", 0.00025)],
)  # fmt: skip
def test_reads_durations(text: object, seconds: float) -> None:
    assert Seconds.parse(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("64KiB", 65536), ("32MiB", 33_554_432), ("1GiB", 1 << 30), ("1kb", 1000), ("10", 10), ("1.5 KiB", 1536)],
)  # fmt: skip
def test_reads_sizes(text: object, size: int) -> None:
    assert Bytes.parse(text) == size


@pytest.mark.parametrize("kind", [Seconds, Bytes])
@pytest.mark.parametrize(
    "value", ["", "ten", "-1s", "1 fortnight", "1e3", True, None, [1], math.nan, math.inf, -5, "9" * 40, "1s2", "1,5s"]
)
def test_refuses_what_cannot_be_meant(kind: type[Seconds | Bytes], value: object) -> None:
    with pytest.raises(ValueError, match="expected a "):
        kind.parse(value)


@given(st.one_of(st.text(max_size=30), st.floats(), st.integers(), st.booleans(), st.none()))
def test_never_fails_otherwise(value: object) -> None:
    for kind in (Seconds, Bytes):
        try:
            parsed = kind.parse(value)
        except ValueError as error:
            assert "expected a " in str(error)
        else:
            assert math.isfinite(parsed)
            assert parsed >= 0


@given(st.integers(0, 10**9))
def test_durations_are_written_as_they_are_read(seconds: int) -> None:
    assert Seconds.parse(str(Seconds(seconds))) == pytest.approx(seconds, rel=1e-5)


@given(st.integers(0, 10**15 - 1))
def test_sizes_are_written_as_they_are_read(size: int) -> None:
    assert Bytes.parse(str(Bytes(size))) == size
