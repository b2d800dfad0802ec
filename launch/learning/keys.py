"""The random keys of a run. All of them follow from its seed."""

from collections.abc import Mapping
from typing import NamedTuple

import jax

# 'rbg' is XLA's own generator. On a CPU it was measured to be slower than
# 'threefry'; accelerators draw faster with it.
GENERATORS: Mapping[str, str] = {"rbg": "rbg", "threefry": "threefry2x32"}


class Keys(NamedTuple):
  """Holds the keys of one run, each for one purpose.

  Attributes:
    init: draws the initial parameters.
    train: draws the training episodes, with the step folded in.
    evaluate: draws the evaluation episodes, with the batch folded in.
    level: draws the levels of a curriculum, with the step folded in.
    instance: draws what a task draws once a run.
    network: reaches the network while it trains (dropout), with the step and
      the device folded in; split over the episodes for a core that draws.
  """

  init: jax.Array
  train: jax.Array
  evaluate: jax.Array
  level: jax.Array
  instance: jax.Array
  network: jax.Array


def make_keys(seed: int, generator: str) -> Keys:
  """Returns the keys of the run with this seed.

  Args:
    seed: the run's seed.
    generator: a name in `GENERATORS`.
  """
  key = jax.random.key(seed, impl=GENERATORS[generator])
  init, train, evaluate = jax.random.split(key, 3)
  # A split into n keys folds in 0 to n - 1.
  level, instance, network = (jax.random.fold_in(key, i) for i in (3, 4, 5))
  return Keys(init, train, evaluate, level, instance, network)


def unwrap(keys: Keys) -> Keys:
  """Returns the numbers of the keys, which can be put on devices."""
  return Keys(*map(jax.random.key_data, keys))


def wrap(key_data: Keys, generator: str) -> Keys:
  """Returns the keys of these numbers; the inverse of `unwrap`."""
  return Keys(*(jax.random.wrap_key_data(data, impl=GENERATORS[generator])
                for data in key_data))


def is_independent(key: jax.Array) -> bool:
  """Returns whether a key's numbers are the same beside any other keys.

  Under `jax.vmap`, 'rbg' draws for all keys from the first one.
  """
  return str(jax.random.key_impl(key)) == GENERATORS["threefry"]


def check(generator: str, is_split: bool) -> None:
  """Refuses a generator that cannot be used.

  Args:
    generator: its name.
    is_split: whether several seeds or devices draw with it.

  Raises:
    ValueError: there is no such generator, or its numbers would depend on the
      number of devices or seeds.
  """
  if generator not in GENERATORS:
    raise ValueError(f"unknown rng {generator!r}; valid: "
                     f"{', '.join(sorted(GENERATORS))}")
  if generator == "rbg" and is_split:
    # Under vmap, JAX draws for all keys from the first one. The numbers of a
    # seed or a device would depend on the others in the same program.
    raise ValueError("rng='rbg' has no independent streams for several seeds "
                     "or devices; valid with them: threefry; or take one seed "
                     "and --cpu_devices=1")
