"""How a run is laid out over devices. The only module that compiles for many.

`SplitBatch` trains one network: each device draws its share of every batch.
`SplitSeeds` trains many networks: each device trains its share of the seeds.
Both compile the same function of one seed, so that a `Learner` knows nothing
of devices. `PARALLEL` holds the ways to compile it.

Letters: D devices, S seeds, B batch.
"""

import abc
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "devices"


class Share(NamedTuple):
  """Describes the part of each batch that one device draws.

  Attributes:
    part: number of this part, from 0 on.
    num_parts: number of parts of a batch.
    mean: averages a tree over all parts.
  """

  part: Any = 0
  num_parts: int = 1
  mean: Callable[[Any], Any] = lambda tree: tree


def share_along(axis_name: str, num_parts: int) -> Share:
  """Returns the share of the device that a traced function runs on.

  Args:
    axis_name: of the mapped axis of devices.
    num_parts: length of that axis.
  """
  return Share(jax.lax.axis_index(axis_name), num_parts,
               functools.partial(jax.lax.pmean, axis_name=axis_name))


def check_parallel(name: str) -> None:
  """Raises a ValueError if `name` is not in `PARALLEL`."""
  if name not in PARALLEL:
    raise ValueError(
        f"unknown parallel {name!r}; valid: {', '.join(PARALLEL)}")


class Layout(abc.ABC):
  """Puts states on devices, gets them back and compiles for them.

  Attributes:
    devices: the D devices of this run, those of a process side by side.
    num_seeds: S.
    num_parts: number of parts that a batch is split into.
  """

  num_seeds: int
  num_parts: int

  def __init__(self, devices: Sequence[jax.Device] | None = None, *,
               parallel: str = "pmap"):
    """Constructs a layout.

    Args:
      devices: the devices to use; all local ones if None.
      parallel: a name in `PARALLEL`.

    Raises:
      ValueError: there is no such way to compile.
    """
    check_parallel(parallel)
    self.devices = list(jax.local_devices() if devices is None else devices)
    # Whether other processes have devices of this run, too.
    self._is_shared = any(device.process_index != jax.process_index()
                          for device in self.devices)
    self._parallel = parallel

  @abc.abstractmethod
  def once(self, function: Callable[[Any], Any], keys: Sequence[Any]) -> Any:
    """Returns `function(keys of a seed)` of all seeds, on the host.

    The result has a leading axis `[S]` in `SplitSeeds`, and none in
    `SplitBatch`. So has the host's form of every per-seed tree below.
    """

  @abc.abstractmethod
  def shape_of_all(self, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape on the host of what has this shape for one seed."""

  @abc.abstractmethod
  def compile(self, function: Callable[..., Any], *, num_static: int = 0,
              donate: bool = False) -> Callable[..., Any]:
    """Compiles a function of one seed for all devices and seeds.

    Args:
      function: `(share, keys, state, data, *static) -> result`; its arrays are
        those of one seed on one device.
      num_static: number of hashable arguments after `data`.
      donate: whether the arrays of `state` are donated to the result.

    Returns:
      `(keys, state, data, *static) -> result`, of trees on the devices.
    """

  @abc.abstractmethod
  def put(self, tree: Any) -> Any:
    """Puts a per-seed tree (parameters, keys) from the host on the devices."""

  @abc.abstractmethod
  def get(self, tree: Any) -> Any:
    """Returns a per-seed tree on the host, as NumPy arrays."""

  @abc.abstractmethod
  def put_keys(self, keys: Sequence[Any]) -> Any:
    """Puts the key data of all seeds on the devices."""

  @abc.abstractmethod
  def metrics(self, tree: dict[str, jax.Array]) -> dict[str, np.ndarray]:
    """Returns metrics as float64 arrays `[S]` on the host."""

  def replicate(self, tree: Any) -> Any:
    """Puts one copy of every leaf on each device, stacked on axis 0."""
    count = len(self.devices)
    return self._put(jax.tree.map(
        lambda x: np.broadcast_to(x, (count, *np.shape(x))), tree))

  def first(self, tree: Any) -> Any:
    """Returns the first device's copy of every leaf, as NumPy arrays.

    `x[0]` would give the same by a computation over all devices.
    """
    return jax.tree.map(
        lambda x: np.asarray(x.addressable_shards[0].data)[0], tree)

  def shard(self, tree: Any) -> Any:
    """Splits axis 0 of every leaf over the devices; D divides its length."""
    count = len(self.devices)
    return self._put(jax.tree.map(
        # Not -1 for the share: other axes may be empty.
        lambda x: np.reshape(
            x, (count, len(x) // count, *np.shape(x)[1:])), tree))

  def unshard(self, tree: Any) -> Any:
    """Undoes `shard`: joins the devices' shares on the host, one by one.

    With several processes, all of them must call it.
    """
    own = jax.tree.map(_join, tree)
    return (multihost_utils.process_allgather(own, tiled=True)
            if self._is_shared else own)

  def own(self, tree: Any) -> Any:
    """Returns the part of this process's devices; copies nothing."""
    return jax.tree.map(_own, tree) if self._is_shared else tree

  def _put(self, tree):
    """Puts `[D, ...]`; each process puts what is of its own devices."""
    sharding = NamedSharding(_mesh(self.devices), PartitionSpec(AXIS))
    if self._is_shared:
      return jax.tree.map(lambda x: jax.make_array_from_callback(
          np.shape(x), sharding, lambda index: x[index]), tree)
    return jax.tree.map(lambda x: jax.device_put(x, sharding), tree)

  def _compile(self, function, num_static, donate):
    return PARALLEL[self._parallel](
        function, self.devices, tuple(range(3, 3 + num_static)),
        (1,) if donate else ())


class SplitBatch(Layout):
  """One network; each device draws its share of the batch.

  Each device computes the gradients of its share, they are averaged, and every
  device applies the same update. Episode i of update s is the same one for any
  number of devices.
  """

  num_seeds = 1

  @property
  def num_parts(self) -> int:  # type: ignore[override]
    return len(self.devices)

  def once(self, function, keys):
    (of_seed,) = keys
    return jax.tree.map(np.asarray, function(of_seed))

  def shape_of_all(self, shape):
    return shape

  def compile(self, function, *, num_static=0, donate=False):
    def on_device(keys, state, data, *static):
      return function(self.share(), keys, state, data, *static)

    return self._compile(on_device, num_static, donate)

  def share(self) -> Share:
    """Returns the share of the device that runs a compiled function."""
    return share_along(AXIS, len(self.devices))

  def put(self, tree):
    return self.replicate(tree)

  def get(self, tree):
    return self.first(tree)

  def put_keys(self, keys):
    (of_seed,) = keys
    return self.replicate(of_seed)

  def metrics(self, tree):
    return {name: np.asarray(value, np.float64)[None]
            for name, value in self.first(tree).items()}


class SplitSeeds(Layout):
  """Many networks that differ in their seed alone, in one program.

  The seeds are split over the devices, and each device updates its share of
  them together. Seeds share nothing: each has its own initial parameters, its
  own episodes of training and evaluation, and, where a task draws something
  once a run, its own instance of the task. Metrics of a seed that has diverged
  are not finite; they do not affect the other seeds.
  """

  num_parts = 1

  def __init__(self, devices: Sequence[jax.Device] | None = None, *,
               num_seeds: int, parallel: str = "pmap"):
    """Constructs a layout.

    Args:
      devices: the devices to use; all local ones if None.
      num_seeds: S, a multiple of the number of devices.
      parallel: a name in `PARALLEL`.

    Raises:
      ValueError: the seeds do not divide over the devices; or there is no such
        way to compile.
    """
    super().__init__(devices, parallel=parallel)
    self.num_seeds = num_seeds
    if num_seeds % len(self.devices):
      raise ValueError(
          f"num_seeds={num_seeds} does not divide over {len(self.devices)} "
          f"devices; valid: multiples of {len(self.devices)}")

  def once(self, function, keys):
    compiled = self.compile(lambda share, keys, state, data: function(keys))
    return self.get(compiled(self.put_keys(keys), None, None))

  def shape_of_all(self, shape):
    return (self.num_seeds, *shape)

  def compile(self, function, *, num_static=0, donate=False):
    def on_device(keys, state, data, *static):
      return jax.vmap(lambda keys, state: function(
          Share(), keys, state, data, *static))(keys, state)

    return self._compile(on_device, num_static, donate)

  def put(self, tree):
    return self.shard(tree)

  def get(self, tree):
    return self.unshard(tree)

  def put_keys(self, keys):
    return self.shard(jax.tree.map(lambda *each: np.stack(each), *keys))

  def metrics(self, tree):
    return {name: np.asarray(value, np.float64)
            for name, value in self.unshard(tree).items()}


def _join(array: jax.Array) -> np.ndarray:
  """Returns `[D, n, ...]` as `[D n, ...]`, read from device after device."""
  shards = sorted(array.addressable_shards, key=lambda s: s.index[0].start or 0)
  return np.concatenate([np.asarray(shard.data)[0] for shard in shards])


def _own(array: jax.Array) -> jax.Array:
  """Returns `[D, ...]` without the devices of other processes."""
  shards = sorted(array.addressable_shards, key=lambda s: s.index[0].start or 0)
  mesh = _mesh([shard.device for shard in shards])
  return jax.make_array_from_single_device_arrays(
      (len(shards), *array.shape[1:]), NamedSharding(mesh, PartitionSpec(AXIS)),
      [shard.data for shard in shards])


def _mesh(devices):
  return Mesh(np.array(devices), (AXIS,))


def _pmap(function, devices, static, donated):
  return jax.pmap(function, axis_name=AXIS, devices=devices,
                  static_broadcasted_argnums=static, donate_argnums=donated)


def _shard_map(function, devices, static, donated):
  """Does what `_pmap` does.

  A shard keeps the axis of devices, with length 1, which `function` must not
  see.
  """
  def run(keys, state, data, *static):
    def on_shard(*trees):
      result = function(
          *jax.tree.map(lambda x: jnp.squeeze(x, 0), trees), *static)
      return jax.tree.map(lambda x: jnp.expand_dims(x, 0), result)

    # Unchecked, as in pmap: with checks, JAX would sum the gradients of
    # parameters over the devices by itself.
    mapped = jax.shard_map(on_shard, mesh=_mesh(devices), check_vma=False,
                           in_specs=PartitionSpec(AXIS),
                           out_specs=PartitionSpec(AXIS))
    return mapped(keys, state, data)

  return jax.jit(run, static_argnums=static, donate_argnums=donated)


# Name -> `(function, devices, static arguments, donated ones) -> compiled`. All
# map axis 0 of every array over the devices, and name it `AXIS`.
PARALLEL: Mapping[str, Callable[..., Callable[..., Any]]] = {
    "pmap": _pmap, "shard_map": _shard_map}
