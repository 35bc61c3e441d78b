"""Compiled programs say exactly what looking at every rule would say, whatever is in rules, events and memos."""

from __future__ import annotations

import json
import re
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siemd.detection import program
from siemd.detection.fold import fold
from siemd.detection.matcher import Matcher
from siemd.detection.memo import MemoPool
from siemd.detection.nodes import Match, Not, Or, Regex, Text
from siemd.detection.predicate import compile_node
from siemd.detection.required import on_field, required
from siemd.detection.rule import Rule
from siemd.detection.rulefile import read_rules
from siemd.detection.scanner import MAX_REMEMBERED_CHARACTERS
from siemd.detection.view import View
from siemd.detection.witness import matches_in, rarity, witnesses
from siemd.events import Event, LogEvent, NetworkEvent
from support.plain_matcher import PlainMatcher

# letters whose lower case, or whose match without case, is not what one expects, and all that Sigma escapes
TRICKY = "aAbksiIKıİſKΣσß1 *?\\-:`"
TEXTS = st.text(alphabet=TRICKY, max_size=6)
REGEXES = st.sampled_from(
    [
        "ab",
        "(?i)ab",
        "(?i)ki",
        "(?i)s",
        "a[bB]k",
        "[Aa][Bb]",
        "ab|ks|1",
        "(?:ab)+k?",
        "^a.k$",
        "k(?i:bs)a",
        "ab{2,}",
        "`.*`",
        "(?<!a)bb",
        "a(?=bk)",
        "a*",
        "(?>ab)k",
        "İ|ß",
        "(?i)(-a|-ab)\\s*:",
        "[^a]b",
    ]
)


def items(plain: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
    names = st.sampled_from(["A", "B", "C", "n.o", "Channel", "message"])

    def under(suffix: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, Any]]:
        return st.tuples(
            names.map(lambda name: name + suffix), st.one_of(values, st.lists(values, min_size=1, max_size=3))
        )

    texts = [
        under("|" + suffix, TEXTS)
        for suffix in (
            "contains",
            "startswith",
            "endswith",
            "cased",
            "contains|cased",
            "contains|all",
            "neq",
            "windash",
        )
    ]
    return st.one_of(
        under("", plain),
        *texts,
        under("|re", REGEXES),
        under("|lt", st.integers(-1, 3)),
        under("|gte", st.integers(-1, 3)),
        under("|exists", st.booleans()),
        under("|fieldref", st.sampled_from(["A", "B", "n.o"])),
        under("|fieldref|endswith|cased", st.sampled_from(["A", "B"])),
        under("|cidr", st.sampled_from(["10.0.0.0/8", "::/0"])),
        under("|base64offset|contains", st.text("ab", min_size=3, max_size=4)),
    )


SCALARS = st.one_of(TEXTS, st.integers(-1, 2), st.booleans(), st.none(), st.sampled_from([1.0, 0.0, "10.1.2.3", "1"]))
PLAIN = st.one_of(TEXTS, st.integers(-1, 2), st.booleans(), st.none())
MAPS = st.lists(items(PLAIN), min_size=1, max_size=3).map(dict)
KEYWORDS = st.one_of(
    st.lists(st.one_of(TEXTS.filter(bool), st.integers(0, 2)), min_size=1, max_size=3),
    st.fixed_dictionaries({"|re": REGEXES}),
    st.fixed_dictionaries({"|all": st.lists(TEXTS.filter(bool), min_size=1, max_size=2)}),
)
DETECTIONS = st.one_of(MAPS, MAPS, st.lists(MAPS, min_size=1, max_size=2), KEYWORDS)
CONDITIONS = st.sampled_from(
    [
        "a",
        "not a",
        "a and b",
        "a or b",
        "a and not b",
        "not (a and b)",
        "not (a or b)",
        "1 of them",
        "not (a and not b)",
    ]
)
LOGSOURCES = st.sampled_from(
    [
        {"product": "windows"},
        {"product": "windows", "service": "security"},
        {"product": "windows", "category": "process_creation"},
        {"product": "linux"},
        {"product": "siemd", "category": "network"},
    ]
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.just({"o": "ab"}))
FIELDS = st.dictionaries(st.sampled_from(["A", "B", "C", "n", "n.o", "Channel", "Image"]), VALUES, max_size=5)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        LogEvent,
        time_us=st.just(0),
        table=st.just("channel_logs"),
        platform=st.sampled_from(["windows", "linux"]),
        channel=st.sampled_from(["Security", "c"]),
        event_id=st.sampled_from([0, 1, 4688]),
        message=TEXTS,
        fields=FIELDS,
    ),
    st.builds(NetworkEvent, time_us=st.just(0), event_type=st.sampled_from(["ab", "x"]), message=TEXTS, fields=FIELDS),
)


def rule_of(source: dict[str, str], first: Any, second: Any, condition: str) -> Rule:
    detection = {"a": first, "b": second, "condition": condition}
    rules, problems = read_rules(
        "generated.yml", json.dumps({"title": "t", "logsource": source, "detection": detection})
    )
    assert not problems, problems
    (rule,) = rules
    assert isinstance(rule, Rule)
    return rule


@settings(max_examples=400)
@given(
    st.lists(st.builds(rule_of, LOGSOURCES, DETECTIONS, DETECTIONS, CONDITIONS), min_size=1, max_size=5),
    st.lists(EVENTS, min_size=1, max_size=5),
    st.sampled_from([1, 2_000, 1 << 20]),
    st.sampled_from([0, 64]),
)
def test_the_verdict_is_that_of_all_rules_one_by_one(
    rules: list[Rule], events: list[Event], memo_bytes: int, eager_searches: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program, "MAX_EAGER_SEARCHES", eager_searches)
        matcher, plain = Matcher(rules, memo_bytes), PlainMatcher(rules)
    for _ in range(2):  # the second time from the memos
        for event in events:
            assert list(matcher.match(event)) == plain.match(event), event


def detection_node(detection: str) -> Any:
    text = f"title: t\nlogsource: {{product: windows}}\ndetection: {{s: {detection}, condition: s}}"
    rules, problems = read_rules("rule.yml", text)
    assert not problems, problems
    assert isinstance(rules[0], Rule)
    return rules[0].condition


PATTERNS = [
    r"(?i)whoami(\.exe)?\s+/all",
    r"[Rr][Uu][Nn][Dd][Ll][Ll]32(?:\.[Ee][Xx][Ee])? \S+?\w:",
    r"(?i)\s(-u|--user)\s*:",
    r"https?://\d{1,3}\.\d{1,3}",
    r"`.{0,3}`",
    r"(?:aa|ab(?:cd|ce))x+",
    r"(?i)(?:KEY|kiss)is",
    r"ab(?i:cSk)d",
    r"(?>ab|ac)d",
    r"a{0}bc{2}",
    r"(?:pq){2,3}r",
    r"^start|end$",
    r"[abc][de]f",
    r"x(?=yz)yz",
    r"(ab)\1",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
def test_what_a_regex_requires_is_in_every_text_it_finds(pattern: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(pattern))
    found = re.search(pattern, text)
    assert found
    view = View(LogEvent(time_us=0, table="t", platform="windows", fields={"x": text}))
    assert compile_node(on_field("x", required(Regex(pattern))))(view)


def test_a_regex_without_case_finds_strange_letters() -> None:
    """ſ is an s and K a k to a regex, and the lower case of İ is two characters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for pattern, text in (("(?i)maskit", "MAſKıT"), ("(?i)ski", "ſKİ"), ("(?i)kk", "KK")):
            rules = [rule_of({"product": "windows"}, {"A|re": pattern}, {"A": "x"}, "a")]
            event = LogEvent(time_us=0, table="t", platform="windows", fields={"A": text})
            assert list(Matcher(rules).match(event)) == PlainMatcher(rules).match(event)


def test_a_negated_test_is_no_witness() -> None:
    a, b, c = (Match(name, Text("equals", "x")) for name in "ABC")
    cost = rarity([Or((a, b, c))])
    assert witnesses(Not(a), cost) is None
    assert witnesses(Or((a, Not(b))), cost) is None
    found = witnesses(Not(Or((Not(a), b))), cost)
    assert found is not None
    assert found[1] == {a}
    assert witnesses(Not(Not(c)), cost) == witnesses(c, cost)


def test_routes_that_no_rule_tells_apart_share_a_program() -> None:
    detection = {"EventID": [1, 2], "A": "x"}
    rules = [rule_of({"product": "windows", "service": "security"}, detection, {"A": "y"}, "a or b")]
    matcher = Matcher(rules)
    programs = {id(matcher.program(("windows", "Security", event_id))) for event_id in range(100, 200)}
    assert len(programs) == 1
    assert matcher.program(("windows", "Security", 1)) is not matcher.program(("windows", "Security", 100))
    assert len(matcher.program(("windows", "System", 1))) == 0


def test_rules_are_compiled_before_the_first_event() -> None:
    sources = [
        ({"product": "windows", "category": "process_creation"}, ("windows", "Security", 4688)),
        ({"product": "windows", "service": "security"}, ("windows", "Security", 7)),
        ({"product": "siemd", "category": "network"}, ("network", "probe", "")),
    ]
    detection = {"EventID": 7, "event_type": "probe"}
    rules = [rule_of(source, detection, {"A": "x"}, "a or b") for source, _ in sources]
    matcher = Matcher(rules)
    made = set(map(id, matcher._shared.values()))
    assert all(id(matcher.program(route)) in made for _, route in sources)


def test_memos_are_bounded_and_forget_the_oldest() -> None:
    pool = MemoPool(10_000)
    memo = pool.memo()
    for number in range(1_000):
        memo.keep(f"value {number}", number + 1)
        assert memo.find("value 0") == 1  # asked for again and again, so it stays
    assert len(memo.recent) < 50
    assert memo.find("value 500") is None
    assert memo.find("value 999") == 1_000


def test_long_and_random_values_do_not_fill_the_memory() -> None:
    rules = [rule_of({"product": "windows"}, {"A|contains": "evil"}, {"B": "x"}, "a")]
    matcher = Matcher(rules, memo_bytes=100_000)
    compiled = matcher.program(("windows", "c", 1))
    for number in range(3_000):
        fields = {"A": f"{number} evil" + "x" * (number % 7) * MAX_REMEMBERED_CHARACTERS}
        event = LogEvent(time_us=0, table="t", platform="windows", channel="c", event_id=1, fields=fields)
        assert matcher.match(event) == (0,)
    held = compiled._scanners[0].memo
    assert sum(len(text) for generation in (held.recent, held._older) for text in generation) < 200_000


def test_fold_keeps_what_a_node_means() -> None:
    node = detection_node("{'A|contains': x, EventID: 4}")
    assert matches_in(fold(node, {}, {"A": "B"}))
    view = View(LogEvent(time_us=0, table="t", platform="windows", event_id=4, fields={"B": "axb"}))
    assert compile_node(fold(node, {"EventID": 4}, {"A": "B"}))(view)
    assert not compile_node(fold(node, {"EventID": 5}, {"A": "B"}))(view)


def log(**fields: Any) -> LogEvent:
    return LogEvent(time_us=0, table="t", platform="windows", channel="c", event_id=1, fields=fields)


def test_equal_values_of_other_types_are_not_mixed_up_by_memos() -> None:
    rules = [rule_of({"product": "windows"}, {"A": wanted}, {"A": "-"}, "a") for wanted in ("1", "true", "1.0")]
    matcher, plain = Matcher(rules), PlainMatcher(rules)
    for value in (1, True, 1.0, True, 1, "1", "true", [1], [True]):
        assert list(matcher.match(log(A=value))) == plain.match(log(A=value)), value


def test_a_keyword_that_is_a_field_test_too_tells_both() -> None:
    source = {"product": "windows"}
    rules = [rule_of(source, {"A|contains": "evil"}, {"B": "x"}, "a"), rule_of(source, ["evil"], {"B": "x"}, "a")]
    matcher = Matcher(rules)
    assert matcher.match(log(A="so evil")) == (0, 1)
    assert matcher.match(log(B="so evil")) == (1,)
    assert matcher.match(log(A=["good", "evil"])) == (0, 1)
    assert matcher.match(log(C={"deep": "evil"})) == (1,)


def test_a_keyword_does_not_reach_over_two_values() -> None:
    rules = [rule_of({"product": "windows"}, ["evil"], {"B": "x"}, "a")]
    for first, second in (("ev", "il"), ("il", "ev"), ("e", "vil")):
        assert Matcher(rules).match(log(C=first, D=second)) == ()


def test_a_negated_keyword_that_is_a_pattern_is_looked_at() -> None:
    source = {"product": "windows"}
    rules = [rule_of(source, {"|re": "^evil$"}, {"A": "x"}, "not a"), rule_of(source, ["e*il"], {"A": "x"}, "not a")]
    for text in ("evil", "so evil", "good"):
        assert list(Matcher(rules).match(log(A=text))) == PlainMatcher(rules).match(log(A=text)), text


def test_names_of_fields_are_remembered_only_while_they_are_few_and_short() -> None:
    rule = rule_of({"product": "windows"}, ["evil"], ["evil"], "a")
    matcher = Matcher([rule])
    one = matcher.program(("windows", "c", 0))
    for number in range(program.MAX_SHAPES + 10):
        names = {f"{number}": "evil", "long" * 3_000: "x"} if number % 2 else {f"{number}": "evil"}
        event = LogEvent(time_us=0, table="channel_logs", platform="windows", channel="c", fields=names)
        assert matcher.match(event) == (0,)
    assert 0 < len(one._picks) <= program.MAX_SHAPES
    assert max(len("".join(shape)) for shape in one._picks) <= program.MAX_SHAPE_CHARACTERS
