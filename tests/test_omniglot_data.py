"""Omniglot's archives and prepared data; test_damaged_data.py has more."""

import itertools
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import jax
import numpy as np
import pytest
import tensorflow_datasets as tfds
from data_helpers import png, prepare

import tasks
from tasks.data import cache
from tasks.omniglot import archive, reader

# Character numbers are not in the alphabets' order, as in the originals.
ALPHABETS = {
    "train": {"Anglo": [5, 6, 7], "Zeta": [1, 2, 3, 4]},
    "test": {"Mid": [8, 9, 10, 11, 12]},
}
NUM = {"train": 7, "test": 5}
SIZE = 13  # Of scaled images.
TENSOR = 0  # Pixels in {0, 1} as an array, not as a picture.
ROOT = pathlib.Path(__file__).parents[1]


def fake_ink(character: int, drawer: int) -> np.ndarray:
  """Draws `[105, 105]` in {0, 1}, different for every drawing."""
  rng = np.random.default_rng((character, drawer))
  return (rng.random((105, 105)) < 0.2).astype(np.uint8)


def png_of(ink: np.ndarray) -> bytes:
  """Encodes ink as in the archives, with one bit a pixel: paper is 1."""
  return png(ink == 0).getvalue()


def write_archives(folder: pathlib.Path, drawers: int = 20) -> pathlib.Path:
  folder.mkdir(parents=True, exist_ok=True)
  for split, name in reader.ARCHIVES.items():
    write_archive(folder / name, name.removesuffix(".zip"), ALPHABETS[split],
                  drawers)
  return folder


def write_archive(path: pathlib.Path, stem: str, alphabets,
                  drawers: int = 20) -> None:
  with zipfile.ZipFile(path, "w") as file:
    file.writestr(f"__MACOSX/{stem}/._0001_01.png", b"no image")
    for alphabet, characters in alphabets.items():
      for i, character in enumerate(characters, 1):
        # Backwards, because the order of an archive is not reliable.
        for drawer in range(drawers, 0, -1):
          file.writestr(
              f"{stem}/{alphabet}/character{i:02}/"
              f"{character:04}_{drawer:02}.png",
              png_of(fake_ink(character, drawer)))


def expected_images(split: str, size: int) -> np.ndarray:
  """Computes means over areas by cutting each pixel into `size` x `size`."""
  characters = sorted(itertools.chain(*ALPHABETS[split].values()))
  ink = np.array([[fake_ink(c, d) for d in range(1, 21)] for c in characters])
  fine = ink.repeat(size, axis=2).repeat(size, axis=3)
  means = fine.reshape(*ink.shape[:2], size, 105, size, 105).mean((3, 5))
  return 255 * means


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> pathlib.Path:
  return write_archives(tmp_path_factory.mktemp("omniglot"))


@pytest.fixture
def folder(archives, tmp_path) -> pathlib.Path:
  """Returns a separate copy of the archives for each test."""
  return shutil.copytree(archives, tmp_path / "data")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch) -> pathlib.Path:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  return tmp_path / "cache" / "rmc_nalu_sam"


def caches(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(folder.iterdir())  # Hidden ones, too.


def load(split: str, folder: pathlib.Path, size: int = SIZE) -> np.ndarray:
  return reader.load_images(split, str(folder), size)


@pytest.mark.parametrize("split", ("train", "test"))
def test_load_scales_and_sorts(folder, split):
  images = load(split, folder)
  assert images.shape == (NUM[split], 20, SIZE, SIZE)
  assert images.dtype == np.uint8
  np.testing.assert_allclose(images, expected_images(split, SIZE), atol=0.51)
  assert len({image.tobytes() for image in images.reshape(-1, SIZE ** 2)}
             ) == NUM[split] * 20  # All differ, so a wrong order fails.


def test_full_size_is_the_ink(folder):
  np.testing.assert_array_equal(
      load("test", folder, 105)[2, 6], 255 * fake_ink(10, 7))


def test_splits_share_no_drawing(folder):
  train, test = ({image.tobytes() for image in load(split, folder).reshape(
      -1, SIZE ** 2)} for split in ("train", "test"))
  assert train and test and not train & test


@pytest.fixture
def conversions(monkeypatch) -> list[pathlib.Path]:
  """Returns a list to which each conversion adds its source."""
  read, found = archive.read, []

  def count(path, split):
    found.append(path)
    return read(path, split)

  monkeypatch.setattr(archive, "read", count)
  return found


def test_cache_is_used_until_it_breaks(folder, cache_folder, conversions):
  first = load("test", folder)
  cached, = caches(cache_folder)
  conversions.clear()
  np.testing.assert_array_equal(load("test", folder), first)
  assert not conversions
  whole = cached.read_bytes()
  middle = len(whole) // 2
  flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1:]
  for broken in (b"", b"no archive", whole[:middle], flipped):
    conversions.clear()
    cached.write_bytes(broken)
    np.testing.assert_array_equal(load("test", folder), first)
    assert len(conversions) == 1
    assert len(cached.read_bytes()) == len(whole)  # Repaired.
  assert load("test", folder, 7).shape[2] == 7
  assert len(conversions) == 2  # Another size has another cache.
  assert len(caches(cache_folder)) == 2  # No part of a file is left.


def test_a_changed_archive_is_not_served_from_the_cache(folder, conversions):
  before = load("test", folder)
  path = folder / reader.ARCHIVES["test"]
  stat = path.stat()
  # Another archive of the same size and time.
  other = {"Mid": [12, 11, 10, 9, 8]}
  write_archive(path, path.stem, other)
  assert path.stat().st_size == stat.st_size
  os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
  assert path.stat().st_mtime_ns == stat.st_mtime_ns
  conversions.clear()
  load("test", folder)
  assert len(conversions) == 1
  # The same content elsewhere needs no conversion.
  shutil.copytree(folder, folder.parent / "copy")
  after = load("test", folder.parent / "copy")
  assert len(conversions) == 1
  np.testing.assert_array_equal(before, after)  # Sorted by their numbers.


def test_an_archive_that_changes_meanwhile_is_not_cached(
    folder, cache_folder, monkeypatch):
  read = archive.read

  def change(path, split):
    yield from read(path, split)
    with path.open("ab") as file:
      file.write(b"more")

  monkeypatch.setattr(archive, "read", change)
  load("test", folder)
  assert not cache_folder.exists()


def snapshot(folder: pathlib.Path):
  return {path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
          for path in (folder, *folder.rglob("*"))}


def test_data_stay_as_they_are(folder, cache_folder):
  before = snapshot(folder)
  assert len(before) == 3
  load("test", folder)
  assert snapshot(folder) == before
  assert len(caches(cache_folder)) == 1


def test_the_place_of_the_cache(folder, tmp_path, monkeypatch):
  with cache.placed_in(str(tmp_path / "chosen")):
    load("test", folder)
  assert len(caches(tmp_path / "chosen")) == 1
  assert cache.folder() == tmp_path / "cache" / "rmc_nalu_sam"
  monkeypatch.setenv("HOME", str(tmp_path / "home"))
  for value in ("", "relative"):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache.folder() == tmp_path / "home" / ".cache" / "rmc_nalu_sam"
  with cache.placed_in("~/there"):
    assert cache.folder() == tmp_path / "home" / "there"


def test_a_cache_that_cannot_be_written_costs_a_warning(
    folder, tmp_path, caplog):
  (tmp_path / "file").write_text("kept")
  with cache.placed_in(str(tmp_path / "file")):
    assert load("test", folder).shape[0] == NUM["test"]
  assert "cache cannot be written" in caplog.text
  assert str(tmp_path / "file") in caplog.text
  assert "--cache_dir" in caplog.text


def test_a_disk_that_becomes_full_leaves_no_part(
    folder, cache_folder, caplog, monkeypatch):
  def fail(file, array):
    file.write(b"half")
    raise OSError("no space left")

  monkeypatch.setattr(np, "savez_compressed", fail)
  assert load("test", folder).shape[0] == NUM["test"]
  assert "no space left" in caplog.text
  assert not caches(cache_folder)


def test_two_processes_at_once(folder, cache_folder):
  code = ("import sys; from tasks.omniglot import reader; "
          f"x = reader.load_images('test', {str(folder)!r}, {SIZE}); "
          "print(x.sum())")
  processes = [subprocess.Popen([sys.executable, "-c", code], text=True,
                                stdout=subprocess.PIPE, cwd=ROOT)
               for _ in range(2)]
  sums = [int(process.communicate(timeout=120)[0]) for process in processes]
  assert sums == [load("test", folder).sum()] * 2
  assert len(caches(cache_folder)) == 1


def test_subfolder_omniglot_is_found(folder, tmp_path):
  images = load("test", folder)
  (tmp_path / "root").mkdir()
  folder.rename(tmp_path / "root" / "omniglot")
  np.testing.assert_array_equal(load("test", tmp_path / "root"), images)


def test_a_split_needs_its_own_archive_alone(folder):
  (folder / reader.ARCHIVES["train"]).unlink()
  assert load("test", folder).shape[0] == NUM["test"]
  with pytest.raises(FileNotFoundError, match=r"looked for images_background"
                     r"\.zip.*archives there: images_evaluation\.zip"):
    load("train", folder)


def test_swapped_archives_are_found_by_their_content(folder):
  train, test = (folder / name for name in reader.ARCHIVES.values())
  train.rename(folder / "third")
  test.rename(train)
  (folder / "third").rename(test)
  with pytest.raises(ValueError, match=rf"{train.name}: should hold a folder "
                     "images_background, holds images_evaluation"):
    load("train", folder)
  with pytest.raises(ValueError, match=rf"{test.name}: should hold a folder "
                     "images_evaluation, holds images_background"):
    load("test", folder)


def test_alphabets_of_the_other_split_are_found(folder):
  for split, other, alphabet in (("train", "test", "Oriya"),
                                 ("test", "train", "Greek")):
    path = folder / reader.ARCHIVES[split]
    write_archive(path, path.stem, {"Own": [1], alphabet: [2]})
    with pytest.raises(ValueError, match=rf"{path.name}: holds the alphabet "
                       f"{alphabet}, which is not of {split}"):
      load(split, folder)
    path = folder / reader.ARCHIVES[other]
    write_archive(path, path.stem, {"Own": [1], alphabet: [2]})
    assert load(other, folder).shape[0] == 2


def test_alphabets_are_those_of_the_originals(data_root):
  for split, name in reader.ARCHIVES.items():
    with zipfile.ZipFile(data_root / "omniglot" / name) as file:
      found = {member.split("/")[1] for member in file.namelist()
               if member.endswith(".png")}
    assert found == set(archive._ALPHABETS[split].split())


def test_the_authors_small_subsets_are_read(folder):
  path = folder / reader.ARCHIVES["train"]
  write_archive(path, "images_background_small1", {"Greek": [3, 1]})
  assert load("train", folder).shape[0] == 2


def test_too_many_characters_are_refused(folder, monkeypatch):
  assert archive.NUM_CHARACTERS == {"train": 964, "test": 659}
  monkeypatch.setitem(archive.NUM_CHARACTERS, "train", 6)
  with pytest.raises(ValueError, match="at most 6 characters of train, has 7"):
    load("train", folder)


def test_a_task_needs_so_many_characters(folder):
  task = tasks.Omniglot(num_classes=5, image_size=SIZE)
  assert task.load("test", str(folder)).shape[0] == 5
  path = folder / reader.ARCHIVES["test"]
  write_archive(path, path.stem, {"Own": [1]})
  with pytest.raises(ValueError, match=rf"{path.name}: need at least 5 "
                     "characters, there are 1"):
    task.load("test", str(folder))


def make_packed(root: pathlib.Path, alphabets) -> pathlib.Path:
  """Makes a folder as earlier versions did, of bits."""
  features = {
      "packed_ink": tfds.features.Tensor(
          shape=(105, 14), dtype=np.uint8, encoding="bytes"),
      "character": np.int32, "drawer": np.int32,
      "alphabet": tfds.features.Text()}
  return prepare(root, features, {split: [
      {"packed_ink": np.packbits(fake_ink(character, drawer), axis=1),
       "character": character, "drawer": drawer, "alphabet": alphabet}
      for alphabet, characters in of_split.items()
      for character in characters for drawer in range(1, 21)]
      for split, of_split in alphabets.items()})


def test_what_earlier_versions_prepared_is_read(
    folder, cache_folder, tmp_path):
  packed = make_packed(tmp_path / "build", ALPHABETS)
  place = tmp_path / "given" / "omniglot_zip" / "1.0.0"
  shutil.copytree(packed, place)
  before = snapshot(place)
  for split in ALPHABETS:
    for given in (tmp_path / "given", place):
      np.testing.assert_array_equal(load(split, given), load(split, folder))
  assert len(caches(cache_folder)) == 4  # Two splits from two sources.
  assert snapshot(place) == before
  # The archives win, since they may be newer.
  shutil.copytree(tmp_path / "given", folder, dirs_exist_ok=True)
  path = folder / reader.ARCHIVES["test"]
  write_archive(path, path.stem, {"Own": [1]})
  assert load("test", folder).shape[0] == 1


def test_what_was_prepared_from_swapped_archives_is_refused(tmp_path):
  folder = make_packed(tmp_path, {"train": {"Own": [1], "Oriya": [2]}})
  with pytest.raises(ValueError, match="Oriya, which is not of train"):
    load("train", folder)


def make_stock(root: pathlib.Path, white: int) -> pathlib.Path:
  """Makes the stock builder's data, with pixels 0 or `white`."""
  image = (tfds.features.Tensor(shape=(105, 105, 3), dtype=np.uint8)
           if white == TENSOR else
           tfds.features.Image(shape=(105, 105, 3), encoding_format="png"))
  features = {
      "image": image, "alphabet": tfds.features.ClassLabel(num_classes=50),
      "alphabet_char_id": np.int64,
      "label": tfds.features.ClassLabel(num_classes=1623)}

  def encode(ink):
    pixels = np.repeat((1 - ink)[:, :, None], 3, axis=2)
    if white == TENSOR:
      return pixels
    return png(pixels) if white == 1 else png(ink == 0)

  folder = prepare(root / "build", features, {split: [
      {"image": encode(fake_ink(character, drawer)), "alphabet": 0,
       "alphabet_char_id": i, "label": character - 1}
      for characters in ALPHABETS[split].values()
      for i, character in enumerate(characters) for drawer in range(1, 21)]
      for split in ALPHABETS})
  (root / "tfds").mkdir()
  shutil.copytree(folder, root / "tfds" / "omniglot" / "3.0.0")
  return root / "tfds"


@pytest.mark.parametrize("white", (1, 255, TENSOR))
def test_stock_folder_is_read(tmp_path, white):
  root = make_stock(tmp_path, white)
  images = load("train", root)
  # The stock builder drops the drawers, so sets are compared.
  expected = np.round(expected_images("train", SIZE)).astype(int)
  assert images.shape == expected.shape
  assert (images > 0).any() and (images < 128).any()
  def ordered(drawings):
    return drawings[np.lexsort(drawings.reshape(20, -1).T)]
  for got, want in zip(images.astype(int), expected, strict=True):
    np.testing.assert_allclose(ordered(got), ordered(want), atol=1)
  for given in (root / "omniglot", root / "omniglot" / "3.0.0"):
    np.testing.assert_array_equal(load("train", given), images)


def test_missing_data_say_what_to_get(tmp_path):
  wanted = ("images_background.zip", "images_evaluation.zip", "--data_dir",
            "brendenlake/omniglot", "python/")
  for data_dir in (None, str(tmp_path), str(tmp_path / "nowhere")):
    with pytest.raises(FileNotFoundError) as error:
      reader.load_images("train", data_dir)
    assert all(word in str(error.value) for word in wanted)


def test_bad_requests_are_refused(folder):
  with pytest.raises(ValueError, match=r"unknown split 'valid'.*train, test"):
    load("valid", folder)
  for size in (0, 106):
    with pytest.raises(ValueError, match=f"<= 105, got image_size={size}"):
      load("train", folder, size)


def test_incomplete_archives_are_refused(tmp_path):
  folder = write_archives(tmp_path / "half")
  path = folder / "images_evaluation.zip"
  path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
  with pytest.raises(ValueError, match=rf"cannot read .*{path.name}: "):
    load("test", folder)
  folder = write_archives(tmp_path / "few", drawers=19)
  with pytest.raises(ValueError, match=r"20 drawings of each.*1: 19"):
    load("train", folder)


def test_other_data_sets_are_refused(tmp_path):
  folder = prepare(tmp_path, {"pixels": np.int64}, {"train": [{"pixels": 3}]})
  with pytest.raises(ValueError, match="feature 'image'; its features: pixels"):
    load("train", folder)


def test_the_archives_need_no_tfds(folder):
  code = ("import sys; import tasks; "
          f"tasks.Omniglot().load('test', {str(folder)!r}); "
          "sys.exit('tensorflow_datasets' in sys.modules)")
  assert subprocess.run([sys.executable, "-c", code], cwd=ROOT,
                        check=False).returncode == 0
  assert "tensorflow_datasets" in sys.modules  # The name is still right.


def test_real_archives(data_root, tmp_path):
  given = data_root / "omniglot"
  for name in reader.ARCHIVES.values():
    (tmp_path / name).symlink_to(given / name)
  images = {split: load(split, tmp_path, 20) for split in ("train", "test")}
  assert images["train"].shape == (964, 20, 20, 20)
  assert images["test"].shape == (659, 20, 20, 20)
  for drawings in images.values():
    assert 0.05 < drawings.mean() / 255 < 0.12  # Ink is the smaller part.
    assert (drawings.max((2, 3)) > 0).all()  # None is empty.
  # Of all 659 means of drawings 2 to 20, that of the same character is nearest
  # to the first drawing, by the cosine, for one character in five. By chance,
  # or out of order, it is one in some hundreds.
  ink = images["test"].reshape(659, 20, -1).astype(float)
  means = ink[:, 1:].mean(1)
  means /= np.linalg.norm(means, axis=1, keepdims=True)
  nearest = (ink[:, 0] @ means.T).argmax(1)
  assert (nearest == np.arange(659)).mean() > 0.1
  batch = tasks.Omniglot().sample(jax.random.key(0), 3, data=images["test"])
  assert np.isfinite(batch.inputs).all()


def test_load_gives_what_episodes_take(folder):
  task = tasks.Omniglot(num_classes=3, image_size=SIZE)
  data = task.load("train", str(folder))
  np.testing.assert_array_equal(data, load("train", folder, SIZE))
  batch = jax.eval_shape(lambda: task.sample(jax.random.key(0), 2, data=data))
  assert batch.inputs.shape == (task.num_steps, 2, task.input_size)
