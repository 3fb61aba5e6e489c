"""What the listener must not forget: how far each study is, and which answers were sent.

It is an SQLite database, because several threads change it, an image and its study change in one step, and the studies
in a state are asked for all the time; a file that only grows would have to do all three itself. ``synchronous=FULL``
makes each step durable before it returns. Identifiers are stored as digests, and nothing of a patient is.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

_VERSION = 2  # of the tables
_TABLES = """
CREATE TABLE IF NOT EXISTS studies (
    study TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,  -- grows with each image
    attempts INTEGER NOT NULL DEFAULT 0,  -- classifications that began and have not ended
    most INTEGER NOT NULL DEFAULT 0,  -- images that it ever had here at a time
    here INTEGER NOT NULL DEFAULT 1,  -- whether its files are here
    changed REAL NOT NULL,  -- time of its last change of state
    turn INTEGER NOT NULL  -- grows with each change of a state, whatever the clock does
);
CREATE TABLE IF NOT EXISTS images (
    study TEXT NOT NULL,
    instance TEXT NOT NULL,
    content TEXT NOT NULL,  -- digest of the data set
    PRIMARY KEY (study, instance)
);
CREATE TABLE IF NOT EXISTS answers (
    instance TEXT PRIMARY KEY,
    study TEXT NOT NULL,
    begun INTEGER NOT NULL DEFAULT 0,  -- whether the destination may have it
    sent INTEGER NOT NULL DEFAULT 0  -- whether it is not to be sent any more
);
CREATE INDEX IF NOT EXISTS studies_by_state ON studies (state);
CREATE INDEX IF NOT EXISTS studies_by_turn ON studies (turn);
CREATE INDEX IF NOT EXISTS studies_here ON studies (turn) WHERE here;
CREATE INDEX IF NOT EXISTS answers_by_study ON answers (study);
"""
_NEXT_TURN = "(SELECT COALESCE(MAX(turn), 0) + 1 FROM studies)"


class State(StrEnum):
    """How far a study is."""

    RECEIVED = "received"  # it waits to be classified
    CLASSIFIED = "classified"  # its answers are on disk, and wait to be sent
    SENT = "sent"
    REFUSED = "refused"


class Attempt(NamedTuple):
    """A classification that begins.

    Args:
        version: of the study; a result for an older version is not taken.
        number: 1 if no earlier one was interrupted.
        images: number of its images that are here.
        most: number of its images that were ever here at a time.
    """

    version: int
    number: int
    images: int
    most: int


def digest_of(uid: str) -> str:
    """What stands for a UID in file names, in the journal and in the log.

    Examples:
        >>> digest_of("1.2.3")
        'c47f5b18b8a430e698b9fe15e51f6119'
    """
    return hashlib.sha256(uid.encode()).hexdigest()[:32]


class Journal:
    """The journal of one listener.

    Args:
        path: its file, which is made if there is none.

    Raises:
        ValueError: if another process has it open, it cannot be written to, or it is not a journal.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, timeout=0)
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            if self._ask("PRAGMA user_version")[0][0] not in (0, _VERSION):  # 0: a new file
                raise sqlite3.DatabaseError("it is of another version")
            self._connection.executescript(_TABLES)
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise ValueError(
                    f"{path}: another listener uses this folder; stop it, or give another --folder"
                ) from None
            if isinstance(error, sqlite3.OperationalError):
                raise ValueError(f"{path}: {error}; is the disk full, or read-only?") from error
            raise ValueError(f"{path}: not a journal of the listener ({error}); give another --folder") from error

    def close(self) -> None:
        """Close the file; the journal cannot be used afterwards."""
        with self._lock:
            self._connection.close()

    def _ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    # Studies

    def state(self, study: str) -> State | None:
        """How far a study is; None: it was never received."""
        rows = self._ask("SELECT state FROM studies WHERE study = ?", study)
        return State(rows[0][0]) if rows else None

    def in_state(self, *states: State) -> list[str]:
        """Studies whose files are here, the longest in their state first."""
        marks = ", ".join("?" * len(states))
        sql = f"SELECT study FROM studies WHERE here AND state IN ({marks}) ORDER BY turn"
        return [study for (study,) in self._ask(sql, *states)]

    def here(self) -> dict[str, State]:
        """All studies whose files are here, the longest in their state first."""
        rows = self._ask("SELECT study, state FROM studies WHERE here ORDER BY turn")
        return {study: State(state) for study, state in rows}

    def since(self, study: str) -> float:
        """The time of a study's last change of state."""
        rows = self._ask("SELECT changed FROM studies WHERE study = ?", study)
        return float(rows[0][0])

    def counts(self) -> dict[State, int]:
        """How many studies there are in each state."""
        found = dict(self._ask("SELECT state, COUNT(*) FROM studies GROUP BY state"))
        return {state: int(found.get(state, 0)) for state in State}

    # Receiving

    def content(self, study: str, instance: str) -> str | None:
        """The digest of an image of a study; None: the image is not here."""
        rows = self._ask("SELECT content FROM images WHERE study = ? AND instance = ?", study, instance)
        return str(rows[0][0]) if rows else None

    def received(self, study: str, instance: str, content: str) -> None:
        """Note an image; its study waits to be classified, even if it was answered before."""
        with self._lock, self._connection:
            self._connection.execute(
                f"INSERT INTO studies (study, state, version, changed, turn) VALUES (?, ?, 1, ?, {_NEXT_TURN})"
                " ON CONFLICT (study) DO UPDATE SET state = excluded.state, version = version + 1, here = 1,"
                " changed = excluded.changed, turn = excluded.turn",
                (study, State.RECEIVED, time.time()),
            )
            self._connection.execute("INSERT OR REPLACE INTO images VALUES (?, ?, ?)", (study, instance, content))
            self._connection.execute(
                "UPDATE studies SET most = MAX(most, (SELECT COUNT(*) FROM images WHERE study = ?1)) WHERE study = ?1",
                (study,),
            )

    def is_answer(self, instance: str) -> bool:
        """Whether an instance is an answer of this listener."""
        return bool(self._ask("SELECT 1 FROM answers WHERE instance = ?", instance))

    # Classifying

    def was_interrupted(self, study: str) -> bool:
        """Whether the process ended while it classified a study."""
        return bool(self._ask("SELECT 1 FROM studies WHERE study = ? AND attempts > 0", study))

    def begin(self, study: str) -> Attempt | None:
        """Note that a study is about to be classified, so that one that ends the process is found out.

        Returns:
            None if it does not wait to be classified.
        """
        sql = (
            "SELECT version, attempts, (SELECT COUNT(*) FROM images WHERE images.study = studies.study), most"
            " FROM studies WHERE study = ? AND state = ?"
        )
        with self._lock, self._connection:
            self._connection.execute(
                "UPDATE studies SET attempts = attempts + 1 WHERE study = ? AND state = ?", (study, State.RECEIVED)
            )
            rows = self._ask(sql, study, State.RECEIVED)
        return Attempt(*rows[0]) if rows else None

    def put_off(self, study: str) -> None:
        """Note that a classification ended without a result."""
        with self._lock, self._connection:
            self._connection.execute("UPDATE studies SET attempts = 0 WHERE study = ?", (study,))

    def classified(self, study: str, attempt: Attempt, answers: Sequence[str]) -> bool:
        """Note the answers of a study, by their instances; those that were sent before are not sent again.

        Others of earlier are not sent any more, whether they arrived or not.

        Returns:
            Whether they are taken: not if an image came in the meantime.
        """
        with self._lock, self._connection:
            if not self._leave(study, attempt, State.CLASSIFIED):
                return False
            marks = ", ".join("?" * len(answers))
            self._connection.execute("DELETE FROM answers WHERE study = ? AND NOT sent AND NOT begun", (study,))
            self._connection.execute(
                f"UPDATE answers SET sent = 1 WHERE study = ? AND instance NOT IN ({marks})", (study, *answers)
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO answers (instance, study) VALUES (?, ?)", [(answer, study) for answer in answers]
            )
            self._finish(study)
        return True

    def refused(self, study: str, attempt: Attempt) -> bool:
        """Note that a study cannot be answered; returns whether that is taken, as :meth:`classified` does."""
        with self._lock, self._connection:
            return self._leave(study, attempt, State.REFUSED)

    def is_current(self, study: str, attempt: Attempt) -> bool:
        """Whether no image has come since an attempt began."""
        sql = "SELECT 1 FROM studies WHERE study = ? AND version = ?"
        return bool(self._ask(sql, study, attempt.version))

    def _leave(self, study: str, attempt: Attempt, state: State) -> bool:
        """Leave the state RECEIVED, if no image has come since the attempt began."""
        self._connection.execute("UPDATE studies SET attempts = 0 WHERE study = ?", (study,))
        sql = f"UPDATE studies SET state = ?, changed = ?, turn = {_NEXT_TURN}"
        sql += " WHERE study = ? AND version = ? AND state = ?"
        values = (state, time.time(), study, attempt.version, State.RECEIVED)
        return self._connection.execute(sql, values).rowcount == 1

    # Sending

    def begun_answers(self, study: str) -> set[str]:
        """The answers of a study that the destination has, or may have."""
        return {instance for (instance,) in self._ask("SELECT instance FROM answers WHERE study = ? AND begun", study)}

    def unsent(self, study: str) -> list[str]:
        """The answers of a study that are still to be sent."""
        sql = "SELECT instance FROM answers WHERE study = ? AND NOT sent ORDER BY rowid"
        return [instance for (instance,) in self._ask(sql, study)]

    def begin_to_send(self, study: str, instance: str) -> bool:
        """Note that an answer is about to be sent, so that it is known to have been if the process ends meanwhile.

        Returns:
            Whether it is still to be sent: not if an image came, so that there will be another answer.
        """
        sql = (
            "UPDATE answers SET begun = 1 WHERE study = ? AND instance = ? AND NOT sent"
            " AND EXISTS (SELECT 1 FROM studies WHERE study = answers.study AND state = ?)"
        )
        with self._lock, self._connection:
            return self._connection.execute(sql, (study, instance, State.CLASSIFIED)).rowcount == 1

    def not_taken(self, instance: str) -> None:
        """Note that the destination does not have an answer that was sent."""
        with self._lock, self._connection:
            self._connection.execute("UPDATE answers SET begun = 0 WHERE instance = ? AND NOT sent", (instance,))

    def given_up(self, study: str) -> None:
        """Note that the answers of a study are not sent any more."""
        sql = f"UPDATE studies SET state = ?, changed = ?, turn = {_NEXT_TURN} WHERE study = ? AND state = ?"
        with self._lock, self._connection:
            self._connection.execute(sql, (State.REFUSED, time.time(), study, State.CLASSIFIED))

    def sent(self, study: str, instance: str) -> None:
        """Note that an answer was taken, and with the last one that the study is done."""
        with self._lock, self._connection:
            self._connection.execute("UPDATE answers SET begun = 1, sent = 1 WHERE instance = ?", (instance,))
            self._finish(study)

    def _finish(self, study: str) -> None:
        self._connection.execute(
            f"UPDATE studies SET state = ?, changed = ?, turn = {_NEXT_TURN} WHERE study = ? AND state = ?"
            " AND NOT EXISTS (SELECT 1 FROM answers WHERE study = studies.study AND NOT sent)",
            (State.SENT, time.time(), study, State.CLASSIFIED),
        )

    # Removing

    def removed(self, study: str) -> None:
        """Note that the files of a study are no longer here."""
        with self._lock, self._connection:
            self._connection.execute("UPDATE studies SET here = 0 WHERE study = ?", (study,))
            self._connection.execute("DELETE FROM images WHERE study = ?", (study,))
