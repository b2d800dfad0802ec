"""Dynamic evaluation against lamb's numbers, and against plain loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tasks
from launch.learning.text import dynamic_evaluation as dynamic

V, H, B, T, SEGMENT = 13, 7, 3, 23, 5
RATES = dict(learning_rate=.03, decay=.4, epsilon=.01)

# A step on a segment doubles a difference of rounding, or so.
pytestmark = pytest.mark.usefixtures("x64")


def tokens(seed, num_steps=T, rows=B):
  """Returns a window of random words; the next word is a function of none."""
  words = np.random.default_rng(seed).integers(V, size=(num_steps + 1, rows))
  return tasks.Batch(jnp.asarray(words[:-1]), jnp.asarray(words[1:]),
                     jnp.ones([num_steps, rows]))


def cross_entropy(logits, targets):
  return -jnp.take_along_axis(
      jax.nn.log_softmax(logits), targets[..., None], -1)[..., 0]


def recurrent(params, state, inputs, targets, mask):
  """Is a `LossOf` with a core state; the mask is no concern of a network."""
  def step(h, x):
    h = jnp.tanh(params["embed"][x] + h @ params["recurrent"])
    return h, h

  state, hidden = jax.lax.scan(step, state, inputs)
  return cross_entropy(hidden @ params["out"], targets), state


def parameters(hidden=H):
  keys = jax.random.split(jax.random.key(0), 3)
  shapes = dict(embed=(V, hidden), recurrent=(hidden, hidden), out=(hidden, V))
  return {name: jax.random.normal(key, shape)
          for key, (name, shape) in zip(keys, shapes.items(), strict=True)}


@jax.jit
def scale_of(params, batch):
  squares = dynamic.no_squares(params, jnp.zeros([B, len(params["out"])]))
  return dynamic.gradient_scale(
      dynamic.add_squares(recurrent, params, squares, batch))


@pytest.fixture
def trained(x64):
  return parameters()


@pytest.fixture
def scale(trained):
  return scale_of(trained, tokens(1))


@functools.partial(jax.jit, static_argnames=("segment", "mean_over"))
def evaluate(trained, scale, adapted, batch, **options):
  return dynamic.evaluate(
      recurrent, trained, scale, adapted, batch, **RATES | options)


def begin(trained):
  return dynamic.begin(trained, jnp.zeros([B, len(trained["out"])]))


def close(got, wanted, rtol=1e-9, atol=1e-9):
  assert jax.tree.leaves(got)
  jax.tree.map(functools.partial(np.testing.assert_allclose,
                                 rtol=rtol, atol=atol), got, wanted)


# References.


def test_equals_lamb(golden_root):
  """Takes the mean over numbers, as lamb does."""
  def regression(params, state, inputs, targets, mask):
    return cross_entropy(inputs @ params["w"] + params["b"], targets), state

  with np.load(golden_root / "lamb_dyneval.npz") as file:
    golden = dict(file)

  def window(name):
    x, t = golden[f"{name}_x"], golden[f"{name}_t"]
    flat = x.reshape(-1, 1, x.shape[-1]), t.reshape(-1, 1)
    return tasks.Batch(*map(jnp.asarray, flat), jnp.ones([t.size, 1])), t.shape

  params = dict(w=jnp.asarray(golden["w0"]), b=jnp.asarray(golden["b0"]))
  batch, (num_batches, size) = window("train")
  squares = dynamic.add_squares(
      regression, params, dynamic.no_squares(params, ()), batch, segment=size)
  close(squares.sums, dict(w=golden["sum_squared_w"],
                           b=golden["sum_squared_b"]), 1e-12, 0)
  assert squares.num_segments == num_batches
  scale = dynamic.gradient_scale(squares)
  batch, (num_batches, size) = window("eval")
  options = dict(
      learning_rate=float(golden["learning_rate"]), mean_over="numbers",
      decay=float(golden["decay_rate"]), epsilon=float(golden["epsilon"]),
      segment=size)
  step = jax.jit(functools.partial(
      dynamic.evaluate, regression, params, scale, **options))
  nats, adapted = step(dynamic.begin(params, ()), batch)
  close(nats.reshape(num_batches, size).mean(1), golden["eval_loss"], 1e-12,
        0)
  last = dict(w=golden["eval_w"][-1], b=golden["eval_b"][-1])
  close(adapted.params, last, 1e-12, 0)
  # lamb ends with the trained parameters, which are not changed here.
  assert (golden["w_after"] == params["w"]).all()
  # The same, one segment at a time.
  adapted = dynamic.begin(params, ())
  for i in range(num_batches):
    _, adapted = step(adapted, jax.tree.map(
        lambda x, i=i: x[i * size:(i + 1) * size], batch))
    close(adapted.params, dict(w=golden["eval_w"][i], b=golden["eval_b"][i]),
          1e-12, 0)


def segments(batch):
  """Yields segments; the last of T is shorter."""
  assert T % SEGMENT
  for first in range(0, T, SEGMENT):
    yield jax.tree.map(lambda x, i=first: x[i:i + SEGMENT], batch)


@jax.jit
def mean_gradient(params, state, batch):
  def loss(params):
    nats, after = recurrent(params, state, *batch)
    return (nats * batch.mask).sum() / batch.mask.sum(), (nats, after)

  return jax.grad(loss, has_aux=True)(params)


def masked(seed):
  """Returns a window in which some targets do not count."""
  batch = tokens(seed)
  mask = np.random.default_rng(seed + 1).random((T, B)) < .7
  mask[:, 2] = False
  return batch._replace(mask=jnp.float32(mask))


def test_the_scale_is_that_of_a_loop(trained):
  squares = dynamic.no_squares(trained, jnp.zeros([B, H]))
  totals, num, state = jax.tree.map(np.zeros_like, trained), 0, squares.state
  for seed in (3, 4):  # Two windows.
    squares = dynamic.add_squares(recurrent, trained, squares, masked(seed))
    for part in segments(masked(seed)):
      gradient, (_, state) = mean_gradient(trained, state, part)
      totals = {name: totals[name] + np.asarray(gradient[name])**2
                for name in totals}
      num += 1
  assert num == 2 * (T // SEGMENT + 1) == squares.num_segments
  close(dynamic.gradient_scale(squares),
        {name: np.sqrt(total / num) for name, total in totals.items()})
  close(squares.state, state)


@pytest.mark.parametrize("mean_over", dynamic.MEANS)
def test_equals_a_loop(trained, scale, mean_over):
  batch, params = masked(5), {k: np.asarray(v) for k, v in trained.items()}
  arrays = {name: np.asarray(x) for name, x in scale.items()}
  numbers = np.concatenate([x.ravel() for x in arrays.values()])
  mean = {"arrays": np.mean([x.mean() for x in arrays.values()]),
          "numbers": numbers.mean()}
  assert abs(mean["arrays"] / mean["numbers"] - 1) > .05
  # Some rates are clipped.
  rates = RATES["decay"] * numbers / mean[mean_over]
  assert rates.min() < 1 < rates.max()

  state, nats = jnp.zeros([B, H]), []
  for part in segments(batch):
    gradient, (scored, state) = mean_gradient(params, state, part)
    nats += list(scored * part.mask)
    for name, ms in arrays.items():
      rate = np.minimum(RATES["decay"] * ms / mean[mean_over], 1)
      params[name] = (
          params[name] + rate * (np.asarray(trained[name]) - params[name])
          - RATES["learning_rate"] * np.asarray(gradient[name])
          / (ms + RATES["epsilon"]))
  got, adapted = evaluate(
      trained, scale, begin(trained), batch, mean_over=mean_over)
  close(got, np.array(nats))
  close(adapted, dynamic.Adapted(params, state))
  assert np.abs(params["out"] - trained["out"]).max() > .1


def test_defaults_are_the_authors():
  assert dynamic.evaluate.__kwdefaults__ == dict(
      learning_rate=5e-5, decay=.002, epsilon=2e-5, segment=5,
      mean_over="arrays")
  assert dynamic.add_squares.__kwdefaults__ == dict(segment=5)


# Properties.


def test_windows_of_whole_segments_change_no_number(trained, scale):
  batch = tokens(6)
  nats, adapted = evaluate(trained, scale, begin(trained), batch)
  assert nats.shape == (T, B)
  parts, carried = [], begin(trained)
  for first, end in ((0, 5), (5, 20), (20, T)):
    part = jax.tree.map(lambda x, i=slice(first, end): x[i], batch)
    got, carried = evaluate(trained, scale, carried, part)
    parts.append(got)
  close(jnp.concatenate(parts), nats)
  close(carried, adapted)


def test_a_target_is_scored_before_it_is_learnt(trained, scale):
  batch, position = tokens(7), 2 * SEGMENT + 1
  nats, _ = evaluate(trained, scale, begin(trained), batch)
  other = batch.targets.at[position].add(1) % V
  changed, _ = evaluate(trained, scale, begin(trained),
                        batch._replace(targets=other))
  is_same = np.asarray(nats == changed).all(1)
  # The rest of the segment was scored by the same parameters, too.
  same = [*range(position), position + 1, position + 2, position + 3]
  np.testing.assert_array_equal(np.flatnonzero(is_same), same)
  fixed, _ = recurrent(trained, jnp.zeros([B, H]), *batch)
  close(nats[:SEGMENT], fixed[:SEGMENT])
  assert np.abs(nats - fixed)[SEGMENT:].max() > .1


def test_a_segment_without_a_target_changes_no_parameter(trained, scale):
  batch = tokens(8)
  _, start = evaluate(trained, scale, begin(trained), batch)
  empty = batch._replace(mask=jnp.zeros([T, B]))
  nats, adapted = evaluate(trained, scale, start, empty)
  assert not nats.any()
  jax.tree.map(np.testing.assert_array_equal, adapted.params, start.params)
  assert (adapted.state != start.state).any()
  assert not any(x.any() for x in jax.tree.leaves(scale_of(trained, empty)))


def test_padding_changes_no_number(trained, scale):
  """A window behind whose last target there is padding."""
  batch = tokens(9)
  padded = jax.tree.map(lambda x: jnp.pad(x, ((0, 9), (0, 0))), batch)
  nats, adapted = evaluate(trained, scale, begin(trained), batch)
  got, after = evaluate(trained, scale, begin(trained), padded)
  close(got[:T], nats)
  assert not got[T:].any()
  close(after.params, adapted.params)
  close(scale_of(trained, padded), scale_of(trained, batch))


def test_without_a_rate_nothing_is_learnt(trained, scale):
  batch = tokens(10)
  nats, adapted = evaluate(
      trained, scale, begin(trained), batch, learning_rate=0.)
  close(nats, recurrent(trained, jnp.zeros([B, H]), *batch)[0])
  close(adapted.params, trained)


def test_parameters_without_gradients_stay_finite(trained):
  nothing = jax.tree.map(jnp.zeros_like, trained)
  nats, adapted = evaluate(trained, nothing, begin(trained), tokens(11))
  assert all(jnp.isfinite(x).all() for x in jax.tree.leaves((nats, adapted)))


def test_rates_may_be_traced(trained, scale):
  """So one program can search the authors' grid."""
  batch, grid = tokens(12), jnp.array([.01, .03, .1])
  nats = jax.vmap(lambda rate: evaluate(
      trained, scale, begin(trained), batch, learning_rate=rate)[0])(grid)
  assert len({float(x) for x in nats.sum((1, 2))}) == len(grid)
  for rate, got in zip(grid, nats, strict=True):
    wanted, _ = evaluate(
        trained, scale, begin(trained), batch, learning_rate=float(rate))
    close(got, wanted)


def test_float32_stays_float32(trained, scale):
  batch = tokens(17)
  nats, adapted = evaluate(trained, scale, begin(trained), batch)
  narrow = functools.partial(jax.tree.map, jnp.float32)
  with jax.enable_x64(False), jax.numpy_dtype_promotion("strict"):
    got, after = evaluate(
        narrow(trained), narrow(scale_of(narrow(trained), tokens(1))),
        narrow(begin(trained)), jax.tree.map(jnp.asarray, tokens(17)))
  assert {x.dtype for x in jax.tree.leaves((got, after))} == {
      jnp.dtype(jnp.float32)}
  close(got, nats, 0, 1e-3)
  close(after, adapted, 0, 1e-3)


def test_holds_a_fixed_number_of_copies_of_the_parameters():
  side = 257
  table = jax.ShapeDtypeStruct([side, side], jnp.float32)

  def table_loss(params, state, inputs, targets, mask):
    return cross_entropy(params[inputs], targets), state

  def memory(num_steps):
    step = jax.jit(functools.partial(dynamic.evaluate, table_loss),
                   donate_argnums=2)
    ids = jax.ShapeDtypeStruct([num_steps, 1], jnp.int32)
    mask = jax.ShapeDtypeStruct([num_steps, 1], jnp.float32)
    found = step.lower(table, table, dynamic.Adapted(table, ()), tasks.Batch(
        ids, ids, mask)).compile().memory_analysis()
    of_text = 4 * num_steps * 4  # Tokens, mask, nats.
    total = (found.argument_size_in_bytes + found.output_size_in_bytes
             + found.temp_size_in_bytes - found.alias_size_in_bytes)
    return (total - of_text) / (4 * side**2), found

  few, found = memory(2 * SEGMENT)
  many, _ = memory(200 * SEGMENT)
  # The donated parameters are updated in place.
  assert found.alias_size_in_bytes >= 4 * side**2
  # Trained and adapted ones, scale, gradient. On a CPU, XLA also copies the two
  # that the loop only reads.
  assert 4 <= few < 6.5
  assert many - few < .05


def test_what_a_window_starts_with_may_be_donated(trained, scale):
  step = jax.jit(functools.partial(dynamic.evaluate, recurrent),
                 donate_argnums=2)
  batch, adapted = tokens(16), begin(trained)
  for _ in range(2):
    used = adapted
    _, adapted = step(trained, scale, used, batch)
    assert all(x.is_deleted() for x in jax.tree.leaves(used))
  assert not any(x.is_deleted() for x in jax.tree.leaves(trained))


def test_parameters_may_lie_on_several_devices():
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ["d"])
  params = parameters(2 * len(jax.devices()))
  scale = scale_of(params, tokens(1))
  specs = dict(embed=(None, "d"), recurrent=("d", None), out=("d", None))

  def split(tree):
    return {name: jax.device_put(x, jax.sharding.NamedSharding(
        mesh, jax.sharding.PartitionSpec(*specs[name])))
            for name, x in tree.items()}

  def run(params, scale):
    return evaluate(params, scale, begin(params), tokens(13))

  nats, adapted = run(split(params), split(scale))
  sharding = adapted.params["out"].sharding
  assert len(sharding.device_set) > 1 and not sharding.is_fully_replicated
  wanted, same = run(params, scale)
  close(nats, wanted)
  close(adapted.params, same.params)
  assert np.abs(same.params["out"] - params["out"]).max() > .1


def test_learns_a_phrase_that_is_repeated():
  """A network that knows nothing of the text gives each word log V nats."""
  num_repeats, length = 40, 11
  phrase = np.random.default_rng(14).permutation(V)[:length]
  words = np.tile(phrase, num_repeats)[:, None]
  batch = tasks.Batch(jnp.asarray(words[:-1]), jnp.asarray(words[1:]),
                      jnp.ones([len(words) - 1, 1]))
  table = jnp.zeros([V, V])  # The best for words that come at random.

  def bigram(params, state, inputs, targets, mask):
    return cross_entropy(params[inputs], targets), state

  random = tokens(15, 1000, 1)
  scale = dynamic.gradient_scale(dynamic.add_squares(
      bigram, table, dynamic.no_squares(table, ()), random))
  run = functools.partial(dynamic.evaluate, bigram, table, scale,
                          dynamic.begin(table, ()), learning_rate=.03)
  nats, _ = run(batch)
  by_repeat = np.append(nats, np.nan).reshape(num_repeats, length)[:-1].mean(1)
  np.testing.assert_allclose(by_repeat[0], np.log(V), rtol=1e-5)
  assert (np.diff(by_repeat[:20]) < 0).all()
  assert by_repeat[-1] < .5 * np.log(V)
  # What comes at random cannot be learnt.
  nats, _ = run(random)
  assert nats.mean() >= np.log(V)


@pytest.mark.parametrize("options, message", [
    (dict(segment=0), "at least 1 step, got segment=0"),
    (dict(learning_rate=-1.), "need learning_rate >= 0, got learning_rate=-1"),
    (dict(decay=float("nan")), "need decay >= 0, got decay=nan"),
    (dict(epsilon=0.), "need epsilon > 0, got epsilon=0"),
    (dict(mean_over="rows"), "mean_over='rows' must be one of arrays, numbers"),
])
def test_bad_arguments(trained, scale, options, message):
  with pytest.raises(ValueError, match=message):
    dynamic.evaluate(recurrent, trained, scale, begin(trained), tokens(1),
                     **options)
