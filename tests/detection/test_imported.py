"""What an imported package must not do: take the place of other rules, silence them, or take their events out."""

from __future__ import annotations

from pathlib import Path

import pytest

from siemd.detection import DetectionConfig, Ruleset, load_ruleset
from siemd.detection.config import ImportedConfig
from siemd.detection.rule import Correlation, Rule
from siemd.detection.rulefile import read_rules

ID = "11111111-1111-4111-8111-111111111111"
DETECTION = "logsource: {product: windows}\ndetection: {s: {A: x}, condition: s}\n"
COUNTS = "correlation: {type: event_count, rules: [%s], timespan: 1m, condition: {gte: 1000000}}\n"
OWN = f"title: own\nname: own\nid: {ID}\n{DETECTION}---\ntitle: many\nname: many\n{COUNTS % 'own'}"
FILTER = "title: f\nlogsource: {product: windows}\nfilter: {rules: any, s: {A|exists: true}, condition: s}\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with rules of one's own and two imports."""
    for name in ("own", "imported/a", "imported/b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "own" / "own.yml").write_text(OWN)
    return tmp_path


def loaded(place: Path, hostile: str = "", *others: str) -> Ruleset:
    """The rules with a hostile file in the import `a`, which is read before one's own."""
    (place / "imported" / "a" / "hostile.yml").write_text(hostile)
    config = DetectionConfig(
        rules=["imported", str(place / "own"), *others], imported=ImportedConfig(folder=str(place / "imported"))
    )
    return load_ruleset(config)


def rule(ruleset: Ruleset, name: str) -> Rule:
    """The one rule of that name, which is in use."""
    (found,) = ruleset.find(name)
    assert isinstance(found, Rule)
    assert found in ruleset.rules
    return found


@pytest.mark.parametrize(
    "hostile",
    [
        f"title: x\nname: own\n{DETECTION}",
        f"title: x\nid: {ID}\n{DETECTION}",
        f"title: x\nid: own\n{DETECTION}",
        f"title: x\nname: {ID}\n{DETECTION}",
        f"title: x\nname: base\n{DETECTION}---\ntitle: y\nname: many\n{COUNTS % 'base'}",
        f"title: x\nid: own\n{COUNTS % 'many'}",
    ],
    ids=["name", "id", "name as id", "id as name", "name of a correlation", "a circle through ours"],
)
def test_it_takes_the_place_of_no_other_rule(place: Path, hostile: str) -> None:
    ruleset = loaded(place, hostile)
    assert (ruleset.problems, ruleset.warnings) == ([], [])
    assert len(ruleset.refused) == 1
    assert rule(ruleset, "own").title == "own"
    (many,) = ruleset.find("many")
    assert many.title == "many"
    assert many in ruleset.rules
    assert ruleset.references[many.key] == ((rule(ruleset, "own").key,),)


@pytest.mark.parametrize("theirs", ["own", "imported/b"])
def test_its_correlations_silence_no_other_rule(place: Path, theirs: str) -> None:
    (place / theirs / "more.yml").write_text(f"title: more\nname: more\n{DETECTION}")
    hostile = f"title: quiet\nname: quiet\n{COUNTS % 'more, mine'}---\ntitle: mine\nname: mine\n{DETECTION}"
    ruleset = loaded(place, hostile)
    assert ruleset.alerts(rule(ruleset, "more"))
    assert not ruleset.alerts(rule(ruleset, "mine"))
    assert not ruleset.alerts(rule(ruleset, "own"))


def test_its_correlations_make_no_other_rule_heard(place: Path) -> None:
    ruleset = loaded(place, f"title: loud\nname: loud\ngenerate: true\n{COUNTS % 'own'}")
    assert not ruleset.alerts(rule(ruleset, "own"))


def test_our_correlations_silence_what_they_count_of_it(place: Path) -> None:
    (place / "own" / "more.yml").write_text(f"title: more\nname: more\n{COUNTS % 'theirs'}")
    ruleset = loaded(place, f"title: theirs\nname: theirs\n{DETECTION}")
    assert not ruleset.alerts(rule(ruleset, "theirs"))


def test_its_filters_are_for_itself(place: Path) -> None:
    (place / "imported" / "b" / "b.yml").write_text(f"title: b\nname: b\n{DETECTION}")
    plain = loaded(place)
    ruleset = loaded(place, FILTER + f"---\ntitle: a\nname: a\n{DETECTION}")
    for name in ("own", "b"):
        assert rule(ruleset, name).condition == rule(plain, name).condition
    assert rule(ruleset, "a").condition != rule(plain, "own").condition
    (place / "own" / "filter.yml").write_text(FILTER)
    ruleset = loaded(place)
    for name in ("own", "b"):
        assert rule(ruleset, name).condition != rule(plain, name).condition


def test_a_filter_of_an_import_that_concerns_nothing_of_it_is_told(place: Path) -> None:
    (refused,) = loaded(place, FILTER).refused
    assert "concerns no rule" in str(refused)
    assert "a folder of your own" in str(refused)


def test_thousands_that_build_on_each_other_are_resolved() -> None:
    """Each in its turn, whatever their order: it took time by the square of their number."""
    chain = [f"---\ntitle: t\nname: c{n}\n{COUNTS % f'c{n + 1}'}" for n in range(15_000)]
    rules = [one for part in range(0, 15_000, 1_000) for one in read("".join(chain[part : part + 1_000]))]
    ruleset = Ruleset([*rules, *read(f"title: t\nname: c15000\n{DETECTION}")])
    assert (len(ruleset.rules), ruleset.problems) == (15_001, [])
    assert [one.name for one in ruleset.correlations[:2]] == ["c14999", "c14998"]


def test_few_correlations_share_a_name() -> None:
    """Some do on purpose; each of thousands would have to be told apart from all others."""
    same = f"---\ntitle: t\nname: same\n{COUNTS % 'base'}"
    ruleset = Ruleset(read(f"title: t\nname: base\n{DETECTION}" + same * 2_000))
    assert len(ruleset.correlations) == 64
    assert len(ruleset.problems) == 2_000 - 64
    assert "more than 64 correlations" in str(ruleset.problems[0])


def test_what_builds_on_a_broken_correlation_is_told_once_each() -> None:
    text = "---\n".join(f"title: t\nname: {name}\n{COUNTS % of}" for name, of in ("ab", "bc", "c?", "dd", "ed"))
    ruleset = Ruleset(read(text.replace("?", "missing")))
    assert ruleset.rules == []
    assert sorted(one.message for one in ruleset.problems) == [
        "'a' refers to a rule that cannot be used",
        "'b' refers to a rule that cannot be used",
        "'d' refers to itself through its rules",
        "'e' refers to itself through its rules",
        "there is no rule named 'missing'",
    ]


def read(text: str) -> list[Rule | Correlation]:
    """The rules of a file that is right."""
    rules, problems = read_rules("x.yml", text)
    assert problems == []
    return rules  # type: ignore[return-value]
