"""Layouts: which device holds which data, and which data are returned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from launch.learning import layout

TREE = {"a": np.arange(24, dtype=np.int32).reshape(4, 2, 3),
        "b": np.arange(4, dtype=np.float32)}
every_way = pytest.mark.parametrize("parallel", layout.PARALLEL)


def devices(number):
  return jax.local_devices()[:number]


def assert_same(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_replicas_go_there_and_back():
  split = layout.SplitBatch(devices(4))
  replicated = split.put(TREE)
  for leaf, original in zip(jax.tree.leaves(replicated), jax.tree.leaves(TREE),
                            strict=True):
    assert leaf.shape == (4, *original.shape)
    assert len(leaf.addressable_shards) == 4
    for shard in leaf.addressable_shards:
      np.testing.assert_array_equal(shard.data[0], original)
  assert_same(split.get(replicated), TREE)
  assert split.put(None) is None


@pytest.mark.parametrize("number", [1, 2, 4])
def test_shards_go_there_and_back(number):
  split = layout.SplitSeeds(devices(number), num_seeds=4)
  sharded = split.put(TREE)
  for leaf, original in zip(jax.tree.leaves(sharded), jax.tree.leaves(TREE),
                            strict=True):
    assert leaf.shape == (number, 4 // number, *original.shape[1:])
    assert {shard.data.shape[0] for shard in leaf.addressable_shards} == {1}
    assert len({shard.device for shard in leaf.addressable_shards}) == number
  assert_same(split.get(sharded), TREE)


@every_way
def test_shares_make_a_batch(parallel):
  """Every device has its part; the mean over parts is the batch's mean."""
  split = layout.SplitBatch(devices(4), parallel=parallel)
  keys = split.put_keys([np.float32(10)])
  run = split.compile(lambda share, keys, state, data, power: (
      {"part": share.mean(share.part), "sum": share.mean(state.sum()) * keys},
      state ** power), num_static=1, donate=True)
  state = split.shard(np.arange(8.))
  metrics, squares = run(keys, state, None, 2)
  assert state.is_deleted()
  assert split.num_parts == 4
  assert_same(split.metrics(metrics), {"part": np.array([1.5]),
                                       "sum": np.array([70.])})
  assert_same(split.unshard(squares), np.arange(8., dtype=np.float32) ** 2)


@every_way
def test_seeds_do_not_meet(parallel):
  split = layout.SplitSeeds(devices(2), num_seeds=4, parallel=parallel)
  keys = split.put_keys([np.float32(i) for i in range(4)])
  run = split.compile(lambda share, keys, state, data: {
      "x": share.mean(state) * data + keys, "parts": jnp.array(
          share.num_parts)})
  found = split.metrics(run(keys, split.put(np.arange(4.)),
                            split.replicate(np.float32(100)), ))
  assert_same(found, {"x": np.arange(4) * 101., "parts": np.ones(4)})
  assert {x.dtype for x in found.values()} == {np.dtype(np.float64)}


def test_once_returns_every_seed_on_the_host():
  function = lambda key: {"x": key * 2}  # noqa: E731
  one = layout.SplitBatch(devices(2)).once(function, [np.float32(3)])
  assert_same(one, {"x": np.float32(6)})
  many = layout.SplitSeeds(devices(2), num_seeds=2).once(
      function, [np.float32(3), np.float32(4)])
  assert_same(many, {"x": np.array([6, 8], np.float32)})
  assert {type(x) for x in jax.tree.leaves(many)} == {np.ndarray}


def test_devices_are_all_local_ones_by_default():
  assert layout.SplitBatch().devices == jax.local_devices()


def test_seeds_must_divide_over_devices():
  with pytest.raises(ValueError, match="num_seeds=3 does not divide over 2"):
    layout.SplitSeeds(devices(2), num_seeds=3)
