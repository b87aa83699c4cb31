"""The checker of histories says yes to what can be put in one line, and no to what cannot.

A checker that always says yes would find no bug. Four histories are the queues of Herlihy and Wing
(1990), one is Lamport's register that is regular and not atomic (1986).
"""

from __future__ import annotations

import itertools
import random

import pytest

from tests.campaigns.linear import NEVER, Operation, is_linearizable


def write(value, begun, ended, *, is_certain=True):
    return Operation(f"w({value})", begun, ended, lambda _state: [value], is_certain=is_certain)


def read(value, begun, ended):
    return Operation(f"r={value}", begun, ended, lambda state: [state] if state == value else [])


def enqueue(value, begun, ended):
    return Operation(f"E({value})", begun, ended, lambda queue: [(*queue, value)])


def dequeue(value, begun, ended):
    def effect(queue):
        return [queue[1:]] if queue[:1] == (value,) else []

    return Operation(f"D={value}", begun, ended, effect)


RIGHT = {
    "nothing at all": [],
    "one after the other": [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7)],
    "a read while it is written, old": [write(1, 0, 9), read(0, 1, 2)],
    "a read while it is written, new": [write(1, 0, 9), read(1, 1, 2)],
    "old, then new, while it is written": [write(1, 0, 9), read(0, 1, 2), read(1, 3, 4)],
    "two at once, read in one order": [
        write(1, 0, 5), write(2, 0, 5), read(1, 1, 2), read(2, 3, 4), read(2, 6, 7),
    ],
    "a lost write that took effect late": [
        write(1, 0, NEVER, is_certain=False), read(0, 1, 2), read(1, 8, 9),
    ],
    "a lost write that never did": [write(1, 0, NEVER, is_certain=False), read(0, 8, 9)],
    "a repeated write, the other between": [
        write(1, 0, 9), write(1, 0, 9, is_certain=False), write(2, 3, 4),
        read(1, 1, 2), read(2, 5, 6), read(1, 10, 11),
    ],
}  # fmt: skip
WRONG = {
    "a value nobody wrote": [write(1, 0, 1), read(2, 2, 3)],
    "a stale read": [write(1, 0, 1), read(0, 2, 3)],
    "an older value comes back": [write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)],
    # A regular register that is not atomic (Lamport): new and then old, while it is written.
    "new, then old, while it is written": [write(1, 0, 9), read(1, 1, 2), read(0, 3, 4)],
    "a read before its write": [read(1, 0, 1), write(1, 2, 3)],
    "two readers see two orders": [
        write(1, 0, 1), write(2, 0, 1), read(1, 2, 3), read(2, 4, 5), read(1, 6, 7),
    ],
    "a lost write undone": [
        write(1, 0, NEVER, is_certain=False), read(1, 2, 3), read(0, 4, 5),
    ],
    "a lost write before it began": [read(1, 0, 1), write(1, 2, NEVER, is_certain=False)],
    "an acknowledged write lost": [write(1, 0, 1), read(0, 5, 6), read(0, 7, 8)],
}  # fmt: skip
QUEUES_RIGHT = {
    "H1": [enqueue("x", 0, 3), enqueue("y", 1, 2), dequeue("x", 4, 7), dequeue("y", 5, 6)],
    "H3": [enqueue("x", 0, 9), dequeue("x", 1, 2)],
}
QUEUES_WRONG = {
    "H2": [enqueue("x", 0, 1), enqueue("y", 2, 3), dequeue("y", 4, 5)],
    "H4": [enqueue("x", 0, 1), enqueue("y", 0, 1), dequeue("y", 2, 5), dequeue("y", 3, 4)],
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_history_with_an_order(name):
    """A history that some order explains is right."""
    assert is_linearizable(RIGHT[name], 0)


@pytest.mark.parametrize("name", WRONG)
def test_a_history_without_one(name):
    """A history that no order explains is wrong."""
    assert not is_linearizable(WRONG[name], 0)


def test_the_queues_of_the_literature():
    """So are the four queues with which the word was introduced."""
    assert all(is_linearizable(history, ()) for history in QUEUES_RIGHT.values())
    assert not any(is_linearizable(history, ()) for history in QUEUES_WRONG.values())


def _by_brute_force(operations):
    """Try every order of every choice, as the definition says."""
    certain = [one for one in operations if one.is_certain]
    maybe = [one for one in operations if not one.is_certain]
    for count in range(len(maybe) + 1):
        for more in itertools.combinations(maybe, count):
            for order in itertools.permutations([*certain, *more]):
                if _explains(order):
                    return True
    return False


def _explains(order):
    state = 0
    for place, one in enumerate(order):
        if any(later.ended < one.begun for later in order[place + 1 :]):
            return False
        states = list(one.effect(state))
        if not states:
            return False
        state = states[0]
    return True


def test_it_agrees_with_the_definition():
    """On hundreds of small histories, right ones and wrong ones, it says what every order says."""
    chance = random.Random(20_261_122)
    told = {True: 0, False: 0}
    for _ in range(400):
        operations = []
        for _ in range(chance.randint(2, 5)):
            begun = chance.randrange(8)
            ended = begun + chance.randrange(5)
            value = chance.randrange(3)
            if chance.random() < 0.2:
                operations.append(write(value, begun, NEVER, is_certain=False))
            else:
                operations.append(chance.choice([read, write])(value, begun, ended))
        expected = _by_brute_force(operations)
        assert is_linearizable(operations, 0) == expected, operations
        told[expected] += 1
    assert min(told.values()) > 50
