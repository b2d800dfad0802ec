"""Properties of compiled cores.

SAM's work and memory do not grow with N. DNC keeps its largest array once a
step. RMC has no needless products.
"""

import functools
import os
import pathlib
import subprocess
import sys

import haiku as hk
import hlo
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mixed_precision import bfloat16_policy, every_output, products

from rmc_nalu_sam import DNC, RMC, SAM, SDNC, narrow
from rmc_nalu_sam.memory import cotangent_store
from rmc_nalu_sam.memory.index import search

H, K, W, HIDDEN, F, T = 2, 3, 5, 7, 13, 11
# Larger than all other sizes, and no multiple of the blocks of the search.
N = 8191
# An array of at least this size counts as an array of N. So does a large slice
# of one. All other arrays are much smaller.
SIZE = N // 2


class WithoutSearch(search.ExactIndex):
  """Returns rows that depend on the queries, without a search."""

  def find(self, state, memory, is_written, queries, k, recent):
    first = jnp.abs(queries[:, :1] * 100).astype(jnp.int32) % (N // 2)
    return first + jnp.arange(k, dtype=jnp.int32), state


def compile_gradients(batch, num_slots=N, num_steps=T):
  def unroll(inputs):
    core = SAM(hidden_size=HIDDEN, num_slots=num_slots, word_size=W,
               num_heads=H, top_k=K, index=WithoutSearch(num_slots, W))
    outputs, _ = hk.dynamic_unroll(core, inputs, core.initial_state(batch))
    return jnp.square(outputs).sum()

  net = hk.without_apply_rng(hk.transform(unroll))
  inputs = jnp.ones([num_steps, F] if batch is None else [num_steps, batch, F])
  params = jax.eval_shape(net.init, jax.random.key(0), inputs)
  gradients = jax.jit(jax.value_and_grad(net.apply, (0, 1)))
  return gradients.lower(params, inputs).compile()


@pytest.mark.parametrize("batch", [None, 1, 3])
def test_no_step_writes_an_array_of_n(batch):
  in_place, new = hlo.writes_in_loops(compile_gradients(batch).as_text(), SIZE)
  assert not new, "\n".join(new)
  # Forward: the memory, norms and the ring. Backward: the memory's cotangent.
  assert len(in_place) >= 6


def erase_by_autodiff(memory, erased, indices, added):
  return memory.at[erased].set(0).at[indices].add(added)


@jax.custom_vjp
def erase_by_set(memory, erased, indices, added):
  return erase_by_autodiff(memory, erased, indices, added)


def erase_by_set_bwd(residuals, d_memory):
  erased, indices = residuals
  return d_memory.at[erased].set(0), None, None, d_memory[indices]


erase_by_set.defvjp(lambda *args: (erase_by_set(*args), args[1:3]),
                    erase_by_set_bwd)


@pytest.mark.parametrize("naive", [erase_by_autodiff, erase_by_set])
def test_the_check_detects_what_a_naive_erase_writes(monkeypatch, naive):
  """A naive erase makes a new array of N rows.

  There is no case of a naive gather: JAX's own derivative of a gather
  accumulates, so it is in place.
  """
  monkeypatch.setattr(cotangent_store, "erase_and_add_words", naive)
  new = hlo.writes_in_loops(compile_gradients(1).as_text(), N * W)[1]
  assert any(f"[1,{N},{W}]" in text for text in new)


def test_memory_over_time_does_not_depend_on_n():
  temporary = {
      (n, t): compile_gradients(
          1, num_slots=n, num_steps=t).memory_analysis().temp_size_in_bytes
      for n in (N, 4 * N) for t in (T, 2 * T)}
  growth = [temporary[n, 2 * T] - temporary[n, T] for n in (N, 4 * N)]
  assert growth[0] > 0
  # Sizes of buffers are rounded up.
  assert abs(growth[0] - growth[1]) < .02 * growth[0]
  # The memory and its cotangent grow with N. If a loop starts from a constant,
  # there are two copies.
  one_memory = 3 * N * W * 4
  assert 1 < (temporary[4 * N, T] - temporary[N, T]) / one_memory < 4


# A training call whose cost does not depend on N.

# Programs of this size are compiled, but never run. The index has tables for N
# rows. Its smallest array that grows with N has more than N / 16 elements.
BIG = 10**6 + 3
BIG_SIZE = BIG // 16


def penalty(loss):
  """Returns the squared gradient for the inputs instead of the loss."""
  def penalized(params, inputs):
    gradient, state = jax.grad(loss, 1, has_aux=True)(params, inputs)
    return jnp.square(gradient).sum(), state
  return penalized


def compile_training(batch, num_slots=BIG, is_forgotten=True, is_donated=True,
                     core_class=SAM, is_penalized=False, precision="float32",
                     **kwargs):
  """Compiles training on an episode that starts from a used state.

  The program also returns the new state.
  """
  kwargs = dict(index="lsh", gradient_steps=T, num_heads=H) | kwargs

  def net():
    core = core_class(hidden_size=HIDDEN, num_slots=num_slots, word_size=W,
                      top_k=K, **kwargs)

    def unroll(inputs, state):
      with narrow.products_in(precision):
        if is_forgotten:
          state = core.forget(state)
        outputs, state = hk.dynamic_unroll(core, inputs, state)
      return jnp.square(outputs).sum(), state

    def initial_state(batch):
      with narrow.products_in(precision):
        return core.initial_state(batch)

    return unroll, (unroll, initial_state)

  init, (unroll, initial_state) = hk.multi_transform(net)
  state = jax.eval_shape(lambda: initial_state({}, None, batch))
  inputs = jnp.ones([T, F] if batch is None else [T, batch, F])
  params = jax.eval_shape(init, jax.random.key(0), inputs, state)

  @functools.partial(jax.jit, donate_argnums=1 if is_donated else ())
  def train(params, state, inputs):
    def loss(params, inputs):
      # Without dropout, nothing is drawn from the key.
      return unroll(params, jax.random.key(0), inputs, state)

    (value, state), gradients = jax.value_and_grad(
        penalty(loss) if is_penalized else loss, (0, 1), has_aux=True)(
            params, inputs)
    return value, gradients, state

  return train.lower(params, state, inputs).compile()


BATCH_OF_SDNC = pytest.mark.skipif(
    jax.__version_info__ < (0, 10),
    reason="XLA of JAX 0.7 to 0.9 transposes the links of a batch")


@pytest.mark.parametrize("core_class, batch, num_heads", [
    (SAM, None, H), (SAM, 1, H), (SAM, 3, H),
    *(pytest.param(SAM, batch, 1, marks=pytest.mark.slow)
      for batch in (3, None)),
    pytest.param(SDNC, 2, H, marks=BATCH_OF_SDNC)])
def test_a_training_call_writes_no_array_of_n(core_class, batch, num_heads):
  check_no_array_of_n(compile_training(
      batch, core_class=core_class, num_heads=num_heads).as_text())


def test_no_training_call_in_bfloat16_writes_an_array_of_n():
  text = compile_training(3, precision="bfloat16").as_text()
  check_no_array_of_n(text)
  assert "bf16" in text


@pytest.mark.parametrize("arguments", [
    dict(bypass_dropout=.5), dict(output_from="reads", layer_norm=True)],
    ids=["dropout", "reads"])
def test_no_option_of_the_output_writes_an_array_of_n(arguments):
  check_no_array_of_n(compile_training(3, **arguments).as_text())


@pytest.mark.slow
@pytest.mark.parametrize("core_class, batch", [
    (SAM, 3), pytest.param(SDNC, 2, marks=BATCH_OF_SDNC)])
def test_a_second_derivative_writes_no_array_of_n(core_class, batch):
  check_no_array_of_n(compile_training(
      batch, core_class=core_class, is_penalized=True).as_text())


def check_no_array_of_n(text):
  in_loops, new = hlo.writes_in_loops(text, BIG_SIZE)
  assert not new, "\n".join(new)
  # The memory, versions, buckets, cursors, and the two arrays of the ring.
  assert len(in_loops) >= 6
  in_place, new = hlo.writes(text, BIG_SIZE)
  assert not new, "\n".join(new)
  assert set(in_place) >= set(in_loops)


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_training_call_needs_no_memory_for_n(batch):
  analyses = [compile_training(
      batch, num_slots=n, index_args=dict(max_bits=8))
              .memory_analysis() for n in (BIG, 4 * BIG)]
  # Sizes of buffers are rounded up.
  small, large = (a.temp_size_in_bytes for a in analyses)
  assert abs(large - small) < 10_000
  small, large = (a.output_size_in_bytes - a.alias_size_in_bytes
                  for a in analyses)
  assert abs(large - small) < 10_000
  # The memory, its versions and the ring grow. Otherwise the check would not
  # depend on N.
  grown = analyses[1].alias_size_in_bytes - analyses[0].alias_size_in_bytes
  assert grown >= batch * 3 * BIG * 4 * (W + 3)


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("arguments, is_in_loops", [
    (dict(index="exact"), True),
    (dict(measure_recall=True), True),
    # The memory's cotangent is cleared once.
    (dict(gradient_steps=None, is_forgotten=False), False),
    (dict(is_donated=False), False),
    pytest.param(dict(gradient_steps=None, is_forgotten=False,
                      is_penalized=True), True, marks=pytest.mark.slow),
], ids=["exact", "recall", "cotangent of the memory", "copied state",
        "second derivative of the memory"])
def test_the_check_detects_what_costs_more(batch, arguments, is_in_loops):
  text = compile_training(batch, **arguments).as_text()
  new_in_loops = hlo.writes_in_loops(text, BIG_SIZE)[1]
  new = hlo.writes(text, BIG_SIZE)[1]
  assert set(new_in_loops) <= set(new)
  assert bool(new_in_loops) == is_in_loops
  assert new


def step(inputs, **kwargs):
  core = SAM(hidden_size=HIDDEN, num_slots=17, word_size=W, num_heads=H,
             top_k=K, **kwargs)
  state = core.initial_state(3)
  return state, core(inputs, state)


@every_output
def test_bfloat16_policy(output):
  net = hk.without_apply_rng(hk.transform(step))
  inputs = jnp.ones([3, F])
  with bfloat16_policy(SAM, output):
    params = jax.jit(net.init)(jax.random.key(0), inputs)
    found = products(jax.make_jaxpr(net.apply)(params, inputs))
  assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))
  matrices = {layer["w"].shape for layer in params.values()}
  assert len(matrices) == len(params) == 3
  layers = [p for p in found if p[1].shape in matrices]
  assert len(layers) == 3
  assert all(v.dtype == jnp.bfloat16 for p in layers for v in p)
  # The search and the similarities accumulate in float32.
  assert sum(p[-1].dtype == jnp.float32 for p in found) == 2


@every_output
@pytest.mark.parametrize("arguments", [
    {}, dict(index="lsh", gradient_steps=2, measure_recall=True)])
def test_state_keeps_its_types_under_the_bfloat16_policy(arguments, output):
  net = hk.without_apply_rng(hk.transform(functools.partial(step, **arguments)))
  inputs = jnp.ones([3, F])
  with bfloat16_policy(SAM, output):
    params = jax.eval_shape(net.init, jax.random.key(0), inputs)
    before, (outputs, after) = jax.eval_shape(net.apply, params, inputs)
  assert before == after  # Shapes and types.
  types = {leaf.dtype for leaf in jax.tree.leaves(after)}
  assert types == {jnp.dtype(output), jnp.dtype(jnp.int32)}
  assert outputs.dtype == output


@every_output
def test_bfloat16_unroll_is_near_float32(output):
  def unroll(inputs):
    core = SAM(hidden_size=HIDDEN, num_slots=17, word_size=W, num_heads=H,
               top_k=K)
    return hk.dynamic_unroll(core, inputs, core.initial_state(3))[0]

  net = hk.without_apply_rng(hk.transform(unroll))
  inputs = jax.random.normal(jax.random.key(1), [T, 3, F])
  params = jax.jit(net.init)(jax.random.key(0), inputs)
  exact = jax.jit(lambda p, x: net.apply(p, x))(params, inputs)
  with bfloat16_policy(SAM, output):
    rounded = jax.jit(lambda p, x: net.apply(p, x))(params, inputs)
  assert rounded.dtype == output
  error = np.abs(np.float32(rounded) - exact)
  assert 0 < error.mean() < .03 < np.abs(exact).mean()


def test_dnc_keeps_one_link_a_step():
  num_slots = 512

  def unroll(inputs):
    core = DNC(hidden_size=HIDDEN, num_slots=num_slots, word_size=W,
               num_read_heads=H)
    outputs, _ = hk.dynamic_unroll(core, inputs, core.initial_state(1))
    return jnp.square(outputs).sum()

  net = hk.without_apply_rng(hk.transform(unroll))

  def temporary(num_steps):
    inputs = jnp.ones([num_steps, 1, F])
    params = jax.eval_shape(net.init, jax.random.key(0), inputs)
    compiled = jax.jit(jax.grad(net.apply)).lower(params, inputs).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  growth = (temporary(2 * T) - temporary(T)) / T
  assert 1 <= growth / (num_slots**2 * 4) < 1.5  # 3 without a checkpoint.


@pytest.mark.parametrize("unrolled", [True, False])
def test_rmc_multiplies_in_a_step_what_depends_on_the_memory(unrolled):
  """The loops of `RMC.unroll` have no products of inputs alone.

  The loops of a step-by-step unroll have such products.

  The backward pass multiplies twice for each product of rows and weights: once
  for the rows and once for the weights. It computes none of them again.
  """
  batch, slots, heads, head_size, key_size = 3, 5, 2, 7, 11
  width, qkv = heads * head_size, heads * (2 * key_size + head_size)

  def loss(inputs):
    core = RMC(num_slots=slots, head_size=head_size, num_heads=heads,
               key_size=key_size)
    unroll = RMC.unroll if unrolled else (
        lambda core, *args: hk.dynamic_unroll(core, *args))
    return jnp.square(unroll(core, inputs, core.initial_state(batch))[0]).sum()

  net = hk.without_apply_rng(hk.transform(loss))
  inputs = jnp.ones([T, batch, F])
  params = jax.eval_shape(net.init, jax.random.key(0), inputs)
  text = jax.jit(jax.grad(net.apply)).lower(params, inputs).compile().as_text()
  forward, backward = sorted(hlo.products_in_loops(text), key=len)
  rows = batch * slots
  # Queries, keys and values; two layers of the MLP; two gates.
  of_memory = [[rows, qkv], [rows, width], [rows, width], [rows, 2 * width]]
  to_weights = [[width, qkv], [width, width], [width, width],
                [width, 2 * width]]

  def of_weights(products):
    return sorted(shape for shape in products if len(shape) == 2)

  if unrolled:
    assert of_weights(forward) == sorted(of_memory)
    assert of_weights(backward) == sorted(4 * [[rows, width]] + to_weights)
  else:
    assert len(of_weights(forward)) == 7
    assert [F, width] in of_weights(backward)
  # Attention has two products: scores, and the weighted sum of values. The
  # backward pass computes both again, and has two more for each.
  assert len(forward) - len(of_weights(forward)) == 2
  if unrolled:
    assert len(backward) - len(of_weights(backward)) == 6


# Compiler flags of a user.


# One case of each property that must hold with a user's compiler flags. All
# cases take minutes.
MAIN = ("test_no_step_writes_an_array_of_n[3]",
        "test_a_training_call_writes_no_array_of_n[SAM-3-2]",
        "test_dnc_keeps_one_link_a_step",
        "test_rmc_multiplies_in_a_step_what_depends_on_the_memory[True]")
ALL = "not policy and not float32 and not user and not detects"


@pytest.mark.skipif("RMC_NALU_SAM_COMPILE_AS_USER" in os.environ,
                    reason="this is the process that it starts")
@pytest.mark.parametrize("arguments, least", [
    pytest.param([f"{__file__}::{name}" for name in MAIN], len(MAIN),
                 marks=pytest.mark.slow),
    pytest.param(["-k", ALL, __file__], 15, marks=pytest.mark.slow)],
    ids=["main", "all"])
def test_the_proofs_hold_with_the_compiler_flags_of_a_user(arguments, least):
  """Runs the proofs in a process without the flags of conftest.py."""
  done = subprocess.run(
      [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
       *arguments],
      env=os.environ | {"RMC_NALU_SAM_COMPILE_AS_USER": "1"},
      cwd=pathlib.Path(__file__).parent.parent, capture_output=True, text=True,
      check=False)
  assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
  passed = int(done.stdout.rsplit(" passed", 1)[0].rsplit(maxsplit=1)[-1])
  assert passed >= least
  assert " skipped" not in done.stdout
