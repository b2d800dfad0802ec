"""bAbI's files as arrays: places, splits, what is left out, damage, counts."""

import pathlib
import re
import tarfile

import numpy as np
import pytest
from data_helpers import babi_text, write_babi
from launch_helpers import run

import tasks
from launch import train
from launch.configs import config as config_lib
from tasks.babi import facts, reader, stories
from tasks.data import errors

TEXT = """1 Mary moved to the bathroom.
2 Where is Mary? \tbathroom\t1
3 Mary got the milk there.
4 What is Mary carrying?\tapple,milk\t3 1
1 The Cat is a wolf.
2 Is she?\tno
"""


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
  """Returns a folder with tasks 1 and 4."""
  write_babi(tmp_path / "data", (1, 4))
  return tmp_path / "data"


def load(split: str, folder: pathlib.Path, numbers: str = "1,4", **kwargs):
  task = tasks.Babi(numbers, **kwargs)
  return task.load(split, str(folder))


def words_of(story: stories.Story) -> str:
  return " ".join(facts.VOCABULARY[number] for number in story.words)


def test_parse():
  first, second = stories.parse(TEXT.encode())
  assert words_of(first) == (
      "mary moved to the bathroom . where is mary ? bathroom mary got the milk "
      "there . what is mary carrying ? apple milk")
  assert list(np.flatnonzero(first.asked)) == [10, 22, 23]
  assert (first.num_questions, second.num_questions) == (2, 1)
  assert words_of(second) == "the cat is a wolf . is she ? no"
  assert list(np.flatnonzero(second.asked)) == [9]


def test_line_ends_and_a_byte_order_mark_change_nothing():
  other = b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode() + b"\n\n"
  for a, b in zip(stories.parse(TEXT.encode()), stories.parse(other),
                  strict=True):
    assert words_of(a) == words_of(b)
    np.testing.assert_array_equal(a.asked, b.asked)


@pytest.mark.parametrize("content, words", [
    (b"", "is empty"),
    (b"\n \n", "is empty"),
    (TEXT.encode("utf-16"), "should be UTF-8"),
    (b"1 Mary is in the caf\xe9.\n", "should be UTF-8"),
    (b"<html>not found</html>", "line 1 should be 'NUMBER TEXT'"),
    (b"1 Mary moved.\nagain", "line 2 should be 'NUMBER TEXT'"),
    (b"1 Mary moved.\n\n2 Is she?\tno\t1", "line 2 should be"),
    (b"2 Mary moved.\n", "line 1 should have the number 1, has 2"),
    (b"1 Mary moved.\n3 Is she?\tno\t1",
     "line 2 should have the number 2 or 1"),
    (b"1 Maria moved.\n2 Is she?\tno\t1", "line 1 has 'maria', which is not"),
    (b"1 Mary moved.\n2 Is she?\tperhaps\t1", "line 2 has 'perhaps'"),
    (b"1 Mary moved.\n", "the story at line 1 asks nothing"),
    (b"1 Is she?\tno\t1\n1 Mary moved.\n1 Is she?\tno\t1",
     "the story at line 2 asks nothing"),
])
def test_damaged_files(folder, content, words):
  path = folder / "en-10k" / "qa4_some-task_train.txt"
  load("train", folder)
  path.write_bytes(content)
  for split in reader.SPLITS:
    with pytest.raises(errors.DataError) as error:
      load(split, folder)
    message = str(error.value)
    assert message.startswith(f"cannot read {path}: {words}")
    assert "get tasks_1-20_v1-2.tar.gz" in message
    assert "\n" not in message
  assert load("train", folder, "1").words.size  # Other tasks are not read.


def test_splits(folder):
  stored = stories.parse(babi_text(4).encode())
  assert len(stored) == 1000
  train, validation, test = (load(split, folder) for split in reader.SPLITS)
  assert [data.count[0, 3] for data in (train, validation, test)] == [
      900, 100, 1000]
  for data in (train, validation, test):
    assert list(np.flatnonzero(data.count[0])) == [0, 3]
    assert list(data.count[1, [0, 3]]) == [50, 100]
    check_part(data, 1, stored[900:])
  check_part(train, 0, stored[:900])
  check_part(validation, 0, stored[900:])
  check_part(test, 0, stored)


def check_part(data, part: int, expected) -> None:
  first = data.first[part, 3]
  assert data.count[part, 3] == len(expected) > 0
  for index, story in enumerate(expected, first):
    steps = slice(data.start[index], data.start[index] + data.length[index])
    np.testing.assert_array_equal(data.words[steps], story.words)
    np.testing.assert_array_equal(data.asked[steps], story.asked)


def same(a, b) -> None:
  for x, y in zip(a, b, strict=True):
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("place", ["", "babi", "tasks_1-20_v1-2",
                                   "babi/tasks_1-20_v1-2"])
def test_places(folder, tmp_path, place):
  expected = load("train", folder)
  whole = tmp_path / "root" / place
  whole.parent.mkdir(parents=True, exist_ok=True)
  folder.rename(whole)
  same(load("train", tmp_path / "root"), expected)
  same(load("train", whole / "en-10k"), expected)  # The folder itself.
  with pytest.raises(FileNotFoundError, match="looked for a folder en and"):
    load("train", tmp_path / "root", size="en")


@pytest.mark.parametrize("name", ["tasks_1-20_v1-2.tar.gz", "babi_v1-2.tar.xz"])
def test_an_archive_is_read_in_place(folder, tmp_path, name):
  expected = load("test", folder)
  place = tmp_path / "root"
  place.mkdir()
  other = write_babi(tmp_path / "other", (4,), "hn-10k")
  with tarfile.open(place / name, f"w:{name[-2:]}") as archive:
    archive.add(other, "tasks_1-20_v1-2/hn-10k")
    archive.add(folder / "en-10k", "tasks_1-20_v1-2/en-10k")
  same(load("test", place), expected)
  assert [path.name for path in place.iterdir()] == [name]
  content = (place / name).read_bytes()
  for broken in (b"", b"no archive", content[:len(content) // 2]):
    (place / name).write_bytes(broken)
    with pytest.raises(errors.DataError, match=r"cannot read .*tar.*; get "):
      load("test", place)


def test_a_large_file_is_refused(folder):
  path = folder / "en-10k" / "qa4_some-task_test.txt"
  with path.open("wb") as file:
    file.truncate(3 * 2 ** 30)  # No disk is used.
  with pytest.raises(errors.DataError, match="at most 33554432 bytes, has 322"):
    load("test", folder)


def test_missing_files_are_named(folder):
  with pytest.raises(FileNotFoundError, match=re.escape(
      "has no qa2_*_test.txt, qa2_*_train.txt, qa3_*_test.txt and 33 more; "
      "get")):
    load("train", folder, "all")
  (folder / "en-10k" / "qa4_some-task_train.txt").unlink()
  with pytest.raises(FileNotFoundError, match=r"no qa4_\*_train.txt; get .*ot"):
    load("test", folder)
  with pytest.raises(ValueError, match="'dev'; valid splits: train, valid"):
    load("dev", folder)


def test_a_part_of_a_file_is_told(folder):
  task, path = tasks.Babi("1"), folder / "en-10k" / "qa1_some-task_train.txt"
  path.write_text(babi_text(1) * 10)
  assert task.remarks(task.load("test", str(folder))) == []
  part = path.with_name("qa1_some-task_train.PARTIAL-38.txt")
  part.write_text(babi_text(1, 38))
  data = task.load("train", str(folder))
  assert data.questions[0, 0] == 10_000  # The whole file is preferred.
  path.unlink()
  for split in ("train", "test"):
    data = task.load(split, str(folder))
    assert task.remarks(data) == [
        "bAbI en-10k, task 1, train: 38 questions in the file, not the "
        "published 10,000"]


def test_left_out_stories_are_told(folder):
  """Stories of task 8 have 10 steps, or more if answers have many words."""
  write_babi(folder.parent / "more", (8,))
  lengths = [len(story.words) for story in
             stories.parse(babi_text(8).encode())]
  longer = sum(length > 10 for length in lengths)
  assert 0 < longer < len(lengths) == 500
  task = tasks.Babi("8", max_length=10)
  data = task.load("test", str(folder.parent / "more"))
  assert data.count[0, 7] == 500 - longer
  assert data.length.max() == task.num_steps == 10
  assert f"test: left out {longer} of 500 stories" in task.remarks(data)[-1]
  with pytest.raises(errors.DataError, match=r"only 0 of 500 stories have at "
                     r"most 9 steps.*larger max_length"):
    load("train", folder.parent / "more", "8", max_length=9)


def test_training_on_damaged_data_writes_nothing(folder, tmp_path, capfd):
  (folder / "en-10k" / "qa1_some-task_test.txt").write_bytes(b"")
  status = run(train, "--preset=babi_1", f"--data_dir={folder}",
               f"--workdir={tmp_path / 'run'}")
  out, err = capfd.readouterr()
  assert status == config_lib.EXIT_USAGE
  assert out == ""
  assert err.startswith("error: cannot read ")
  assert "test.txt: is empty; get" in err
  assert err.count("\n") == 1
  assert err.endswith("\n")
  assert not (tmp_path / "run" / "config.json").exists()


# The real files. Counts, sizes and words are those that `facts` holds.


def test_real_test_files(data_root):
  """They are the same in `en` and `en-10k`."""
  task = tasks.Babi("all", "en")
  data = task.load("test", str(data_root))
  assert task.remarks(data) == []
  assert not data.left_out.any()
  for number in task.numbers:
    check_facts(data, number)


def check_facts(data, number: int) -> None:
  first, count = data.first[0, number - 1], data.count[0, number - 1]
  assert count == facts.FACTS[number].num_stories
  found: dict[str, int] = {}
  for index in range(first, first + count):
    steps = slice(data.start[index], data.start[index] + data.length[index])
    asked, words = data.asked[steps], data.words[steps]
    assert asked.sum() <= facts.FACTS[number].most_answers
    for start in np.flatnonzero(asked & ~np.r_[False, asked[:-1]]):
      end = start + np.argmin(np.r_[asked[start:], False])
      answer = ",".join(facts.VOCABULARY[word] for word in words[start:end])
      found[answer] = found.get(answer, 0) + 1
  assert found == facts.FACTS[number].answers
  assert sum(found.values()) == 1000


def test_real_training_files(data_root):
  """All 156 words and two symbols occur; the bounds are reached."""
  task = tasks.Babi("all")
  data = task.load("train", str(data_root))
  if data.questions[0, 2] == 1925:  # A known part.
    assert task.remarks(data) == [
        "bAbI en-10k, task 3, train: 1,925 questions in the file, not the "
        "published 10,000"]
  else:
    assert task.remarks(data) == []
  assert not data.left_out.any()
  assert len(np.unique(data.words)) == 158
  assert 0 == facts.VOCABULARY.index(facts.MARK) < data.words.min()
  assert (data.count.sum(0) == data.stories[0]).all()
  assert data.stories[0, [0, 3, 14, 16, 17, 19]].tolist() == [
      2000, 10_000, 2500, 1250, 1978, 933]
  assert list(data.stories[1]) == [
      found.num_stories for found in facts.FACTS.values()]
  longest = [max(data.length[first:first + count].max() for first, count in
                 zip(data.first[:, i], data.count[:, i], strict=True))
             for i in range(20)]
  assert all(length <= facts.FACTS[i].longest
             for i, length in enumerate(longest, 1))
  assert [longest[i] for i in (0, 4, 6, 13, 19)] == [93, 820, 361, 156, 161]


def test_vocabulary():
  assert len(set(facts.VOCABULARY)) == 159
  assert list(facts.VOCABULARY) == sorted(facts.VOCABULARY)
  assert list(facts.FACTS) == list(range(1, 21))
