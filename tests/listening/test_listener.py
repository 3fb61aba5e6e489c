"""A study goes in, its answers come out: once, whatever else happens."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
import urllib.error
import urllib.request

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import ComputedRadiographyImageStorage, Verification

from dwskd_monai.listening.c_store import DicomNode
from dwskd_monai.listening.classifying import MOST_ATTEMPTS, RefusedStudyError
from dwskd_monai.listening.destination import UnreachableError
from dwskd_monai.listening.health import HealthPage
from dwskd_monai.listening.journal import State, digest_of
from dwskd_monai.listening.settings import networks
from tests.listening.made import (
    ANSWERS,
    PATIENT,
    REPORT,
    Pacs,
    answer_of,
    answering,
    complete,
    free_port,
    image,
    listening,
    send,
    wait_for,
)

STUDY = digest_of("1.2.3.1")


@pytest.fixture
def pacs():
    pacs = Pacs()
    yield pacs
    pacs.stop()


def metric(listener, name) -> float:
    """A number of the page for Prometheus; 0 if it is not there yet."""
    lines = [line.split() for line in listener.counters.text().decode().splitlines()]
    return next((float(line[1]) for line in lines if line[0] == name), 0.0)


def is_(listener, state, study=STUDY):
    return lambda: listener.store.journal.state(study) is state


@pytest.mark.slow
def test_studies_are_answered_once_each(tmp_path, pacs):
    with listening(tmp_path, pacs.port, quiet_time=3600.0) as listener:
        for study in (1, 2):
            assert send(listener.address, [image(study, number) for number in (1, 2)]) == [0, 0]
        complete(listener, 1, 2)
        for study in (1, 2):
            wait_for(is_(listener, State.SENT, digest_of(f"1.2.3.{study}")))
        assert send(listener.address, [image(1), image(1, 2)]) == [0, 0], "its sender sends it again"
        assert listener.store.journal.state(STUDY) is State.SENT
    by_study = [(dataset.StudyInstanceUID, dataset.PatientName) for dataset in pacs.stored]
    assert sorted(by_study) == [("1.2.3.1", PATIENT)] * ANSWERS + [("1.2.3.2", PATIENT)] * ANSWERS
    assert len(set(pacs.instances)) == len(pacs.stored)


def test_it_answers_an_echo(tmp_path):
    with listening(tmp_path, free_port()) as listener:
        node = AE()
        node.add_requested_context(Verification)
        association = node.associate(*listener.address, ae_title="DWSKD")
        assert association.send_c_echo().Status == 0
        association.release()


def test_a_data_set_that_may_inflate_to_any_size_is_not_agreed_on(tmp_path):
    with listening(tmp_path, free_port()) as listener:
        node = AE()
        for syntax in (DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian):
            node.add_requested_context(ComputedRadiographyImageStorage, syntax)
        association = node.associate(*listener.address, ae_title="DWSKD")
        accepted = [context.transfer_syntax[0] for context in association.accepted_contexts]
        association.release()
    assert accepted == [ExplicitVRLittleEndian]


def test_a_study_waits_for_its_quiet_time(tmp_path, pacs):
    with listening(tmp_path, pacs.port, quiet_time=3600.0) as listener:
        send(listener.address, [image()])
        assert listener.store.journal.state(STUDY) is State.RECEIVED
    with listening(tmp_path, pacs.port) as listener:  # started again
        wait_for(is_(listener, State.SENT))
    assert len(pacs.stored) == ANSWERS


def test_images_that_come_late_are_answered_with_the_others_and_marked(tmp_path, pacs):
    with listening(tmp_path, pacs.port) as listener:
        send(listener.address, [image()])
        wait_for(is_(listener, State.SENT))
        send(listener.address, [image(number=2)])
        pacs.wait(2 * ANSWERS)
        wait_for(is_(listener, State.SENT))
    shown = [dataset.SeriesDescription for dataset in pacs.stored]
    assert shown == [
        "answer 0 about 1 images",
        "answer 1 about 1 images",
        "answer 0 about 2 images (replaces earlier)",
        "answer 1 about 2 images (replaces earlier)",
    ]


def test_an_image_that_comes_late_and_is_left_out_changes_nothing(tmp_path, pacs):
    def answer(folder):
        return [answer_of(sorted(folder.rglob("*.dcm"))[:1], number) for number in range(ANSWERS)]

    with listening(tmp_path, pacs.port, answer, quiet_time=3600.0) as listener:
        send(listener.address, [image(), image(number=2)])
        complete(listener, 1)
        wait_for(is_(listener, State.SENT))
        send(listener.address, [image(number=5)])
        wait_for(is_(listener, State.SENT))
        wait_for(
            lambda: metric(listener, "dwskd_classification_seconds_count") == 2
        )  # counted after the journal says so
    assert len(pacs.stored) == ANSWERS


def test_an_image_that_comes_while_its_study_is_classified_is_not_lost(tmp_path, pacs):
    begun, go_on = threading.Event(), threading.Event()

    def slowly(folder):
        answers = answering(folder)
        begun.set()
        assert go_on.wait(20)
        return answers

    with listening(tmp_path, pacs.port, slowly) as listener:
        send(listener.address, [image()])
        assert begun.wait(20)
        send(listener.address, [image(number=2)])
        go_on.set()
        wait_for(is_(listener, State.SENT))
    assert [dataset.SeriesDescription for dataset in pacs.stored] == [
        "answer 0 about 2 images",
        "answer 1 about 2 images",
    ]


@pytest.mark.slow
def test_the_rest_of_a_study_whose_files_were_removed_is_not_classified_without_them(tmp_path, pacs):
    with listening(tmp_path, pacs.port, keep=0.0, quiet_time=3600.0) as listener:
        send(listener.address, [image(), image(number=2)])
        complete(listener, 1)
        wait_for(is_(listener, State.SENT))
        listener.store.remove_old()
        send(listener.address, [image(number=3)])
        wait_for(is_(listener, State.REFUSED))
        reason = (listener.store.folders.refused(STUDY) / "reason.txt").read_text()
        assert reason.startswith("1 of its images are here, but 2 were before their files were removed; send all of")
        listener.quiet.seconds = 3600.0
        send(listener.address, [image(), image(number=2), image(number=3)])
        complete(listener, 1)
        wait_for(is_(listener, State.SENT))
    assert pacs.stored[-1].SeriesDescription == "answer 1 about 3 images (replaces earlier)"


def test_answers_wait_until_the_pacs_can_be_reached(tmp_path):
    port = free_port()
    with listening(tmp_path, port) as listener:
        send(listener.address, [image()])
        wait_for(lambda: metric(listener, "dwskd_sends_failed_total") >= 2)
        assert listener.store.journal.state(STUDY) is State.CLASSIFIED
        assert listener.health()["destination"] == "no connection (Connection refused)"
        pacs = Pacs(port)
        wait_for(is_(listener, State.SENT))
        assert listener.health()["destination"] == "ok"
        pacs.stop()
    assert len(pacs.stored) == ANSWERS


def test_an_answer_that_the_pacs_does_not_take_is_sent_again(tmp_path):
    pacs = Pacs(status=(0xA700, 0xC000, 0x0122, 0))
    with listening(tmp_path, pacs.port) as listener:
        send(listener.address, [image()])
        wait_for(is_(listener, State.SENT))
        assert metric(listener, "dwskd_sends_failed_total") >= 2
    pacs.stop()
    assert len(set(pacs.instances)) == len(pacs.stored) == ANSWERS


def test_an_answer_that_the_pacs_has_already_or_changes_is_sent(tmp_path):
    pacs = Pacs(status=(0x0111, 0xB000))
    with listening(tmp_path, pacs.port) as listener:
        send(listener.address, [image()])
        wait_for(is_(listener, State.SENT))
        assert metric(listener, "dwskd_sends_failed_total") == 0
    pacs.stop()


def test_what_the_pacs_never_takes_keeps_no_other_answer_waiting(tmp_path, caplog):
    def answer(folder):
        answers = answering(folder)
        answers[0].SOPClassUID = REPORT
        return answers

    pacs = Pacs(reports=False)
    with listening(tmp_path, pacs.port, answer) as listener:
        for study in (1, 2):
            send(listener.address, [image(study)])
        pacs.wait(2)
        wait_for(lambda: metric(listener, "dwskd_sends_failed_total") >= 4)
        assert listener.store.journal.counts()[State.CLASSIFIED] == 2
        assert listener.health()["destination"] == "ok"
    pacs.stop()
    assert "not taken: it does not take objects of this kind (SOP class); tried again in" in caplog.text


def test_a_pacs_that_takes_no_reports_does_not_fill_the_folder(tmp_path):
    def answer(folder):
        answers = answering(folder)
        answers[0].SOPClassUID = REPORT
        return answers

    pacs = Pacs(reports=False)
    with listening(tmp_path, pacs.port, answer, max_studies=1) as listener:
        for study in (1, 2, 3):
            wait_for(lambda study=study: send(listener.address, [image(study)]) == [0])  # senders try again
        pacs.wait(3)
        assert listener.store.journal.counts() == {
            State.RECEIVED: 0,
            State.CLASSIFIED: 1,
            State.SENT: 0,
            State.REFUSED: 2,
        }
        reason = listener.store.folders.refused(digest_of("1.2.3.2")) / "reason.txt"
        assert reason.read_text() == "not taken: it does not take objects of this kind (SOP class)\n"
    pacs.stop()


@pytest.mark.slow
def test_an_answer_that_cannot_be_sent_keeps_no_other_waiting(tmp_path, pacs, caplog):
    with listening(tmp_path, pacs.port, quiet_time=3600.0) as listener:
        connection = DicomNode.connection

        def break_first(self, files):
            if STUDY in str(files[0]):
                raise ValueError(PATIENT)
            return connection(self, files)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DicomNode, "connection", break_first)
            for study in (1, 2):
                send(listener.address, [image(study)])
            complete(listener, 1, 2)
            wait_for(is_(listener, State.SENT, digest_of("1.2.3.2")))
            wait_for(lambda: "an unexpected error, ValueError in test_listener.py" in caplog.text)
            assert listener.store.journal.state(STUDY) is State.CLASSIFIED
        wait_for(is_(listener, State.SENT))
    assert PATIENT not in caplog.text


def test_answers_that_come_back_and_reports_are_not_classified(tmp_path, pacs):
    with listening(tmp_path, pacs.port) as listener:
        send(listener.address, [image()])
        wait_for(is_(listener, State.SENT))
        report = image(number=2, SOPClassUID=REPORT)
        for name in ("Rows", "Columns", "PixelData"):
            delattr(report, name)
        other = image(number=3, Manufacturer="dwskd_monai")  # of another listener
        assert send(listener.address, [*pacs.stored, other, report]) == [0] * (ANSWERS + 2)
        assert listener.store.journal.state(STUDY) is State.SENT
        assert b'dwskd_images_total{result="own answer"} 3.0' in listener.counters.text()
        assert b'dwskd_images_total{result="no image"} 1.0' in listener.counters.text()
    assert len(pacs.stored) == ANSWERS


def test_a_sender_is_told_to_try_again_if_there_is_no_room(tmp_path):
    with listening(tmp_path, free_port(), max_studies=1, quiet_time=3600.0) as listener:
        assert send(listener.address, [image(1), image(2), image(1, 2)]) == [0, 0xA700, 0]


@pytest.mark.parametrize("broken", ["journal", "disk"])
def test_an_image_that_is_not_safe_is_not_confirmed(tmp_path, monkeypatch, broken):
    def fail(*args):
        raise sqlite3.OperationalError("disk I/O error") if broken == "journal" else OSError(28, "No space left")

    with listening(tmp_path, free_port(), quiet_time=3600.0) as listener:
        owner, name = (listener.store.journal, "received") if broken == "journal" else (listener.store.folders, "take")
        monkeypatch.setattr(owner, name, fail)
        assert send(listener.address, [image()]) == [0xA700]
        monkeypatch.undo()
        assert send(listener.address, [image()]) == [0]


@pytest.mark.parametrize(
    ("dataset", "status"),
    [
        (image(StudyInstanceUID=""), 0xA900),
        (image(SeriesInstanceUID=""), 0xA900),
    ],
)
def test_an_image_without_its_uids_is_refused(tmp_path, dataset, status):
    with listening(tmp_path, free_port()) as listener:
        assert send(listener.address, [dataset]) == [status]
        assert not [*listener.store.folders.incoming.iterdir()]


def test_a_study_that_cannot_be_answered_is_put_aside_with_its_reason(tmp_path, pacs):
    def refuse(folder):
        raise RefusedStudyError("image 1: damaged")

    with listening(tmp_path, pacs.port, refuse) as listener:
        send(listener.address, [image()])
        wait_for(is_(listener, State.REFUSED))
        assert (listener.store.folders.refused(STUDY) / "reason.txt").read_text() == "image 1: damaged\n"
        wait_for(lambda: metric(listener, "dwskd_studies_refused_total") == 1)  # counted after the journal says so


def test_a_study_that_ends_the_process_each_time_is_put_aside(tmp_path, pacs):
    with listening(tmp_path, pacs.port, quiet_time=3600.0) as listener:
        send(listener.address, [image()])
        for _ in range(5):
            listener.store.journal.begin(STUDY)
    with listening(tmp_path, pacs.port) as listener:
        wait_for(is_(listener, State.REFUSED))
        reason = (listener.store.folders.refused(STUDY) / "reason.txt").read_text()
        assert reason == "the process ended 5 times while it classified this study\n"


def test_a_full_disk_puts_a_study_off(tmp_path, pacs, monkeypatch):
    monkeypatch.setattr("dwskd_monai.listening.classifying._PAUSE", 0.0)
    failed = []

    def fail_once(folder):
        if not failed:
            failed.append(folder)
            raise OSError(28, "No space left on device")
        return answering(folder)

    with listening(tmp_path, pacs.port, fail_once) as listener:
        send(listener.address, [image()])
        wait_for(is_(listener, State.SENT))


@pytest.mark.parametrize("broken", ["journal", "folder"])
def test_a_study_that_cannot_be_put_aside_at_once_is_put_aside_later_with_its_reason(
    tmp_path, pacs, monkeypatch, broken
):
    monkeypatch.setattr("dwskd_monai.listening.classifying._PAUSE", 0.0)

    def refuse(folder):
        assert [*folder.rglob("*.dcm")], "its images are at their place"
        raise RefusedStudyError("image 1: damaged")

    with listening(tmp_path, pacs.port, refuse, quiet_time=3600.0) as listener:
        owner = listener.store.journal if broken == "journal" else listener.store.folders
        name = "refused" if broken == "journal" else "refuse"
        put_aside = getattr(owner, name)
        failed = []

        def fail_at_first(*args):
            if len(failed) < MOST_ATTEMPTS + 1:
                failed.append(args)
                raise sqlite3.OperationalError("database or disk is full")
            return put_aside(*args)

        monkeypatch.setattr(owner, name, fail_at_first)
        send(listener.address, [image()])
        complete(listener, 1)
        wait_for(is_(listener, State.REFUSED))
        assert (listener.store.folders.refused(STUDY) / "reason.txt").read_text() == "image 1: damaged\n"


def test_old_files_that_cannot_be_removed_now_do_not_end_the_listener(tmp_path, pacs, monkeypatch, caplog):
    monkeypatch.setattr("dwskd_monai.listening.listener._TIDY_SECONDS", 0.01)
    with listening(tmp_path, pacs.port) as listener:
        tried = []

        def fail():
            tried.append(1)
            if len(tried) == 2:
                listener.end()
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(listener.store, "remove_old", fail)
        assert listener.wait()
    assert "old files cannot be removed (OperationalError in test_listener.py" in caplog.text


def test_an_answer_over_which_the_pacs_ends_the_connection_keeps_no_other_waiting(tmp_path, pacs, monkeypatch):
    connection = DicomNode.connection

    def end_over_first(self, files):
        if STUDY in str(files[0]):
            raise UnreachableError("the association ended before it answered")
        return connection(self, files)

    monkeypatch.setattr(DicomNode, "connection", end_over_first)
    with listening(tmp_path, pacs.port, quiet_time=3600.0) as listener:
        send(listener.address, [image(1)])
        complete(listener, 1)
        wait_for(is_(listener, State.CLASSIFIED))
        send(listener.address, [image(2)])
        complete(listener, 2)
        wait_for(is_(listener, State.SENT, digest_of("1.2.3.2")))
        assert listener.store.journal.state(STUDY) is State.CLASSIFIED


def test_an_answer_that_is_being_sent_when_an_image_comes_is_known_to_be_replaced(tmp_path, pacs, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    connection = DicomNode.connection

    @contextlib.contextmanager
    def slowly(self, files):
        with connection(self, files) as sending:

            def send_slowly(file):
                sending(file)
                begun.set()
                assert go_on.wait(20)

            yield send_slowly

    monkeypatch.setattr(DicomNode, "connection", slowly)
    with listening(tmp_path, pacs.port) as listener:
        send(listener.address, [image()])
        assert begun.wait(20)
        send(listener.address, [image(number=2)])
        wait_for(is_(listener, State.CLASSIFIED))
        go_on.set()
        wait_for(is_(listener, State.SENT))
    assert [dataset.SeriesDescription for dataset in pacs.stored] == [
        "answer 0 about 1 images",
        "answer 0 about 2 images (replaces earlier)",
        "answer 1 about 2 images (replaces earlier)",
    ]


@pytest.mark.slow
def test_a_study_beside_one_that_ends_the_process_is_answered(tmp_path, pacs):
    alone = threading.Lock()

    def answer(folder):
        assert alone.acquire(blocking=False), "both were there when the process ended; either may be why"
        time.sleep(0.05)
        alone.release()
        return answering(folder)

    with listening(tmp_path, pacs.port, quiet_time=3600.0) as listener:
        send(listener.address, [image(1), image(2)])
        for study in (1, 2):
            listener.store.journal.begin(digest_of(f"1.2.3.{study}"))
    with listening(tmp_path, pacs.port, answer) as listener:
        for study in (1, 2):
            wait_for(is_(listener, State.SENT, digest_of(f"1.2.3.{study}")))


def test_an_answer_to_another_study_is_never_sent(tmp_path, pacs):
    def confuse(folder):
        answers = answering(folder)
        answers[0].StudyInstanceUID = "1.2.3.99"
        return answers

    with listening(tmp_path, pacs.port, confuse) as listener:
        send(listener.address, [image()])
        wait_for(is_(listener, State.REFUSED))
    assert not pacs.stored


def test_only_those_on_the_list_of_ae_titles_may_send(tmp_path):
    with listening(tmp_path, free_port(), allow_aet=("XRAY",), quiet_time=3600.0) as listener:
        assert send(listener.address, [image()], aet="OTHER") == []
        assert send(listener.address, [image()], aet="XRAY") == [0]


def test_only_those_on_the_list_of_addresses_may_send(tmp_path, caplog):
    with listening(tmp_path, free_port(), allow_address=networks("10.0.0.0/8")) as listener:
        assert send(listener.address, [image()]) == []
    assert "connection from 127.0.0.1 refused: not in --allow_address" in caplog.text
    with listening(tmp_path, free_port(), allow_address=networks("10.0.0.0/8,127.0.0.1"), quiet_time=9e9) as listener:
        assert send(listener.address, [image()]) == [0]


def test_health_and_counters_can_be_read(tmp_path, pacs):
    with listening(tmp_path, pacs.port, health_port=0) as listener:
        send(listener.address, [image()])
        wait_for(is_(listener, State.SENT))
        url = "http://{}:{}".format(*listener.health_address)
        with urllib.request.urlopen(f"{url}/health") as page:
            assert json.load(page) == {
                "status": "ok",
                "studies": {"received": 0, "classified": 0, "sent": 1, "refused": 0},
                "destination": "ok",
            }
        with urllib.request.urlopen(f"{url}/metrics") as page:
            text = page.read().decode()
        for line in (
            'dwskd_studies{state="sent"} 1.0',
            'dwskd_images_total{result="taken"} 1.0',
            f"dwskd_answers_sent_total {ANSWERS}.0",
            "dwskd_classification_seconds_count 1.0",
        ):
            assert line in text.splitlines()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/other")


def test_a_request_of_the_health_page_that_fails_is_one_line_in_the_log(capfd, caplog):
    page = HealthPage("127.0.0.1", 0, lambda: 1 / 0, bytes)
    page.start()
    with pytest.raises(OSError, match="closed connection without response"):
        urllib.request.urlopen("http://{}:{}/health".format(*page.address))
    page.stop()
    assert capfd.readouterr().err == ""
    assert caplog.messages == ["health page: a request from 127.0.0.1 failed"]


def test_a_thread_that_fails_ends_the_listener(tmp_path, pacs, monkeypatch):
    with listening(tmp_path, pacs.port, health_port=0) as listener:
        monkeypatch.setattr(listener.store.journal, "begin", lambda study: 1 / 0)
        send(listener.address, [image()])
        assert not listener.wait()
        url = "http://{}:{}/health".format(*listener.health_address)
        with pytest.raises(urllib.error.HTTPError, match="503") as error:
            urllib.request.urlopen(url)
        assert json.load(error.value)["status"].startswith("classifying failed: ZeroDivisionError in test_listener.py")


def test_neither_log_nor_journal_nor_names_of_files_hold_a_name(tmp_path, pacs, caplog):
    caplog.set_level(logging.DEBUG, logger="dwskd_monai")

    def answer(folder):
        if folder.name == digest_of("1.2.3.2"):
            raise ValueError(f"{PATIENT} has no pixels")
        return answering(folder)

    with listening(tmp_path, pacs.port, answer, allow_aet=("XRAY",), health_port=0) as listener:
        send(listener.address, [image(1), image(2), image(3, StudyInstanceUID="")])
        wait_for(is_(listener, State.SENT))
        wait_for(is_(listener, State.REFUSED, digest_of("1.2.3.2")))
        send(listener.address, [image(1, PatientName=f"{PATIENT}^OTHER")])
        send(listener.address, [image(4)], aet="OTHER")
        shown = json.dumps(listener.health()) + listener.counters.text().decode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".dcm" for path in files)
    assert "an unexpected error, ValueError in test_listener.py" in caplog.text
    assert "came again with other content" in caplog.text
    for word in PATIENT.split("^"):
        assert word not in caplog.text + shown
        assert not [path for path in files if word in str(path)]
        assert not [path for path in files if path.suffix != ".dcm" and word.encode() in path.read_bytes()]
