"""Lifecycle policies of image repositories, by the rules that ECR documents.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

_SELECTION = frozenset(
    ["tagStatus", "tagPatternList", "tagPrefixList", "storageClass", "countType", "countUnit", "countNumber"]
)
_BY_AGE = ("sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned")
_WILDCARDS_MAX = 4


def problems(policy: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a lifecycle policy."""
    for key in sorted(set(policy) - {"rules"}):
        yield f"{key} is no element of a lifecycle policy"
    rules = policy.get("rules")
    if not isinstance(rules, list) or not rules:
        yield "it has no rules"
        return
    priorities = [rule.get("rulePriority") for rule in rules]
    for priority, times in Counter(priorities).items():
        if times > 1:
            yield f"rulePriority {priority} is there {times} times"
    last = max((priority for priority in priorities if isinstance(priority, int)), default=None)
    for rule in rules:
        priority = rule.get("rulePriority")
        yield from (f"rule {priority}: {problem}" for problem in _rule(rule))
        if (rule.get("selection") or {}).get("tagStatus") == "any" and priority != last:
            yield f"rule {priority}: tagStatus any comes last, with the highest rulePriority"


def _rule(rule: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(set(rule) - {"rulePriority", "description", "selection", "action"}):
        yield f"{key} is no element of a rule"
    priority = rule.get("rulePriority")
    if not isinstance(priority, int) or isinstance(priority, bool) or priority < 1:
        yield f"rulePriority is {priority!r}, not a number from 1"
    action = rule.get("action")
    if action not in ({"type": "expire"}, {"type": "transition", "targetStorageClass": "archive"}):
        yield f"action is {action!r}: give {{'type': 'expire'}}"
    selection = rule.get("selection")
    if not isinstance(selection, Mapping):
        yield "selection is missing"
        return
    yield from _selection(selection)


def _selection(selection: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(set(selection) - _SELECTION):
        yield f"{key} is no element of a selection"
    status = selection.get("tagStatus")
    lists = [key for key in ("tagPatternList", "tagPrefixList") if key in selection]
    if status not in ("tagged", "untagged", "any"):
        yield f"tagStatus is {status!r}, not tagged, untagged or any"
    if status == "tagged" and len(lists) != 1:
        yield "tagStatus tagged needs tagPatternList or tagPrefixList, one of them"
    if status in ("untagged", "any") and lists:
        yield f"{lists[0]} is for tagStatus tagged only"
    for key in lists:
        tags = selection[key]
        if not isinstance(tags, list) or not tags or not all(isinstance(tag, str) and tag for tag in tags):
            yield f"{key} is {tags!r}: give a list of strings"
        elif any(tag.count("*") > _WILDCARDS_MAX for tag in tags):
            yield f"{key} has more than {_WILDCARDS_MAX} wildcards in a string"
    yield from _count(selection)


def _count(selection: Mapping[str, Any]) -> Iterator[str]:
    count_type, unit, number = (selection.get(key) for key in ("countType", "countUnit", "countNumber"))
    if count_type in _BY_AGE:
        if unit != "days":
            yield f"countUnit is {unit!r}: {count_type} counts days"
    elif count_type != "imageCountMoreThan":
        yield f"countType is {count_type!r}, not imageCountMoreThan or one of {', '.join(_BY_AGE)}"
    elif unit is not None:
        yield "countUnit is for ages only"
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        yield f"countNumber is {number!r}, not a number from 1"
