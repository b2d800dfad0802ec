"""The adaptive softmax against PyTorch's, and against a full softmax."""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from core_helpers import draw
from mixed_precision import bfloat16_policy, every_output, products

from rmc_nalu_sam import AdaptiveSoftmax, make_model
from rmc_nalu_sam.heads import cluster

N, F, V = 307, 23, 41
CUTOFFS = (5, 17, 30)
NAME = "adaptive_softmax"


def functions(**kwargs):
  """Returns the head's init and pure functions."""
  def net():
    head = AdaptiveSoftmax(**kwargs)
    return head, (head, head.log_prob_of, head.loss)

  init, applies = hk.multi_transform(net)
  return init, *(_without_key(apply) for apply in applies)


def _without_key(apply):
  return jax.jit(lambda params, *args: apply(params, None, *args))


def case(num=N, **kwargs):
  """Returns functions, parameters that vary, and inputs."""
  init, *rest = functions(output_size=V, **dict(
      cutoffs=CUTOFFS, div_value=1.5) | kwargs)
  params = jax.tree.map(
      lambda p: .7 * draw(p.size, *p.shape),
      jax.eval_shape(init, jax.random.key(0), draw(0, 1, F)))
  targets = np.random.default_rng(1).integers(V, size=num)
  return *rest, params, draw(2, num, F), jnp.asarray(targets)


def dense(params, x):
  """Returns the log-probabilities in plain NumPy, `[V]` for `x [F]`."""
  params = jax.tree.map(np.asarray, params[NAME])
  logits = x @ params["head"] + params["head_bias"]
  head = np.log(np.exp(logits) / np.exp(logits).sum())
  parts = [head[:CUTOFFS[0]]]
  for i in range(len(CUTOFFS)):
    logits = x @ params[f"tail_{i}_down"] @ params[f"tail_{i}_up"]
    parts.append(head[CUTOFFS[0] + i]
                 + np.log(np.exp(logits) / np.exp(logits).sum()))
  return np.concatenate(parts)


# Numbers.


@pytest.mark.usefixtures("x64", "strict_promotion")
def test_equals_its_reference_and_sums_to_1():
  everything, some, loss, params, x, targets = case(head_bias=True)
  assert params[NAME]["tail_2_down"].shape == (F, 6)  # 23 / 1.5^3 = 6.8
  outputs = everything(params, x)
  assert outputs.shape == (N, V)
  np.testing.assert_allclose(jnp.exp(outputs).sum(-1), 1, rtol=1e-12)
  for n in range(0, N, 50):
    np.testing.assert_allclose(
        outputs[n], dense(params, np.asarray(x[n])), rtol=1e-10)
  picked = outputs[jnp.arange(N), targets]
  np.testing.assert_allclose(some(params, x, targets), picked, rtol=1e-10)
  np.testing.assert_allclose(loss(params, x, targets), -picked.mean())


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("file", ["c1_div1", "c2_div4", "c3_div2_bias"])
def test_equals_pytorch(file, golden_root):
  golden = np.load(golden_root / f"torch_adaptive_softmax_{file}.npz")

  def ours(kind):
    names = {"head": "head.weight"} | {
        f"tail_{i}_{way}": f"tail.{i}.{j}.weight"
        for i in range(len(golden["cutoffs"]))
        for j, way in enumerate(("down", "up"))}
    values = {name: jnp.asarray(golden[f"{kind}.{theirs}"].T)
              for name, theirs in names.items()}
    if golden["head_bias"]:
      values["head_bias"] = jnp.asarray(golden[f"{kind}.head.bias"])
    return {NAME: values}

  init, everything, some, loss = functions(
      output_size=int(golden["n_classes"]), cutoffs=golden["cutoffs"].tolist(),
      div_value=float(golden["div_value"]),
      head_bias=bool(golden["head_bias"]))
  x, targets = jnp.asarray(golden["x"]), jnp.asarray(golden["target"])
  params = ours("param")
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(
      lambda p: p.shape, jax.eval_shape(init, jax.random.key(0), x))
  close = functools.partial(
      jax.tree.map, lambda a, b: np.testing.assert_allclose(
          a, b, rtol=1e-8, atol=1e-13))
  close(everything(params, x), golden["log_prob"])
  close(everything(params, x).argmax(-1), golden["predict"])
  close(some(params, x, targets), golden["output"])
  value, gradients = jax.jit(jax.value_and_grad(loss, (0, 1)))(
      params, x, targets)
  close(value, golden["loss"])
  close(gradients, (ours("grad"), golden["grad_x"]))
  gradients = jax.jit(jax.grad(lambda *args: jnp.vdot(
      everything(*args), golden["cot_log_prob"]), (0, 1)))(params, x)
  close(gradients, (ours("grad_log_prob"), golden["grad_log_prob_x"]))


@pytest.mark.usefixtures("x64")
def test_gradients_are_numerical_ones():
  *_, loss, params, x, targets = case(head_bias=True)
  gradients = jax.jit(jax.grad(loss, (0, 1)))(params, x, targets)
  leaves, treedef = jax.tree.flatten((params, x))
  assert len(leaves) == 2 + 2 * len(CUTOFFS) + 1
  for i, gradient in enumerate(map(np.asarray, jax.tree.leaves(gradients))):
    direction = np.random.default_rng(i).normal(size=gradient.shape)
    moved = [loss(*treedef.unflatten(
        [*leaves[:i], leaves[i] + step * direction, *leaves[i + 1:]]), targets)
             for step in (1e-5, -1e-5)]
    slope = np.vdot(gradient, direction)
    assert abs(slope) > 1e-4
    np.testing.assert_allclose((moved[0] - moved[1]) / 2e-5, slope, rtol=1e-5)


@pytest.mark.usefixtures("x64")
def test_gradients_do_not_depend_on_the_chunks(monkeypatch):
  weights = draw(3, N)

  def gradient():
    _, some, _, params, x, targets = case()
    return jax.jit(jax.grad(lambda p, x: jnp.vdot(
        some(p, x, targets), weights), (0, 1)))(params, x)

  expected = gradient()  # Chunks of 64.
  monkeypatch.setattr(cluster, "MIN_CHUNK", 7)
  assert -(-N // cluster.MAX_CHUNKS) == 20  # The last chunk is padded.
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9,
                                                       atol=1e-12),
               gradient(), expected)


@pytest.mark.usefixtures("x64", "strict_promotion")
def test_without_cutoffs_it_is_a_full_softmax():
  everything, some, _, params, x, targets = case(cutoffs="", head_bias=True)
  expected = jax.nn.log_softmax(
      x @ params[NAME]["head"] + params[NAME]["head_bias"][None])
  np.testing.assert_allclose(everything(params, x), expected, rtol=1e-10)
  np.testing.assert_allclose(some(params, x, targets),
                             expected[jnp.arange(N), targets], rtol=1e-10)


@pytest.mark.usefixtures("x64", "strict_promotion")
def test_tied_weights_are_the_rows_of_an_embedding():
  embedding = draw(4, V, F)
  plain, *_, params, x, targets = case(div_value=1.)
  params = params[NAME]
  head = jnp.concatenate(
      [embedding[:CUTOFFS[0]].T, params["head"][:, CUTOFFS[0]:]], axis=1)
  own = {key: value for key, value in params.items() if "down" in key}
  untied = params | dict(head=head) | {
      f"tail_{i}_up": embedding[low:high].T
      for i, (low, high) in enumerate(zip(
          CUTOFFS, (*CUTOFFS[1:], V), strict=True))}

  def tied(embedding, x):
    init, everything, some, _ = functions(
        output_size=V, cutoffs=CUTOFFS, tied_to=embedding)
    params = {NAME: own | dict(clusters=head[:, CUTOFFS[0]:])}
    made = jax.eval_shape(init, jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(
        lambda p: p.shape, made)
    return everything(params, x), some(params, x, targets)

  outputs, picked = jax.jit(tied)(embedding, x)
  np.testing.assert_allclose(outputs, plain({NAME: untied}, x), rtol=1e-10)
  np.testing.assert_allclose(
      picked, outputs[jnp.arange(N), targets], rtol=1e-10)
  gradient = jax.jit(jax.grad(lambda e: tied(e, x)[1].sum()))(embedding)
  assert np.all(np.any(gradient != 0, axis=1))
  init, *_ = functions(output_size=V, cutoffs="", tied_to=embedding)
  params = jax.eval_shape(init, jax.random.key(0), x)
  assert not params  # It has none of its own.


# Inputs and types.


def test_axes_are_kept_and_may_be_empty():
  everything, some, _, params, x, targets = case(num=30)
  outputs = some(params, x.reshape(2, 3, 5, F), targets.reshape(2, 3, 5))
  np.testing.assert_allclose(
      outputs.ravel(), some(params, x, targets), rtol=1e-6)
  assert some(params, x[0], targets[0]).shape == ()
  assert some(params, x[:0], targets[:0]).shape == (0,)
  assert everything(params, x.reshape(2, 3, 5, F)).shape == (2, 3, 5, V)
  assert everything(params, x[:0]).shape == (0, V)


def test_equals_itself_under_vmap():
  _, some, _, params, x, targets = case(num=30)
  vmapped = jax.vmap(some, (None, 0, 0))(
      params, x.reshape(5, 6, F), targets.reshape(5, 6))
  np.testing.assert_allclose(
      vmapped.ravel(), some(params, x, targets), rtol=1e-5)


@pytest.mark.usefixtures("x64")
def test_gradients_of_several_networks_are_those_of_all_classes():
  """So a run trains several seeds."""
  everything, _, loss, params, x, targets = case()
  def plain_loss(params, x, targets):
    return -everything(params, x)[jnp.arange(N), targets].mean()

  args = [jax.tree.map(lambda a: jnp.stack([a, .5 * a]), tree)
          for tree in (params, x)] + [jnp.stack([targets, targets[::-1]])]
  found, expected = (jax.jit(jax.vmap(jax.grad(f, (0, 1))))(*args)
                     for f in (loss, plain_loss))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, rtol=1e-9, atol=1e-12), found, expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32])
def test_types_of_targets(dtype):
  _, some, _, params, x, targets = case(num=30)
  np.testing.assert_array_equal(some(params, x, targets.astype(dtype)),
                                some(params, x, targets))


def test_a_target_that_is_no_class_gives_nan_and_no_gradient():
  _, some, _, params, x, targets = case()
  targets = targets.at[:3].set(jnp.array([-1, V, 10 * V]))
  def f(params):
    outputs = some(params, x, targets)
    return jnp.where(jnp.isnan(outputs), 0, outputs).sum(), outputs

  gradients, outputs = jax.jit(jax.grad(f, has_aux=True))(params)
  np.testing.assert_array_equal(np.isnan(outputs), np.arange(N) < 3)
  expected = jax.jit(jax.grad(
      lambda p: some(p, x[3:], targets[3:]).sum()))(params)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4),
               gradients, expected)


def test_bfloat16_is_near_float32():
  everything, some, _, params, x, targets = case()
  half = jax.tree.map(lambda a: (.5 * a).astype(jnp.bfloat16), (params, x))
  single = jax.tree.map(lambda a: a.astype(jnp.float32), half)
  for f, more in ((everything, ()), (some, (targets,))):
    outputs = f(*half, *more)
    assert outputs.dtype == jnp.float32
    np.testing.assert_allclose(outputs, f(*single, *more), atol=.1)
  np.testing.assert_allclose(
      jnp.exp(everything(*half)).sum(-1), 1, rtol=1e-5)


@every_output
@pytest.mark.parametrize("tied", [False, True])
def test_bfloat16_policy(output, tied):
  def net(x, targets):
    head = AdaptiveSoftmax(V, CUTOFFS, head_bias=True, div_value=1.5,
                           tied_to=draw(0, V, F) if tied else None)
    return head(x), head.log_prob_of(x, targets)

  net = hk.without_apply_rng(hk.transform(net))
  args = draw(0, N, F), jnp.zeros([N], int)
  with bfloat16_policy(AdaptiveSoftmax, output):
    params = jax.eval_shape(net.init, jax.random.key(0), *args)
    jaxpr = jax.make_jaxpr(net.apply)(params, *args)
  assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))
  assert {v.dtype for v in jaxpr.out_avals} == {jnp.dtype(output)}
  types = [v.dtype for p in products(jaxpr) for v in p]
  assert len(types) >= 3 * 2 * (1 + 2 * len(CUTOFFS))
  assert set(types) == {jnp.dtype(jnp.bfloat16)}


# Costs.


@pytest.fixture(name="counts")
def counts_fixture(monkeypatch):
  """Lists the tokens of each chunk of the last cluster that is computed."""
  counts, plain = [], cluster.pick

  def count(logits, index):
    if logits.shape[1] == V - CUTOFFS[-1]:
      jax.debug.callback(lambda: counts.append(len(index)))
    return plain(logits, index)

  monkeypatch.setattr(cluster, "pick", count)
  return counts


def with_rare(rare):
  """Returns targets of three chunks, of which `rare` are in the last cluster.
  """
  num = 3 * cluster.MIN_CHUNK
  targets = jnp.arange(num) % CUTOFFS[0]
  return jax.random.permutation(
      jax.random.key(0), targets.at[:rare].set(V - 1))


@pytest.mark.parametrize("rare, expected", [(0, 0), (1, 1), (64, 1), (65, 2)])
def test_a_cluster_is_computed_for_its_own_tokens_alone(
    counts, rare, expected):
  """Both passes skip the chunks that have no token."""
  targets = with_rare(rare)
  _, some, loss, params, x, _ = case(num=len(targets))
  jax.block_until_ready(some(params, x, targets))
  jax.effects_barrier()
  assert counts == [cluster.MIN_CHUNK] * expected
  counts.clear()
  jax.block_until_ready(jax.jit(jax.grad(loss))(params, x, targets))
  jax.effects_barrier()
  assert counts == [cluster.MIN_CHUNK] * 2 * expected


def test_few_tokens_are_one_chunk_without_padding(counts):
  _, some, _, params, x, _ = case(num=5)
  jax.block_until_ready(some(params, x, jnp.full([5], V - 1)))
  jax.effects_barrier()
  assert counts == [5]


def test_under_vmap_the_chunks_are_those_of_the_element_with_most(counts):
  targets = jnp.stack([with_rare(rare) for rare in (1, 65, 0)])
  *_, loss, params, x, _ = case(num=targets.shape[1])
  gradients = jax.jit(jax.vmap(jax.grad(loss), (None, None, 0)))(
      params, x, targets)
  jax.effects_barrier()
  assert len(counts) == 2 * 2  # Passes, chunks.
  for i, target in enumerate(targets):
    jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(
        a[i], b, rtol=1e-5, atol=1e-6),
                 gradients, jax.jit(jax.grad(loss))(params, x, target))


def test_a_gradient_is_added_up_in_one_loop_of_used_chunks():
  """A loop of all chunks would add zeros to a gradient for an unused chunk."""
  targets = with_rare(1)
  *_, loss, params, x, _ = case(num=len(targets))
  jaxpr = str(jax.make_jaxpr(jax.grad(loss))(params, x, targets))
  assert jaxpr.count("while[") == 2 * len(CUTOFFS)
  assert "scan[" not in jaxpr and "cond[" not in jaxpr


@pytest.mark.usefixtures("x64")
def test_compiled_loss_has_only_a_first_reverse_derivative():
  everything, _, loss, params, x, targets = case(num=3)
  with pytest.raises(TypeError, match="forward-mode"):
    jax.jvp(lambda x: loss(params, x, targets), (x,), (x,))
  with pytest.raises(ValueError, match="Reverse-mode"):
    jax.grad(lambda x: jax.grad(loss, 1)(params, x, targets).sum())(x)
  forward, reverse = (jax.jit(jacobian(jax.grad(
      lambda x: everything(params, x)[:, -1].sum())))(x)
                      for jacobian in (jax.jacfwd, jax.jacrev))
  np.testing.assert_allclose(forward, reverse, atol=1e-9)
  assert np.any(forward != 0)


def test_no_array_holds_all_tokens_of_a_cluster():
  """Neither the forward nor the backward pass saves such logits."""
  num = 3 * cluster.MIN_CHUNK
  *_, loss, params, x, targets = case(num=num)
  text = jax.jit(jax.grad(loss)).lower(params, x, targets).compile().as_text()
  sizes = [b - a for a, b in zip(CUTOFFS, (*CUTOFFS[1:], V), strict=True)]
  assert len(set(sizes)) == len(sizes)
  for size in sizes:
    assert f"f32[{cluster.MIN_CHUNK},{size}]" in text
    assert f"[{num},{size}]" not in text
    assert f"[3,{cluster.MIN_CHUNK},{size}]" not in text
    assert f"[{size},{num}]" not in text


@pytest.mark.parametrize("tied", [False, True])
def test_weights_of_a_cluster_are_not_transposed(tied):
  """A transposed copy of them, or of their gradient, would take long."""
  embedding = draw(4, V, F)

  def parts(embedding):
    return functions(output_size=V, cutoffs=CUTOFFS, div_value=1.5,
                     tied_to=embedding if tied else None)

  init, *_ = parts(embedding)
  x, targets = draw(2, N, F), jnp.zeros([N], int)
  params = jax.eval_shape(init, jax.random.key(0), x)
  text = jax.jit(jax.grad(
      lambda params, embedding, targets: parts(embedding)[-1](
          params, x, targets), (0, 1))).lower(
              params, embedding, targets).compile().as_text()
  for i, (low, high) in enumerate(zip(
      CUTOFFS, (*CUTOFFS[1:], V), strict=True)):
    size, units = high - low, F if tied else int(F // 1.5**(i + 1))
    shape, other = ((size, units), (units, size))[::1 if tied else -1]
    assert "f32[{},{}]{{1,0}}".format(*shape) in text
    assert "f32[{},{}]".format(*other) not in text
    assert "f32[{},{}]{{0,1}}".format(*shape) not in text


def test_all_clusters_cost_less_than_a_full_softmax():
  """Compares products in compiled programs with the formula and the softmax."""
  num_inputs, num_classes, num = 64, 10_000, 16

  def flops(cutoffs):
    init, everything, *_ = functions(
        output_size=num_classes, cutoffs=cutoffs)
    x = jax.ShapeDtypeStruct((num, num_inputs), jnp.float32)
    params = jax.eval_shape(init, jax.random.key(0), x)
    compiled = jax.jit(everything).lower(params, x).compile()
    return compiled.cost_analysis()["flops"] / num / 2

  full, cheap = flops(""), flops("1000,4000")
  products = (num_inputs * 1002 + 16 * (num_inputs + 3000)
              + 4 * (num_inputs + 6000))
  assert products <= cheap <= products + 5 * num_classes
  assert num_inputs * num_classes <= full
  assert full / cheap > 4


# As a part of a model.


def test_it_is_a_head_whose_answers_are_log_probabilities():
  model = make_model("lstm", V, head=NAME, hidden_size=F,
                     head_args=dict(cutoffs="5, 17", head_bias=True))
  inputs = draw(0, 5, 3, 2)
  params = model.init(jax.random.key(0), inputs)
  assert params[f"model/~/{NAME}"]["tail_1_up"].shape == (1, V - 17)
  outputs = jax.jit(model.unroll)(
      params, None, inputs, model.initial_state(params, 3)).outputs
  assert outputs.shape == (5, 3, V)
  np.testing.assert_allclose(jnp.exp(outputs).sum(-1), 1, rtol=1e-5)


def test_the_core_does_not_replace_it():
  model = make_model("sam", V, head=NAME, hidden_size=F, num_slots=7)
  params = jax.eval_shape(model.init, jax.random.key(0), draw(0, 5, 3, 2))
  assert f"model/~/{NAME}" in params


@pytest.mark.parametrize("cutoffs", [
    (0, 5), (5, 5), (7, 5), (5, V), (5, V + 1), (-1,), (2.5,), "5,x", "5,,7",
    "5,", (None,)])
def test_bad_cutoffs(cutoffs):
  with pytest.raises(ValueError, match=(
      r"cutoffs must be increasing whole numbers from 1 to 40 \(below "
      r"output_size=41\), such as '1,2', got ")) as error:
    hk.transform(lambda: AdaptiveSoftmax(V, cutoffs) and None).init(None)
  assert str(error.value).endswith(repr(cutoffs))


@pytest.mark.parametrize("kwargs, words", [
    (dict(output_size=0), "output_size must be at least 1, got 0"),
    (dict(div_value=.5), "div_value must be at least 1, got 0.5"),
    (dict(div_value=float("nan")), "div_value must be at least 1, got nan"),
    (dict(div_value=4.), "div_value=4.0 leaves cluster 2 no unit, because the "
     "core has 23 outputs; take a smaller div_value"),
    (dict(tied_to=jnp.zeros([V, F + 1])),
     r"a tied head needs an embedding of the shape \(41, 23\), .* got "
     r"\(41, 24\); set encoder.output_size=23, or .*hidden_size\) to 24")])
def test_errors(kwargs, words):
  kwargs = dict(output_size=V, cutoffs=CUTOFFS) | kwargs
  with pytest.raises(ValueError, match=words):
    hk.transform(lambda: AdaptiveSoftmax(**kwargs)(draw(0, 2, F))).init(
        jax.random.key(0))


def test_targets_must_be_integers_of_the_same_axes():
  _, some, _, params, x, targets = case()
  with pytest.raises(AssertionError, match="type"):
    some(params, x, targets.astype(float))
  with pytest.raises(AssertionError, match="shape"):
    some(params, x, targets[:, None])
