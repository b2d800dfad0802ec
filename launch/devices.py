"""Trees on several devices: a copy or a share on each, on a leading axis."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "devices"


def replicate(tree: Any) -> Any:
  """Puts one copy of every leaf on each local device, stacked on axis 0."""
  count = jax.local_device_count()
  return _put(jax.tree.map(
      lambda x: np.broadcast_to(x, (count, *np.shape(x))), tree))


def first_replica(tree: Any) -> Any:
  """The first device's copy of every leaf, as NumPy arrays.

  `x[0]` would give the same, but by a computation over all devices.
  """
  return jax.tree.map(
      lambda x: np.asarray(x.addressable_shards[0].data)[0], tree)


def shard(tree: Any) -> Any:
  """Splits axis 0 of every leaf over the local devices, which divide it."""
  count = jax.local_device_count()
  return _put(jax.tree.map(
      lambda x: np.reshape(x, (count, -1, *np.shape(x)[1:])), tree))


def unshard(tree: Any) -> Any:
  """What `shard` had split, in one piece again, as NumPy arrays."""
  return jax.tree.map(
      lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), tree)


def _put(tree):
  devices = np.array(jax.local_devices())
  sharding = NamedSharding(Mesh(devices, (AXIS,)), PartitionSpec(AXIS))
  return jax.tree.map(lambda x: jax.device_put(x, sharding), tree)
