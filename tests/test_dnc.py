"""Tests of DNC: against NumPy, a public implementation, and of its parts."""

import functools
import itertools

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_dnc
from core_helpers import draw
from mixed_precision import bfloat16_policy, every_output

from rmc_nalu_sam.cores import dnc
from rmc_nalu_sam.memory import allocation, linkage
from rmc_nalu_sam.memory.access import dnc_access

pytestmark = pytest.mark.usefixtures("strict_promotion")

# H write heads, R read heads.
H, R, B, N, W, T, F, HIDDEN, OUT = 2, 3, 5, 7, 11, 13, 17, 19, 23
SIZES = dict(hidden_size=HIDDEN, num_slots=N, word_size=W, num_read_heads=R,
             num_write_heads=H)
OPTIONS = [dict(zip(("masked", "deallocate", "sharpen_links"), values,
                    strict=True))
           for values in itertools.product((False, True), repeat=3)]
ALL_OPTIONS = OPTIONS[-1] | dict(mask_min=.1)


def network(**kwargs):
  kwargs = dict(SIZES, output_size=OUT) | kwargs

  def net():
    core = dnc.DNC(**kwargs)

    def unroll(inputs, state):
      return hk.dynamic_unroll(core, inputs, state, return_all_states=True)

    return unroll, (unroll, core.initial_state)

  init, (unroll, initial_state) = hk.multi_transform(net)
  return (init, lambda p, *args: unroll(p, None, *args),
          lambda batch_size: initial_state({}, None, batch_size))


def make_params(init, initial_state, seed=0):
  """Returns parameters larger than initial ones, so gates and words vary."""
  params = jax.eval_shape(
      init, jax.random.key(0), draw(0, 1, B, F), initial_state(B))
  return jax.tree.map(lambda p: draw(p.size + seed, *p.shape), params)


def used_access(seed=0):
  """Draws the memory of one batch element in the middle of an episode."""
  rng = np.random.default_rng(seed)
  reads, writes, before = (
      jnp.asarray(.9 * rng.dirichlet(np.ones(N), heads)) for heads in (R, H, H))
  link, precedence = jnp.zeros([H, N, N]), jnp.zeros([H, N])
  for weights in (before, before[:, ::-1], writes):
    link = linkage.update_link(link, precedence, weights)
    precedence = linkage.update_precedence(precedence, weights)
  return dnc_access.DNCAccess(
      memory=draw(seed, N, W), usage=jnp.asarray(rng.uniform(.1, .9, N)),
      read_weights=reads, write_weights=writes, read_words=draw(seed + 1, R, W),
      link=link, precedence=precedence)


# Values.


@pytest.mark.parametrize("arguments", [
    *OPTIONS,
    ALL_OPTIONS | dict(clip=.3),
    ALL_OPTIONS | dict(clip=0., num_write_heads=1, num_read_heads=1),
    dict(num_layers=3),
    dict(num_layers=2, clip=.3),
], ids=str)
def test_equals_the_numpy_reference(x64, arguments):
  init, unroll, initial_state = network(**arguments)
  params = make_params(init, initial_state)
  inputs = draw(1, T, B, F)
  outputs, states = jax.device_get(
      jax.jit(unroll)(params, inputs, initial_state(B)))
  assert outputs.shape == (T, B, OUT)
  params, inputs = jax.device_get((params, inputs))
  sizes = {name: arguments.get(name, size)
           for name, size in (SIZES | dict(num_layers=1)).items()}
  options = {name: value for name, value in arguments.items()
             if name not in sizes}

  def close(a, b):
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)

  for b in range(B):
    ref = reference_dnc.initial_state(**sizes)
    for t in range(T):
      output, ref = reference_dnc.step(params, inputs[t, b], ref, **options)
      close(outputs[t, b], output)
      controller, access = jax.tree.map(lambda x, t=t, b=b: x[t, b], states)
      layers = controller if sizes["num_layers"] > 1 else [controller]
      close(np.stack([layer.hidden for layer in layers]), ref.hidden)
      close(np.stack([layer.cell for layer in layers]), ref.cell)
      for name, value in access._asdict().items():
        close(value, getattr(ref, name))
  # The heads moved, the memory filled, and links were made.
  assert np.ptp(np.asarray(states.access.read_weights)) > .1
  assert states.access.usage.max() > .4
  assert states.access.link.max() > .05


def test_clip_limits_the_controller_and_the_output(x64):
  def largest(clip):
    init, unroll, initial_state = network(clip=clip)
    params = make_params(init, initial_state)
    outputs, states = unroll(params, draw(1, T, B, F), initial_state(B))
    return [float(jnp.abs(x).max())
            for x in (outputs, *jax.tree.leaves(states.controller))]

  assert largest(.3) == [.3, .3, .3]
  assert all(x > .5 for x in largest(0.))
  np.testing.assert_allclose(largest(20.), largest(0.), rtol=1e-9)


def test_initial_state_is_empty():
  state = network()[2](B)
  assert all(np.all(np.asarray(x) == 0) for x in jax.tree.leaves(state))
  assert len(jax.tree.leaves(state)) == 9


# Against the public implementation.

# Variables of the public implementation, in the order of the interface, and its
# states.
LINEARS = ["read_keys", "read_strengths", "write_keys", "write_strengths",
           "erase_vectors", "write_vectors", "free_gate", "allocation_gate",
           "write_gate", "read_mode"]
STATES = dict(memory="memory", usage="usage", read_weights="read_weights",
              write_weights="write_weights", link="linkage.link",
              precedence="linkage.precedence_weights")


def golden_params(golden, kind):
  """Returns the variables, or their gradients, as parameters of `DNC`."""
  def variable(name):
    return golden[f"{kind}.dnc.{name}"]

  def join(part):
    return np.concatenate(
        [variable(f"memory_access.{name}.{part}") for name in LINEARS], axis=-1)

  return {
      "dnc/~/controller/linear": {
          "w": variable("lstm.w_gates"), "b": variable("lstm.b_gates")},
      "dnc/~/interface": {"w": join("w"), "b": join("b")},
      "dnc/output": {
          "w": variable("output_linear.w"), "b": variable("output_linear.b")},
  }


def test_equals_the_public_implementation(x64, golden_root):
  golden = np.load(golden_root / "deepmind_dnc_w1.npz")
  _, unroll, initial_state = network(
      hidden_size=10, num_slots=12, word_size=6, num_read_heads=2,
      num_write_heads=1, output_size=4)

  def loss(params, inputs):
    outputs, states = unroll(
        params, inputs, initial_state(inputs.shape[1]))
    return jnp.vdot(outputs, golden["cot_outputs"]), (outputs, states)

  params = jax.tree.map(jnp.asarray, golden_params(golden, "param"))
  (value, (outputs, states)), gradients = jax.jit(jax.value_and_grad(
      loss, (0, 1), has_aux=True))(params, jnp.asarray(golden["x"]))

  def close(a, b):
    chex.assert_trees_all_equal_shapes(a, b)
    chex.assert_trees_all_close(a, b, rtol=1e-10, atol=1e-12)

  close(value, golden["loss"])
  close(outputs, golden["outputs"])
  for name, theirs in STATES.items():
    close(getattr(states.access, name), golden[f"state.access_state.{theirs}"])
  close(states.access.read_words, golden["state.access_output"])
  close(states.controller.hidden, golden["state.controller_state.hidden"])
  close(states.controller.cell, golden["state.controller_state.cell"])
  close(gradients, (golden_params(golden, "grad"), golden["grad_x"]))


# Gradients.


def interface(seed=0, options=True):
  """Draws an interface, with all of the options or none."""
  rng = np.random.default_rng(seed)
  said = dict(
      read_keys=draw(seed, R, W), read_strengths=rng.uniform(1, 5, R),
      write_keys=draw(seed + 1, H, W), write_strengths=rng.uniform(1, 5, H),
      erase_vectors=rng.uniform(size=[H, W]),
      write_vectors=draw(seed + 2, H, W), free_gates=rng.uniform(size=R),
      allocation_gates=rng.uniform(size=H), write_gates=rng.uniform(size=H),
      read_modes=rng.dirichlet(np.ones(2 * H + 1), R))
  if options:
    said |= dict(read_masks=rng.uniform(size=[R, W]),
                 write_masks=rng.uniform(size=[H, W]),
                 link_strengths=rng.uniform(1, 3, [R, 2 * H]))
  return dnc_access.DNCInterface(
      **{name: jnp.asarray(x, float) for name, x in said.items()})


def check_slopes(loss, variables, tolerance):
  """Checks each leaf's gradient against a difference in one direction."""
  leaves, treedef = jax.tree.flatten(jax.device_get(variables))
  gradients = jax.device_get(
      jax.tree.leaves(jax.jit(jax.grad(loss))(variables)))
  loss, eps = jax.jit(loss), 1e-6
  for i, (leaf, gradient) in enumerate(zip(leaves, gradients, strict=True)):
    direction = draw(i, *leaf.shape) / np.sqrt(leaf.size)
    above, below = (loss(treedef.unflatten(
        [*leaves[:i], leaf + sign * eps * direction, *leaves[i + 1:]]))
                    for sign in (1, -1))
    np.testing.assert_allclose(
        np.vdot(gradient, direction), (above - below) / (2 * eps),
        rtol=tolerance, atol=tolerance)
    assert np.any(gradient != 0)


@pytest.mark.parametrize("options", [False, True])
def test_numerical_gradients_of_a_step(x64, options):
  access = used_access()
  fixed = dict(write_weights=access.write_weights, read_words=access.read_words)

  def loss(variables, fixed=fixed):
    said, floats = variables
    after = dnc_access.access_step(
        said, dnc_access.DNCAccess(**floats, **fixed), deallocate=options)
    return sum(jnp.vdot(draw(i, *x.shape), x) for i, x in enumerate(after))

  floats = {name: x for name, x in access._asdict().items()
            if name not in fixed}
  variables = (interface(options=options), floats)
  check_slopes(loss, variables, 1e-6)
  # The rest of the state has no gradient. The gradient of the write weights is
  # stopped. Only the controller uses the read words.
  gradients = jax.grad(loss, 1)(variables, fixed)
  chex.assert_trees_all_equal(gradients, jax.tree.map(jnp.zeros_like, fixed))


@pytest.mark.parametrize("options", [{}, ALL_OPTIONS], ids=str)
def test_numerical_gradients_of_an_unroll(x64, monkeypatch, options):
  """Unlike `DNC`, the model tested does not stop the gradient of the writes."""
  monkeypatch.setattr(allocation, "update_usage", lambda usage, writes, kept: (
      1 - (1 - usage) * jnp.prod(1 - writes, axis=0)) * kept)
  init, unroll, initial_state = network(**options)
  access = jax.tree.map(
      lambda *x: jnp.stack(x), *(used_access(seed) for seed in range(B)))
  state = initial_state(B)._replace(access=access)
  params = make_params(init, initial_state)

  def loss(variables):
    outputs, states = unroll(*variables)
    values = [outputs, *jax.tree.leaves(states)]
    return sum(jnp.vdot(draw(i, *v.shape), v) / T for i, v in enumerate(values))

  check_slopes(loss, (params, draw(1, 4, B, F), state), 1e-4)


@pytest.mark.parametrize("options", [{}, ALL_OPTIONS], ids=str)
def test_gradients_from_the_empty_memory(options):
  init, unroll, initial_state = network(**options)

  def loss(params, inputs):
    outputs, states = unroll(params, inputs, initial_state(B))
    return sum(jnp.square(x).sum() for x in jax.tree.leaves((outputs, states)))

  gradients = jax.jit(jax.grad(loss, (0, 1)))(
      make_params(init, initial_state), draw(1, 4, B, F))
  chex.assert_tree_all_finite(gradients)
  assert all(np.any(g != 0) for g in jax.tree.leaves(gradients))


# One step of the access.


def told(**changes):
  """Returns an interface without options; neutral except for `changes`."""
  said = interface(options=False)
  silent = dict(free_gates=0., allocation_gates=1., write_gates=0.,
                erase_vectors=0.)
  changes = silent | changes
  return said._replace(**{
      name: jnp.broadcast_to(jnp.asarray(x, float), getattr(said, name).shape)
      for name, x in changes.items()})


def modes(index):
  """Returns read modes with all read heads in one mode."""
  return jnp.eye(2 * H + 1)[index]


def unroll_access(steps, access=None, **kwargs):
  if access is None:
    access = dnc_access.initial_access(N, W, R, H)
  step = jax.jit(functools.partial(dnc_access.access_step, **kwargs))
  states = []
  for said in steps:
    access = step(said, access)
    states.append(access)
  return states


def written_memory():
  """Writes three times with both heads.

  Returns:
    The last state, all states, and the rows `[3, H]` written.
  """
  states = unroll_access([told(write_gates=1.)] * 3)
  rows = np.array([access.write_weights.argmax(-1) for access in states])
  return states[-1], states, rows


def test_writes_to_fresh_rows():
  access, states, rows = written_memory()
  assert len(set(rows.ravel().tolist())) == rows.size == N - 1
  for step, state in zip(rows, states, strict=True):
    np.testing.assert_allclose(
        state.write_weights, jnp.eye(N)[step], atol=1e-4)
  for head, vector in enumerate(interface().write_vectors):
    np.testing.assert_allclose(
        access.memory[rows[:, head]], [vector] * 3, atol=1e-3)
  (fresh,) = set(range(N)) - set(rows.ravel().tolist())
  np.testing.assert_allclose(access.memory[fresh], 0, atol=1e-3)


def test_reads_what_is_similar():
  words = draw(7, N, W)
  access = used_access()._replace(memory=words)
  (after,) = unroll_access([told(
      read_keys=words[1:1 + R], read_strengths=1e3, read_modes=modes(-1))],
      access)
  np.testing.assert_allclose(after.read_weights, jnp.eye(N)[1:1 + R], atol=1e-4)
  np.testing.assert_allclose(after.read_words, words[1:1 + R], atol=1e-2)


def test_erases_and_writes_by_content():
  words = draw(7, N, W)
  access = used_access()._replace(memory=words)
  (after,) = unroll_access([told(
      write_keys=words[3:3 + H], write_strengths=1e3, write_gates=1.,
      allocation_gates=0., erase_vectors=1.)], access)
  np.testing.assert_allclose(
      after.memory,
      jnp.asarray(words).at[3:3 + H].set(interface().write_vectors), atol=1e-2)


@pytest.mark.parametrize("mode, step", [
    (0, -1), (1, -1), (2, 1), (3, 1)], ids=["b0", "b1", "f0", "f1"])
def test_follows_the_links_of_a_head(mode, step):
  access, _, rows = written_memory()
  head = mode % 2
  access = access._replace(
      read_weights=jnp.broadcast_to(jnp.eye(N)[rows[1, head]], [R, N]))
  (after,) = unroll_access([told(read_modes=modes(mode))], access)
  expected = jnp.eye(N)[rows[1 + step, head]]
  np.testing.assert_allclose(
      after.read_weights, jnp.broadcast_to(expected, [R, N]), atol=1e-3)
  # The other head has no links from this row.
  (after,) = unroll_access([told(read_modes=modes(mode ^ 1))], access)
  np.testing.assert_allclose(after.read_weights, 0, atol=1e-3)


@pytest.mark.parametrize("deallocate", [False, True])
def test_freed_slots_are_used_again_and_emptied_on_request(deallocate):
  access, _, rows = written_memory()
  row = rows[1, 1]
  fresh = np.isin(np.arange(N), rows, invert=True)
  freed = np.arange(N) == row
  access = access._replace(  # All heads read the row.
      read_weights=jnp.broadcast_to(jnp.eye(N)[row], [R, N]))
  after, again = unroll_access(
      [told(free_gates=1.), told(write_gates=jnp.array([1., 0.]))], access,
      deallocate=deallocate)
  np.testing.assert_allclose(after.usage, ~(fresh | freed), atol=1e-3)
  np.testing.assert_allclose(again.write_weights[0], freed, atol=1e-3)
  np.testing.assert_array_equal(after.memory[~freed], access.memory[~freed])
  np.testing.assert_allclose(
      after.memory[row], 0 if deallocate else access.memory[row], atol=1e-6)
  assert np.all(np.abs(access.memory[row]) > 1e-3)


def test_sharpened_links_are_less_blurred():
  access = used_access()
  sharpness = []
  for strength in (1., 20.):
    said = told(read_modes=modes(2))._replace(
        link_strengths=jnp.full([R, 2 * H], strength))
    (after,) = unroll_access([said], access)
    np.testing.assert_allclose(after.read_weights.sum(-1), 1, rtol=1e-5)
    sharpness.append(after.read_weights.max(-1))
  assert np.all(sharpness[1] > sharpness[0] + .1)


@pytest.mark.slow
def test_mask_min_is_the_smallest_mask(monkeypatch):
  seen = []
  step = dnc_access.access_step
  monkeypatch.setattr(dnc, "access_step", lambda said, *args, **kwargs: (
      seen.append(said), step(said, *args, **kwargs))[1])

  def net(inputs, **kwargs):
    core = dnc.DNC(**SIZES, masked=True, **kwargs)
    return core(inputs, core.initial_state(None))

  for kwargs, low in (({}, 0.), (dict(mask_min=.25), .25)):
    init, apply = hk.without_apply_rng(
        hk.transform(functools.partial(net, **kwargs)))
    params = jax.tree.map(
        lambda p: 100 * draw(p.size, *p.shape),
        jax.eval_shape(init, jax.random.key(0), draw(0, F)))
    seen.clear()
    apply(params, draw(0, F))
    for masks in (seen[0].read_masks, seen[0].write_masks):
      np.testing.assert_allclose(masks.min(), low, atol=1e-5)
      np.testing.assert_allclose(masks.max(), 1, atol=1e-5)


# The module.


def test_only_options_that_are_on_have_parameters():
  def interface_size(**options):
    init, _, initial_state = network(**options)
    (layer,) = [v for name, v in make_params(init, initial_state).items()
                if name.endswith("interface")]
    return layer["b"].size

  plain = R * W + R + 3 * H * W + H + R + 2 * H + R * (2 * H + 1)
  assert interface_size() == plain
  assert interface_size(deallocate=True) == plain
  assert interface_size(masked=True) == plain + (R + H) * W
  assert interface_size(sharpen_links=True) == plain + R * 2 * H


def test_output_size_is_that_of_the_controller_by_default():
  init, unroll, initial_state = network(output_size=None)
  params = make_params(init, initial_state)
  outputs, _ = unroll(params, draw(1, 1, B, F), initial_state(B))
  assert outputs.shape == (1, B, HIDDEN)


@every_output
@pytest.mark.parametrize("options", [{}, ALL_OPTIONS], ids=str)
def test_bfloat16_policy(options, output):
  def step(inputs):
    core = dnc.DNC(**SIZES, **options)
    state = core.initial_state(B)
    return state, hk.dynamic_unroll(core, inputs, state)

  net = hk.without_apply_rng(hk.transform(step))
  inputs = draw(1, T, B, F)
  params = jax.jit(net.init)(jax.random.key(0), inputs)
  exact = jax.jit(lambda *args: net.apply(*args))(params, inputs)[1][0]
  with bfloat16_policy(dnc.DNC, output):
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(
        jax.eval_shape(net.init, jax.random.key(0), inputs)))
    before, (outputs, after) = jax.jit(
        lambda *args: net.apply(*args))(params, inputs)
  chex.assert_trees_all_equal_shapes_and_dtypes(before, after)
  assert {x.dtype for x in jax.tree.leaves((outputs, after))} == {
      jnp.dtype(output)}
  error = np.abs(np.float32(outputs) - exact)
  assert 0 < error.mean() < .03 < np.abs(exact).mean()


@every_output
def test_bfloat16_is_finite_when_gates_are_saturated(output):
  """Weights that sum to a little more than 1 would make links negative."""
  init, unroll, initial_state = network(**ALL_OPTIONS)
  params = jax.tree.map(
      lambda p: 8 * p, make_params(init, initial_state))
  with bfloat16_policy(dnc.DNC, output):
    outputs, states = jax.jit(lambda *args: unroll(*args))(
        params, draw(1, 50, B, F).astype(jnp.bfloat16), jax.tree.map(
            lambda x: x.astype(output), initial_state(B)))
  chex.assert_tree_all_finite((outputs, states))
  assert states.access.write_weights.max() > .99


# Arguments.


@pytest.mark.parametrize("name", [*SIZES, "output_size"])
@pytest.mark.parametrize("value", [0, -1])
def test_sizes_must_be_positive(name, value):
  with pytest.raises(ValueError, match=f"{name} must be at least 1.*{value}"):
    hk.transform(lambda: dnc.DNC(**SIZES | {name: value}) and None).init(None)


@pytest.mark.parametrize("name, value", [
    ("clip", -1.), ("clip", float("nan")), ("mask_min", -.1), ("mask_min", 1.),
    ("mask_min", float("nan"))])
def test_bad_values(name, value):
  with pytest.raises(ValueError, match=f"{name} must be .*got {value}"):
    hk.transform(lambda: dnc.DNC(**{name: value}) and None).init(None)


@pytest.mark.parametrize("shape", [(), (T, B, F)])
def test_inputs_of_another_rank_are_refused(shape):
  def net(inputs):
    core = dnc.DNC(**SIZES)
    return core(inputs, core.initial_state(B))

  with pytest.raises(ValueError, match=r"\[B, F\] or \[F\]"):
    hk.transform(net).init(jax.random.key(0), jnp.ones(shape))
