"""Omniglot: the archives, what is prepared from them, and the episodes."""

import dataclasses
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
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from tasks import base, omniglot, omniglot_data

# Character numbers as the originals have them: not in the alphabets' order.
ALPHABETS = {
    "train": {"Anglo": [5, 6, 7], "Zeta": [1, 2, 3, 4]},
    "test": {"Mid": [8, 9, 10, 11, 12]},
}
NUM = {"train": 7, "test": 5}
SIZE = 13  # Of scaled images.


def fake_ink(character: int, drawer: int) -> np.ndarray:
  """`[105, 105]` in {0, 1}, another one for every drawing."""
  rng = np.random.default_rng((character, drawer))
  return (rng.random((105, 105)) < 0.2).astype(np.uint8)


def png_of(ink: np.ndarray) -> bytes:
  """As in the archives: one bit, paper 1."""
  file = io.BytesIO()
  Image.fromarray(ink == 0).save(file, "PNG")
  return file.getvalue()


def write_archives(folder: pathlib.Path, drawers: int = 20) -> pathlib.Path:
  folder.mkdir(parents=True, exist_ok=True)
  for split, name in omniglot_data.ARCHIVES.items():
    stem = name.removesuffix(".zip")
    with zipfile.ZipFile(folder / name, "w") as archive:
      archive.writestr(f"__MACOSX/{stem}/._0001_01.png", b"no image")
      for alphabet, characters in ALPHABETS[split].items():
        for i, character in enumerate(characters, 1):
          # Backwards: the order of an archive is no order to rely on.
          for drawer in range(drawers, 0, -1):
            archive.writestr(
                f"{stem}/{alphabet}/character{i:02}/"
                f"{character:04}_{drawer:02}.png",
                png_of(fake_ink(character, drawer)))
  return folder


def expected_images(split: str, size: int) -> np.ndarray:
  """Means over areas, by cutting each pixel in `size` x `size`."""
  characters = sorted(itertools.chain(*ALPHABETS[split].values()))
  ink = np.array([[fake_ink(c, d) for d in range(1, 21)] for c in characters])
  fine = ink.repeat(size, axis=2).repeat(size, axis=3)
  means = fine.reshape(*ink.shape[:2], size, 105, size, 105).mean((3, 5))
  return 255 * means


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> pathlib.Path:
  """A folder of archives, prepared, with nothing cached."""
  folder = write_archives(tmp_path_factory.mktemp("omniglot"))
  omniglot_data.load_images("train", str(folder), SIZE)
  for cache in caches(folder):
    cache.unlink()
  return folder


@pytest.fixture
def folder(prepared, tmp_path) -> pathlib.Path:
  """A copy of one's own."""
  return shutil.copytree(prepared, tmp_path / "data")


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch) -> pathlib.Path:
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
  return tmp_path / "cache" / "rmc_nalu_sam"


def caches(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(folder.glob("**/*.npz"))


def load(split: str, folder: pathlib.Path, size: int = SIZE) -> np.ndarray:
  return omniglot_data.load_images(split, str(folder), size)


@pytest.mark.parametrize("split", ("train", "test"))
def test_load_scales_and_sorts(folder, split):
  images = load(split, folder)
  assert images.shape == (NUM[split], 20, SIZE, SIZE)
  assert images.dtype == np.uint8
  np.testing.assert_allclose(images, expected_images(split, SIZE), atol=0.51)
  assert len({image.tobytes() for image in images.reshape(-1, SIZE ** 2)}
             ) == NUM[split] * 20  # So a wrong order would have shown.


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
  read = omniglot_data._read_prepared
  calls = []
  monkeypatch.setattr(omniglot_data, "_read_prepared",
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
    assert len(cache.read_bytes()) == len(whole)  # Mended.
  assert load("test", folder, 7).shape[2] == 7
  assert len(calls) == 2  # Another size is another cache.
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
  """What the stock builder would make, its pixels 0 or `white`."""

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
  # The stock builder forgets drawers: compare as sets.
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
      omniglot_data.load_images("train", data_dir)
    assert all(word in str(error.value) for word in wanted)
  (tmp_path / "images_background.zip").touch()
  with pytest.raises(FileNotFoundError, match=r"there: images_background\.zip"):
    load("train", tmp_path)


def test_bad_requests_are_refused(folder):
  with pytest.raises(ValueError, match=r"unknown split 'valid'.*test, train"):
    load("valid", folder)
  for size in (0, 106):
    with pytest.raises(ValueError, match=f"image_size <= 105, got {size}"):
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
  code = ("import sys; from tasks import omniglot; omniglot.Omniglot(); "
          "sys.exit('tensorflow_datasets' in sys.modules)")
  root = pathlib.Path(__file__).parents[1]
  assert subprocess.run([sys.executable, "-c", code], cwd=root,
                        check=False).returncode == 0
  assert "tensorflow_datasets" in sys.modules  # As the name is today.


def test_real_archives(data_root, tmp_path):
  given = data_root / "omniglot"
  for name in omniglot_data.ARCHIVES.values():
    (tmp_path / name).symlink_to(given / name)
  images = {split: load(split, tmp_path, 20) for split in ("train", "test")}
  assert images["train"].shape == (964, 20, 20, 20)
  assert images["test"].shape == (659, 20, 20, 20)
  for drawings in images.values():
    assert 0.05 < drawings.mean() / 255 < 0.12  # Ink is the lesser part.
    assert (drawings.max((2, 3)) > 0).all()  # And none is empty.
  # The mean of a character's other drawings is the nearest of all 659 to its
  # first in one of five, by the cosine; by chance, or out of order, in one of
  # some hundreds.
  ink = images["test"].reshape(659, 20, -1).astype(float)
  means = ink[:, 1:].mean(1)
  means /= np.linalg.norm(means, axis=1, keepdims=True)
  nearest = (ink[:, 0] @ means.T).argmax(1)
  assert (nearest == np.arange(659)).mean() > 0.1
  batch = omniglot.Omniglot().sample(jax.random.key(0), 3, data=images["test"])
  assert np.isfinite(batch.inputs).all()


# The task. C = 23 characters of 20 drawings of 7 x 7 pixels.

B, MANY, C, S = 17, 1009, 23, 7
PLAIN = omniglot.Omniglot(
    num_classes=3, num_presentations=11, num_labels=5, image_size=S,
    quarter_turns=False, max_angle=0.0, max_stretch=0.0)
VARIED = dataclasses.replace(PLAIN, num_classes=5, min_classes=2,
                             num_labels=None)
WARPED = dataclasses.replace(PLAIN, quarter_turns=True, max_angle=30.0,
                             max_stretch=0.5)
DATA = np.random.default_rng(0).integers(0, 256, (C, 20, S, S), np.uint8)


# Compiling takes nearly all the time of these tests; so less of it, and few
# batch sizes.
jitted_sample = jax.jit(
    base.Task.sample, static_argnums=(0, 2),
    compiler_options={"xla_backend_optimization_level": 0})


def sample(task, seed=0, batch_size=B, level=None, data=DATA) -> base.Batch:
  level = jnp.int32(task.max_level if level is None else level)
  batch = jitted_sample(task, jax.random.key(seed), batch_size, level, data)
  return jax.tree.map(np.asarray, batch)


def shown_images(task, batch) -> np.ndarray:
  return batch.inputs[:, :, :S * S].reshape(task.num_steps, -1, S, S)


def identify(images: np.ndarray, data: np.ndarray = DATA) -> np.ndarray:
  """Which drawings the images are: `[..., 2]`, character and drawing."""
  names = {data[c, d].tobytes(): (c, d) for c in range(len(data))
           for d in range(20)}
  assert len(names) == len(data) * 20
  pixels = np.round(images * 255).astype(np.uint8)
  np.testing.assert_allclose(pixels / 255, images, atol=1e-6)
  rows = [names[image.tobytes()] for image in pixels.reshape(-1, S, S)]
  return np.array(rows).reshape(*images.shape[:-2], 2)


@pytest.mark.parametrize("task", (PLAIN, VARIED, WARPED))
def test_shapes_match_the_spec(task):
  batch = sample(task)
  assert batch.inputs.shape == (task.num_steps, B, task.input_size)
  assert batch.targets.shape == (task.num_steps, B, task.output_size)
  assert batch.mask.shape == (task.num_steps, B)
  assert {x.dtype for x in batch} == {np.dtype(np.float32)}
  assert task.input_size == S * S + 5 and task.output_size == 5
  assert batch.inputs.min() >= 0 and batch.inputs.max() <= 1


@pytest.mark.parametrize("task", (PLAIN, VARIED, WARPED))
def test_a_key_decides_all(task):
  one, again, other = sample(task), sample(task), sample(task, seed=1)
  for x, y in zip(one, again, strict=True):
    np.testing.assert_array_equal(x, y)
  assert (one.inputs != other.inputs).any((0, 2)).all()
  # Nor are two episodes of one batch alike.
  assert len({one.inputs[:, b].tobytes() for b in range(B)}) == B


def test_each_class_is_shown_as_often_as_said():
  batch = sample(PLAIN)
  assert batch.mask.all()
  counts = np.sort(batch.targets.sum(0), axis=1)
  np.testing.assert_array_equal(counts, [[0, 0, 11, 11, 11]] * B)
  np.testing.assert_array_equal(batch.targets.sum(2), 1)


def test_order_is_mixed():
  label = sample(PLAIN).targets.argmax(2)
  runs = (label[1:] != label[:-1]).sum(0)
  assert (runs > 2).all()  # Two, were each shown in one go.


def test_labels_name_characters_within_an_episode_only():
  batch = sample(PLAIN)
  character = identify(shown_images(PLAIN, batch))[..., 0]
  label = batch.targets.argmax(2)
  pairs = [set(zip(character[:, b], label[:, b], strict=True))
           for b in range(B)]
  for pair in pairs:
    assert len(pair) == 3
    assert len({c for c, _ in pair}) == len({y for _, y in pair}) == 3
  everywhere = set().union(*pairs)
  assert len({c for c, _ in everywhere}) < len(everywhere)
  assert {y for _, y in everywhere} == set(range(5))
  assert len({c for c, _ in everywhere}) > C / 2


def test_characters_and_labels_are_drawn_evenly():
  task = dataclasses.replace(PLAIN, num_presentations=1)
  batch = sample(task, batch_size=MANY)
  found = identify(shown_images(task, batch))
  for values, size in ((found[..., 0], C), (found[..., 1], 20),
                       (batch.targets.argmax(2), 5)):
    expected = values.size / size
    counts = np.bincount(values.ravel(), minlength=size)
    assert counts.shape == (size,)
    assert abs(counts - expected).max() < 5 * expected ** 0.5


@pytest.mark.parametrize("presentations", (11, 20, 29))
def test_drawings_repeat_only_when_they_must(presentations):
  task = dataclasses.replace(PLAIN, num_presentations=presentations)
  found = identify(shown_images(task, sample(task)))
  for b in range(B):
    distinct = len({tuple(row) for row in found[:, b]})
    if presentations <= 20:
      assert distinct == 3 * presentations
    else:
      assert distinct <= 60 < 3 * presentations


@pytest.mark.parametrize("task", (PLAIN, VARIED))
def test_input_has_the_preceding_label(task):
  batch = sample(task)
  label = batch.inputs[:, :, S * S:]
  np.testing.assert_array_equal(label[0], 0)
  np.testing.assert_array_equal(
      label[1:], batch.targets[:-1] * batch.mask[1:, :, None])
  assert label[1:].any()


def test_levels_and_padding():
  before = jitted_sample._cache_size()
  batch = sample(VARIED, batch_size=MANY)
  n = batch.mask.sum(0) / 11
  assert set(n) == {2, 3, 4, 5}
  np.testing.assert_array_equal(
      batch.mask, np.arange(55)[:, None] < 11 * n)
  np.testing.assert_array_equal((batch.targets.sum(0) > 0).sum(1), n)
  padding = batch.mask == 0
  assert padding.any()
  assert not batch.inputs[padding].any() and not batch.targets[padding].any()
  for level, classes in ((1, {1}), (2, {2}), (3, {2, 3}), (5, {2, 3, 4, 5})):
    n = sample(VARIED, batch_size=MANY, level=level).mask.sum(0) / 11
    assert set(n) == classes
  assert jitted_sample._cache_size() <= before + 1  # A level is traced.
  # Fewer than `min_classes`: the level itself.
  assert set(sample(PLAIN, level=2).mask.sum(0) / 11) == {2}


def test_data_in_numpy_are_taken_too():
  batch = jax.eval_shape(
      lambda: PLAIN.sample(jax.random.key(0), B, data=DATA))
  assert batch.inputs.shape == (PLAIN.num_steps, B, PLAIN.input_size)


def test_at_level_keeps_the_sizes_of_a_network():
  for level in (1, 2, 5):
    task = VARIED.at_level(level)
    assert (task.input_size, task.output_size) == (S * S + 5, 5)
    assert task.num_steps == 11 * level
  # At the highest level the shapes are those of this task itself.
  assert sample(VARIED.at_level(5)).mask.all()
  for level in (0, 6):
    with pytest.raises(ValueError, match=f"={level}"):
      VARIED.at_level(level)


def test_at_level_has_room_for_a_lower_level():
  batch = sample(VARIED.at_level(5), level=3)
  assert batch.mask.shape[0] == 11 * 5
  np.testing.assert_array_equal(batch.mask.sum(0), 11 * 3)


def test_quarter_turns_alike_within_an_episode():
  task = dataclasses.replace(PLAIN, quarter_turns=True)
  batch = sample(task)
  turned = np.stack([np.rot90(DATA, turns, (2, 3)) for turns in range(4)])
  found = identify(shown_images(task, batch), turned.reshape(-1, 20, S, S))
  label = batch.targets.argmax(2)
  turns_seen = set()
  for b in range(B):
    for y in set(label[:, b]):
      turned_character, = set(found[label[:, b] == y, b, 0])
      turns_seen.add(int(turned_character) // C)
  assert turns_seen == {0, 1, 2, 3}


def test_warp_is_alike_within_an_episode():
  # With the same image for all drawings, a class is one image; and the same
  # for all characters: their classes differ by the warp alone.
  data = np.broadcast_to(DATA[:1, :1], DATA.shape)
  batch = sample(WARPED, data=data)
  images, label = shown_images(WARPED, batch), batch.targets.argmax(2)
  for b in range(B):
    distinct = {image.tobytes() for image in images[:, b]}
    assert len(distinct) == 3
    for y in set(label[:, b]):
      assert len({x.tobytes() for x in images[label[:, b] == y, b]}) == 1


@pytest.mark.parametrize("max_angle,max_stretch",
                         ((0.0, 0.3), (40.0, 0.0), (40.0, 0.3)))
def test_warp_is_within_its_bounds(max_angle, max_stretch):
  """A wide cross of ink is measured, turned and stretched."""
  size = 41
  task = omniglot.Omniglot(
      num_classes=1, num_presentations=1, image_size=size, quarter_turns=False,
      max_angle=max_angle, max_stretch=max_stretch)
  y, x = np.mgrid[:size, :size] - size // 2
  # A Gaussian of unequal axes: its covariance says what befell it.
  blob = np.exp(-(x / 5) ** 2 / 2 - (y / 3) ** 2 / 2)
  data = np.round(255 * blob).astype(np.uint8)[None, None].repeat(20, 1)
  batch = sample(task, batch_size=101, data=data)
  images = batch.inputs[0, :, :-1].reshape(-1, size, size)
  mass = images.sum((1, 2))
  xx, yy, xy = ((images * w).sum((1, 2)) / mass for w in (x * x, y * y, x * y))
  for centre in (x, y):
    np.testing.assert_allclose((images * centre).sum((1, 2)) / mass, 0,
                               atol=0.05)
  areas = np.sqrt(xx * yy - xy ** 2) / 15
  bound = (1 + max_stretch) ** 2
  assert areas.max() < bound * 1.03 and areas.min() > 0.97 / bound
  if max_stretch:
    assert areas.max() > 1.15 and areas.min() < 1 / 1.15
  else:
    np.testing.assert_allclose(areas, 1, atol=0.03)
  angles = np.degrees(np.arctan2(2 * xy, xx - yy) / 2)
  if not max_angle:
    np.testing.assert_allclose(angles, 0, atol=0.5)
    sides = np.sqrt(np.stack([xx / 25, yy / 9]))
    assert (sides.max(1) > 1.2).all() and (sides.max(1) < 1.33).all()
    assert (sides.min(1) < 1 / 1.2).all() and (sides.min(1) > 0.75).all()
  elif not max_stretch:
    assert abs(angles).max() < 40.5
    assert angles.max() > 30 and angles.min() < -30


@pytest.mark.parametrize("task", (PLAIN, VARIED))
def test_oracle_errs_on_new_characters_only(task):
  batch = sample(task, batch_size=MANY)
  metrics = task.metrics(task.oracle(batch), batch)
  assert set(metrics) == {"error", "error_1st", "error_2nd", "error_5th",
                          "error_10th"}
  for name in ("error_2nd", "error_5th", "error_10th"):
    np.testing.assert_array_equal(metrics[name], 0)
  # The i-th new character has one of the 5 - i labels left.
  classes = batch.mask.sum(0).astype(int) // 11
  expected = np.array([
      1 - np.mean([1 / (5 - i) for i in range(n)]) for n in classes])
  first = np.asarray(metrics["error_1st"])
  error = (first - expected).mean()
  assert first.std() > 0
  assert abs(error) < 5 * (first - expected).std() / MANY ** 0.5
  np.testing.assert_allclose(metrics["error"], first / 11, rtol=1e-5)


def test_metrics_by_hand():
  task = dataclasses.replace(PLAIN, num_classes=2, num_labels=3,
                             num_presentations=2)
  label = np.array([[1, 1], [2, 1], [1, 0], [2, 0]])  # [T, B]
  mask = np.array([[1, 1], [1, 1], [1, 0], [1, 0]], np.float32)
  targets = np.eye(3, dtype=np.float32)[label] * mask[..., None]
  answer = np.array([[1, 0], [0, 1], [0, 0], [0, 2]])
  batch = base.Batch(jnp.zeros((4, 2, task.input_size)), targets, mask)
  metrics = task.metrics(jnp.eye(3)[answer], batch)
  assert set(metrics) == {"error", "error_1st", "error_2nd"}
  np.testing.assert_allclose(metrics["error"], [3 / 4, 1 / 2])
  np.testing.assert_allclose(metrics["error_1st"], [1 / 2, 1])
  np.testing.assert_allclose(metrics["error_2nd"], [1, 0])


def test_loss_is_the_mean_over_asked_steps():
  batch = sample(VARIED)
  outputs = np.random.default_rng(1).normal(size=batch.targets.shape)
  outputs = outputs.astype(np.float32)
  logs = outputs - np.log(np.exp(outputs).sum(2, keepdims=True))
  expected = [-logs[:n, b][batch.targets[:n, b] == 1].mean()
              for b, n in enumerate(batch.mask.sum(0).astype(int))]
  assert len(set(batch.mask.sum(0))) > 1
  np.testing.assert_allclose(VARIED.loss(outputs, batch), expected, rtol=1e-5)
  np.testing.assert_allclose(
      VARIED.loss(VARIED.trivial(batch), batch), np.log(5), rtol=1e-5)


@pytest.mark.parametrize("task", (PLAIN, VARIED))
def test_trivial_predictor_scores_its_baseline(task):
  batch = sample(task, batch_size=MANY)
  error = np.asarray(task.metrics(task.trivial(batch), batch)[task.main_metric])
  assert task.main_metric == "error" and error.std() > 0
  assert task.trivial_score == 4 / 5
  assert abs(error.mean() - 4 / 5) < 4 * error.std() / MANY ** 0.5


@pytest.mark.parametrize("kwargs,message", (
    (dict(num_classes=0), "num_classes=0"),
    (dict(num_classes=5, min_classes=6), "min_classes=6 and num_classes=5"),
    (dict(min_classes=0), "min_classes=0"),
    (dict(num_labels=4), "num_classes=5 and num_labels=4"),
    (dict(num_presentations=0), "num_presentations=0"),
    (dict(image_size=106), "image_size=106"),
    (dict(image_size=0), "image_size=0"),
    (dict(max_angle=-1.0), "got -1"),
    (dict(max_stretch=-0.5), "got -0.5"),
    (dict(max_stretch=float("nan")), "got nan"),
))
def test_bad_arguments_are_refused(kwargs, message):
  with pytest.raises(ValueError, match=message):
    omniglot.Omniglot(**kwargs)


@pytest.mark.parametrize("data,message", (
    (None, "what `load` returns"),
    (DATA[0], "got .20, 7, 7."),
    (DATA[:, :, :5], "got .23, 20, 5, 7."),
    (DATA / 255, "uint8, got float"),
    (DATA[:2], "only 2 characters"),
))
def test_bad_data_are_refused(data, message):
  with pytest.raises(ValueError, match=message):
    PLAIN.sample(jax.random.key(0), B, data=data)


def test_load_gives_what_episodes_take(folder):
  data = PLAIN.load("train", str(folder))
  np.testing.assert_array_equal(data, load("train", folder, S))
  batch = sample(PLAIN, data=data)
  identify(shown_images(PLAIN, batch), data)
