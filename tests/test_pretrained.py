"""The networks that come with the library: safe files, and their figures."""

import hashlib
import io
import json
import pathlib
import pickle
import shlex
import shutil
import zipfile

import config_helpers
import jax
import numpy as np
import pytest
from test_hostile_files import Bomb, npy

import rmc_nalu_sam
from launch.cards import catalogue, export
from launch.configs import config as config_lib
from rmc_nalu_sam import trained

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "rmc_nalu_sam" / "pretrained"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))


def test_all_are_listed():
  found = rmc_nalu_sam.pretrained()
  assert list(found) == NAMES
  assert {path.stem for path in FOLDER.glob("*.json")} == set(NAMES)
  cards = catalogue.cards()
  learned = {card["task"]["name"] for card in cards.values()}
  assert learned >= {"arithmetic", "associative_recall", "copy", "nth_farthest",
                     "text", "time_tracking"}
  for name, about in found.items():
    assert cards[name]["about"] == about
    assert about.endswith(".") and about.count(". ") == 0


@pytest.mark.parametrize("name", NAMES)
def test_files(name):
  assert (FOLDER / f"{name}.npz").stat().st_size < 10 ** 6
  model, params, card = rmc_nalu_sam.pretrained(name)
  assert {x.dtype for x in jax.tree.leaves(params)} == {np.dtype("float32")}
  assert sum(x.size for x in jax.tree.leaves(params)) == (
      card["network"]["num_parameters"])
  assert set(model.units) <= set(params)
  text = (FOLDER / f"{name}.json").read_text()
  assert "/tmp/" not in text and "/work" not in text and "/home" not in text
  assert card["results"] == "" or (ROOT / card["results"]).exists()
  for fact in ("command", "commit", "date", "machine", "versions", "seconds"):
    assert card["training"][fact], fact
  # What is written again is the file.
  assert trained.write(params) == (FOLDER / f"{name}.npz").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_command_trains_the_network(name):
  card = catalogue.cards()[name]
  words = shlex.split(card["training"]["command"])[3:]
  resolved = config_helpers.resolve(
      *(word for word in words if word != "--data_dir=$data"))
  stored = export.config_of(card)
  assert config_lib.settings(resolved) == config_lib.settings(stored)
  assert card["seed"] in range(
      resolved.seed, resolved.seed + resolved.num_seeds)


def assert_found_again(name, request, first_only):
  _, params, card = rmc_nalu_sam.pretrained(name)
  is_of_files = card["config"]["task"] == "text"
  data_dir = (str(request.getfixturevalue("data_root") / "text")
              if is_of_files else "")
  published = card["figures"][:1] if first_only else card["figures"]
  measured = export.measure(
      card, params, data_dir, [each["on"] for each in published])
  assert len(measured) == len(published) > 0
  for new, old in zip(measured, published, strict=True):
    assert (new["on"], new["metric"], new["guess"]) == (
        old["on"], old["metric"], pytest.approx(old["guess"]))
    # Sums in another order may turn an answer over.
    assert new["value"] == pytest.approx(
        old["value"], abs=0.01 * abs(old["guess"] - old["value"])), old["on"]
  (first, *_) = measured
  assert abs(first["value"] - first["guess"]) > 0.1 * abs(first["guess"])


@pytest.mark.parametrize("name", NAMES)
def test_figure_is_found_again(name, request):
  assert_found_again(name, request, first_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_figures_are_found_again(name, request):
  assert_found_again(name, request, first_only=False)


def test_pages():
  """Run `python -m launch.describe --pages` if this fails."""
  for path, text in catalogue.pages().items():
    assert path.read_text("utf-8") == text, path
  assert len(catalogue.pages()) == len(NAMES) + 1
  pages = {path.stem for path in (ROOT / "docs" / "pretrained").iterdir()}
  assert pages == set(NAMES)
  table = (ROOT / "docs" / "pretrained.md").read_text()
  for name, card in catalogue.cards().items():
    figure = f"{card['figures'][0]['value']:.4g} ("
    assert any(f"(pretrained/{name}.md)" in line and figure in line
               for line in table.splitlines())


# Files that are damaged, or of somebody else.


@pytest.fixture
def copied(tmp_path):
  """Returns a folder with a copy of one network."""
  for ending in ("npz", "json"):
    shutil.copy(FOLDER / f"nau_add.{ending}", tmp_path)
  return tmp_path


def change(folder, content=None, **fields):
  """Changes files of the copy; the checksum is that of the new parameters."""
  path = folder / "nau_add.json"
  card = json.loads(path.read_text())
  if content is not None:
    (folder / "nau_add.npz").write_bytes(content)
    card["sha256"] = hashlib.sha256(content).hexdigest()
  path.write_text(json.dumps(card | fields))


def refusal(folder):
  with pytest.raises(ValueError) as error:
    trained.load(folder, "nau_add")
  assert "\n" not in str(error.value)
  return str(error.value)


def archive(arrays, compression=zipfile.ZIP_STORED):
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", compression) as found:
    for name, content in arrays.items():
      found.writestr(f"{name}.npy", content)
  return file.getvalue()


def first_array():
  """Returns the name and the shape of an array of the copied network."""
  params = rmc_nalu_sam.pretrained("nau_add").params
  ((module, values),) = params.items()
  ((name, value),) = values.items()
  return f"{module}/{name}", value.shape


def test_unknown_name():
  with pytest.raises(ValueError, match=(
      "unknown pretrained network 'sam_cpy'; did you mean 'sam_copy'. valid: "
      f"{', '.join(NAMES)}$")):
    rmc_nalu_sam.pretrained("sam_cpy")
  with pytest.raises(ValueError, match="unknown pretrained network"):
    rmc_nalu_sam.pretrained("../pretrained/sam_copy")


def test_a_flipped_bit(copied):
  path = copied / "nau_add.npz"
  assert trained.load(copied, "nau_add").card["name"] == "nau_add"
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  assert "nau_add.npz is damaged: its SHA-256 is" in refusal(copied)
  path.unlink()
  assert refusal(copied).startswith("cannot read nau_add.npz: No such file")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"about": 3}', "[" * 10**5])
def test_a_damaged_card(copied, text):
  (copied / "nau_add.json").write_text(text)
  assert refusal(copied).startswith("cannot read nau_add.json: ")


@pytest.mark.parametrize("field", ["core", "unit", "encoder", "head"])
def test_a_card_names_no_code(copied, field):
  model = json.loads((copied / "nau_add.json").read_text())["model"]
  change(copied, model=model | {field: "os:system"})
  assert "names 'os:system'; a pretrained network is made of built-in" in (
      refusal(copied))
  change(copied, model=model | {"unit_args": {"hidden_unit": "os:system"}})
  assert "names 'os:system'" in refusal(copied)


def test_arrays_of_another_shape(copied):
  name, shape = first_array()
  good = npy(shape, content=bytes(4 * int(np.prod(shape))))
  change(copied, archive({name: good}))
  assert trained.load(copied, "nau_add").params
  bad = {
      "transposed": npy(shape[::-1], content=good[-4 * int(np.prod(shape)):]),
      "huge": npy((10 ** 12,), content=bytes(40)),
      "short": npy(shape, content=bytes(4)),
      "double": npy(shape, "<f8", bytes(8 * int(np.prod(shape)))),
      "no array": b"x" * 100,
  }
  assert shape != shape[::-1]
  for content in bad.values():
    change(copied, archive({name: content}))
    assert "nau_add.npz is not of the network of nau_add.json" in (
        refusal(copied))


def test_other_arrays_and_archives(copied):
  name, shape = first_array()
  good = npy(shape, content=bytes(4 * int(np.prod(shape))))
  for content, words in [
      (archive({"another": good}), "too much or missing"),
      (archive({name: good, "another": good}), "another.npy is too much"),
      (archive({name: good}, zipfile.ZIP_DEFLATED), "should be stored"),
      (archive({name: good})[:-30], "not a zip file"),
      (bytes(2 * trained.MAX_BYTES), "should have at most"),
      (b"", "not a zip file")]:
    change(copied, content)
    assert words in refusal(copied)


def test_no_object_is_unpickled(copied, tmp_path):
  touched, (name, shape) = tmp_path / "touched", first_array()
  pickled = pickle.dumps(Bomb(touched))
  for of_shape in ((), shape):
    change(copied, archive({name: npy(of_shape, "|O", pickled)}))
    assert "should be float32" in refusal(copied)
  assert not touched.exists()
  pickle.loads(pickled)  # It would have been.
  assert touched.exists()


def test_what_cannot_be_written():
  with pytest.raises(ValueError, match="a/w should be float32, is float16"):
    trained.write({"a": {"w": np.zeros(3, np.float16)}})
  with pytest.raises(ValueError, match=r"1,200,\d+ bytes, and a pretrained"):
    trained.write({"a": {"w": np.zeros(300_000, np.float32)}})
