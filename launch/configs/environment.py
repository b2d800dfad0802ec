"""Keeps the environment's settings of JAX out of the numbers of a run."""

import os

import jax
from absl import logging

# Settings that decide the numbers of a run, and the values of all runs. JAX
# reads each from an environment variable of the same name in capitals.
_PINNED = {
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "standard",  # Optax casts implicitly.
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
}


def pin_settings() -> None:
  """Undoes settings of JAX that a shell, kernel or cluster exports.

  The same flags then train the same run everywhere. Logs a warning for each
  variable. Other variables, such as `JAX_PLATFORMS` or `JAX_DEBUG_NANS`, do not
  change numbers, and are kept.
  """
  for name, value in _PINNED.items():
    variable = name.upper()
    if variable in os.environ and getattr(jax.config, name) != value:
      logging.warning("ignored %s=%s of the environment: it would change the "
                      "run's numbers", variable, os.environ[variable])
      jax.config.update(name, value)
