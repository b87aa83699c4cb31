"""Filters take part what their patterns say, and no directory is passed over that holds some."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiocos import ParameterError
from aiocos.sync.filters import Filters


@pytest.mark.parametrize(
    ("rules", "takes", "leaves"),
    [
        ([], ["a", "b/c"], []),
        (["-*.tmp"], ["a.txt", "tmp"], ["a.tmp", "b/c.tmp", "d.tmp/e"]),
        (["+*.txt"], ["a.txt", "b/c.txt"], ["a", "b/c.md"]),
        (["-cache/", "+*.txt"], ["a.txt", "cache"[:-1] + ".txt"], ["cache/a.txt", "x/cache/a.txt"]),
        (["+keep.log", "-*.log"], ["keep.log", "b/keep.log", "a.txt"], ["a.log", "b/c.log"]),
        (["-/a"], ["b/a", "ab"], ["a", "a/b"]),
        (["-a/b"], ["a/c", "ba/b"], ["a/b", "x/a/b", "a/b/c"]),
        (["-/a/**/z"], ["a/b", "z"], ["a/z", "a/b/z", "a/b/c/z"]),
        (["-/a/**"], ["a", "b/a/c"], ["a/b", "a/b/c"]),
        (["-node_modules"], ["node"], ["node_modules/x", "p/node_modules/x/y"]),
        (["-a?c"], ["ac", "a/c"], ["abc", "x/abc"]),
        (["-[a-c]x", "-[!a-z]y"], ["dx", "ay", "/y"[1:]], ["ax", "cx", "1y"]),
        (["-\\*"], ["a"], ["*"]),
        (["-a**c"], ["ab", "bc"], ["ac", "abc", "a/b/c"]),
        (["-*"], [], ["a", "b/c", ".x", "new\nline"]),
        (["-x/"], ["x", "b/x"], ["x/a", "b/x/a"]),
    ],
)
def test_what_patterns_mean(rules, takes, leaves):
    """The first pattern that matches decides; behind the last one comes its opposite."""
    filters = Filters(("include" if rule[0] == "+" else "exclude", rule[1:]) for rule in rules)
    assert {path: filters.takes(path) for path in takes} == dict.fromkeys(takes, True)
    assert {path: filters.takes(path) for path in leaves} == dict.fromkeys(leaves, False)


@pytest.mark.parametrize("pattern", ["", "/", "a//b", "[a", "[z-a]", "a\\"])
def test_a_pattern_that_makes_no_sense_is_refused(pattern):
    """A mistake in a pattern is told, not taken for a name."""
    with pytest.raises(ParameterError, match="pattern"):
        Filters([("exclude", pattern)])


@pytest.mark.parametrize("rule", ["*.txt", ("only", "a"), ("include",), ("include", b"a")])
def test_a_rule_is_a_pair(rule):
    """What is no pair of a kind and a pattern is refused."""
    with pytest.raises(ParameterError, match="a filter is"):
        Filters([rule])


names = st.text("ab.", min_size=1, max_size=3)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
pieces = st.sampled_from(["a", "b", ".", "*", "?", "**", "[ab]", "[!a]", "ab"])
steps = st.lists(pieces, min_size=1, max_size=2).map("".join)
patterns = st.builds(
    lambda start, inner, end: f"{start}{'/'.join(inner)}{end}",
    st.sampled_from(["", "/"]),
    st.lists(steps, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)
rules = st.lists(st.tuples(st.sampled_from(["include", "exclude"]), patterns), max_size=4)


def naive(pattern: str, path: str) -> bool:
    """Match character by character, every way there is."""
    if pattern.startswith("**"):
        rest = pattern.lstrip("*")
        return any(naive(rest, path[at:]) for at in range(len(path) + 1))
    if not pattern:
        return not path
    if pattern[0] == "*":
        spans = (at for at in range(len(path) + 1) if "/" not in path[:at])
        return any(naive(pattern[1:], path[at:]) for at in spans)
    if not path:
        return False
    if pattern[0] == "[":
        inner, _, rest = pattern[1:].partition("]")
        has = (path[0] in inner) is not inner.startswith("!")
        return has and path[0] != "/" and naive(rest, path[1:])
    is_one = path[0] != "/" if pattern[0] == "?" else path[0] == pattern[0]
    return is_one and naive(pattern[1:], path[1:])


def without_some_directories(pattern: str) -> set[str]:
    """The pattern, and what it is where each ``**/`` stands for no directory."""
    found = {pattern}
    steps = pattern.split("/")
    for at, step in enumerate(steps[:-1]):
        if step and not step.strip("*") and len(step) > 1:
            found |= without_some_directories("/".join(steps[:at] + steps[at + 1 :]))
    return found


def naively_takes(given_rules, path: str) -> bool:
    """Go through the rules, each tried on the path, its directories and their ends."""
    for kind, pattern in given_rules:
        is_anchored, rest = pattern.startswith("/"), pattern.removeprefix("/")
        wants_directory = rest.endswith("/")
        rest = rest.removesuffix("/")
        if not wants_directory and "/" in rest and not rest.rpartition("/")[2].strip("*"):
            last = rest.rpartition("/")[2]
            if len(last) > 1:  # ``a/**`` is the directory ``a/``
                rest, wants_directory = rest.rpartition("/")[0], True
        above = [part.removesuffix("/") for part in accumulate(f"{n}/" for n in path.split("/"))]
        whole = above[:-1] if wants_directory else above
        starts = (
            part[at:]
            for part in whole
            for at in range(len(part))
            if at == 0 or (part[at - 1] == "/" and not is_anchored)
        )
        forms = without_some_directories(rest)
        if any(naive(form, start) for start in starts for form in forms):
            return kind == "include"
    return not (given_rules and given_rules[-1][0] == "include")


@given(rules, paths)
def test_a_naive_matcher_agrees(given_rules, path):
    """Every path takes part exactly where trying all possibilities says so."""
    assert Filters(given_rules).takes(path) is naively_takes(given_rules, path)


@given(rules, paths)
def test_no_directory_is_passed_over_that_holds_some(given_rules, path):
    """Whatever takes part is reached: each directory above it is looked into."""
    filters = Filters(given_rules)
    names = path.split("/")
    if filters.takes(path):
        for depth in range(1, len(names)):
            assert filters.enters("/".join(names[:depth]) + "/")


@pytest.mark.parametrize(
    ("rules", "directory"),
    [
        (["-cache/"], "cache/"),
        (["-cache/"], "a/cache"),
        (["+/a/*.txt"], "b/"),
        (["-/a/b/**"], "a/b/c/"),
        (["-*"], "a/"),
    ],
)
def test_what_holds_nothing_is_passed_over(rules, directory):
    """A directory that a pattern takes out whole is not read."""
    filters = Filters(("include" if rule[0] == "+" else "exclude", rule[1:]) for rule in rules)
    assert not filters.enters(directory)
