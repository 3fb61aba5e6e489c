"""Files with random changes, and what reading makes of each; runs in a process of its own, since one may end it.

    python -m tests.reading.random_changes FORMAT COUNT SEED FOLDER

prints two lines of JSON per file: its name; and again its name, what became of it (``same``, ``different``,
``refused``, ``error``), and the message. Files of errors are kept.
"""

from __future__ import annotations

import json
import logging
import random
import resource
import struct
import sys
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, JPEGBaseline8Bit, RLELossless

from dwskd_monai.data.phantoms.writing import write_multiframe, write_series
from dwskd_monai.reading import RefusedImage, read_image
from tests.reading.dicom_files import change, picture, table, write

_MEMORY = 16 * 2**30  # bytes of addresses; a file that asks for more must not take them
_HEADER = 400  # bytes at the beginning of a file, of which one in two changes is
LONG = ("OB", "OW", "SQ", "UN", "UT")  # kinds of attributes whose length has 4 bytes
Change = Callable[[bytearray, random.Random, int], None]


def flip(content: bytearray, random_: random.Random, place: int) -> None:
    """One bit."""
    content[place] ^= 1 << random_.randrange(8)


def replace(content: bytearray, random_: random.Random, place: int) -> None:
    """A few bytes by others."""
    for index in range(place, min(len(content), place + random_.randint(1, 6))):
        content[index] = random_.randrange(256)


def extreme(content: bytearray, random_: random.Random, place: int) -> None:
    """A number of 2, 4 or 8 bytes by its least or greatest."""
    size = random_.choice((2, 4, 8))
    value = random_.choice((b"\0" * size, b"\xff" * size, b"\xff" * (size - 1) + b"\x7f", b"\x80" + b"\0" * (size - 1)))
    content[place : place + size] = value[: len(content) - place]


def text(content: bytearray, random_: random.Random, place: int) -> None:
    """A few bytes by what a number in a text may be."""
    value = random_.choice((b"1,5", b"-0", b"1E9", b"NaN", b"5mm", b"\\\\", b"1.0E", b"999999"))
    content[place : place + len(value)] = value


def remove(content: bytearray, random_: random.Random, place: int) -> None:
    """Some bytes."""
    del content[place : place + random_.randint(1, 40)]


def insert(content: bytearray, random_: random.Random, place: int) -> None:
    """Some bytes more."""
    content[place:place] = random_.randbytes(random_.randint(1, 40))


def cut(content: bytearray, random_: random.Random, place: int) -> None:
    """The rest."""
    del content[place:]


def move(content: bytearray, random_: random.Random, place: int) -> None:
    """A piece to another place."""
    piece = content[place : place + random_.randint(2, 60)]
    del content[place : place + len(piece)]
    target = random_.randrange(len(content) + 1)
    content[target:target] = piece


CHANGES: tuple[Change, ...] = (flip, replace, extreme, text, remove, insert, cut, move)


def changed(content: bytes, random_: random.Random) -> bytes:
    """One to three changes, half of them in the header."""
    result = bytearray(content)
    if content[128:132] == b"DICM" and random_.random() < 0.5:
        attribute(result, random_)
        return bytes(result)
    for _ in range(random_.randint(1, 3)):
        end = len(result) if random_.random() < 0.5 else min(_HEADER, len(result))
        if end:
            random_.choice(CHANGES)(result, random_, random_.randrange(end))
    return bytes(result)


def attribute(content: bytearray, random_: random.Random) -> None:
    """One attribute of a DICOM file in explicit little endian: gone, twice, or of another kind or value."""
    start, end = random_.choice(attributes(content))
    kind = content[start + 4 : start + 6].decode("latin1")
    value = random_.choice(
        (b"", b"\0\0", b"\xff\xff", b"\x08\0", b"1,5 ", b"1\\", b"1.0E", b"5mm ", b"RGB ", b"1\\2\\3 ")
    )
    if random_.random() < 0.4:
        kind = random_.choice(["DS", "IS", "US", "SS", "UL", "FD", "LO", "UT", "UN", "OB", "SQ", "PN", "UI", "AT"])
    length = struct.pack("<HI", 0, len(value)) if kind in LONG else struct.pack("<H", len(value))
    other = content[start : start + 4] + kind.encode() + length + value
    content[start:end] = random_.choice((b"", content[start:end] * 2, other, other, other))


def attributes(content: bytes) -> list[tuple[int, int]]:
    """Where the attributes before the pixels begin and end."""
    found = []
    place = 132
    while content[place : place + 4] not in (b"\xe0\x7f\x10\0", b""):
        is_long = content[place + 4 : place + 6].decode("latin1") in LONG
        form, head = ("<I", 12) if is_long else ("<H", 8)
        length = struct.unpack_from(form, content, place + head - struct.calcsize(form))[0]
        end = place + head + length
        found.append((place, end))
        if end > len(content):  # of unknown length
            break
        place = end
    return found


def dicom(folder: Path) -> list[Path]:
    """Plain, with tables and padding, run lengths, JPEG, JPEG 2000, multi-frame, a slice, without a preamble."""
    volume = np.random.default_rng(1).integers(-1000, 1500, (12, 10, 6)).astype(float)
    affine = np.diag([0.7, 0.7, 2.5, 1.0])
    paths = [write(folder / "tables.dcm", ModalityLUTSequence=table(np.arange(4096)), PixelPaddingValue=4000)]
    write_multiframe(volume, affine, folder / "frames.dcm", "P1", "CT")
    write_multiframe(volume, affine, folder / "packed.dcm", "P1", "CT")
    dataset = pydicom.dcmread(folder / "packed.dcm")
    dataset.compress(RLELossless)
    dataset.save_as(folder / "packed.dcm")
    write_series(volume, affine, folder / "series", "P1", "CT")
    paths += [folder / "frames.dcm", folder / "packed.dcm", min((folder / "series").iterdir())]
    gray = (picture() // 16).astype(np.uint8)
    for name, kind, syntax, pixels in (
        ("j2k.dcm", "JPEG2000", JPEG2000, picture()),
        ("jpeg.dcm", "JPEG", JPEGBaseline8Bit, gray),
    ):
        file = BytesIO()
        Image.fromarray(pixels).save(file, kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))
        path = write(folder / name, pixels)
        dataset = pydicom.dcmread(path)
        dataset.PixelData = encapsulate([file.getvalue()])
        dataset["PixelData"].VR = "OB"
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path)
        if pixels is gray:
            change(path, BitsAllocated=8, BitsStored=8, HighBit=7)
        paths.append(path)
    return paths


def nifti(folder: Path) -> list[Path]:
    """Plain, compressed, of both versions, 2-D."""
    pixels = np.random.default_rng(0).integers(-1000, 1000, (8, 7, 6)).astype(np.int16)
    affine = np.diag([1.0, 2.0, 4.0, 1.0])
    images = {
        "x.nii": nibabel.Nifti1Image(pixels, affine),
        "x.nii.gz": nibabel.Nifti1Image(pixels, affine),
        "y.nii": nibabel.Nifti2Image(pixels.astype(np.float32), affine),
        "z.nii": nibabel.Nifti1Image(pixels[:, :, 0], np.eye(4)),
    }
    for name, image in images.items():
        nibabel.save(image, folder / name)
    return [folder / name for name in images]


def png(folder: Path) -> list[Path]:
    """Gray, 16 bits, color, palette, transparent."""
    gray = Image.fromarray((picture() // 16).astype(np.uint8))
    images = {mode: gray.convert(mode) for mode in ("L", "RGB", "P", "LA")} | {"I": Image.fromarray(picture())}
    for mode, image in images.items():
        image.save(folder / f"{mode}.png")
    return [folder / f"{mode}.png" for mode in images]


def jpeg(folder: Path) -> list[Path]:
    """Gray, color, progressive, with EXIF."""
    gray = Image.fromarray(np.linspace(0, 255, 40 * 56).reshape(40, 56).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    gray.save(folder / "a.jpg")
    gray.convert("RGB").save(folder / "b.jpg")
    gray.save(folder / "c.jpg", progressive=True)
    gray.save(folder / "d.jpg", exif=exif)
    return [folder / f"{name}.jpg" for name in "abcd"]


FORMATS: dict[str, Callable[[Path], list[Path]]] = {"dicom": dicom, "nifti": nifti, "png": png, "jpeg": jpeg}


def outcome(path: Path, expected: bytes) -> tuple[str, str]:
    """What became of a file, and the message."""
    try:
        image = read_image(path)
    except RefusedImage as refusal:
        named = path.name in str(refusal) and refusal.path == path
        return ("refused" if named else "error"), str(refusal)
    except Exception as error:  # anything at all is what is looked for
        return "error", f"{type(error).__name__}: {error}"
    return ("same" if np.ascontiguousarray(image.pixels).tobytes() == expected else "different"), ""


def say(what: object) -> None:
    """A line of JSON, at once."""
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def main(kind: str, count: int, seed: int, folder: Path) -> None:
    """Write and read ``count`` changed files."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    random_ = random.Random(seed)
    originals = [(path, np.ascontiguousarray(read_image(path).pixels).tobytes()) for path in FORMATS[kind](folder)]
    for number in range(count):
        original, expected = originals[number % len(originals)]
        path = folder / f"{number}-{original.name}"
        path.write_bytes(changed(original.read_bytes(), random_))
        say(path.name)  # the last word, if the process ends over it
        what, message = outcome(path, expected)
        say([path.name, what, message])
        if what != "error":
            path.unlink()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
