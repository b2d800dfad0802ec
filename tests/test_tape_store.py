"""Gradients by versions equal those through the memory itself."""

import functools

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
from core_helpers import draw

from rmc_nalu_sam import SAM
from rmc_nalu_sam.memory.cotangent_store import CotangentStore
from rmc_nalu_sam.memory.tape_store import TapeStore

pytestmark = pytest.mark.usefixtures("strict_promotion")

# There are so few rows that all are written, erased and read repeatedly.
N, W, J, R, E = 5, 3, 7, 4, 2
STEPS = 12


# The operations. A case is a fixed sequence of rows written and read.


def accesses(num_steps, seed=0):
  """Draws rows to erase, write (may repeat) and read at each step."""
  rng = np.random.default_rng(seed)
  written = rng.integers(0, N, [num_steps, J])
  # Erased rows differ from one another, and are the last ones to be written.
  erased = np.array([rng.permutation(N)[:E] for _ in range(num_steps)])
  written[:, J - E:] = erased
  read = rng.integers(0, N, [num_steps, R])
  return tuple(jnp.asarray(x, jnp.int32) for x in (erased, written, read))


def unroll(read_and_write, state, additions, rows):
  """Returns the words read at each step, and the state after the last step.

  The words written depend on the words read before. So gradients flow from
  version to version in more than one way.
  """
  def step(carry, now):
    state, seen = carry
    additions, *rows = now
    seen, state = read_and_write(state, additions + jnp.tanh(seen.mean()), rows)
    return (state, seen), seen

  (state, _), seen = jax.lax.scan(
      step, (state, jnp.zeros([R, W], additions.dtype)), (additions, *rows))
  return seen, state


def by_versions(state, additions, rows):
  erased, written, read = rows
  store, _ = state.write(erased, written, additions)
  return store.read(read)


def by_dense_arrays(gradient_steps, state, additions, rows):
  """Accesses a dense memory; versions of older steps have no gradients."""
  memory, steps, step = state
  erased, written, read = rows
  step += 1

  def young(memory, steps):
    reached = step - steps < gradient_steps
    return jnp.where(reached[:, None], memory, jax.lax.stop_gradient(memory))

  memory = young(memory, steps).at[erased].set(0).at[written].add(additions)
  steps = steps.at[written].set(step)
  return young(memory, steps)[read], (memory, steps, step)


def empty(gradient_steps):
  return TapeStore.empty(N, W, J, gradient_steps)


def dense_empty():
  return jnp.zeros([N, W]), jnp.zeros([N], jnp.int32), jnp.int32(0)


def loss_of(seen):
  return jnp.vdot(draw(1, *seen.shape).astype(seen.dtype), jnp.sin(seen))


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradients(gradient_steps, additions, rows):
  def loss(additions):
    seen, _ = unroll(by_versions, empty(gradient_steps), additions, rows)
    return loss_of(seen), seen
  return jax.value_and_grad(loss, has_aux=True)(additions)


@functools.partial(jax.jit, static_argnums=0)
def dense_value_and_gradients(gradient_steps, additions, rows):
  def loss(additions):
    seen, _ = unroll(functools.partial(by_dense_arrays, gradient_steps),
                     dense_empty(), additions, rows)
    return loss_of(seen), seen
  return jax.value_and_grad(loss, has_aux=True)(additions)


def close(a, b, tolerance=1e-10):
  chex.assert_trees_all_equal_shapes_and_dtypes(a, b)
  chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


def test_the_cases_hold_repeated_and_erased_rows():
  erased, written, read = map(np.asarray, accesses(STEPS))
  assert all(set(e) <= set(w) for e, w in zip(erased, written, strict=True))
  assert any(len(set(w)) < J - 1 for w in written)
  assert any(len(set(r)) < R for r in read)
  # Rows are written, erased at another step, and read in between and after.
  assert any(set(w[:J - E]) & set(e)
             for w, e in zip(written[:-1], erased[1:], strict=True))
  assert any(set(w[:J - E]) - set(e)
             for w, e in zip(written, erased, strict=True))


@pytest.mark.parametrize("gradient_steps, num_steps", [
    (STEPS, STEPS), (3 * STEPS, STEPS),
    # The tape is shorter than the sequence, so its entries are reused.
    (1, STEPS), (2, 5 * STEPS), (3, 5 * STEPS), (7, 5 * STEPS)])
def test_equals_gradients_through_the_memory(x64, gradient_steps, num_steps):
  for seed in range(5):
    rows = accesses(num_steps, seed)
    additions = draw(seed, num_steps, J, W)
    found = value_and_gradients(gradient_steps, additions, rows)
    close(found, dense_value_and_gradients(gradient_steps, additions, rows))
    assert np.any(found[1] != 0, axis=(1, 2)).mean() > .8


@pytest.mark.parametrize("gradient_steps", [1, 2])
def test_fewer_steps_are_other_gradients(x64, gradient_steps):
  """Without this, the test above would not check how far gradients reach."""
  additions, rows = draw(0, STEPS, J, W), accesses(STEPS)
  found, longer = (value_and_gradients(steps, additions, rows)
                   for steps in (gradient_steps, gradient_steps + 1))
  close(found[0], longer[0])
  assert np.abs(found[1] - longer[1]).max() > .1


def test_numerical_gradients(x64):
  rows = accesses(STEPS)
  jax.test_util.check_grads(
      lambda additions: loss_of(
          unroll(by_versions, empty(STEPS), additions, rows)[0]),
      [draw(0, STEPS, J, W)], order=2, modes=["rev"])


def test_examples_under_vmap_have_gradients_of_their_own(x64):
  """The tape has no batch axis to start with, as it is the same for all."""
  rows = [accesses(STEPS, seed) for seed in range(2)]
  additions = draw(0, 2, STEPS, J, W)

  def loss(additions, rows):
    return loss_of(unroll(by_versions, empty(STEPS), additions, rows)[0])

  found = jax.jit(jax.grad(lambda *args: jax.vmap(loss)(*args).sum()))(
      additions, jax.tree.map(lambda *each: jnp.stack(each), *rows))
  for i in range(2):
    close(found[i], value_and_gradients(STEPS, additions[i], rows[i])[1])




@pytest.mark.parametrize("gradient_steps", [2, STEPS])
@pytest.mark.parametrize("is_cut", [False, True])
def test_gradients_across_two_chunks(x64, gradient_steps, is_cut):
  rows, additions = accesses(STEPS), draw(0, STEPS, J, W)

  def gradients(read_and_write, state):
    def loss(additions):
      first, second = (
          jax.tree.map(lambda x, n=now: x[n], (additions, rows))
          for now in (slice(5), slice(5, None)))
      seen, between = unroll(read_and_write, state, *first)
      if is_cut:
        seen, between = jax.lax.stop_gradient((seen, between))
      return loss_of(seen) + loss_of(
          unroll(read_and_write, between, *second)[0])
    return jax.jit(jax.grad(loss))(additions)

  found = gradients(by_versions, empty(gradient_steps))
  close(found, gradients(functools.partial(by_dense_arrays, gradient_steps),
                         dense_empty()))
  assert np.any(found[:5] != 0) != is_cut


@pytest.mark.parametrize("gradient_steps", [2, STEPS])
def test_forgotten_is_as_good_as_new(x64, gradient_steps):
  rows, additions = accesses(STEPS), draw(0, STEPS, J, W)
  def use(additions):
    # Before `forget`, gradients reached another number of steps.
    return unroll(
        by_versions, empty(3), additions, accesses(STEPS, seed=7))[1]

  old_additions = draw(7, STEPS, J, W)
  store = use(old_additions)
  assert store.is_written(slice(None)).all()
  store = store.forget(gradient_steps, J)
  assert not store.is_written(slice(None)).any()
  nothing, _ = store.read(jnp.arange(N, dtype=jnp.int32))
  assert np.all(store.memory != 0)
  np.testing.assert_array_equal(nothing, 0)

  def loss(additions, old_additions):
    store = use(old_additions).forget(gradient_steps, J)
    seen, _ = unroll(by_versions, store, additions, rows)
    return loss_of(seen), seen

  value, (gradient, old_gradient) = jax.jit(jax.value_and_grad(
      loss, (0, 1), has_aux=True))(additions, old_additions)
  np.testing.assert_array_equal(old_gradient, 0)
  close((value, gradient), value_and_gradients(gradient_steps, additions, rows))


def test_versions_of_rows_never_written_and_of_the_last_step():
  _, store = unroll(
      by_versions, empty(2), jnp.zeros([1, J, W]),
      jax.tree.map(lambda x: x[:1] % 3, accesses(1)))
  assert store.num_versions == J
  written = set(np.asarray(accesses(1)[1] % 3).ravel().tolist())
  assert 0 < len(written) < N
  assert {row for row in range(N) if store.versions[row] >= 0} == written
  assert np.flatnonzero(
      store.is_written(slice(None))).tolist() == sorted(written)
  assert store.tape.shape == (2 * J, W)
  np.testing.assert_array_equal(store.tape, 0)


def test_under_vmap(x64):
  rows = jax.tree.map(lambda *x: jnp.stack(x),
                      *[accesses(STEPS, seed) for seed in range(3)])
  additions = draw(0, 3, STEPS, J, W)
  found = jax.vmap(functools.partial(value_and_gradients, 2))(additions, rows)
  for b in range(3):
    close(jax.tree.map(lambda x, b=b: x[b], found), value_and_gradients(
        2, additions[b], jax.tree.map(lambda x, b=b: x[b], rows)))


def test_bfloat16_stays_bfloat16():
  rows = accesses(STEPS)
  half = functools.partial(jax.tree.map, lambda x: x.astype(
      jnp.bfloat16) if x.dtype == jnp.float32 else x)

  def loss(additions):
    seen, store = unroll(by_versions, half(empty(2)), additions, rows)
    assert seen.dtype == store.memory.dtype == store.tape.dtype == jnp.bfloat16
    return seen.sum()

  gradient = jax.grad(loss)(half(draw(0, STEPS, J, W)))
  assert gradient.dtype == jnp.bfloat16
  assert np.any(gradient != 0)


# SAM.

B, F, T = 3, 13, 11
SIZES = dict(hidden_size=17, num_slots=7, word_size=5, num_heads=2, top_k=3,
             output_size=19)


def network(**kwargs):
  """Returns init, unroll, the first state, and forget, as pure functions."""
  def net():
    core = SAM(**SIZES | kwargs)

    def unroll(inputs, state):
      return hk.dynamic_unroll(core, inputs, state, return_all_states=True)

    return unroll, (unroll, core.initial_state, core.forget)

  init, (unroll, initial_state, forget) = hk.multi_transform(net)
  return (init, lambda params, *args: unroll(params, None, *args),
          jax.jit(lambda: initial_state({}, None, B))(),
          jax.jit(lambda state: forget({}, None, state)))


def make_params(init, state):
  """Draws larger parameters than the initial ones: gates and words vary."""
  params = jax.eval_shape(init, jax.random.key(0), draw(0, 1, B, F), state)
  return jax.tree.map(lambda p: .4 * draw(p.size, *p.shape), params)


def sam_gradients(unroll):
  """Compiles gradients of a loss of all values, with outputs and states."""
  @jax.jit
  def gradients(params, inputs, state):
    def loss(params, inputs, controller):
      outputs, states = unroll(
          params, inputs, state._replace(controller=controller))
      read = states.access.read_words, states.access.write_weights
      values = [outputs, *read, *jax.tree.leaves(states.controller)]
      return sum(jnp.vdot(draw(i, *v.shape), v)
                 for i, v in enumerate(values)), (outputs, states)
    return jax.grad(loss, (0, 1, 2), has_aux=True)(
        params, inputs, state.controller)
  return gradients


def random_controller(state):
  return state._replace(controller=jax.tree.map(
      lambda x: draw(x.size, *x.shape), state.controller))


@functools.cache
def dense_sam():
  """Computes gradients through the memory, over all steps."""
  init, unroll, state, _ = network()
  return sam_gradients(unroll)(make_params(init, state), draw(1, T, B, F),
                               random_controller(state))


@pytest.mark.parametrize("gradient_steps", [T, 2 * T])
def test_sam_has_the_gradients_of_the_dense_memory(x64, gradient_steps):
  init, unroll, state, _ = network(gradient_steps=gradient_steps)
  gradients, (outputs, states) = sam_gradients(unroll)(
      make_params(init, state), draw(1, T, B, F),
      random_controller(state))
  dense_gradients, (dense_outputs, dense_states) = dense_sam()
  close(outputs, dense_outputs)
  close(states.access.memory, dense_states.access.memory)
  close(gradients, dense_gradients)
  assert all(np.any(np.abs(g) > .01) for g in jax.tree.leaves(gradients))
  # Rows are erased, read by several heads at once, and written by them.
  written = np.asarray(states.access.write_rows)
  assert len(set(written[:, 0, :, -1].ravel())) < written[:, 0, :, -1].size
  read = np.asarray(states.access.read_rows).reshape(T * B, -1)
  assert any(len(set(rows)) < len(rows) for rows in read.tolist())


def dense_read(gradient_steps, store, rows):
  """Replaces `TapeStore.read`; gradients pass through young rows of memory."""
  age = (store.num_versions - 1) // 8 - store.versions // 8
  memory = jnp.where((age < gradient_steps)[:, None], store.memory,
                     jax.lax.stop_gradient(store.memory))
  return memory[rows], store


def dense_write(gradient_steps, write, store, erased, rows, words):
  """Replaces `TapeStore.write`; gradients pass through young rows of memory."""
  after, emptied = write(store, erased, rows, words)
  reached, _ = dense_read(
      gradient_steps, store._replace(num_versions=after.num_versions),
      slice(None))
  memory = reached.at[erased].set(0).at[rows].add(words)
  return after._replace(memory=memory), emptied


@pytest.mark.parametrize("gradient_steps", [1, 2])
def test_sam_has_no_gradients_of_older_versions(
    x64, monkeypatch, gradient_steps):
  init, unroll, state, _ = network(gradient_steps=gradient_steps)
  args = make_params(init, state), draw(1, T, B, F), random_controller(state)
  gradients, (outputs, _) = sam_gradients(unroll)(*args)
  write = TapeStore.write
  monkeypatch.setattr(TapeStore, "write", lambda *args: dense_write(
      gradient_steps, write, *args))
  monkeypatch.setattr(TapeStore, "read", lambda *args: dense_read(
      gradient_steps, *args))
  dense, (dense_outputs, _) = sam_gradients(unroll)(*args)
  close(outputs, dense_outputs)
  close(gradients, dense)
  whole, (outputs, _) = dense_sam()
  close(outputs, dense_outputs)
  difference = jax.tree.map(
      lambda a, b: float(np.abs(a - b).max()), gradients, whole)
  del difference[0]["sam/output"]  # The layer after the memory.
  assert min(jax.tree.leaves(difference)) > .1


INDICES = {"exact": {}, "lsh": dict(num_recent=2 * T)}  # Name -> arguments.


@pytest.mark.parametrize("index", INDICES)
def test_sam_that_has_forgotten_is_as_good_as_new(x64, index):
  """No row is used twice here, so it does not matter which rows are used."""
  num_slots = 101
  init, unroll, state, forget = network(
      num_slots=num_slots, gradient_steps=4, delta=0.,
      index=index,
      index_args=INDICES[index], measure_recall=True)
  params, inputs = make_params(init, state), draw(1, T, B, F)
  gradients = sam_gradients(unroll)
  fresh = gradients(params, inputs, state)
  _, (_, used) = gradients(params, draw(2, T, B, F), state)
  used = jax.tree.map(lambda x: x[-1], used)
  forgotten = forget(used)
  chex.assert_trees_all_equal_shapes_and_dtypes(forgotten, state)
  assert np.any(forgotten.access.memory != 0)
  assert not np.any(forgotten.controller.hidden)
  def of_interest(gradients, outputs_and_states):
    outputs, states = outputs_and_states
    access = states.access
    return gradients, outputs, access.read_weights, access.index.counts

  again = gradients(params, inputs, forgotten)
  close(of_interest(*again), of_interest(*fresh), 1e-5)
  states = again[1][1]
  taken = np.asarray(states.access.write_rows)[:, 0, :, -1]
  assert len(set(taken.ravel())) == taken.size
  assert set(taken.ravel()) != {*range(taken.size)}  # A new memory's rows.


@pytest.mark.parametrize("index", INDICES)
def test_what_was_forgotten_is_never_seen(x64, index):
  """This also holds where rows are used repeatedly."""
  init, unroll, state, forget = network(
      gradient_steps=2, index=index, index_args=INDICES[index],
      measure_recall=True)
  params, inputs = make_params(init, state), draw(1, T, B, F)
  unroll = jax.jit(unroll)
  _, used = unroll(params, draw(2, T, B, F), state)
  forgotten = forget(jax.tree.map(lambda x: x[-1], used))
  expected = None
  for scale in (1, 1e6):
    memory = scale * draw(3, *forgotten.access.memory.shape)
    outputs, states = unroll(params, inputs, forgotten._replace(
        access=forgotten.access._replace(
            store=forgotten.access.store._replace(memory=memory))))
    values = outputs, states.access.read_words, states.access.index.counts
    expected = expected or values
    close(values, expected)
  assert np.ptp(np.asarray(outputs)) > 1
  assert len(set(np.ravel(states.access.write_rows[:, 0, :, -1]))) == 7


def test_the_tape_is_as_long_as_the_steps():
  state = network(gradient_steps=5)[2]
  assert state.access.store.tape.shape == (B, 5 * 8, 5)
  assert state.access.store.versions.shape == (B, 7)


def test_steps_left_falls_with_each_step_and_not_by_forgetting():
  init, unroll, state, forget = network(gradient_steps=2)
  core = hk.transform(lambda state: SAM(
      **SIZES, gradient_steps=2).steps_left(state))
  def left(state):
    return core.apply({}, None, state)

  first = left(state)
  assert isinstance(first, int)
  assert first == (2**31 - 1) // 8
  _, used = unroll(make_params(init, state), draw(1, T, B, F), state)
  used = jax.tree.map(lambda x: x[-1], used)
  assert left(used) == left(forget(used)) == first - T


def test_only_a_tape_can_forget():
  store = CotangentStore.empty(N, W)
  for method, args in (("forget", (2, J)), ("steps_left", (J,))):
    with pytest.raises(ValueError, match=f"{method} needs .*gradient_steps"):
      getattr(store, method)(*args)
