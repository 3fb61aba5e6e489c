"""Datalists that are damaged at random are read, or refused with the name of the file."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path

import pytest

from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.images import list_images

CSV = (
    "image,label,patient,study,split,fold\n"
    "a.png,cat,P1,S1,train,0\nb.png,dog,P2,S2,train,1\nc.png,cat,P3,S3,test,\nd.png,dog,P4,,test,\n"
)
JSON = json.dumps(
    {
        "description": "x",
        "training": [
            {"image": "a.png", "label": "cat", "patient": 1, "fold": 0},
            {"image": "b.png", "label": 1, "study": "S", "fold": 1},
        ],
        "test": ["c.png", {"image": "d.png", "label": "dog"}],
    }
)
PIECES = [
    *(b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xc3\xa4", b"\xc2\xb2", b"\xd9\xa1", b"\xe2\x80\xae"),
    *(b"\\ud800", b"\\u0000", b'"', b",", b";", b"\n", b"\r", b":", b"{", b"}", b"]", b"~", b"~x/", b"../", b"/"),
    *(b"[" * 3000, b"1" * 5000, b"x" * 5000),
    *(b"NaN", b"nan", b"null", b"true", b"1e999", b"-1", b".json", b"image", b"label"),
]
CHANGES = 2000


def damaged(content: bytes, choice: random.Random) -> bytes:
    """One to three times a byte is changed, something is put in or left out, or a part comes twice."""
    result = bytearray(content)
    for _ in range(choice.randint(1, 3)):
        place = choice.randrange(len(result))
        kind = choice.randrange(4)
        if kind == 0:
            result[place] = choice.randrange(256)
        elif kind == 1:
            result[place:place] = choice.choice(PIECES)
        elif kind == 2:
            del result[place : place + choice.randint(1, 10)]
        else:
            result[place:place] = result[place // 2 : place // 2 + choice.randint(1, 30)]
    return bytes(result)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "text"), [("list.csv", CSV), ("list.json", JSON)], ids=["csv", "json"])
def test_a_damaged_datalist_is_read_or_refused_by_name(tmp_path, name, text, caplog):
    caplog.set_level(logging.CRITICAL)
    for image in "abcd":
        (tmp_path / f"{image}.png").write_text(image)
    path: Path = tmp_path / name
    path.write_text(text)
    assert len(load_split(path, ("cat", "dog"), "all")) == (4 if name == "list.csv" else 3)
    messages = []
    for number in range(CHANGES):
        path.write_bytes(damaged(text.encode(), random.Random(number)))
        for read in (lambda: load_split(path, ("cat", "dog"), "all"), lambda: list_images(path)):
            try:
                read()
            except (ValueError, OSError) as error:
                messages.append(str(error))
    assert not [message for message in messages if name not in message]
    assert len(messages) > CHANGES, "most changes can be seen"
