"""SAM against NumPy, against a dense formulation, and by its parts."""

import functools

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_sam
from core_helpers import draw

from rmc_nalu_sam.cores import sam
from rmc_nalu_sam.memory import content, usage
from rmc_nalu_sam.memory.access import sam_access
from rmc_nalu_sam.memory.access.sam_interface import SAMInterface
from rmc_nalu_sam.memory.cotangent_store import CotangentStore
from rmc_nalu_sam.memory.index import recall, search

pytestmark = pytest.mark.usefixtures("strict_promotion")

# All sizes differ. N is so small that every row is erased several times in T
# steps, and that rows just read are erased.
H, K, B, N, W, T, F, HIDDEN, OUT = 2, 3, 5, 7, 11, 13, 17, 19, 23
STEPS = 4  # Number of steps in the tests of gradients.
SIZES = dict(hidden_size=HIDDEN, num_slots=N, word_size=W, num_heads=H, top_k=K)
DELTA = 0.005
EXACT = search.ExactIndex(N, W)
# Similarities are computed in float32 for all types of inputs.
TOLERANCE = 1e-5
NUMERICAL = 3e-3


def network(**kwargs):
  kwargs = dict(SIZES, output_size=OUT) | kwargs

  def net():
    core = sam.SAM(**kwargs)

    def unroll(inputs, state):
      return hk.dynamic_unroll(core, inputs, state, return_all_states=True)

    return unroll, (unroll, core.initial_state)

  init, (unroll, initial_state) = hk.multi_transform(net)
  return (init, lambda p, *args: unroll(p, None, *args),
          jax.jit(lambda batch_size: initial_state({}, None, batch_size),
                  static_argnums=0))


def make_params(init, initial_state, seed=0):
  """Draws larger parameters than the initial ones: gates and words vary."""
  params = jax.eval_shape(
      init, jax.random.key(0), draw(0, 1, B, F), initial_state(B))
  return jax.tree.map(lambda p: .4 * draw(p.size + seed, *p.shape), params)


def make_ring(order):
  """Returns the usage with the rows in this order, least recent first."""
  ring = jnp.append(order, N).astype(jnp.int32)
  return usage.Usage(jnp.zeros_like(ring).at[ring].set(jnp.roll(ring, -1)),
                     jnp.zeros_like(ring).at[ring].set(jnp.roll(ring, 1)))


def order_of(state):
  return usage.least_recently_accessed(state, N)


def random_state(state, seed):
  """Draws a consistent state of B episodes, as after some steps."""
  rng = np.random.default_rng(seed)
  state = jax.tree.map(
      lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), state)
  read_rows = rng.permuted(np.tile(np.arange(N), (B, H, 1)), axis=-1)
  weights = rng.dirichlet(np.ones(K), [B, H])
  order = rng.permuted(np.tile(np.arange(N), (B, 1)), axis=-1)
  access = state.access
  return state._replace(access=access._replace(
      index=jnp.square(access.memory).sum(-1),
      usage=jax.vmap(make_ring)(jnp.asarray(order, jnp.int32)),
      read_rows=jnp.asarray(read_rows[:, :, :K], jnp.int32),
      read_weights=jnp.asarray(weights),
      write_rows=jnp.zeros([B, H, K + 1], jnp.int32)))


def to_dense(indices, weights):
  return np.einsum("...kn,...k->...n", np.eye(N)[np.asarray(indices)],
                   np.asarray(weights))


# Values.


@pytest.mark.parametrize("arguments", [
    {},  # The defaults.
    dict(delta=.2, write_bias=2., interpolation_bias=1., strength_bias=.5),
    # An index that searches all rows finds the same rows as exact search. The
    # number of gradient steps changes no value.
    dict(index="lsh", index_args=dict(num_recent=T * H), gradient_steps=2),
], ids=["defaults", "others", "lsh"])
def test_equals_the_numpy_reference(x64, arguments):
  init, unroll, initial_state = network(measure_recall=True, **arguments)
  made_with = arguments
  arguments = {name: value for name, value in arguments.items()
               if name not in ("index", "index_args", "gradient_steps")}
  params = make_params(init, initial_state)
  inputs = draw(1, T, B, F)
  outputs, states = jax.device_get(
      jax.jit(unroll)(params, inputs, initial_state(B)))
  assert outputs.shape == (T, B, OUT)
  params, inputs = jax.device_get((params, inputs))

  def close(a, b):
    np.testing.assert_allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE)

  erased_after_read = 0
  for b in range(B):
    ref = reference_sam.initial_state(*SIZES.values())
    for t in range(T):
      previous = ref
      output, ref = reference_sam.step(
          params, inputs[t, b], previous, **arguments)
      controller, access = jax.tree.map(lambda x, t=t, b=b: x[t, b], states)
      close(outputs[t, b], output)
      close(controller.hidden, ref.hidden)
      close(controller.cell, ref.cell)
      close(access.memory, ref.memory)
      if "index" not in made_with:
        close(access.index.index, np.square(ref.memory).sum(-1))
      close(access.read_words, ref.read_words)
      close(to_dense(access.read_rows, access.read_weights),
            ref.read_weights)
      close(to_dense(access.write_rows, access.write_weights),
            ref.write_weights)
      np.testing.assert_array_equal(access.read_rows, ref.read_order)
      np.testing.assert_array_equal(
          access.write_rows,
          np.concatenate([previous.read_order, ref.unused[:, None]], axis=1))
      np.testing.assert_array_equal(
          order_of(access.usage),
          np.argsort(ref.last_access(), kind="stable"))
      erased_after_read += bool(
          t and set(ref.unused) & set(previous.read_order.ravel()))
  assert erased_after_read > 3  # Rows wrap around.
  assert np.ptp(np.asarray(states.access.read_weights)) > .3
  found, wanted = np.moveaxis(states.access.index.counts, -1, 0)
  np.testing.assert_array_equal(found, wanted)
  assert np.all(wanted[-1] > .9 * T * H * K)  # Some rows were empty.


def test_initial_state_is_empty():
  state = network()[2](B)
  assert len(jax.tree.leaves(state)) == 11
  np.testing.assert_array_equal(
      jax.vmap(order_of)(state.access.usage), np.tile(np.arange(N), (B, 1)))
  rest = state._replace(access=state.access._replace(usage=None))
  assert all(np.all(np.asarray(x) == 0) for x in jax.tree.leaves(rest))


# Gradients.


def norm(x):
  return jnp.sqrt(jnp.square(x).sum(-1) + content.EPSILON)


def dense_access_step(interface, prev, *, delta, index):
  """Computes `access_step` with weights of N, and JAX's own derivatives."""
  one_hot = jnp.eye(N, dtype=prev.memory.dtype)
  order = order_of(prev.usage)
  oldest = order[:H]
  previously_read = jnp.einsum(
      "hkn,hk->hn", one_hot[prev.read_rows], prev.read_weights)
  alpha = interface.write_gates[:, None]
  gamma = interface.interpolation_gates[:, None]
  write_weights = alpha * (
      gamma * previously_read + (1 - gamma) * one_hot[oldest])
  erased = one_hot[oldest].sum(0)[:, None] > 0
  memory = jnp.where(erased, 0, prev.memory)
  memory += write_weights.T @ interface.additions
  squared_norms = jnp.square(jax.lax.stop_gradient(memory)).sum(-1)

  rows, _ = index.find(
      squared_norms, memory, prev.store.is_written, interface.queries, K,
      oldest)
  words = memory[rows]
  similarity = jnp.einsum("hw,hkw->hk", interface.queries, words)
  similarity /= norm(interface.queries)[:, None] * norm(words)
  read_weights = jax.nn.softmax(similarity * interface.strengths[:, None])
  read_words = jnp.einsum("hk,hkw->hw", read_weights, words)

  accessed = (jnp.einsum("hkn,hk->n", one_hot[rows], read_weights)
              + write_weights.sum(0)) > delta
  age = jnp.where(accessed, N + jnp.arange(N), jnp.argsort(order))
  return sam_access.SAMAccess(
      store=CotangentStore(memory), index=squared_norms,
      usage=make_ring(jnp.argsort(age)), read_rows=rows,
      read_weights=read_weights, read_words=read_words,
      write_rows=jnp.concatenate(
          [prev.read_rows, oldest[:, None]], axis=1),
      write_weights=jnp.concatenate(
          [alpha * gamma * prev.read_weights, alpha * (1 - gamma)], axis=1))


def float_leaves(state):
  """Returns the floats with gradients: all but the norms, used in searches."""
  state = state._replace(access=state.access._replace(index=None))
  return [x for x in jax.tree.leaves(state)
          if jnp.issubdtype(x.dtype, jnp.floating)]


def with_float_leaves(state, floats):
  norms = state.access.index
  state = state._replace(access=state.access._replace(index=None))
  floats = iter(floats)
  state = jax.tree.map(
      lambda x: next(floats) if jnp.issubdtype(x.dtype, jnp.floating) else x,
      state)
  return state._replace(access=state.access._replace(index=norms))


def make_loss(unroll):
  """Returns a loss of all outputs and of all floats of all steps' states."""
  def loss(variables, state):
    params, inputs, floats = variables
    outputs, states = unroll(params, inputs, with_float_leaves(state, floats))
    values = [outputs, *float_leaves(states)]
    return sum(jnp.vdot(draw(i, *v.shape), v) / T
               for i, v in enumerate(values)), states
  return loss


@functools.cache
def value_and_gradients():
  """Compiles the loss and its gradients; cached, as compiling is slow."""
  return jax.jit(jax.value_and_grad(make_loss(network()[1]), has_aux=True))


def variables_and_state(seed):
  init, _, initial_state = network()
  params = make_params(init, initial_state, seed)
  inputs = draw(seed + 1, STEPS, B, F)
  state = random_state(initial_state(B), seed)
  return (params, inputs, float_leaves(state)), state


def integers(states):
  return [x for x in jax.tree.leaves(states)
          if jnp.issubdtype(x.dtype, jnp.integer)]


def test_gradients_equal_those_of_the_dense_formulation(x64, monkeypatch):
  dense = jax.jit(jax.value_and_grad(make_loss(network()[1]), has_aux=True))
  for seed in range(5):
    variables, state = variables_and_state(seed)
    (loss, states), gradients = value_and_gradients()(variables, state)
    with monkeypatch.context() as patch:  # During tracing.
      patch.setattr(sam_access, "access_step", dense_access_step)
      (dense_loss, dense_states), dense_gradients = dense(variables, state)
    chex.assert_trees_all_equal(integers(states), integers(dense_states))
    np.testing.assert_allclose(loss, dense_loss, rtol=TOLERANCE)
    chex.assert_trees_all_close(
        gradients, dense_gradients, rtol=10 * TOLERANCE, atol=10 * TOLERANCE)
    assert all(np.any(np.abs(g) > .01) for g in jax.tree.leaves(
        gradients[:2])), "a gradient is trivial"
    # The last write weights are not used again; the rest of the state is.
    assert [bool(np.any(np.abs(g) > .01)) for g in gradients[2]] == [
        *5 * [True], False]


def test_random_states_erase_rows_that_were_read(x64):
  """The cases above include the overlaps that could go wrong."""
  _, state = jax.device_get(variables_and_state(0))
  read = state.access.read_rows
  oldest = np.asarray(jax.vmap(order_of)(state.access.usage))[:, :H]
  assert any(set(o) & set(r.ravel())
             for o, r in zip(oldest, read, strict=True))
  assert any(len(set(r.ravel())) < r.size for r in read)


@pytest.mark.parametrize("seed", [0, 2])
def test_numerical_gradients(x64, seed):
  variables, state = variables_and_state(seed)
  loss = jax.jit(make_loss(network()[1]))
  gradients = value_and_gradients()(variables, state)[1]
  leaves, treedef = jax.tree.flatten(variables)
  eps = 1e-4
  states = loss(variables, state)[1]
  for i, (leaf, gradient) in enumerate(
      zip(leaves, jax.tree.leaves(gradients), strict=True)):
    direction = draw(i, *leaf.shape) / np.sqrt(leaf.size)
    moved = [loss(treedef.unflatten(
        [*leaves[:i], leaf + sign * eps * direction, *leaves[i + 1:]]), state)
             for sign in (1, -1)]
    # If rows changed in between, the loss could jump.
    chex.assert_trees_all_equal(
        *[integers(s) for s in (states, moved[0][1], moved[1][1])])
    slope = (moved[0][0] - moved[1][0]) / (2 * eps)
    np.testing.assert_allclose(
        jnp.vdot(gradient, direction), slope, rtol=NUMERICAL, atol=NUMERICAL)


def first_gradients(params, state):
  inputs = draw(1, STEPS, B, F)
  return value_and_gradients()(
      (params, inputs, float_leaves(state)), state)[1]


def test_gradients_from_the_empty_memory():
  init, _, initial_state = network()
  gradients = first_gradients(
      make_params(init, initial_state), initial_state(B))
  chex.assert_tree_all_finite(gradients)
  assert all(np.any(g != 0) for g in jax.tree.leaves(gradients[:2]))


def test_gradients_at_zero_queries():
  init, _, initial_state = network()
  params = make_params(init, initial_state)
  params = jax.tree.map_with_path(
      lambda path, p: 0 * p if "interface" in str(path) else p, params)
  state = random_state(initial_state(B), 0)
  gradients = first_gradients(params, state)
  chex.assert_tree_all_finite(gradients)
  interface = [g for name, g in gradients[0].items() if "interface" in name]
  assert np.any(interface[0]["w"][:, :H * W] != 0)  # Weights of the queries.


def test_gradients_at_ties_of_the_top_k():
  init, _, initial_state = network()
  state = random_state(initial_state(B), 0)
  access = state.access
  access = access._replace(
      store=CotangentStore(
          jnp.broadcast_to(access.memory[:, :1], access.memory.shape)),
      index=jnp.broadcast_to(access.index[:, :1], access.index.shape))
  gradients = first_gradients(
      make_params(init, initial_state), state._replace(access=access))
  chex.assert_tree_all_finite(gradients)


# One step of the access.


def interface(seed=0, alpha=.5, gamma=.5):
  return SAMInterface(
      queries=draw(seed, H, W), strengths=jnp.array([1., 3.]),
      additions=draw(seed + 1, H, W), write_gates=jnp.full([H], alpha),
      interpolation_gates=jnp.full([H], gamma))


def used_access(seed=0):
  """Returns an access to a full memory; last reads: 2, 3, 4 and 4, 5, 6."""
  access = sam_access.initial_access(N, W, H, K, EXACT)
  memory = draw(seed + 7, N, W)
  return access._replace(
      store=CotangentStore(memory), index=jnp.square(memory).sum(-1),
      usage=make_ring(jnp.array([1, 5, 0, 6, 2, 3, 4])),
      read_rows=jnp.array([[2, 3, 4], [4, 5, 6]], jnp.int32),
      read_weights=jnp.array([[.5, .3, .2], [.7, .2, .1]]))


def access_step(said, access, delta=DELTA):
  return jax.jit(sam_access.access_step, static_argnames=("delta", "index"))(
      said, access, delta=delta, index=EXACT)


def test_full_interpolation_writes_to_the_rows_last_read():
  said, before = interface(alpha=1., gamma=1.), used_access()
  after = access_step(said, before)
  expected = np.array(before.memory)
  expected[[1, 5]] = 0  # The two oldest.
  for h in range(H):
    for index, weight in zip(
        before.read_rows[h], before.read_weights[h], strict=True):
      expected[index] += weight * said.additions[h]
  np.testing.assert_allclose(after.memory, expected, atol=1e-6)
  np.testing.assert_array_equal(after.memory[0], before.memory[0])
  assert np.all(expected[1:] != before.memory[1:])


def test_no_interpolation_writes_to_the_oldest_rows():
  said, before = interface(alpha=1., gamma=0.), used_access()
  after = access_step(said, before)
  np.testing.assert_array_equal(after.write_rows[:, -1], [1, 5])
  np.testing.assert_allclose(after.memory[1], said.additions[0], rtol=1e-6)
  np.testing.assert_allclose(after.memory[5], said.additions[1], rtol=1e-6)
  kept = np.array([0, 2, 3, 4, 6])
  np.testing.assert_array_equal(after.memory[kept], before.memory[kept])


@pytest.mark.parametrize("gamma", [0., 1.])
def test_oldest_rows_are_erased_even_when_nothing_is_written(gamma):
  before = used_access()
  after = access_step(interface(alpha=0., gamma=gamma), before)
  np.testing.assert_array_equal(after.memory[np.array([1, 5])], 0)
  np.testing.assert_array_equal(after.index[np.array([1, 5])], 0)
  kept = np.array([0, 2, 3, 4, 6])
  np.testing.assert_array_equal(after.memory[kept], before.memory[kept])
  assert np.all(before.memory != 0)


def test_reads_what_was_just_written():
  said = interface(alpha=1., gamma=0.)
  said = said._replace(queries=said.additions)
  after = access_step(said, used_access())
  np.testing.assert_array_equal(after.read_rows[:, 0], [1, 5])
  assert np.all(after.read_weights[:, 0] == after.read_weights.max(-1))


def test_words_read_are_the_weighted_rows():
  after = access_step(interface(), used_access())
  np.testing.assert_allclose(after.read_weights.sum(-1), 1, rtol=1e-6)
  np.testing.assert_allclose(
      after.read_words,
      to_dense(after.read_rows, after.read_weights) @ after.memory,
      rtol=1e-4, atol=1e-5)


def test_usage_counts_what_is_above_delta():
  """All accesses, only large ones, or none count, depending on delta."""
  before = used_access()
  marked = []
  for delta in (-1., .3, 10.):
    after = access_step(interface(), before, delta=delta)
    weights = sum(to_dense(i, w).sum(0) for i, w in (
        (after.read_rows, after.read_weights),
        (after.write_rows, after.write_weights)))
    accessed = np.concatenate(
        [after.read_rows.ravel(), after.write_rows.ravel()])
    touched = [i for i in sorted(set(accessed.tolist())) if weights[i] > delta]
    kept = [i for i in order_of(before.usage).tolist() if i not in touched]
    assert order_of(after.usage).tolist() == kept + touched
    marked.append(len(touched))
  assert marked[0] == len(set(accessed.tolist()))
  assert marked[0] > marked[1] > marked[2] == 0


def test_gradients_flow_only_to_rows_read():
  said, before = interface(), used_access()

  def read(memory):
    return access_step(said, before._replace(
        store=CotangentStore(memory))).read_words.sum()

  gradient = jax.grad(read)(before.memory)
  after = access_step(said, before)
  rows = np.flatnonzero(np.any(gradient != 0, axis=-1))
  expected = set(after.read_rows.ravel().tolist()) - {1, 5}  # Erased.
  assert set(rows.tolist()) == expected
  assert expected


class NotingIndex:
  """Finds the first rows, and records its arguments."""

  def __init__(self):
    self.updates, self.searches = [], []

  def initial_state(self):
    return jnp.zeros([], jnp.int32)

  def update(self, state, rows, words):
    self.updates.append((state, rows, words))
    return state + 1

  def find(self, state, memory, is_written, queries, k, recent):
    self.searches.append((state, memory, is_written, queries, k, recent))
    return jnp.tile(jnp.arange(k, dtype=jnp.int32), (H, 1)), state

  def forget(self, state):
    return state


@pytest.mark.parametrize("gradient_steps", [None, 2])
def test_the_index_gets_the_memory_after_the_write(gradient_steps):
  index, said, used = NotingIndex(), interface(), used_access()
  before = sam_access.initial_access(N, W, H, K, index, gradient_steps)
  before = before._replace(usage=used.usage, read_rows=used.read_rows,
                           read_weights=used.read_weights)
  after = sam_access.access_step(said, before, delta=DELTA, index=index)
  written = np.ravel(after.write_rows)
  ((old_state, rows, words),) = index.updates
  assert old_state == 0
  np.testing.assert_array_equal(rows, written)
  np.testing.assert_array_equal(words, after.memory[written])
  ((state, memory, is_written, queries, k, recent),) = index.searches
  assert state == after.index == 1
  np.testing.assert_array_equal(memory, after.memory)
  np.testing.assert_array_equal(queries, said.queries)
  assert k == K
  np.testing.assert_array_equal(recent, written)
  np.testing.assert_array_equal(after.read_rows, [[0, 1, 2], [0, 1, 2]])
  if gradient_steps is None:
    assert is_written(slice(None))
  else:
    assert np.flatnonzero(is_written(slice(None))).tolist() == sorted(
        set(written.tolist()))
    assert is_written(jnp.array([0, 1])).tolist() == [False, True]


def test_recall_counts_what_exact_search_would_find():
  before, said = used_access(), interface()
  results = []
  for index in (NotingIndex(), EXACT):
    index = recall.MeasuredIndex(index)
    state = recall.MeasuredState(
        jnp.square(before.memory).sum(-1), jnp.array([3, 5], jnp.int32))
    results.append(sam_access.access_step(
        said, before._replace(index=state), delta=DELTA, index=index))
  after, exact = results
  hits = sum(len({0, 1, 2} & set(row)) for row in exact.read_rows.tolist())
  assert 0 < hits < H * K
  assert after.index.counts.tolist() == [3 + hits, 5 + H * K]
  assert exact.index.counts.tolist() == [3 + H * K, 5 + H * K]


# The module.


def test_output_depends_on_the_words_just_read():
  init, unroll, initial_state = network()
  params = make_params(init, initial_state)
  outputs, states = unroll(params, draw(1, 2, B, F), initial_state(B))
  (layer,) = [v for name, v in params.items() if name.endswith("output")]
  features = jnp.concatenate(
      [states.controller.hidden, states.access.read_words.reshape(2, B, H * W)],
      axis=-1)
  np.testing.assert_allclose(
      outputs, np.asarray(features @ layer["w"]) + np.asarray(layer["b"]),
      rtol=1e-4, atol=1e-4)


def test_controller_takes_the_words_last_read():
  init, unroll, initial_state = network()
  params, state = make_params(init, initial_state), initial_state(B)
  unroll = jax.jit(unroll)
  words = draw(1, B, H, W)
  seen = state._replace(access=state.access._replace(read_words=words))
  without, with_words = (
      unroll(params, draw(2, 1, B, F), s)[1].controller.hidden
      for s in (state, seen))
  assert np.all(np.any(np.abs(with_words - without) > .01, axis=-1))


@pytest.mark.parametrize("make,batch", [
    (lambda: hk.GRU(HIDDEN), None),
    (lambda: hk.GRU(HIDDEN), B),
    (lambda: hk.DeepRNN([hk.LSTM(3), jnp.tanh, hk.GRU(HIDDEN)]), B),
], ids=["GRU unbatched", "GRU", "DeepRNN"])
def test_custom_controller(make, batch):
  def net(inputs):
    core = sam.SAM(**SIZES, controller=make())
    return hk.dynamic_unroll(core, inputs, core.initial_state(batch))

  net = hk.without_apply_rng(hk.transform(net))
  inputs = draw(0, 3, F) if batch is None else draw(0, 3, batch, F)
  params = jax.jit(net.init)(jax.random.key(0), inputs)
  assert any("gru" in name for name in params)
  assert not any("controller" in name for name in params)
  gradients = jax.jit(jax.grad(
      lambda p, x: net.apply(p, x)[0].sum()))(params, inputs)
  assert all(np.any(g != 0) for g in jax.tree.leaves(gradients))


def test_output_size_is_that_of_the_controller_by_default():
  init, unroll, initial_state = network(output_size=None)
  params = make_params(init, initial_state)
  outputs, _ = unroll(params, draw(1, 1, B, F), initial_state(B))
  assert outputs.shape == (1, B, HIDDEN)


@pytest.mark.parametrize("name", [*SIZES, "gradient_steps"])
@pytest.mark.parametrize("value", [0, -1])
def test_sizes_must_be_positive(name, value):
  with pytest.raises(ValueError, match=f"{name} must be at least 1.*{value}"):
    hk.transform(lambda: sam.SAM(**SIZES | {name: value}) and None).init(None)


@pytest.mark.parametrize("name", ["top_k", "num_heads"])
def test_no_more_reads_than_slots(name):
  def make(size):
    hk.transform(lambda: sam.SAM(**SIZES | {name: size}) and None).init(None)

  make(N)
  with pytest.raises(ValueError, match=f"{name} must be at most num_slots={N}"):
    make(N + 1)


def test_unknown_index():
  with pytest.raises(ValueError, match="unknown index 'lhs'"):
    hk.transform(lambda: sam.SAM(**SIZES, index="lhs") and None).init(None)


def test_forget_needs_gradient_steps():
  def net():
    core = sam.SAM(**SIZES)
    core.forget(core.initial_state(B))

  with pytest.raises(ValueError, match="forget needs a SAM with gradient_s"):
    hk.transform(net).init(None)


def test_recall_is_that_of_the_state():
  def net(inputs, measure_recall):
    core = sam.SAM(**SIZES, measure_recall=measure_recall)
    _, state = hk.dynamic_unroll(core, inputs, core.initial_state(B))
    return core.recall(state)

  net = hk.transform(net)
  params = jax.jit(net.init, static_argnums=2)(
      jax.random.key(0), draw(1, T, B, F), True)
  recalled = net.apply(params, None, draw(1, T, B, F), True)
  assert recalled.shape == (B, 2)
  assert np.all(recalled > 0)
  with pytest.raises(ValueError, match=r"recall needs .*measure_recall=True"):
    net.apply(params, None, draw(1, T, B, F), False)


@pytest.mark.parametrize("shape", [(), (T, B, F)])
def test_inputs_of_another_rank_are_refused(shape):
  def net(inputs):
    core = sam.SAM(**SIZES)
    return core(inputs, core.initial_state(B))

  with pytest.raises(ValueError, match=r"\[B, F\] or \[F\]"):
    hk.transform(net).init(jax.random.key(0), jnp.ones(shape))


def test_all_rows_can_be_read_and_erased():
  init, unroll, initial_state = network(top_k=N, num_heads=N)
  params = jax.jit(init)(
      jax.random.key(0), draw(0, 1, B, F), initial_state(B))
  outputs, states = jax.jit(unroll)(params, draw(1, 3, B, F), initial_state(B))
  assert np.isfinite(outputs).all()
  erased = states.access.write_rows[1, 0, :, -1]
  assert sorted(erased.tolist()) == [*range(N)]
