"""Regular expressions of rules: what PCRE says, whichever engine says it, and an end on any text."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.detection import regex
from siemd.detection.nodes import TRUE, Regex
from siemd.detection.regex import MAX_TEXT, compile_regex
from siemd.detection.required import required

PIECES = st.sampled_from(
    ["a", "b", "k", "s", " ", "\\s", "\\d", "\\w", "[ab]", "[^a]", ".", "(?:ab|k)", "^", "$", "\\b", "\\.", "1"]
)
REPEATS = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,}", "*?"])
PATTERNS = st.lists(st.tuples(PIECES, REPEATS), min_size=1, max_size=5).map(
    lambda parts: "".join(piece + ("" if piece in "^$\\b" else repeat) for piece, repeat in parts)
)
TEXTS = st.text("abks1 .\n", max_size=12)


@given(PATTERNS, TEXTS, st.booleans())
def test_both_engines_say_what_python_says_of_ascii(pattern: str, text: str, ignore_case: bool) -> None:
    pattern = f"(?i){pattern}" if ignore_case else pattern
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = re.search(pattern, text) is not None
    assert compile_regex(pattern)(text) == expected
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regex, "QUICK_TEXT", -1)
        assert compile_regex(pattern)(text) == expected


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_searched_for_any_pattern_or_the_pattern_refused(pattern: str, text: str) -> None:
    try:
        search = compile_regex(pattern)
    except (re.error, OverflowError, RecursionError):
        return
    assert search(text) in (True, False)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 200 + "!"),
        ("(a|aa)+$", "a" * 200 + "!"),
        ("a?" * 40 + "a" * 40 + "b", "a" * 200),
        ("(.*)*x", "y" * MAX_TEXT),
        ("a.*b.*c.*d.*e", "a" * MAX_TEXT),
        (r"(?<!x)a.*b.*c", "a" * MAX_TEXT),
    ],
)
def test_it_ends_on_what_would_keep_a_backtracking_engine_for_ever(pattern: str, text: str) -> None:
    assert not compile_regex(pattern)(text)


def test_a_pattern_that_only_backtracking_can_search_must_not_repeat_what_has_several_readings() -> None:
    with pytest.raises(re.error, match="several readings"):
        compile_regex("(?<!x)(a+)+$")
    assert compile_regex("(?<!x)(?:ab)+$")("abab")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("[[:digit:]]x", "7x", True),
        ("[[:digit:]]x", ":]x", False),
        ("a(?i)b", "aB", True),
        ("a(?i)b", "AB", False),
        (r"\d", "\N{ARABIC-INDIC DIGIT THREE}", False),  # PCRE's classes are ASCII
        ("(?i)straße", "STRAßE", True),
        ("end$", "the end\n", True),
        ("end$", "the end" + "\n" * 2, False),
        ("(?m)end$", "end\nmore", True),
        ("(?<=a)b", "ab", True),
        (r"(a)\1", "aa", True),
        ("x", "\ud800x", True),
        ("b", "a" * MAX_TEXT + "b", False),
    ],
)
def test_meanings(pattern: str, text: str, found: bool) -> None:
    assert compile_regex(pattern)(text) is found
    assert compile_regex(pattern)(text + " " * 300) is found or "$" in pattern  # the other engine


def test_a_class_that_python_misreads_requires_no_literal_of_its_name() -> None:
    assert required(Regex("[[:digit:]]{3}")) == TRUE
