"""A sample of updates is timed, and what of each the optimizer takes; a device is never waited for meanwhile."""

from __future__ import annotations

import pytest
import torch

from optathlon.suite.training.update_timer import TIMED_EVERY, TIMED_FIRST, DeviceClock, UpdateTimer


class Steps:
    """A clock that says how many seconds work took: `work` adds to it. A mark is passed once `done` says so."""

    def __init__(self) -> None:
        self.now, self.done, self.waited = 0.0, 0.0, 0

    def work(self, seconds: float) -> None:
        self.now += seconds

    def mark(self) -> float:
        return self.now

    def passed(self, mark: float) -> bool:
        return mark <= self.done

    def seconds(self, start: float, end: float) -> float:
        self.waited += end > self.done
        return end - start


def update(timer: UpdateTimer, clock: Steps, gradients=3.0, step=1.0, **how) -> None:
    with timer.update(8, **how):
        clock.work(gradients)
        with timer.optimizer():
            clock.work(step)


def test_every_seventh_update_is_timed_from_the_third_on_and_all_are_counted():
    clock = Steps()
    timer = UpdateTimer(clock)
    for number in range(24):
        clock.work(100.0)  # waiting for data
        update(timer, clock, step=1.0 if number % TIMED_EVERY == TIMED_FIRST else 50.0)
    timer.finish()
    assert (timer.updates, timer.samples) == (24, 24 * 8)
    assert (timer.timed, timer.seconds, timer.optimizer_seconds) == (4, 16.0, 4.0)


@pytest.mark.parametrize("rhythm", [2, 5, 6, 10, 100])
def test_what_an_optimizer_does_every_few_steps_is_met_as_often_as_it_happens(rhythm):
    assert len({number % rhythm for number in range(TIMED_FIRST, TIMED_EVERY * rhythm, TIMED_EVERY)}) == rhythm


def test_the_gradients_that_an_optimizer_asks_for_are_not_its_own_time():
    clock = Steps()
    timer = UpdateTimer(clock)
    for _ in range(3):
        with timer.update(8), timer.optimizer():
            clock.work(1.0)
            for _ in range(2):
                with timer.optimizer(False):
                    clock.work(4.0)
                clock.work(0.5)
    timer.finish()
    assert (timer.seconds, timer.optimizer_seconds) == (10.0, 2.0)


def test_an_update_in_which_more_is_done_than_in_others_is_not_timed():
    clock = Steps()
    timer = UpdateTimer(clock)
    for number in range(3):
        update(timer, clock, typical=number != TIMED_FIRST)
    timer.finish()
    assert (timer.updates, timer.timed) == (3, 0)


def test_an_update_that_fails_is_not_timed():
    clock = Steps()
    timer = UpdateTimer(clock)
    update(timer, clock)
    update(timer, clock)
    with pytest.raises(ZeroDivisionError), timer.update(8), timer.optimizer():
        raise ZeroDivisionError
    timer.finish()
    assert timer.timed == 0


def test_whether_a_device_has_passed_an_event_is_asked_without_waiting_for_it():
    class Event:
        def query(self) -> bool:
            return False

    assert not DeviceClock(torch.device("cuda")).passed(Event())  # type: ignore[arg-type]


def test_a_device_is_waited_for_at_the_end_alone():
    """It may be many updates behind."""
    clock = Steps()
    timer = UpdateTimer(clock)
    for number in range(50):
        update(timer, clock)
        if number == 20:
            clock.done = clock.now
    assert (clock.waited, timer.timed) == (0, 3)
    timer.finish()
    assert timer.timed == 7
