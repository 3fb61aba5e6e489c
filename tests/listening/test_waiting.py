"""Studies wait until no more images come, and answers until the destination takes them."""

from __future__ import annotations

import threading

from dwskd_monai.listening.quiet import QuietTime
from dwskd_monai.listening.sending import Waits


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_studies_are_complete_in_the_order_of_their_last_images():
    clock = Clock()
    quiet = QuietTime(10.0, clock)
    for clock.now, study in ((0, "a"), (1, "b"), (2, "a")):
        quiet.hear(study)
    clock.now = 12
    assert [quiet.next(), quiet.next()] == ["b", "a"]
    quiet.end()
    assert quiet.next() is None


def test_a_study_is_with_one_worker_at_a_time():
    quiet = QuietTime(0.0, Clock())
    quiet.hear("a")
    assert quiet.next() == "a"
    quiet.hear("a")  # another image, while it is classified
    quiet.hear("b")
    assert quiet.next() == "b"
    quiet.release("a")
    assert quiet.next() == "a"


def test_a_study_is_not_complete_before_its_time():
    clock = Clock()
    quiet = QuietTime(0.02, clock)
    quiet.hear("a")
    found = []
    thread = threading.Thread(target=lambda: found.append(quiet.next()))
    thread.start()
    thread.join(0.1)  # longer than the quiet time, but the study's clock stands still
    assert found == []
    clock.now = 0.02
    quiet.hear("b")  # wakes the one that waits
    thread.join()
    assert found == ["a"]


def test_waits_grow_to_five_minutes_and_end_with_a_success():
    clock = Clock()
    waits = Waits(1.0, clock)
    assert waits.left("x") == 0
    assert [waits.fail("x") for _ in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    clock.now = 100
    assert waits.left("x") == 200
    waits.succeed("x")
    assert waits.left("x") == 0
    assert waits.fail("x") == 1
