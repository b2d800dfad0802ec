"""What a run takes from its environment: versions, and no settings of JAX."""

import os
import pathlib
import platform
import subprocess

import jax
from absl import logging

import rmc_nalu_sam

ROOT = pathlib.Path(__file__).resolve().parents[2]  # Of the checkout.

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


def versions() -> dict[str, str]:
  """Returns the versions of this project, of JAX and of Python."""
  return {"rmc_nalu_sam": rmc_nalu_sam.__version__, "jax": jax.__version__,
          "python": platform.python_version()}


def machine() -> str:
  """Returns what this process computes on, such as '2 CPU cores'."""
  device, count = jax.devices()[0], jax.device_count()
  if device.platform != "cpu":
    return f"{count} x {device.device_kind}"
  cores = num_cores()
  return f"{cores} CPU core{'s' * (cores != 1)}"


def num_cores() -> int | None:
  """Returns how many cores this process may use; None if that is unknown."""
  return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
          else os.cpu_count())


def commit() -> str:
  """Returns the commit of the code, with `+` behind it if there are changes.

  'unknown' outside of a checkout.
  """
  def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True,
                          capture_output=True, text=True).stdout.strip()

  try:
    changes = git("status", "--porcelain", "--untracked-files=no", "--",
                  "launch", "rmc_nalu_sam", "tasks", "setup.py")
    return git("rev-parse", "--short", "HEAD") + ("+" if changes else "")
  except (OSError, subprocess.CalledProcessError):
    return "unknown"
