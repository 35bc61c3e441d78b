"""What a request's query and the API's own files may hold: any text is understood or refused, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.errors import UserError
from siemd.events import TIME_MAX_US, iso_time
from siemd.storage.columns import BadQuery
from siemd.storage.conditions import Filter
from siemd.web.asking import comma_list, moment_us, read_filter, time_range
from siemd.web.export import FORMULA, cell
from siemd.web.managed import parts_of, with_entries, without_entry

NOW = 1_800_000_000_000_000
PATH = Path("overlay.yml")


@given(st.text(max_size=60))
def test_any_time_is_one_or_is_refused_in_words(text: str) -> None:
    try:
        assert 0 <= moment_us(text, NOW) <= TIME_MAX_US
    except BadQuery as error:
        assert error.field == "start" and error.hint


@given(st.integers(0, TIME_MAX_US))
def test_times_are_read_as_they_are_told(time_us: int) -> None:
    assert moment_us(iso_time(time_us), NOW) == time_us


@pytest.mark.parametrize(
    ("text", "seconds"), [("-24h", 86_400), ("-90s", 90), ("-1.5m", 90), ("-2w", 1_209_600), ("now", 0), ("-0s", 0)]
)
def test_relative_times(text: str, seconds: float) -> None:
    assert moment_us(text, NOW) == NOW - seconds * 1e6


@pytest.mark.parametrize("text", ["", "-", "24h", "+24h", "--1h", "-1y", "-1h2m", "yesterday", "2026-13-01", "-1e9h"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(BadQuery, match="start is no time"):
        moment_us(text, NOW)


def test_ranges_are_bounded_and_run_forward() -> None:
    with pytest.raises(BadQuery, match="longer than 1d"):
        time_range("-25h", "", 86_400)
    with pytest.raises(BadQuery, match="longer than 1d"):
        time_range("1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z", 86_400)
    with pytest.raises(BadQuery, match="ends before"):
        time_range("-1h", "-2h", 86_400)
    start_us, end_us = time_range("-2h", "-1h", 86_400)
    assert end_us is not None and end_us > start_us


@given(st.text(max_size=300))
def test_any_filter_is_one_or_is_refused_in_words(text: str) -> None:
    try:
        assert isinstance(read_filter(text), Filter)
    except BadQuery as error:
        assert error.field == "filter"


def test_filters() -> None:
    assert read_filter("source_ip:eq:2001:db8::1") == Filter("source_ip", "eq", "2001:db8::1")
    assert read_filter("event_id:in:4624,4625") == Filter("event_id", "in", ["4624", "4625"])
    assert read_filter("fields.x:exists") == Filter("fields.x", "exists", True)
    assert read_filter("fields.x:exists:false") == Filter("fields.x", "exists", False)
    assert read_filter('{"field": "a:b", "op": "in", "value": ["1,2"]}') == Filter("a:b", "in", ["1,2"])
    for wrong in ("a", "a:b", "a:eq", "a:like:b", "a:exists:maybe", "{", '{"field": 1}', "{" * 5000):
        with pytest.raises(BadQuery):
            read_filter(wrong)


@given(st.text(max_size=100))
def test_lists_hold_no_blanks(text: str) -> None:
    assert all(part and part == part.strip() and "," not in part for part in comma_list(text))


@given(st.one_of(st.text(max_size=50), st.integers(), st.none(), st.dictionaries(st.text(), st.text(), max_size=3)))
def test_no_cell_is_a_formula(value: object) -> None:
    shown = cell(value)
    assert not isinstance(shown, str) or not shown.lstrip(" ").startswith(FORMULA)
    if isinstance(value, str) and not value.lstrip(" ").startswith(FORMULA):
        assert shown == value


documents = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "overlay:\n- rules: a\n  level: low\n", "# a word\noverlay: [{rules: b, level: high}]\n", "overlay:\n",
                "overlay:\n- rules: a\n  level: low\n- rules: c\n  level: low\n", "x: |\n  ---\n  y\n", "\n", "[",
                "# end",
            ]
        ),
        st.text(max_size=30),
    ),
    max_size=6,
)  # fmt: skip


@given(documents, st.sampled_from(["a", "b", "c", "é: #", "'"]))
def test_what_others_wrote_stays_as_it_is(texts: list[str], name: str) -> None:
    text = "---\n".join(text if text.endswith("\n") or not text else text + "\n" for text in texts)
    parts = parts_of(PATH, text, "overlay", "rules")
    assert "".join(part.text for part in parts) == text
    made = with_entries(PATH, parts, "overlay", "rules", [{"rules": name, "note": "n\n---\nm"}], "by ada")
    others = [part.text for part in parts if part.name != name]
    again = parts_of(PATH, made, "overlay", "rules")
    assert [part.text for part in again if part.name != name] == others
    assert [part.entry for part in again if part.name == name] == [{"rules": name, "note": "n\n---\nm"}]
    assert without_entry(PATH, made, "overlay", "rules", name) == "".join(others)


def test_entries_are_bounded() -> None:
    text = "---\noverlay:\n- rules: a\n  level: low\n" * 10_000
    parts = parts_of(PATH, text, "overlay", "rules")
    with pytest.raises(UserError, match="more than"):
        with_entries(PATH, parts, "overlay", "rules", [{"rules": "b"}], "by ada")
