"""Files of studies and their journal fit each other, also after a process was killed between two steps."""

from __future__ import annotations

import os

import pytest

from dwskd_monai.listening.journal import State
from dwskd_monai.listening.store import ImageName, Store, StoreFullError


@pytest.fixture
def root(tmp_path):
    return tmp_path / "listener"


@pytest.fixture
def stores(root):
    """Makes stores, each of which finds what the one before has left."""
    made = []

    def make(most=9, keep=60.0) -> Store:
        if made:
            made[-1].close()
        made.append(Store(root, most, keep))
        return made[-1]

    yield make
    made[-1].close()


def take(store, study="a", instance="1", content="x", series="series") -> bool:
    file = store.folders.incoming / "new.dcm"
    file.write_text(content)
    return store.take(file, ImageName(study, series, instance, content))


def answer(store, study="a") -> None:
    """Answer a study, and have the answer sent."""
    instance = f"answer to {study}"
    assert store.answer(study, store.journal.begin(study), {instance: b"answer"})
    store.journal.sent(study, instance)


def refuse(store, study="a", reason="damaged") -> bool:
    return store.refuse(study, store.journal.begin(study), reason)


def test_an_image_is_at_its_place_and_in_the_journal(stores):
    store = stores()
    assert take(store)
    assert (store.folders.study("a") / "series" / "1.dcm").read_text() == "x"
    assert store.journal.state("a") is State.RECEIVED


def test_an_image_that_comes_again_replaces_the_first_only_before_it_is_answered(stores):
    store = stores()
    take(store)
    assert take(store, content="corrected")
    assert (store.folders.study("a") / "series" / "1.dcm").read_text() == "corrected"
    answer(store)
    assert not take(store, content="corrected")
    assert not take(store, content="other")
    assert (store.folders.study("a") / "series" / "1.dcm").read_text() == "corrected"
    assert store.journal.state("a") is State.SENT


def test_there_is_no_room_for_more_studies_than_allowed(stores):
    store = stores(most=2)
    take(store, "a")
    take(store, "b")
    assert take(store, "a", "2"), "it is not another study"
    with pytest.raises(StoreFullError, match="2 studies wait, as many as --max_studies allows"):
        take(store, "c")
    assert store.journal.state("c") is None


def classify(store, study) -> None:
    """Answer a study; the answer is not sent yet."""
    assert store.answer(study, store.journal.begin(study), {f"answer to {study}": b"answer"})


def states(store) -> list[State | None]:
    return [store.journal.state(study) for study in "abc"]


def test_a_study_whose_answer_is_never_taken_makes_room_and_keeps_its_images(stores):
    store = stores(most=2)
    for study in ("a", "b"):
        take(store, study)
        classify(store, study)
    with pytest.raises(StoreFullError):
        take(store, "c")
    store.never_taken("b", "no reports")
    assert take(store, "c")
    assert states(store) == [State.CLASSIFIED, State.REFUSED, State.RECEIVED]
    assert (store.folders.refused("b") / "reason.txt").read_text() == "not taken: no reports\n"
    assert (store.folders.refused("b") / "series" / "1.dcm").read_text() == "x"
    store = stores(most=2)  # started again
    assert states(store) == [State.CLASSIFIED, State.REFUSED, State.RECEIVED]
    refuse(store, "c")
    assert take(store, "b"), "its sender sends it again"
    classify(store, "b")
    assert store.journal.unsent("b") == ["answer to b"]


def test_only_an_answer_that_was_tried_and_is_still_there_can_be_given_up(stores):
    store = stores(most=1)
    take(store, "a")
    store.never_taken("a", "of an attempt that began before an image came")
    classify(store, "a")
    store.never_taken("a", "no reports")
    store.begin_to_send("a")  # once more: it is on its way
    with pytest.raises(StoreFullError):
        take(store, "c")
    store.never_taken("a", "no reports")
    take(store, "a", "2")
    classify(store, "a")
    with pytest.raises(StoreFullError):
        take(store, "c")
    assert store.journal.state("a") is State.CLASSIFIED


def test_a_refused_study_that_comes_again_is_not_removed_to_make_room_for_itself(stores):
    store = stores(most=1)
    for number in ("1", "2"):
        take(store, "a", number)
    refuse(store, "a")
    take(store, "b")
    classify(store, "b")
    store.never_taken("b", "no reports")
    assert take(store, "a", "2", "corrected")
    assert sorted(path.name for path in (store.folders.study("a") / "series").iterdir()) == ["1.dcm", "2.dcm"]
    assert states(store)[:2] == [State.RECEIVED, State.REFUSED]


def test_a_study_that_was_being_put_aside_when_the_listener_was_killed_is_put_aside(stores):
    store = stores()
    take(store)
    classify(store, "a")
    store.journal.given_up("a")
    store = stores()
    assert store.journal.state("a") is State.REFUSED
    assert "its log says why" in (store.folders.refused("a") / "reason.txt").read_text()
    assert not store.folders.study("a").exists()


def test_an_answered_study_makes_room(stores):
    store = stores(most=2)
    take(store, "a")
    take(store, "b")
    answer(store, "b")
    take(store, "c")
    assert not store.folders.study("b").exists()
    assert store.journal.state("b") is State.SENT
    assert store.journal.is_answer("answer to b")
    with pytest.raises(StoreFullError):
        take(store, "d")


def test_refused_studies_are_kept_with_their_reason_and_not_without_end(stores):
    store = stores(most=2)
    for study in "abc":
        take(store, study)
        assert refuse(store, study, f"{study} is damaged")
    assert not store.folders.refused("a").exists()
    for study in "bc":
        assert (store.folders.refused(study) / "reason.txt").read_text() == f"{study} is damaged\n"
        assert (store.folders.refused(study) / "series" / "1.dcm").exists()
    assert store.journal.counts()[State.REFUSED] == 3


def test_a_refused_study_is_tried_again_when_an_image_comes(stores):
    store = stores()
    take(store)
    refuse(store)
    assert take(store), "even the same image: the classifier may be another one now"
    assert store.journal.state("a") is State.RECEIVED
    assert sorted(path.name for path in store.folders.study("a").rglob("*")) == ["1.dcm", "series"]
    assert not store.folders.refused("a").exists()


def test_files_of_answered_studies_are_removed_after_their_time(stores):
    store = stores(keep=60.0)
    take(store)
    answer(store)
    store.remove_old()
    assert store.folders.study("a").exists()
    store = stores(keep=0.0)
    take(store, "waiting")
    store.remove_old()
    assert not store.folders.study("a").exists()
    assert store.folders.study("waiting").exists()


def test_what_a_broken_connection_left_is_removed(stores):
    store = stores()
    old, young = store.folders.incoming / "old.dcm", store.folders.incoming / "young.dcm"
    for file in (old, young):
        file.touch()
    os.utime(old, (0, 0))
    store.remove_old()
    assert [*store.folders.incoming.iterdir()] == [young]


def test_an_image_that_is_taken_while_old_files_are_looked_for_is_left_alone(stores):
    store = stores()
    (store.folders.incoming / "1.dcm").symlink_to("taken.dcm")  # listed, and then no longer there
    store.remove_old()


def test_a_clock_that_goes_back_does_not_remove_what_is_new(stores, monkeypatch):
    store = stores(most=2)
    monkeypatch.setattr("time.time", lambda: 2e9)
    for study in "abc":
        take(store, study)
        refuse(store, study)
    monkeypatch.setattr("time.time", lambda: 1e9)
    for study in "de":
        take(store, study)
        answer(store, study)
        take(store, study.upper())
        refuse(store, study.upper())
    assert [store.folders.refused(study).exists() for study in "abcDE"] == [False, False, False, True, True]


def test_files_whose_time_is_in_the_future_are_removed(stores, monkeypatch):
    store = stores(keep=60.0)
    monkeypatch.setattr("time.time", lambda: 2e9)
    take(store)
    answer(store)
    monkeypatch.setattr("time.time", lambda: 1e9)
    store.remove_old()
    assert not store.folders.study("a").exists()


def test_an_image_that_comes_again_in_another_series_is_there_once(stores):
    store = stores()
    take(store)
    take(store, series="corrected", content="corrected")
    assert [path.parent.name for path in store.folders.study("a").rglob("*.dcm")] == ["corrected"]


def test_a_file_that_was_never_confirmed_is_removed_at_the_next_start(stores):
    store = stores()
    file = store.folders.incoming / "new.dcm"
    file.write_text("x")
    store.folders.take(file, "a", "series", "1")  # killed here, before the journal
    (store.folders.incoming / "half.dcm").write_text("x")
    store = stores()
    assert not store.folders.study("a").exists()
    assert not [*store.folders.incoming.iterdir()]


def test_a_study_that_was_being_refused_is_classified_again(stores):
    store = stores()
    take(store)
    store.folders.refuse("a", "damaged")  # killed here
    store = stores()
    assert store.journal.in_state(State.RECEIVED) == ["a"]
    assert [path.name for path in store.folders.study("a").iterdir()] == ["series"]


def test_files_that_were_being_removed_are_removed_at_the_next_start(stores):
    store = stores()
    take(store)
    answer(store)
    store.journal.removed("a")  # killed here
    store = stores()
    assert not store.folders.study("a").exists()
    assert store.journal.state("a") is State.SENT


def test_an_answer_for_an_older_version_is_not_taken(stores):
    store = stores()
    take(store)
    attempt = store.journal.begin("a")
    take(store, instance="2")
    assert not store.answer("a", attempt, {})
    assert not store.refuse("a", attempt, "damaged")
    assert not store.folders.refused("a").exists()


def test_only_the_user_may_look_into_the_folder(stores, root):
    stores()
    assert {path.stat().st_mode & 0o777 for path in (root, *root.iterdir()) if path.is_dir()} == {0o700}
