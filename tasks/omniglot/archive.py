"""Omniglot's own two archives of PNGs."""

import collections
import pathlib
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tasks.data import errors, files

ARCHIVES = {"train": "images_background.zip", "test": "images_evaluation.zip"}
NUM_CHARACTERS = {"train": 964, "test": 659}
NUM_DRAWINGS = 20
SIZE = 105  # Width and height in pixels.
HELP = (
    f"get {ARCHIVES['train']} and {ARCHIVES['test']} (14 MB) from the folder "
    "python/ of https://github.com/brendenlake/omniglot, do not unpack them, "
    "and pass their folder as --data_dir")

# Names tell the two sets of characters apart, whatever the files are called.
_ALPHABETS = {
    "train": """
        Alphabet_of_the_Magi Anglo-Saxon_Futhorc Arcadian Armenian
        Asomtavruli_(Georgian) Balinese Bengali
        Blackfoot_(Canadian_Aboriginal_Syllabics) Braille Burmese_(Myanmar)
        Cyrillic Early_Aramaic Futurama Grantha Greek Gujarati Hebrew
        Inuktitut_(Canadian_Aboriginal_Syllabics) Japanese_(hiragana)
        Japanese_(katakana) Korean Latin Malay_(Jawi_-_Arabic)
        Mkhedruli_(Georgian) N_Ko Ojibwe_(Canadian_Aboriginal_Syllabics)
        Sanskrit Syriac_(Estrangelo) Tagalog Tifinagh""",
    "test": """
        Angelic Atemayar_Qelisayer Atlantean Aurek-Besh Avesta Ge_ez Glagolitic
        Gurmukhi Kannada Keble Malayalam Manipuri Mongolian
        Old_Church_Slavonic_(Cyrillic) Oriya Sylheti Syriac_(Serto) Tengwar
        Tibetan ULOG""",
}
_NAME = re.compile(r"(images_\w+)/([^/]+)/character\d+/(\d+)_(\d+)\.png")
# The originals have 9 and 6 MB, and members of some hundred bytes.
_MAX_ARCHIVE = 2 ** 27
_MAX_MEMBER = 2 ** 16


class Drawing(NamedTuple):
  """Represents one drawing; drawings are sorted by these fields.

  Attributes:
    character: number of the character in the whole data set, from 1 to 1623.
    drawer: number of the person who drew it, from 1 to 20.
    alphabet: name of the alphabet.
    member: path in the archive.
  """

  character: int
  drawer: int
  alphabet: str
  member: str = ""


def read(path: pathlib.Path, split: str) -> Iterator[np.ndarray]:
  """Yields the ink of the drawings of an archive, sorted.

  Args:
    path: the archive.
    split: what it should hold, 'train' or 'test'.

  Yields:
    `[105, 105]` uint8 in {0, 1}.

  Raises:
    DataError: the archive is damaged, or of the other split.
  """
  with errors.reading(path, HELP), zipfile.ZipFile(path) as archive:
    for drawing in _drawings(archive.namelist(), split):
      with errors.reading(path / drawing.member, HELP):
        png = files.read_member(archive, drawing.member, _MAX_MEMBER)
        yield ink_of(files.read_png(png, SIZE))


def check_size(path: pathlib.Path) -> None:
  """Raises a ValueError if an archive is too large to be one of the two."""
  size = path.stat().st_size
  if size > _MAX_ARCHIVE:
    raise ValueError(f"should have at most {_MAX_ARCHIVE} bytes, has {size}")


def ink_of(pixels: np.ndarray) -> np.ndarray:
  """Returns where ink is, in {0, 1}. Paper is 1 or 255, by the writer."""
  return (pixels == 0).astype(np.uint8)


def _drawings(members: Iterable[str], split: str) -> list[Drawing]:
  """Lists the drawings of an archive, sorted, from the names of its files."""
  matches = [match for match in map(_NAME.fullmatch, members) if match]
  stem = ARCHIVES[split].removesuffix(".zip")
  for folder in sorted({match[1] for match in matches}):
    # The authors' small subsets lie in images_background_small1 and so on.
    if folder != stem and not folder.startswith(f"{stem}_"):
      raise ValueError(f"should hold a folder {stem}, holds {folder}: it is "
                       "another archive under this name")
  drawings = sorted(Drawing(int(match[3]), int(match[4]), match[2], match[0])
                    for match in matches)
  check(drawings, split)
  return drawings


def check(drawings: Iterable[Drawing], split: str) -> None:
  """Checks that drawings are of a split, and that none is missing.

  Raises:
    ValueError: they are not.
  """
  of_other = set(_ALPHABETS["test" if split == "train" else "train"].split())
  drawers = collections.defaultdict(list)
  for drawing in drawings:
    drawers[drawing.character].append(drawing.drawer)
    if drawing.alphabet in of_other:
      raise ValueError(f"holds the alphabet {drawing.alphabet}, which is not "
                       f"of {split} ({ARCHIVES[split]})")
  wrong = [f"{character}: {len(found)}" for character, found in drawers.items()
           if sorted(found) != list(range(1, NUM_DRAWINGS + 1))]
  if wrong or not drawers:
    raise ValueError(
        f"should have {NUM_DRAWINGS} drawings of each character as "
        "images_*/<alphabet>/character<n>/<character>_<drawer>.png, got "
        f"{', '.join(wrong) or 'no such file'}")
  if len(drawers) > NUM_CHARACTERS[split]:
    raise ValueError(f"should have at most {NUM_CHARACTERS[split]} characters "
                     f"of {split}, has {len(drawers)}")
