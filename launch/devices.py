"""Trees on several devices: one copy on each, along a leading axis."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "devices"


def replicate(tree: Any) -> Any:
  """Puts one copy of every leaf on each local device, stacked on axis 0."""
  devices = np.array(jax.local_devices())
  sharding = NamedSharding(Mesh(devices, (AXIS,)), PartitionSpec(AXIS))

  def put(x):
    x = np.asarray(x)
    return jax.device_put(
        np.broadcast_to(x, (devices.size, *x.shape)), sharding)

  return jax.tree.map(put, tree)


def first_replica(tree: Any) -> Any:
  """The first device's copy of every leaf, as NumPy arrays.

  `x[0]` would give the same, but by a computation over all devices.
  """
  return jax.tree.map(
      lambda x: np.asarray(x.addressable_shards[0].data)[0], tree)
