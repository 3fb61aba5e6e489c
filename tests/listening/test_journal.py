"""The journal remembers how far each study is, whatever happens to its process."""

from __future__ import annotations

import sqlite3

import pytest

from dwskd_monai.listening.journal import Journal, State

TWO = ["sr", "sc"]


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite")
    yield journal
    journal.close()


def classified(journal, answers=TWO, study="a") -> bool:
    return journal.classified(study, journal.begin(study), answers)


def answered_before_an_image_came(journal) -> None:
    journal.received("a", "1", "x")
    classified(journal)
    for answer in TWO:
        journal.sent("a", answer)
    journal.received("a", "2", "x")


def test_a_study_is_received_then_classified_then_sent(journal):
    assert journal.state("a") is None
    journal.received("a", "1", "x")
    assert journal.state("a") is State.RECEIVED
    assert classified(journal)
    assert journal.state("a") is State.CLASSIFIED
    assert journal.unsent("a") == ["sr", "sc"]
    journal.sent("a", "sr")
    assert journal.state("a") is State.CLASSIFIED
    journal.sent("a", "sc")
    assert journal.state("a") is State.SENT
    assert journal.counts() == {"received": 0, "classified": 0, "sent": 1, "refused": 0}


def test_another_process_goes_on_where_one_was_killed(journal, tmp_path):
    journal.received("a", "1", "x")
    journal.received("b", "1", "x")
    classified(journal)
    journal.sent("a", "sr")
    journal.close()
    again = Journal(tmp_path / "journal.sqlite")
    assert again.in_state(State.RECEIVED) == ["b"]
    assert again.unsent("a") == ["sc"]
    again.close()


def test_two_processes_cannot_use_one_journal(journal, tmp_path):
    with pytest.raises(ValueError, match="another listener uses this folder; stop it, or give another --folder"):
        Journal(tmp_path / "journal.sqlite")


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "x").write_text("no database, and long enough to be read as one" * 99)
    with pytest.raises(ValueError, match=r"x: not a journal of the listener .*; give another --folder"):
        Journal(tmp_path / "x")


def test_a_journal_that_cannot_be_opened_now_is_not_given_up(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(ValueError, match=r"x: unable to open database file; is the disk full, or read-only\?"):
        Journal(tmp_path / "x")


def test_a_journal_of_another_version_is_named(tmp_path):
    connection = sqlite3.connect(tmp_path / "x")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ValueError, match=r"x: not a journal of the listener \(it is of another version\)"):
        Journal(tmp_path / "x")


def test_a_result_is_not_taken_if_an_image_came_in_the_meantime(journal):
    journal.received("a", "1", "x")
    attempt = journal.begin("a")
    journal.received("a", "2", "x")
    assert not journal.classified("a", attempt, TWO)
    assert not journal.refused("a", attempt)
    assert journal.state("a") is State.RECEIVED
    assert classified(journal)


def test_an_image_that_comes_late_has_the_study_answered_again_and_only_new_answers_sent(journal):
    answered_before_an_image_came(journal)
    assert journal.state("a") is State.RECEIVED
    classified(journal, ["sr 2", "sc"])
    assert journal.unsent("a") == ["sr 2"]
    assert journal.begun_answers("a") == {"sr", "sc"}


def test_a_study_whose_answers_were_all_sent_before_is_done(journal):
    answered_before_an_image_came(journal)
    classified(journal)
    assert journal.state("a") is State.SENT


def test_answers_of_an_older_version_that_were_never_sent_are_forgotten(journal):
    journal.received("a", "1", "x")
    classified(journal)
    journal.received("a", "2", "x")
    classified(journal, ["new"])
    assert journal.unsent("a") == ["new"]
    assert not journal.is_answer("sr")
    assert journal.is_answer("new")


def test_an_answer_that_was_being_sent_may_have_arrived(journal, tmp_path):
    journal.received("a", "1", "x")
    classified(journal)
    assert journal.begin_to_send("a", "sr")
    assert journal.begin_to_send("a", "sc")
    journal.not_taken("sc")
    journal.close()  # killed here
    again = Journal(tmp_path / "journal.sqlite")
    assert again.unsent("a") == ["sr", "sc"], "it may not have arrived, either"
    again.received("a", "2", "x")
    assert not again.begin_to_send("a", "sr"), "there will be another answer"
    assert again.begun_answers("a") == {"sr"}
    classified(again, ["new"])
    assert again.unsent("a") == ["new"]
    assert again.begun_answers("a") == {"sr"}
    assert again.is_answer("sr")
    assert not again.is_answer("sc")
    again.close()


def test_attempts_that_did_not_end_are_counted(journal, tmp_path):
    journal.received("a", "1", "x")
    assert [journal.begin("a").number for _ in range(3)] == [1, 2, 3]
    journal.put_off("a")
    assert journal.begin("a").number == 1
    classified(journal)
    assert journal.begin("a") is None, "it no longer waits to be classified"


def test_images_are_counted_until_they_are_removed(journal):
    for number in "1223":
        journal.received("a", number, f"content of {number}")
    assert journal.begin("a")[2:] == (3, 3)
    assert journal.content("a", "2") == "content of 2"
    classified(journal)
    journal.removed("a")
    assert journal.content("a", "2") is None
    assert journal.in_state(State.CLASSIFIED) == []
    journal.received("a", "4", "x")
    assert journal.begin("a")[2:] == (1, 3), "one is here, and there were three"
