"""A memory advances with the micro-batch's index, however often its loss is asked for."""

from __future__ import annotations

import pytest

from optathlon.tasks.language.text.carried_memory import CarriedMemory


@pytest.fixture
def memory() -> CarriedMemory[list[str]]:
    """Of a process that has the parts 1 and 3 of an update."""
    return CarriedMemory([1, 3], list)


def read(memory: CarriedMemory[list[str]], part: int, index: int) -> list[str]:
    """Read micro-batch `index` with what was remembered, and remember it as well."""
    memory.after[part] = [*memory.before(part, index), str(index)]
    return memory.after[part]


def test_a_micro_batch_that_is_read_again_is_read_with_the_same_memory(memory) -> None:
    assert [read(memory, 1, index) for index in (1, 1, 5, 5)] == [["1"], ["1"], ["1", "5"], ["1", "5"]]


def test_each_part_has_a_memory_of_its_own(memory) -> None:
    assert memory.parts == (1, 3)
    read(memory, 1, 1)
    assert read(memory, 3, 3) == ["3"]
    assert memory.after == {1: ["1"], 3: ["3"]}


def test_a_resume_goes_on_from_what_was_after_the_last_micro_batch(memory) -> None:
    read(memory, 1, 1)
    other = CarriedMemory([1], list)
    other.restore(1, memory.after[1])
    assert read(other, 1, 5) == read(memory, 1, 5) == ["1", "5"]


def test_a_memory_that_is_taken_back_forgets_which_micro_batch_was_last(memory) -> None:
    read(memory, 1, 1)
    memory.restore(1, ["other"])
    assert read(memory, 1, 1) == ["other", "1"]
