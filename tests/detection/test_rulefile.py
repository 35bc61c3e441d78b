"""Reading rules: what they say, and where every mistake is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siemd.detection import load_ruleset
from siemd.detection.nodes import And, Match, Text
from siemd.detection.rule import Correlation, Rule
from siemd.detection.rulefile import read_rules
from siemd.errors import FileError

HEAD = "title: t\nlogsource: {product: windows}\n"
CORRELATION = "---\ntitle: c\nname: c\ncorrelation:\n  "
BASE = HEAD + "name: base\ndetection: {s: {A: x}, condition: s}\n"

SIGMA_1 = "title: t\nlogsource: {product: windows, category: dns_query}\ndate: 2020/01/02\n"

# (YAML, line, column, what the message holds)
MISTAKES: list[tuple[str, int, int, str]] = [
    ("- a\n- b\n", 1, 1, "expected a Sigma rule"),
    ("title: [\n", 2, 1, "not valid YAML"),
    ("logsource: {product: windows}\ndetection: {s: {A: x}, condition: s}\n", 1, 1, "'title' is missing"),
    ("title: t\ndetection: {s: {A: x}, condition: s}\n", 1, 1, "'logsource' is missing"),
    ("title: t\nlogsource: {product: windows}\ndetections: {}\n", 1, 1, "did you mean 'detections'?"),
    ("title: t\ntitle: u\n", 2, 1, "twice"),
    ("title: t\nlogsource: windows\ndetection: {s: {A: x}, condition: s}\n", 2, 12, "expected a mapping"),
    ("title: t\nlogsource: {definition: x}\ndetection: {s: {A: x}, condition: s}\n", 2, 12, "at least one of"),
    (
        "title: t\nlogsource: {prodct: windows}\ndetection: {s: {A: x}, condition: s}\n",
        2,
        13,
        "did you mean 'product'?",
    ),
    (HEAD + "level: hgih\ndetection: {s: {A: x}, condition: s}\n", 3, 8, "did you mean 'high'?"),
    (HEAD + "detection: {s: {A: x}}\n", 3, 1, "'condition' is missing"),
    (HEAD + "detection: {condition: s}\n", 3, 12, "nothing to look for"),
    (HEAD + "detection:\n  s: {}\n  condition: s\n", 4, 6, "empty detection"),
    (HEAD + "detection:\n  s: {A: []}\n  condition: s\n", 4, 10, "empty list"),
    (HEAD + "detection:\n  s: {A: {B: c}}\n  condition: s\n", 4, 10, "not a mapping"),
    (HEAD + "detection:\n  s:\n    A:\n      - x\n      - [y]\n  condition: s\n", 7, 9, "expected a text"),
    (HEAD + "detection:\n  s:\n    A|contians: x\n  condition: s\n", 5, 5, "did you mean 'contains'?"),
    (HEAD + "detection:\n  s:\n    A|re|expand|base64: '%x%'\n  condition: s\n", 5, 5, "cannot be combined"),
    (HEAD + "detection:\n  s:\n    A|cidr|contains: x\n  condition: s\n", 5, 5, "cannot be combined"),
    (HEAD + "detection:\n  s:\n    A|i: x\n  condition: s\n", 5, 5, "flag of 're'"),
    (HEAD + "detection:\n  s:\n    A|lt|gt: 3\n  condition: s\n", 5, 5, "exclude each other"),
    (HEAD + "detection:\n  s:\n    A|contains|contains: x\n  condition: s\n", 5, 5, "twice"),
    (HEAD + "detection:\n  s:\n    A|re:\n      - ok\n      - '('\n  condition: s\n", 7, 9, "not a regular expression"),
    (HEAD + "detection:\n  s:\n    A|cidr: 10.0.0.0/99\n  condition: s\n", 5, 13, "expected a network"),
    (HEAD + "detection:\n  s:\n    A|gt: many\n  condition: s\n", 5, 11, "expected a number"),
    (HEAD + "detection:\n  s:\n    A|exists: maybe\n  condition: s\n", 5, 15, "expected true or false"),
    (HEAD + "detection:\n  s:\n    A|base64: a*b\n  condition: s\n", 5, 15, "cannot encode wildcards"),
    (HEAD + "detection:\n  s:\n    A|base64offset|contains: ''\n  condition: s\n", 5, 30, "in an empty text"),
    (HEAD + "detection:\n  s:\n    A|wide|base64: [x, '']\n  condition: s\n", 5, 24, "in an empty text"),
    (HEAD + "detection:\n  s:\n    A|base64: ''\n  condition: s\n", 5, 15, "in an empty text"),
    (HEAD + "detection:\n  s:\n    A|utf16: ''\n  condition: s\n", 5, 14, "in an empty text"),
    (HEAD + "detection:\n  s:\n    A|base64offset|contains: x\n  condition: s\n", 5, 30, "one character"),
    (HEAD + "detection:\n  s:\n    A|contains: null\n  condition: s\n", 5, 17, "null cannot be combined"),
    (HEAD + "detection:\n  s:\n    A|contains|windash: -a -b -c -d -e\n  condition: s\n", 5, 25, "dashes"),
    (HEAD + "detection:\n  s: {A: x}\n  condition: s and\n", 5, 19, "ends too early"),
    (HEAD + "detection:\n  s: {A: x}\n  condition: s and filtr\n", 5, 20, "no detection is named 'filtr'"),
    (HEAD + "detection:\n  sel: {A: x}\n  condition: 'se and sel'\n", 5, 15, "did you mean 'sel'?"),
    (HEAD + "detection:\n  s: {A: x}\n  condition: s and (s or s\n", 5, 27, "expected ')'"),
    (HEAD + "detection:\n  s: {A: x}\n  condition: s s\n", 5, 16, "expected 'and', 'or' or the end"),
    (HEAD + "detection:\n  s: {A: x}\n  condition: 1 of f*\n", 5, 19, "no detection matches 'f*'"),
    (HEAD + "detection:\n  s: {A: x}\n  condition: 2 of them\n", 5, 14, "expected '1 of'"),
    (HEAD + "detection:\n  s_1: {A: x}\n  condition: s_*\n", 5, 14, "write '1 of s_*'"),
    (HEAD + "detection:\n  s: {A: x}\n  condition:\n    - s\n    - t\n", 7, 7, "no detection is named 't'"),
    (HEAD + "detection:\n  s: {A: x}\n  condition: 5\n", 5, 14, "expected a condition"),
    (HEAD + "detection:\n  s: {A: x}\n  condition: s | count() > 5\n", 5, 16, "no longer part of Sigma"),
    (HEAD + "detection:\n  s: {A: x}\n  condition: count(A) by B > 5\n", 5, 14, "correlation rule"),
    (HEAD + "detection:\n  s: {A: x}\n  condition: s\n  timeframe: 5m\n", 6, 3, "'timeframe' is no longer"),
    (
        SIGMA_1 + "detection: {s: {Query: x}, condition: s}",
        4,
        17,
        "Sigma 1",
    ),
    (HEAD + "status: unsupported\ndetection: {s: {A: x}, condition: s}\n", 3, 9, "unsupported"),
    ("action: global\ntitle: t\n", 1, 9, "'action' documents"),
    ("title: f\nfilter: {rules: any}\n", 1, 1, "'logsource' is missing"),
    (HEAD + "filter: {s: {A: x}, condition: s}\n", 3, 1, "'rules' is missing"),
    (HEAD + "filter: {rules: any, s: {A: x}, condition: [s]}\n", 3, 1, "one condition"),
    (HEAD + "filter: {rules: any, condition: s}\n", 3, 9, "nothing to look for"),
    (HEAD + "filter: {rules: any, s: {A: x}, condition: t}\n", 3, 44, "no detection is named 't'"),
    (HEAD + "detection: {s: {A: x}, condition: s}\nsiemd: {reson: x}\n", 4, 9, "did you mean 'reason'?"),
    (BASE + CORRELATION + "rules: [base]\n  timespan: 5m\n", 8, 1, "'type' is missing"),
    (BASE + CORRELATION + "type: event_cuont\n  rules: [base]\n  timespan: 5m\n", 9, 9, "did you mean 'event_count'?"),
    (BASE + CORRELATION + "type: value_avg\n  rules: [base]\n  timespan: 5m\n", 9, 3, "such as {gte: 10}"),
    (
        BASE + CORRELATION + "type: value_percentile\n  rules: [base]\n  timespan: 5m\n"
        "  condition: {field: x, gte: 1}\n",
        12,
        14,
        "needs 'percentile'",
    ),
    (
        BASE + CORRELATION + "type: value_percentile\n  rules: [base]\n  timespan: 5m\n"
        "  condition: {field: x, percentile: 101, gte: 1}\n",
        12,
        37,
        "from 0 to 100",
    ),
    (
        BASE + CORRELATION + "type: value_median\n  rules: [base]\n  timespan: 5m\n"
        "  condition: {field: x, percentile: 5, gte: 1}\n",
        12,
        25,
        "knows no percentile",
    ),
    (
        BASE + CORRELATION + "type: event_count\n  rules: [base]\n  timespan: 5m\n  condition: base\n",
        12,
        14,
        "compares a number",
    ),
    (
        BASE + CORRELATION + "type: temporal\n  rules: [base, other]\n  timespan: 5m\n  condition: base\n",
        10,
        17,
        "does not name the rule 'other'",
    ),
    (
        BASE + CORRELATION + "type: temporal\n  rules: [base]\n  timespan: 5m\n  condition: base and bas\n",
        12,
        23,
        "did you mean 'base'?",
    ),
    (
        BASE + CORRELATION + "type: temporal\n  rules: [base]\n  timespan: 5m\n  condition: not base\n",
        12,
        14,
        "when nothing happens",
    ),
    (
        BASE + CORRELATION + "type: temporal\n  rules: [base]\n  timespan: 5m\n  condition: base and not base\n",
        12,
        14,
        "can never hold",
    ),
    (
        BASE + CORRELATION + "type: event_count\n  rules: [base]\n  timespan: soon\n  condition: {gte: 1}\n",
        11,
        13,
        "expected a duration",
    ),
    (
        BASE + CORRELATION + "type: event_count\n  rules: [base]\n  timespan: 5m\n  condition: {gte: lots}\n",
        12,
        20,
        "expected a number",
    ),
    (
        BASE + CORRELATION + "type: event_count\n  rules: [base]\n  timespan: 5m\n  condition: {get: 5}\n",
        12,
        15,
        "unknown key 'get'",
    ),
    (
        BASE + CORRELATION + "type: value_count\n  rules: [base]\n  timespan: 5m\n  condition: {gte: 5}\n",
        12,
        14,
        "needs 'field'",
    ),
    (
        BASE + CORRELATION + "type: event_count\n  rules: [base, bsae]\n  timespan: 5m\n  condition: {gte: 5}\n",
        10,
        17,
        "did you mean 'base'?",
    ),
    (
        BASE + CORRELATION + "type: event_count\n  rules: [base]\n  group_by: [A]\n  timespan: 5m\n",
        11,
        3,
        "did you mean 'group-by'?",
    ),
    (
        BASE + CORRELATION + "type: event_count\n  rules: [base]\n  timespan: 5m\n  condition: {gte: 5, lte: 2}\n",
        12,
        14,
        "can never hold",
    ),
    (
        BASE + CORRELATION + "type: event_count\n  rules: [c]\n  timespan: 5m\n  condition: {gte: 5}\n",
        10,
        11,
        "refers to itself",
    ),
    (BASE + "---\n" + BASE, 8, 7, "already that of rules.yml"),
    (HEAD + "detection: {s: {A|minute: .inf}, condition: s}\n", 3, 27, "expected a whole number"),
    (HEAD + "detection: {s: {A|hour: '1.e999'}, condition: s}\n", 3, 25, "expected a whole number"),
    (HEAD + "detection: {s: {A|re: '(?a)(?u)x'}, condition: s}\n", 3, 23, "not a regular expression"),
    (
        HEAD + "detection:\n  s:\n    A|windash:\n" + "      - '-a -b -c -d'\n" * 1_000 + "  condition: s\n",
        326,
        9,
        "more than 200000 tests",
    ),
    (
        HEAD
        + "detection:\n"
        + "".join(f"  s{n}: {{A|windash: '-a -b -c -d'}}\n" for n in range(330))
        + "  condition: s1\n",
        324,
        10,
        "more than 200000 tests",
    ),
    (
        HEAD + "detection:\n  s:\n    A:\n" + "".join(f"      - v{n}\n" for n in range(2_000)) + "  t: {B: x}\n"
        "  condition: " + "s and t or " * 101 + "t\n",
        2007,
        14,
        "more than 200000 tests",
    ),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), MISTAKES)
def test_a_mistake_is_told_with_its_place(tools: Any, text: str, line: int, column: int, message: str) -> None:
    problems = tools.problems(text)
    assert len(problems) == 1, problems
    assert message in problems[0]
    assert problems[0].startswith(f"rules.yml:{line}:{column}: ")


def test_a_broken_document_leaves_the_others(tools: Any) -> None:
    found, problems = read_rules("x.yml", BASE + "---\ntitle: broken\n---\n" + BASE.replace("base", "other"))
    assert [rule.name for rule in found] == ["base", "other"]
    assert len(problems) == 1


PLAIN = "title: t\nlogsource: {product: windows}\ndetection: {s: {A: 1}, condition: s}\n"


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("condition: s", "condition: s | count() by x > 5"), 3, "an aggregation inside the condition"),
        (("condition: s", "condition: s | near s2"), 3, "an aggregation inside the condition"),
        (("condition: s", "timeframe: 5m, condition: s"), 3, "'timeframe' is no longer part of Sigma"),
        (("title: t", "title: t\naction: global"), 2, "'action' documents"),
        (("condition: s", "condition: s"), 4, "says of itself that it is unsupported"),
    ],
)
def test_a_rule_that_calls_itself_unsupported_is_told_what_is_wrong(
    tools: Any, change: tuple[str, str], line: int, message: str
) -> None:
    (problem,) = tools.problems(PLAIN.replace(*change) + "status: Unsupported\n")
    assert problem.startswith(f"rules.yml:{line}:")
    assert message in problem


def test_what_continues_an_old_action_document_is_refused_too(tools: Any) -> None:
    first, second = tools.problems(f"action: global\ntitle: t\ndetection: {{condition: s}}\n---\n{PLAIN}")
    assert "rules.yml:1:9: 'action' documents" in first
    assert "rules.yml:5:1: this continues an 'action' document" in second


def test_levels_and_statuses_in_any_case(tools: Any) -> None:
    (rule,) = tools.rules(PLAIN + "level: HIGH\nstatus: Test\n").rules
    assert (rule.level, rule.status) == ("high", "test")


def test_a_whole_rule() -> None:
    text = (
        "title: T\nid: 1e6d56f4-0c4b-4e5c-9f0a-9c6ab2bf4c41\nname: short\nstatus: test\nlevel: high\ndescription: d\n"
        "author: a\ntags: [attack.t1110]\nfalsepositives: [f]\nreferences: [r]\nmy_own_key: {anything: goes}\n"
        "logsource: {product: Windows, service: Security}\ndetection: {s: {A: X, B: y}, condition: s}\n"
        "siemd: {group: [A], reason: '{A} did it', alert: false}\n"
    )
    (rule,), problems = read_rules("folder/stem.yml", text)
    assert not problems
    assert isinstance(rule, Rule)
    assert (rule.name, rule.level, rule.tags, rule.group, rule.alert) == (
        "short",
        "high",
        ("attack.t1110",),
        ("A",),
        False,
    )
    assert rule.logsource.service == "security"
    assert rule.condition == And((Match("A", Text("equals", "x")), Match("B", Text("equals", "y"))))


def test_a_whole_correlation() -> None:
    text = (
        "title: T\ncorrelation:\n  type: value_count\n  rules: [one, two]\n  group-by: [ip]\n  timespan: 90m\n"
        "  condition: {field: port, gt: 10, lte: 20}\n  aliases: {ip: {one: src, two: dst}}\n  generate: true\n"
    )
    (rule,), problems = read_rules("folder/stem.yml", text)
    assert not problems
    assert isinstance(rule, Correlation)
    assert (rule.name, rule.timespan_s, rule.group_by, rule.generate) == ("stem", 5400.0, ("ip",), True)
    assert rule.threshold.field == "port"
    assert set(rule.threshold.comparisons) == {("gt", 10), ("lte", 20)}
    assert rule.aliases == {"ip": {"one": "src", "two": "dst"}}


def test_names_come_from_the_file() -> None:
    found, _ = read_rules("a/port_scan.yml", HEAD + "detection: {s: {A: x}, condition: s}\n")
    assert [rule.name for rule in found] == ["port_scan"]
    text = (
        HEAD + "detection: {s: {A: x}, condition: s}\n---\ntitle: c\ncorrelation: {type: event_count, "
        "rules: [port_scan_1], timespan: 5m, condition: {gte: 2}}\n"
    )
    found, _ = read_rules("a/port_scan.yml", text)
    assert [rule.name for rule in found] == ["port_scan_1", "port_scan"]


def test_files_of_several_folders_may_be_called_the_same(tmp_path: Path) -> None:
    for folder, more in (("a", ""), ("b", ""), ("c", "name: rule_2\n"), ("d", "name: rule_2\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rule.yml").write_text(PLAIN + more)
    ruleset = load_ruleset([tmp_path])
    assert [rule.name for rule in ruleset.rules] == ["rule", "rule_3", "rule_2"]
    (problem,) = ruleset.problems
    assert "the name 'rule_2' is already that of" in str(problem)


def test_of_a_uuid_the_case_does_not_matter(tools: Any) -> None:
    upper = "0E95725D-7320-415D-80F7-004DA920FC1A"
    ruleset = tools.rules(
        f"{PLAIN}id: {upper}\n---\ntitle: c\nname: c\ncorrelation: {{type: event_count, rules: [{upper.lower()}],"
        " timespan: 1m, condition: {gte: '2'}}\n"
    )
    assert len(ruleset.rules) == 2
    assert ruleset.find(upper) == ruleset.find(upper.lower()) != []


def test_a_file_that_cannot_be_read(tmp_path: Any) -> None:
    found, problems = read_rules(tmp_path / "missing.yml")
    assert not found
    assert "cannot be read" in str(problems[0])


WORDS = st.sampled_from(
    ["title", "detection", "condition", "selection", "logsource", "product", "windows", "1 of them", "not", "and", "(",
     "correlation", "type", "event_count", "rules", "timespan", "5m", "gte", "A|re", "A|contains|all", "A|cidr", "*",
     "", "siemd", "reason", "level", "high", "a\\*b", "aliases", "group-by", "value_count", "field", "generate", "date"]
)  # fmt: skip
SCALARS = st.one_of(WORDS, st.text(max_size=8), st.integers(), st.floats(), st.booleans(), st.none())
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=5)),
    max_leaves=15,
)


def never_crashes(text: str) -> None:
    found, problems = read_rules("fuzz.yml", text)
    assert all(isinstance(problem, FileError) for problem in problems)
    assert all(str(problem).startswith("fuzz.yml") for problem in problems)
    assert all(isinstance(rule, Rule | Correlation) for rule in found)


@given(TREES)
def test_any_tree_gives_rules_or_file_errors(tree: Any) -> None:
    import json

    never_crashes(json.dumps(tree))


@given(TREES, TREES)
def test_any_detection_gives_rules_or_file_errors(detection: Any, condition: Any) -> None:
    import json

    tree = {
        "title": "t",
        "logsource": {"product": "windows"},
        "detection": {"selection": detection, "condition": condition},
    }
    never_crashes(json.dumps(tree))


@given(st.fixed_dictionaries({"type": WORDS, "rules": TREES, "timespan": TREES, "condition": TREES, "aliases": TREES}))
def test_any_correlation_gives_rules_or_file_errors(correlation: Any) -> None:
    import json

    correlation["type"] = "value_count" if len(str(correlation)) % 2 else correlation["type"]
    never_crashes(json.dumps({"title": "t", "correlation": correlation}))


@given(st.text(max_size=200))
def test_any_text_gives_rules_or_file_errors(text: str) -> None:
    never_crashes(text)


@given(st.text(alphabet="() andornot1of*them_sS|", max_size=60))
def test_any_condition_gives_rules_or_file_errors(condition: str) -> None:
    import json

    never_crashes(HEAD + f"detection: {{s: {{A: x}}, s_1: {{B: y}}, condition: {json.dumps(condition)}}}\n")


def test_a_name_pattern_with_many_stars_ends(tools: Any) -> None:
    """It took longer than anybody waits, in a thread that let no other one run."""
    text = HEAD + f"detection: {{{'a' * 200}: {{A: x}}, condition: 1 of {'*a' * 40}b}}\n"
    (problem,) = tools.problems(text)
    assert "no detection matches" in problem
    tools.rules(text.replace("*ab}", "*a}"))


def test_what_a_rule_says_of_itself_gives_a_terminal_no_orders() -> None:
    text = (
        'title: "t\\e[2Jt"\nname: "n\\x9b1m"\nid: "\\e]0;x\\a"\ndescription: "a\\nb\\tc\\u202e"\ntags: ["\\e[0m"]\n'
        "logsource: {product: windows}\ndetection: {s: {A: x}, condition: s}\n"
    )
    (rule,), problems = read_rules("x.yml", text)
    assert problems == []
    assert isinstance(rule, Rule)
    assert (rule.title, rule.name, rule.id) == ("t�[2Jt", "n�1m", "�]0;x�")
    assert (rule.description, rule.tags) == ("a\nb\tc�", ("�[0m",))


def test_a_file_whose_name_is_no_text_can_be_told() -> None:
    _, (problem,) = read_rules("a\udcff.yml", "- x\n")
    assert str(problem).encode().startswith(b"a?.yml:1:1: ")
