"""The random numbers of a run: keys that follow from its seed."""

from collections.abc import Mapping
from typing import NamedTuple

import jax

# 'rbg' is XLA's own generator. Measured on a CPU, it is slower than 'threefry';
# accelerators draw faster with it.
GENERATORS: Mapping[str, str] = {"rbg": "rbg", "threefry": "threefry2x32"}


class Keys(NamedTuple):
  """The keys of one run, each for a purpose of its own.

  Attributes:
    init: of the initial parameters.
    train: of the training episodes, with the step folded in.
    evaluate: of the evaluation episodes, with the batch folded in.
    level: of the levels of a curriculum.
    instance: of what a task draws once a run.
  """

  init: jax.Array
  train: jax.Array
  evaluate: jax.Array
  level: jax.Array
  instance: jax.Array


def make_keys(seed: int, generator: str) -> Keys:
  """The keys of the run with this seed.

  Args:
    seed: of the run.
    generator: a name in `GENERATORS`.
  """
  key = jax.random.key(seed, impl=GENERATORS[generator])
  init, train, evaluate = jax.random.split(key, 3)
  return Keys(init, train, evaluate, level=jax.random.fold_in(key, 3),
              instance=jax.random.fold_in(key, 4))


def unwrap(keys: Keys) -> Keys:
  """The numbers that the keys are made of, to be put on devices."""
  return Keys(*map(jax.random.key_data, keys))


def wrap(key_data: Keys, generator: str) -> Keys:
  """The keys again, from their numbers."""
  return Keys(*(jax.random.wrap_key_data(data, impl=GENERATORS[generator])
                for data in key_data))


def check(generator: str, is_split: bool) -> None:
  """Raises a ValueError for a generator that cannot be used.

  Args:
    generator: its name.
    is_split: whether several seeds or devices draw with it.
  """
  if generator not in GENERATORS:
    raise ValueError(f"unknown rng {generator!r}; valid: "
                     f"{', '.join(sorted(GENERATORS))}")
  if generator == "rbg" and is_split:
    # Under vmap JAX draws for all keys from the first one: what a seed or a
    # device sees would depend on what it shares the program with.
    raise ValueError("rng='rbg' gives no streams of their own to several seeds "
                     "or devices; valid with them: threefry")
