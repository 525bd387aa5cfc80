"""When checkpoints are written, by a clock that the test turns."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from optathlon.suite.training import saver
from optathlon.suite.training.saver import Saver
from optathlon.suite.training.surroundings import Surroundings


class Hand:
    """A clock's."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Slots:
    """Takes every state and keeps the times of saving."""

    def __init__(self, hand: Hand) -> None:
        self.hand, self.times = hand, []

    def save(self, *_) -> bool:
        self.times.append(self.hand.now - 1000.0)
        return True


def saved(patch, seconds: int, settled=lambda _: True, **around) -> list[float]:
    """Times of the checkpoints of a run of so many seconds, of one update each."""
    hand = Hand()
    patch.setattr(saver, "time", hand)
    slots = Slots(hand)
    meter = SimpleNamespace(energy=SimpleNamespace(read=lambda: None))
    state = SimpleNamespace(update=0, settled=True, time=0.0, best_file=None, state_dict=dict, cost=meter)
    saver_of_state = Saver(state, Surroundings(slots, **around))
    for update in range(1, seconds + 1):
        hand.now += 1
        state.update, state.settled = update, settled(update)
        saver_of_state.save_when_due()
    return slots.times


def test_the_first_comes_after_a_minute_and_the_others_after_twice_as_long_each_up_to_ten(monkeypatch):
    assert saved(monkeypatch, 2800) == [60, 180, 420, 900, 1500, 2100, 2700]


@pytest.mark.parametrize(("interval", "times"), [(30.0, [30, 60, 90]), (100.0, [60])])
def test_a_shorter_interval_is_kept(interval, times, monkeypatch):
    assert saved(monkeypatch, 100, interval=interval) == times


def test_two_minutes_after_the_last_one_is_written_at_a_border(monkeypatch):
    """An epoch ends every 50 s: the third, due 240 s after the second by the clock alone, comes at the end of one."""
    assert saved(monkeypatch, 400, settled=lambda update: update % 50 > 0) == [60, 180, 300]
