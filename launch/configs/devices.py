"""Which devices a run uses.

An update needs equal shares: of its batch, or of the seeds (in a sweep, of
values times seeds) if there are many.
An evaluation of one seed pads the last share, so it uses any number of devices.
"""

import jax
import ml_collections
from absl import logging

from launch.configs import sweeps
from launch.learning import keys, layout


def check(config: ml_collections.ConfigDict, num_devices: int) -> None:
  """Refuses a number of devices that have no equal shares of an update.

  Args:
    config: From `config.resolve`, `config.load` or `config.reconcile`.
    num_devices: Number of devices.

  Raises:
    ValueError: The batch or the seeds do not divide, the generator of random
      numbers is for one device, or there is no such way to compile.
  """
  what, total, unit = _divided(config)
  if total % (num_devices * unit):
    fewer = (f"--cpu_devices={_most(config, num_devices)}"
             if jax.process_count() == 1 else "fewer processes or devices")
    raise ValueError(
        f"{what} does not divide over {num_devices} devices; "
        f"take a multiple of {num_devices * unit}, or {fewer}")
  layout.check_parallel(config.parallel)
  keys.check(config.rng, sweeps.num_entries(config) > 1 or num_devices > 1)


def for_training(config: ml_collections.ConfigDict) -> list[jax.Device]:
  """Returns as many devices as have equal shares of an update.

  Logs a line if it leaves devices out. With several processes, `check` has seen
  to it that none is left out. The devices of a process stand side by side.

  Args:
    config: A checked configuration.
  """
  devices = jax.local_devices()
  if jax.process_count() > 1:
    devices = sorted(jax.devices(), key=lambda device: device.process_index)
  count = _most(config, len(devices))
  if count < len(devices):
    why = ("rng=rbg is for one device" if config.rng == "rbg" else
           f"{_divided(config)[0]} does not divide over {len(devices)}")
    logging.warning("using %d of %d devices: %s", count, len(devices), why)
  return devices[:count]


def for_evaluation(config: ml_collections.ConfigDict) -> list[jax.Device]:
  """Returns the local devices to evaluate a run on.

  Args:
    config: A checked configuration.
  """
  is_one = sweeps.num_entries(config) == 1
  return jax.local_devices() if is_one else for_training(config)


def _divided(config):
  """Returns what is split, in words, its number, and the smallest share.

  Of many seeds, each device has all of a seed's batch.
  """
  total = sweeps.num_entries(config)
  if total == 1:
    parts = config.accumulate
    words = f" in accumulate={parts} parts" if parts > 1 else ""
    return f"batch_size={config.batch_size}{words}", config.batch_size, parts
  times = f" times {total // config.num_seeds} values" if config.sweep else ""
  return f"num_seeds={config.num_seeds}{times}", total, 1


def _most(config, num_devices):
  """Returns the largest number of devices with equal shares, up to this one."""
  if config.rng == "rbg":
    return 1
  _, total, unit = _divided(config)
  return max(n for n in range(1, num_devices + 1) if total % (n * unit) == 0)
