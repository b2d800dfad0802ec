"""Loads the trained networks that come with the library.

The folder `pretrained` holds two files for each: NAME.npz has the parameters in
float32, and NAME.json, the card, tells what the network is, what it has learned
and how to train it again. Nothing in them is executed: the card names members
of the registries only, and the parameters are read as plain numbers, into the
shapes that the network of the card has.
"""

import hashlib
import importlib.resources
import io
import json
import typing
import zipfile
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import haiku as hk
import jax
import numpy as np

from rmc_nalu_sam.checks import nearest
from rmc_nalu_sam.model import Model
from rmc_nalu_sam.zoo import make_model

MAX_BYTES = 1_000_000  # Of a file of parameters.


class Pretrained(NamedTuple):
  """Holds a trained network that is ready to run.

  Attributes:
    model: the network, as from `make_model`.
    params: its parameters.
    card: what is known of it: `about`, `task`, `inputs`, `figures`, `training`
      and more. `card["model"]` are the arguments of `make_model`.

  Example:
    >>> network = rmc_nalu_sam.pretrained("nau_add")
    >>> inputs = jnp.array([[[3.25, 4.5]]])  # 1 step, 1 sequence, 2 numbers.
    >>> start = network.model.initial_state(network.params, 1)
    >>> network.model.unroll(network.params, None, inputs, start).outputs
    Array([[[7.75]]], dtype=float32)
  """

  model: Model
  params: hk.Params
  card: dict[str, Any]


@typing.overload
def pretrained(name: None = None) -> dict[str, str]: ...


@typing.overload
def pretrained(name: str) -> Pretrained: ...


def pretrained(name: str | None = None) -> dict[str, str] | Pretrained:
  """Loads a trained network; without a name, lists all of them.

  Args:
    name: of the network; None to list them.

  Returns:
    The network; or name -> one sentence, of all networks.

  Raises:
    ValueError: there is no such network, or its files are damaged.

  Example:
    >>> "sam_copy" in rmc_nalu_sam.pretrained()
    True
    >>> model, params, card = rmc_nalu_sam.pretrained("sam_copy")
    >>> card["task"]["name"], card["inputs"]["shape"]
    ('copy', ['T', 'B', 10])
  """
  folder = importlib.resources.files("rmc_nalu_sam") / "pretrained"
  if name is not None:
    return load(folder, name)
  return {each: _card(folder, each)["about"] for each in _names(folder)}


def load(folder: Traversable, name: str) -> Pretrained:
  """Loads a network from a folder that holds NAME.npz and NAME.json.

  Args:
    folder: of the two files, a `pathlib.Path` or a part of a package.
    name: of the network.

  Raises:
    ValueError: there is no such network, or its files are damaged.
  """
  valid = _names(folder)
  if name not in valid:
    raise ValueError(f"unknown pretrained network {name!r};"
                     f"{nearest(name, valid)} valid: {', '.join(valid)}")
  card = _card(folder, name)
  try:
    content = (folder / f"{name}.npz").read_bytes()
  except OSError as error:
    raise ValueError(f"cannot read {name}.npz: {error.strerror}") from None
  found = hashlib.sha256(content).hexdigest()
  if found != card["sha256"]:
    raise ValueError(
        f"{name}.npz is damaged: its SHA-256 is {found}, not "
        f"{card['sha256']} as in {name}.json; install the library again")
  _check_names(f"{name}.json", card["model"])
  model = make_model(**card["model"])
  shapes = jax.eval_shape(
      model.init, jax.random.key(0), _example(card["inputs"]))
  try:
    return Pretrained(model, read(content, shapes), card)
  except (EOFError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
    raise ValueError(f"{name}.npz is not of the network of {name}.json: "
                     f"{error}") from None


def write(params: hk.Params) -> bytes:
  """Returns parameters as the content of a file that `read` reads.

  It is what `np.savez` writes: an array of float32 for each parameter, named
  MODULE/PARAMETER. The same parameters give the same bytes.

  Raises:
    ValueError: a parameter is not float32, or all of them are too large.
  """
  arrays = {f"{module}/{name}": np.asarray(value)
            for module, values in params.items()
            for name, value in values.items()}
  for name, array in arrays.items():
    if array.dtype != np.float32:
      raise ValueError(f"{name} should be float32, is {array.dtype}")
  file = io.BytesIO()
  np.savez(file, allow_pickle=False, **arrays)
  content = file.getvalue()
  if len(content) > MAX_BYTES:
    raise ValueError(f"the parameters take {len(content):,} bytes, and a "
                     f"pretrained network has at most {MAX_BYTES:,}; train a "
                     "smaller one")
  return content


def read(content: bytes, shapes: Mapping[str, Mapping[str, Any]]) -> hk.Params:
  """Returns parameters; undoes `write`.

  No header decides how much memory is taken: an array has the shape that is
  expected, or it is refused.

  Args:
    content: of the file.
    shapes: MODULE -> PARAMETER -> what has the expected `shape`.

  Raises:
    ValueError: the file holds anything else; other errors of `zipfile` if it
      is damaged.
  """
  if len(content) > MAX_BYTES:
    raise ValueError(f"should have at most {MAX_BYTES} bytes, has "
                     f"{len(content)}")
  with zipfile.ZipFile(io.BytesIO(content)) as archive:
    expected = {f"{module}/{name}.npy" for module, values in shapes.items()
                for name in values}
    if differing := expected ^ set(archive.namelist()):
      raise ValueError(f"{min(differing)} is too much or missing")
    return {module: {
        name: jax.numpy.asarray(_array(archive, f"{module}/{name}.npy",
                                       value.shape))
        for name, value in values.items()} for module, values in shapes.items()}


def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]
           ) -> np.ndarray:
  """Returns one array of float32 that must have this shape."""
  info = archive.getinfo(name)
  if info.compress_type != zipfile.ZIP_STORED or info.file_size > MAX_BYTES:
    raise ValueError(f"{name} should be stored, and not be packed")
  with archive.open(info) as file:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
      raise ValueError(f"{name} has the format {version}, not (1, 0)")
    header = np.lib.format.read_array_header_1_0(file)
    data = file.read()
  if header != (shape, False, np.dtype("<f4")):
    raise ValueError(f"{name} should be float32{list(shape)}, is {header}")
  return np.frombuffer(data, "<f4").reshape(shape)  # Of this many numbers.


def _names(folder: Traversable) -> list[str]:
  """Returns the names of the networks in a folder."""
  return sorted(path.name.removesuffix(".json") for path in folder.iterdir()
                if path.name.endswith(".json"))


def _card(folder: Traversable, name: str) -> dict[str, Any]:
  """Returns a card that has at least the fields that are read here."""
  try:
    card = json.loads((folder / f"{name}.json").read_text("utf-8"))
    for field, kind in dict(about=str, sha256=str, model=dict, inputs=dict
                            ).items():
      if not isinstance(card[field], kind):
        raise ValueError(f"{field} should be of type {kind.__name__}")
  except (KeyError, OSError, RecursionError, TypeError, ValueError) as error:
    raise ValueError(f"cannot read {name}.json: {error}") from None
  return card


def _check_names(file: str, stored: Any) -> None:
  """Refuses a path into a module: importing it would execute code."""
  if isinstance(stored, Mapping):
    for value in stored.values():
      _check_names(file, value)
  elif isinstance(stored, str) and ":" in stored:
    raise ValueError(f"{file} names {stored!r}; a pretrained network is made "
                     "of built-in members only")


def _example(inputs: Mapping[str, Any]) -> jax.ShapeDtypeStruct:
  """Returns inputs of one step and one sequence: their shape and type."""
  return jax.ShapeDtypeStruct((1, 1, *inputs["shape"][2:]), inputs["dtype"])
