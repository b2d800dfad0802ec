"""Omniglot's archives, and the images prepared from them."""

import io
import itertools
import json
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
from PIL import Image

import tasks
from tasks.omniglot import reader

# Character numbers are not in the alphabets' order, as in the originals.
ALPHABETS = {
    "train": {"Anglo": [5, 6, 7], "Zeta": [1, 2, 3, 4]},
    "test": {"Mid": [8, 9, 10, 11, 12]},
}
NUM = {"train": 7, "test": 5}
SIZE = 13  # Of scaled images.


def fake_ink(character: int, drawer: int) -> np.ndarray:
  """Draws `[105, 105]` in {0, 1}, different for every drawing."""
  rng = np.random.default_rng((character, drawer))
  return (rng.random((105, 105)) < 0.2).astype(np.uint8)


def png_of(ink: np.ndarray) -> bytes:
  """Encodes ink as in the archives, with one bit a pixel: paper is 1."""
  file = io.BytesIO()
  Image.fromarray(ink == 0).save(file, "PNG")
  return file.getvalue()


def write_archives(folder: pathlib.Path, drawers: int = 20) -> pathlib.Path:
  folder.mkdir(parents=True, exist_ok=True)
  for split, name in reader.ARCHIVES.items():
    stem = name.removesuffix(".zip")
    with zipfile.ZipFile(folder / name, "w") as archive:
      archive.writestr(f"__MACOSX/{stem}/._0001_01.png", b"no image")
      for alphabet, characters in ALPHABETS[split].items():
        for i, character in enumerate(characters, 1):
          # Backwards, because the order of an archive is not reliable.
          for drawer in range(drawers, 0, -1):
            archive.writestr(
                f"{stem}/{alphabet}/character{i:02}/"
                f"{character:04}_{drawer:02}.png",
                png_of(fake_ink(character, drawer)))
  return folder


def expected_images(split: str, size: int) -> np.ndarray:
  """Computes means over areas by cutting each pixel into `size` x `size`."""
  characters = sorted(itertools.chain(*ALPHABETS[split].values()))
  ink = np.array([[fake_ink(c, d) for d in range(1, 21)] for c in characters])
  fine = ink.repeat(size, axis=2).repeat(size, axis=3)
  means = fine.reshape(*ink.shape[:2], size, 105, size, 105).mean((3, 5))
  return 255 * means


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> pathlib.Path:
  """Returns a folder of prepared archives, without caches."""
  folder = write_archives(tmp_path_factory.mktemp("omniglot"))
  reader.load_images("train", str(folder), SIZE)
  for cache in caches(folder):
    cache.unlink()
  return folder


@pytest.fixture
def folder(prepared, tmp_path) -> pathlib.Path:
  """Returns a separate copy of the folder for each test."""
  return shutil.copytree(prepared, tmp_path / "data")


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch) -> pathlib.Path:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  return tmp_path / "cache" / "rmc_nalu_sam"


def caches(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(folder.glob("**/*.npz"))


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


def test_cache_is_used_until_it_breaks(folder, monkeypatch):
  first = load("test", folder)
  cache, = caches(folder)
  read = reader._read_prepared
  calls = []
  monkeypatch.setattr(reader, "_read_prepared",
                      lambda *args: calls.append(args) or read(*args))
  np.testing.assert_array_equal(load("test", folder), first)
  assert not calls
  whole = cache.read_bytes()
  middle = len(whole) // 2
  flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1:]
  for broken in (b"", b"no archive", whole[:middle], flipped):
    calls.clear()
    cache.write_bytes(broken)
    np.testing.assert_array_equal(load("test", folder), first)
    assert len(calls) == 1
    assert len(cache.read_bytes()) == len(whole)  # Repaired.
  assert load("test", folder, 7).shape[2] == 7
  assert len(calls) == 2  # Another size has another cache.
  assert not list(folder.glob("**/*.part"))


def test_changed_data_are_not_served_from_an_old_cache(folder):
  load("test", folder)
  assert len(caches(folder)) == 1
  info = next(folder.glob("**/dataset_info.json"))
  os.utime(info, (0, 0))
  load("test", folder)
  assert len(caches(folder)) == 2


def test_read_only_data_stays_untouched(tmp_path, user_cache):
  folder = write_archives(tmp_path / "given")
  before = sorted(folder.iterdir())
  folder.chmod(0o555)
  try:
    images = load("test", folder)
    assert sorted(folder.iterdir()) == before
    assert list(user_cache.glob("omniglot_*/omniglot_zip/*/dataset_info.json"))
    (cache,) = caches(user_cache)
    stamp = cache.stat().st_mtime_ns
    np.testing.assert_array_equal(load("test", folder), images)
    assert [c.stat().st_mtime_ns for c in caches(user_cache)] == [stamp]
  finally:
    folder.chmod(0o755)


def test_read_only_prepared_data_are_cached_for_the_user(folder, user_cache):
  places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
  for place in places:
    place.chmod(0o555)
  try:
    load("test", folder)
    assert not caches(folder)
    assert len(caches(user_cache)) == 1
  finally:
    for place in places:
      place.chmod(0o755)


def test_subfolder_omniglot_and_prepared_folder_are_found(folder, tmp_path):
  images = load("test", folder)
  root = tmp_path / "root"
  root.mkdir()
  shutil.copytree(folder, root / "omniglot")
  np.testing.assert_array_equal(load("test", root), images)
  for archive in folder.glob("*.zip"):
    archive.unlink()
  np.testing.assert_array_equal(load("test", folder), images)
  version, = (folder / "omniglot_zip").glob("1.*")
  np.testing.assert_array_equal(load("test", version), images)


def make_stock(root: pathlib.Path, white: int) -> pathlib.Path:
  """Makes the stock builder's data, with pixels 0 or `white`."""

  class Stock(tfds.core.GeneratorBasedBuilder):
    name = f"omniglot_stock_{white}"
    VERSION = tfds.core.Version("3.0.0")

    def _info(self):
      return tfds.core.DatasetInfo(
          builder=self, description="-", features=tfds.features.FeaturesDict({
              "image": tfds.features.Image(
                  shape=(105, 105, 3), encoding_format="png"),
              "alphabet": tfds.features.ClassLabel(num_classes=50),
              "alphabet_char_id": np.int64,
              "label": tfds.features.ClassLabel(num_classes=1623),
          }))

    def _split_generators(self, dl_manager):
      return {split: self._generate_examples(split) for split in ALPHABETS}

    def _generate_examples(self, split):
      for characters in ALPHABETS[split].values():
        for i, character in enumerate(characters):
          for drawer in range(1, 21):
            ink = fake_ink(character, drawer)
            png = png_of(ink)
            if white == 1:
              file = io.BytesIO()
              pixels = np.repeat((1 - ink)[:, :, None], 3, axis=2)
              Image.fromarray(pixels).save(file, "PNG")
              png = file.getvalue()
            yield f"{character}_{drawer}", {
                "image": io.BytesIO(png), "alphabet": 0,
                "alphabet_char_id": i, "label": character - 1}

  builder = Stock(data_dir=root / "build", file_format="array_record")
  builder.download_and_prepare()
  (root / "tfds").mkdir()
  shutil.copytree(builder.data_dir, root / "tfds" / "omniglot" / "3.0.0")
  return root / "tfds"


@pytest.mark.parametrize("white", (1, 255))
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
  (tmp_path / "images_background.zip").touch()
  with pytest.raises(FileNotFoundError, match=r"there: images_background\.zip"):
    load("train", tmp_path)


def test_bad_requests_are_refused(folder):
  with pytest.raises(ValueError, match=r"unknown split 'valid'.*train, test"):
    load("valid", folder)
  for size in (0, 106):
    with pytest.raises(ValueError, match=f"<= 105, got image_size={size}"):
      load("train", folder, size)


def test_broken_archives_are_refused(tmp_path):
  folder = write_archives(tmp_path / "half")
  whole = (folder / "images_evaluation.zip").read_bytes()
  (folder / "images_evaluation.zip").write_bytes(whole[:len(whole) // 2])
  with pytest.raises(ValueError, match=r"images_evaluation\.zip is not a who"):
    load("train", folder)
  folder = write_archives(tmp_path / "few", drawers=19)
  with pytest.raises(ValueError, match=r"20 drawings of each.*5: 19"):
    load("train", folder)
  assert not list(tmp_path.glob("**/dataset_info.json"))


def test_other_data_sets_are_refused(folder):
  version, = (folder / "omniglot_zip").glob("1.*")
  features = version / "features.json"
  content = json.loads(features.read_text())
  features.write_text(json.dumps(content).replace("packed_ink", "pixels"))
  with pytest.raises(ValueError, match=r"is not Omniglot: .*pixels"):
    load("train", folder)


def test_tfrecord_folders_are_refused(folder):
  info = next(folder.glob("**/dataset_info.json"))
  content = json.loads(info.read_text())
  assert content["fileFormat"] == "array_record"
  content["fileFormat"] = "tfrecord"
  info.write_text(json.dumps(content))
  with pytest.raises(ValueError, match="file_format='array_record'"):
    load("train", folder)


def test_the_task_does_not_import_tfds():
  code = ("import sys; import tasks; tasks.Omniglot(); "
          "sys.exit('tensorflow_datasets' in sys.modules)")
  root = pathlib.Path(__file__).parents[1]
  assert subprocess.run([sys.executable, "-c", code], cwd=root,
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
