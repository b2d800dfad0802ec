"""Small models of every core, for tests that run over the registry."""

import functools

import jax
import numpy as np

from rmc_nalu_sam import CORES, make_model

T, B, F, OUT = 5, 3, 13, 2  # Steps, batch, inputs, outputs.

# A core gets the sizes that it takes as arguments.
_SIZES = dict(hidden_size=7, num_slots=17, word_size=11, top_k=3,
              num_registers=3, num_read_heads=3, head_size=5,
              hidden_channels=3, nac_size=3)


def small_args(core):
  """Returns arguments that make a core small; others keep their defaults."""
  arguments = CORES.arguments(core)
  return {name: size for name, size in _SIZES.items() if name in arguments}


def small_model(core, **kwargs):
  """Returns a model, its parameters, and inputs `[T, B, F]`.

  Tests that ask for the same one share it, and what they compile of it.
  """
  return _small_model(core, jax.config.jax_enable_x64, **kwargs)


@functools.cache
def _small_model(core, x64, **kwargs):
  del x64  # The types depend on it.
  model = make_model(core, OUT, **small_args(core) | kwargs)
  inputs = draw(T, B, F)
  return model, model.init(jax.random.key(0), inputs), inputs


def draw(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(
      jax.dtypes.canonicalize_dtype(float))
