"""Conditions in plain words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.detection.nodes import (
    And,
    Constant,
    Match,
    Node,
    Not,
    Number,
    Or,
    Regex,
    Text,
)
from siemd.detection.wording import MAX_LINES, in_words


def words(tools: Any, detection: str) -> str:
    body = "\n".join("  " + line for line in detection.strip().splitlines())
    if "condition:" not in detection:
        body += "\n  condition: selection"
    (rule,) = tools.rules(f"title: t\nlogsource: {{product: windows}}\ndetection:\n{body}\n").rules
    return "\n".join(in_words(rule.condition))


@pytest.mark.parametrize(
    ("detection", "expected"),
    [
        ("selection: {A: x}", 'A is "x"'),
        ("selection: {A: ''}", "A is empty"),
        ("selection: {A: null}", "A is missing or empty"),
        ("selection: {A: 4625}", "A is 4625"),
        ("selection: {A: [1, 2]}", "A is any of 1, 2"),
        (r"selection: {A|endswith: ['\a.exe', '\b.exe']}", r'A ends with any of "\a.exe", "\b.exe"'),
        ("selection: {A|startswith|cased: Ab}", 'A starts with "Ab", in exactly these letters'),
        ("selection: {A: a*b?c}", 'A is like "a*b?c"'),
        ("selection: {A|re: '^x.*'}", "A has a part like the regular expression /^x.*/"),
        ("selection: {A|cidr: [10.0.0.0/8, '::/0']}", "A is an address in any of 10.0.0.0/8, ::/0"),
        ("selection: {A|gte: 5}", "A is at least 5"),
        ("selection: {A|hour|lt: 6}", "A has as its hour below 6"),
        ("selection: {A|exists: false}", "A is not there"),
        ("selection: {A|fieldref: B}", "A is what stands in B"),
        ("selection: [evil]", 'any value of the event contains "evil"'),
        ("selection: {A|neq: x}", 'not: A is "x"'),
        ("selection: {A: x, B: y}", 'all of:\n  A is "x"\n  B is "y"'),
        ("selection: {A|contains|all: [x, y]}", 'all of:\n  A contains "x"\n  A contains "y"'),
        (
            "selection: {A: x}\nfilter: {B: [y, z*], C: 1}\ncondition: selection and not filter",
            'all of:\n  A is "x"\n  not all of:\n    any of:\n      B is "y"\n      B starts with "z"\n    C is 1',
        ),
        ("a: {A: x}\nb: {B: y}\ncondition: not (a or b)", 'none of:\n  A is "x"\n  B is "y"'),
        (f"selection: {{A: {list(range(20))}}}", "A is any of 0, 1, 2, 3, 4, 5, 6, 7 and 12 more"),
    ],
)
def test_words(tools: Any, detection: str, expected: str) -> None:
    assert words(tools, detection) == expected


leaves = st.builds(
    Match,
    st.none() | st.text(max_size=5),
    st.builds(Text, st.sampled_from(["equals", "contains"]), st.text(max_size=5))
    | st.builds(Number, st.integers())
    | st.builds(Regex, st.text(max_size=5)),
) | st.builds(Constant, st.booleans())
nodes = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=1, max_size=4).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=1, max_size=4).map(tuple))
    ),
    max_leaves=60,
)


@given(nodes)
def test_any_condition_has_words_on_few_lines(node: Node) -> None:
    lines = in_words(node)
    assert 1 <= len(lines) <= MAX_LINES + 1
    assert all(line.strip() and "\n" not in line for line in lines)
