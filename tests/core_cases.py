"""The cores that test_cores.py covers: every member of the registry.

A new core is tested without an edit here: `arguments_of` gives it small sizes.
It has no goldens. To add them, run

    PYTHONPATH=. python tests/core_cases.py

This adds the missing goldens of built-in cores to `tests/goldens/`. It changes
no existing golden. To replace a golden, delete it first.
"""

import functools
import json
import pathlib

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from small_models import draw

from rmc_nalu_sam import CORES
from rmc_nalu_sam.registry import attribute

T, B, F = 5, 3, 13
GOLDENS = pathlib.Path(__file__).parent / "goldens"

# Values of the arguments with these names, for any core.
SMALL = dict(
    hidden_size=7, head_size=7, num_slots=17, word_size=11, num_heads=2,
    num_read_heads=3, num_write_heads=2, top_k=3, num_links=2, num_registers=3,
    num_layers=2, num_blocks=2, key_size=3, num_rounds=5, rank=3,
    hidden_channels=3, nac_size=3, num_numbers=2, num_inputs=3)

# Arguments that differ from `SMALL`, by core.
ARGUMENTS = {
    "awd_lstm": dict(last_size=5, num_rounds=0, rank=0),
    "conv_lstm": dict(height=2, width=3),
    "dnc": dict(masked=True, deallocate=True, sharpen_links=True),
    "lstm": dict(num_layers=1),
    "mogrifier": dict(num_layers=1, num_rounds=2),
    "rmc": dict(num_slots=5),
    "stack": dict(unit="nmu", num_layers=3, hidden_unit="nau"),
    "ugrnn": dict(activation="relu"),
    "unit_rnn": dict(unit="nac"),
    "unit_sum": dict(unit="nac"),
}

# Further cases: a core, and arguments added to those above.
VARIANTS = {
    "awd_lstm with gates": ("awd_lstm", dict(num_rounds=2, rank=3)),
    "sam at a constant cost": ("sam", dict(
        index="lsh", gradient_steps=3, measure_recall=True)),
} | {f"{core} without an LSTM": (core, dict(controller="feedforward"))
     for core in ("dam", "dnc", "ntm", "sam", "sdnc")} | {
         f"{core} from its reads": (core, dict(
             output_from="reads", layer_norm=True))
         for core in ("dam", "dnc", "ntm", "sam", "sdnc")}

# The controller is wired once for all cores: some of them stand for the others.
SLOW = {f"{core} without an LSTM" for core in ("dam", "ntm", "sdnc")} | {
    f"{core} from its reads" for core in ("dam", "dnc", "ntm", "sam", "sdnc")}


def arguments_of(core) -> dict:
  """Returns small arguments of a core, by their names."""
  arguments = {name: SMALL[name] for name in CORES.arguments(core)
               if name in SMALL}
  if attribute(CORES.get(core), "MAPS_TO_OUTPUT", False):
    arguments["output_size"] = 19
  if "controller" in CORES.arguments(core):
    arguments["num_layers"] = 1
  return arguments | ARGUMENTS.get(core, {})


CASES = {name: (name, arguments_of(name)) for name in CORES} | {
    name: (core, arguments_of(core) | more)
    for name, (core, more) in VARIANTS.items()}


def make(case: str) -> hk.RNNCore:
  core, arguments = CASES[case]
  return CORES.get(core)(**arguments)


def transform(f):
  return hk.without_apply_rng(hk.transform(f))


@functools.cache
def has_state(case: str) -> bool:
  state = jax.eval_shape(
      transform(lambda: make(case).initial_state(B)).apply, {})
  return bool(jax.tree.leaves(state))


def unroll(case: str, batch=B, **kwargs):
  """Returns an unroll from the first state, as a pure function."""
  def f(inputs):
    core = make(case)
    return hk.dynamic_unroll(core, inputs, core.initial_state(batch), **kwargs)
  return transform(f)


@functools.cache
def parameter_shapes(case: str) -> dict:
  params = jax.eval_shape(
      unroll(case).init, jax.random.key(0), draw(T, B, F))
  assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))
  return {module: {name: list(p.shape) for name, p in layer.items()}
          for module, layer in params.items()}


def golden_outputs(case: str) -> np.ndarray:
  """Returns outputs for parameters and inputs made without a generator.

  These numbers are the same in every version.
  """
  def fill(shape):
    size = int(np.prod(shape))
    return np.sin(np.arange(size, dtype=np.float32)).reshape(shape) / 3

  inputs = np.cos(np.arange(T * B * F, dtype=np.float32))
  params = {module: {name: fill(shape) for name, shape in layer.items()}
            for module, layer in parameter_shapes(case).items()}
  outputs, _ = jax.jit(unroll(case).apply)(params, inputs.reshape(T, B, F))
  return np.asarray(outputs)


def read_goldens() -> tuple[dict, dict]:
  """Returns parameter shapes and outputs by case."""
  shapes = json.loads((GOLDENS / "core_shapes.json").read_text())
  with np.load(GOLDENS / "core_outputs.npz") as outputs:
    return shapes, dict(outputs)


def write_goldens() -> None:
  """Adds the goldens that are missing."""
  shapes, outputs = read_goldens()
  for case in CASES:
    shapes.setdefault(case, parameter_shapes(case))
    if case not in outputs:
      outputs[case] = golden_outputs(case)
  (GOLDENS / "core_shapes.json").write_text(
      json.dumps(shapes, indent=1, sort_keys=True) + "\n")
  np.savez_compressed(GOLDENS / "core_outputs.npz", **outputs)


if __name__ == "__main__":
  write_goldens()
