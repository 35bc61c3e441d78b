"""Sigma filters: conditions that are added to the rules they name, or to all rules of their logsource."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from siemd.detection.nodes import all_of
from siemd.detection.rule import AnyRule, Filter, LogSource, Meta, Rule
from siemd.errors import FileError


def apply_filters(
    documents: Iterable[AnyRule | Filter],
    disabled: Collection[str] = (),
    may_change: Callable[[Meta, Meta], bool] = lambda _filter, _rule: True,
) -> tuple[list[AnyRule], list[FileError]]:
    """The rules with every filter that concerns them put in, and a word on each filter that concerns none.

    disabled: names, ids or tags of filters that are switched off. may_change: whether a filter has a say on a rule.
    """
    rules: list[AnyRule] = []
    filters: list[Filter] = []
    for one in documents:
        if not isinstance(one, Filter):
            rules.append(one)
        elif not any(name in disabled for name in (one.name, one.id, *one.tags) if name):
            filters.append(one)
    idle: list[FileError] = []
    for one in filters:
        named = [index for index, rule in enumerate(rules) if isinstance(rule, Rule) and concerns(one, rule)]
        meant = [index for index in named if may_change(one, rules[index])]
        for index in meant:
            rule = rules[index]
            assert isinstance(rule, Rule)
            rules[index] = msgspec.structs.replace(rule, condition=all_of([rule.condition, one.keep]))
        if not meant:
            hint = "see that it names rules that are loaded, and that its logsource is theirs or says less than theirs"
            if named:
                hint = "the rules it names came by another way: to filter them, put it into a folder of your own"
            idle.append(FileError(one.path, one.line, 1, f"the filter {one.title!r} concerns no rule", hint))
    return rules, idle


def concerns(one: Filter, rule: Rule) -> bool:
    """Whether the filter names the rule (or any) and all that its logsource says is true of the rule's."""
    named = not one.rules or rule.id in one.rules or rule.name in one.rules
    return named and _holds(one.logsource, rule.logsource)


def _holds(wide: LogSource, narrow: LogSource) -> bool:
    return all(
        not wanted or wanted == given
        for wanted, given in (
            (wide.category, narrow.category),
            (wide.product, narrow.product),
            (wide.service, narrow.service),
        )
    )
