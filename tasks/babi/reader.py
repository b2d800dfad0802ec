"""bAbI's files as arrays.

bAbI ("Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks",
Weston et al., 2015, arXiv 1502.05698), version 1.2, has 20 tasks, and a
training and a test file for each.
"""

import os
import pathlib
import re
import tarfile
from collections.abc import Mapping, Sequence
from typing import IO, Any, NamedTuple, cast

import numpy as np

from tasks import checks
from tasks.babi import facts
from tasks.babi import stories as stories_lib
from tasks.data import errors, files

SPLITS = ("train", "validation", "test")
FILE_SPLITS = ("train", "test")

_HELP = (
    "get tasks_1-20_v1-2.tar.gz (12 MB, for example from http://www.thespermwha"
    "le.com/jaseweston/babi/tasks_1-20_v1-2.tar.gz), packed or unpacked, and "
    "pass its folder as --data_dir")
_SUBFOLDERS = ("", "tasks_1-20_v1-2", "babi", "babi/tasks_1-20_v1-2")
_ARCHIVE = re.compile(r"(tasks_1-20_v1-2|babi_v1-2)[\w.-]*\.(tar\.\w+|tgz)")
_NAME = re.compile(r"qa(\d+)_[a-z0-9-]+_(train|test)(\.[\w.-]+)?\.txt")
# The original archive has 15 MB, its largest file of English 6 MB.
_MAX_ARCHIVE = 2 ** 27
_MAX_FILE = 2 ** 25
_MAX_UNPACKED = 2 ** 29


class Stories(NamedTuple):
  """Holds the stories of a split, and those of the validation split.

  Stories lie one after the other, so that short ones take no more room than
  they need. P is 2: the split's own stories, and the validation stories. A row
  of `[.., 20]` is a task. Letters: M steps of all stories, N stories.

  Attributes:
    words: `[M]` int32, numbers of words; the answer's where one is asked for.
    asked: `[M]` bool, where an answer is asked for.
    start: `[N]` int32, the first step of each story.
    length: `[N]` int32, its number of steps.
    first: `[P, 20]` int32, the first story of each task.
    count: `[P, 20]` int32, the number of stories of each task.
    questions: `[2, 20]` int32, questions in the training and the test file.
    stories: `[2, 20]` int32, stories in either file.
    left_out: `[2, 20]` int32, those of them that are too long.
  """

  words: Any
  asked: Any
  start: Any
  length: Any
  first: Any
  count: Any
  questions: Any
  stories: Any
  left_out: Any


def load_stories(split: str, data_dir: str | None, size: str,
                 longest: Mapping[int, int]) -> Stories:
  """Loads the stories of some tasks.

  `data_dir` holds the unpacked folder `en` or `en-10k`, or the archive that has
  it; either may also be in its `tasks_1-20_v1-2` or `babi`. The validation
  split is the last tenth of each training file.

  Args:
    split: 'train', 'validation' or 'test'.
    data_dir: folder of the data.
    size: name of the folder, 'en' or 'en-10k'.
    longest: number of a task to read -> steps of the longest story to keep.

  Raises:
    FileNotFoundError: `data_dir` is None, or a file is missing.
    ValueError: a name is unknown, a file is not valid, or a task has no story
      that is short enough.
  """
  checks.check_member("split", split, SPLITS)
  if data_dir is None:
    raise FileNotFoundError(f"bAbI needs --data_dir: {_HELP}")
  contents = _read_files(data_dir, size, longest)
  packer = _Packer()
  for (number, of_file), (name, content) in sorted(contents.items()):
    row, column = FILE_SPLITS.index(of_file), number - 1
    with errors.reading(name, _HELP):
      stories = stories_lib.parse(content)
      packer.questions[row, column] = sum(x.num_questions for x in stories)
      limit = (longest[number], facts.FACTS[number].most_answers)
      kept = [story for story in stories if _fits(story, *limit)]
      packer.stories[row, column] = len(stories)
      packer.left_out[row, column] = len(stories) - len(kept)
      num_validation = len(kept) // 10
      if not kept or (of_file == "train" and not num_validation):
        raise ValueError(f"only {len(kept)} of {len(stories)} stories have at "
                         f"most {limit[0]} steps and {limit[1]} answer words; "
                         "choose a larger max_length, or other tasks")
    if of_file == "train":
      packer.put(1, column, kept[-num_validation:])
      kept = kept[:-num_validation]
    if of_file == split:
      packer.put(0, column, kept)
  return packer.packed()


def remarks(size: str, questions: Any, stories: Any, left_out: Any
            ) -> list[str]:
  """Says what of the published data is missing, or was left out.

  Args:
    size: name of the folder, 'en' or 'en-10k'.
    questions: see `Stories`.
    stories: see `Stories`.
    left_out: see `Stories`.
  """
  found = []
  questions, whole, left_out = map(np.asarray, (questions, stories, left_out))
  for row, split in enumerate(FILE_SPLITS):
    published = facts.NUM_QUESTIONS[size][split]
    for column in np.flatnonzero(questions[row]):
      place, name = (row, column), f"bAbI {size}, task {column + 1}, {split}"
      if questions[place] != published:
        found.append(f"{name}: {questions[place]:,} questions in the file, not "
                     f"the published {published:,}")
      if left_out[place]:
        found.append(f"{name}: left out {left_out[place]:,} of "
                     f"{whole[place]:,} stories, which are too long")
  return found


def _fits(story: stories_lib.Story, longest: int, most_answers: int) -> bool:
  return len(story.words) <= longest and story.asked.sum() <= most_answers


class _Packer:
  """Lays stories one after the other."""

  def __init__(self):
    (self.questions, self.stories, self.left_out, self._first,
     self._count) = np.zeros((5, 2, len(facts.FACTS)), np.int32)
    self._stories: list[stories_lib.Story] = []

  def put(self, part: int, column: int,
          stories: Sequence[stories_lib.Story]) -> None:
    """Adds the stories of a task to a part."""
    self._first[part, column] = len(self._stories)
    self._count[part, column] = len(stories)
    self._stories += stories

  def packed(self) -> Stories:
    """Returns all; without stories of a split, it is the validation split."""
    if not self._count[0].any():
      self._first[0], self._count[0] = self._first[1], self._count[1]
    length = np.array([len(story.words) for story in self._stories], np.int32)
    return Stories(
        np.concatenate([story.words for story in self._stories]),
        np.concatenate([story.asked for story in self._stories]),
        np.cumsum(length, dtype=np.int32) - length, length, self._first,
        self._count, self.questions, self.stories, self.left_out)


_Key = tuple[int, str]  # Number of a task, split of the file.
_Contents = dict[_Key, tuple[pathlib.Path, bytes]]


def _read_files(data_dir: str, size: str,
                numbers: Mapping[int, int]) -> _Contents:
  """Returns the files of some tasks, by number and split, from one place."""
  given = pathlib.Path(os.path.expanduser(data_dir))
  wanted = {(number, split) for number in numbers for split in FILE_SPLITS}
  for folder in (given / name for name in _SUBFOLDERS):
    if (folder / size).is_dir():
      return _of_folder(folder / size, wanted)
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
      if _ARCHIVE.fullmatch(path.name):
        return _of_archive(path, size, wanted)
  if given.name == size and given.is_dir():
    return _of_folder(given, wanted)
  raise FileNotFoundError(
      f"no bAbI in --data_dir={data_dir}: looked for a folder {size} and for "
      "tasks_1-20_v1-2.tar.gz, in it and in its "
      f"{', '.join(_SUBFOLDERS[1:])}; {_HELP}")


def _of_folder(folder: pathlib.Path, wanted: set[_Key]) -> _Contents:
  paths = {path.name: path for path in folder.iterdir()}
  contents: _Contents = {}
  for key, name in _choose(folder, paths, wanted).items():
    with errors.reading(paths[name], _HELP):
      _check_size(paths[name].stat().st_size, _MAX_FILE)
      contents[key] = paths[name], paths[name].read_bytes()
  return contents


def _of_archive(path: pathlib.Path, size: str, wanted: set[_Key]) -> _Contents:
  """Reads files of an archive into memory; nothing is unpacked."""
  with errors.reading(path, _HELP):
    _check_size(path.stat().st_size, _MAX_ARCHIVE)
    found = {}
    with (files.Unpacked(path, _MAX_UNPACKED) as unpacked,
          tarfile.open(fileobj=cast(IO[bytes], unpacked), mode="r:")
          as archive):
      for member in archive:
        folder, _, name = member.name.rpartition("/")
        if member.isfile() and pathlib.PurePath(folder).name == size and (
            _NAME.fullmatch(name)):
          _check_size(member.size, _MAX_FILE)
          file = archive.extractfile(member)
          assert file is not None  # Of a regular file it never is.
          found[name] = file.read()
  return {key: (path / size / name, found[name])
          for key, name in _choose(path / size, found, wanted).items()}


def _choose(place: pathlib.Path, names: Mapping[str, Any], wanted: set[_Key]
            ) -> dict[_Key, str]:
  """Returns the name of each file; that of a part of one if there is no other.

  Raises:
    FileNotFoundError: a file is missing.
  """
  # Parts have more dots in their names, so they come last.
  chosen: dict[_Key, str] = {}
  for name in sorted(names, key=lambda name: (name.count("."), name)):
    if match := _NAME.fullmatch(name):
      chosen.setdefault((int(match[1]), match[2]), name)
  missing = [f"qa{number}_*_{split}.txt"
             for number, split in sorted(wanted - set(chosen))]
  if missing:
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    raise FileNotFoundError(f"{place} has no {', '.join(missing[:3])}{more}; "
                            f"{_HELP}, or choose other tasks")
  return {key: chosen[key] for key in wanted}


def _check_size(size: int, most: int) -> None:
  if size > most:
    raise ValueError(f"should have at most {most} bytes, has {size}")
