"""The encoders, alone and in a model."""

import functools

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mixed_precision import bfloat16_policy, every_output, products
from small_models import draw

from rmc_nalu_sam import ENCODERS, make_model
from rmc_nalu_sam.encoders import CNN, Embed
from rmc_nalu_sam.encoders.cnn import Convolution, max_pool
from rmc_nalu_sam.registry import attribute

pytestmark = pytest.mark.usefixtures("strict_promotion")

T, B, OUT = 2, 3, 5
OF_NUMBERS = [name for name in ENCODERS
              if not attribute(ENCODERS.get(name), "OF_TOKENS", False)]


def apply(make, inputs):
  net = hk.without_apply_rng(hk.transform(lambda x: make()(x)))
  params = net.init(jax.random.key(0), inputs)
  # Make the biases nonzero.
  params = jax.tree.map(lambda p: p + .01 * draw(*p.shape, seed=p.size), params)
  return params, jax.jit(net.apply)(params, inputs)


def test_embedding_is_a_row_of_the_matrix():
  tokens = jnp.eye(7)[jnp.array([2, 0, 2])]
  params, outputs = apply(lambda: Embed(OUT), tokens)
  (matrix,) = jax.tree.leaves(params)
  assert matrix.shape == (7, OUT)
  np.testing.assert_allclose(outputs, matrix[jnp.array([2, 0, 2])], rtol=1e-6)


def reference_cnn(params, image, mean, std):
  """Computes the CNN of PyTorch's example in loops, for an image `[H, W]`."""
  hidden = ((image - mean) / std)[:, :, None]
  for name in ("conv2_d", "conv2_d_1"):
    w, b = params[f"cnn/{name}"]["w"], params[f"cnn/{name}"]["b"]
    size = hidden.shape[0] - 4
    conv = np.stack([[
        np.einsum("hwc,hwco->o", hidden[i:i + 5, j:j + 5], w) + b
        for j in range(size)] for i in range(size)])
    half = size // 2
    hidden = np.stack([[
        np.maximum(conv[2 * i:2 * i + 2, 2 * j:2 * j + 2], 0).max((0, 1))
        for j in range(half)] for i in range(half)])
  layer = params["cnn/linear"]
  hidden = np.maximum(hidden.reshape(-1) @ layer["w"] + layer["b"], 0)
  if "cnn/linear_1" not in params:
    return hidden
  layer = params["cnn/linear_1"]
  return hidden @ layer["w"] + layer["b"]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("side, output_layer", [
    (16, True), (16, False), (19, True)])  # 19: pooling drops a row.
def test_cnn_equals_its_reference(side, output_layer):
  images = draw(T, B, side * side)
  params, outputs = apply(
      lambda: CNN(OUT, hidden_size=7, output_layer=output_layer, mean=.3,
                  std=.7), images)
  assert outputs.shape == (T, B, OUT if output_layer else 7)
  params = jax.device_get(params)
  for t in range(T):
    for b in range(B):
      expected = reference_cnn(
          params, np.asarray(images[t, b]).reshape(side, side), .3, .7)
      np.testing.assert_allclose(outputs[t, b], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("output_layer", [True, False])
def test_what_comes_after_the_pixels_passes_by(output_layer):
  images, label = draw(T, B, 256), draw(T, B, 3, seed=1)
  make = functools.partial(CNN, OUT, hidden_size=7, output_layer=output_layer)
  params, plain = apply(make, images)
  net = hk.without_apply_rng(hk.transform(lambda x: make(num_passed=3)(x)))
  inputs = jnp.concatenate([images, label], -1)
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(
      jnp.shape, net.init(jax.random.key(0), inputs))
  outputs = net.apply(params, inputs)
  np.testing.assert_allclose(outputs[..., :-3], plain, rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(outputs[..., -3:], label)


def test_cnn_of_mnist_has_the_sizes_of_the_example():
  net = hk.transform(lambda x: CNN()(x))
  params = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros([1, 28 * 28]))
  assert params["cnn/linear"]["w"].shape == (800, 500)
  assert params["cnn/linear_1"]["w"].shape == (500, 10)
  params = jax.eval_shape(net.init, jax.random.key(0), jnp.zeros([1, 10_000]))
  assert params["cnn/linear"]["w"].shape == (22 * 22 * 50, 500)


def test_cnn_can_start_as_pytorch_s():
  images = draw(B, 784)
  net = hk.without_apply_rng(hk.transform(
      lambda x: CNN(1, torch_init=True)(x)))
  params = net.init(jax.random.key(0), images)
  plain, _ = apply(lambda: CNN(1), images)
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, plain)
  for layer, fan_in in {"conv2_d": 25, "conv2_d_1": 500, "linear": 800,
                        "linear_1": 500}.items():
    for value in params[f"cnn/{layer}"].values():
      bound = fan_in ** -.5
      assert np.abs(value).max() <= bound
      if value.size > 15:
        assert np.std(value) == pytest.approx(bound / 3 ** .5, rel=.3)
  assert np.abs(net.apply(params, images)).max() < .3


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
@pytest.mark.parametrize("stride, padding", [
    (1, "valid"), (2, "valid"), (2, "same"), (1, "same")])
def test_convolution_is_haiku_s(monkeypatch, backend, stride, padding):
  monkeypatch.setattr(jax, "default_backend", lambda: backend)
  images = draw(B, 7, 9, 5)
  ours, theirs = (hk.without_apply_rng(hk.transform(lambda x, conv=conv: conv()(
      x))) for conv in (
          lambda: Convolution(4, 2, stride=stride, padding=padding),
          lambda: hk.Conv2D(4, 2, stride=stride, padding=padding.upper())))
  params, their_params = (jax.jit(net.init)(jax.random.key(0), images)
                          for net in (ours, theirs))
  jax.tree.map(np.testing.assert_array_equal, params, their_params)
  params = jax.tree.map(lambda p: np.asarray(p) + .1 * draw(*p.shape), params)
  np.testing.assert_allclose(*(
      jax.jit(net.apply)(params, images) for net in (ours, theirs)), rtol=1e-5,
      atol=1e-5)
  gradients = [jax.jit(jax.grad(
      lambda *args, net=net: jnp.sin(net.apply(*args)).sum(), (0, 1)))(
          params, images) for net in (ours, theirs)]
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, rtol=1e-4, atol=1e-4), *gradients)


def test_max_pool_and_its_gradient_are_haiku_s():
  images = jax.nn.relu(draw(B, 6, 7, 5))
  grad = lambda pool: jax.grad(lambda x: jnp.sin(pool(x)).sum())(images)  # noqa: E731
  theirs = lambda x: hk.max_pool(x, (2, 2, 1), (2, 2, 1), "VALID")  # noqa: E731
  np.testing.assert_array_equal(max_pool(images), theirs(images))
  # In a window of zeros the two functions divide the gradient differently. A
  # ReLU before the pooling has no gradient there.
  positive = np.asarray(images) > 0
  np.testing.assert_allclose(np.where(positive, grad(max_pool), 0),
                             np.where(positive, grad(theirs), 0), rtol=1e-6)
  assert np.any(np.asarray(grad(max_pool)) != 0)


def test_cnn_in_bfloat16():
  images = draw(B, 256)
  params, outputs = apply(lambda: CNN(OUT, hidden_size=7), images)
  net = hk.without_apply_rng(hk.transform(
      lambda x: CNN(OUT, hidden_size=7)(x)))
  half = net.apply(*jax.tree.map(
      lambda x: x.astype(jnp.bfloat16), (params, images)))
  assert half.dtype == jnp.bfloat16
  np.testing.assert_allclose(np.asarray(half, np.float32), outputs, atol=.1)


@pytest.mark.parametrize("encoder", OF_NUMBERS)
def test_takes_pixels_and_no_images(encoder):
  """Integers equal floats for a core; an empty batch has no vectors."""
  model = make_model("rnn", OUT, encoder=encoder, hidden_size=7)
  pixels = np.random.default_rng(0).integers(0, 256, [T, B, 256], np.uint8)
  params = model.init(jax.random.key(0), pixels)
  start = model.initial_state(params, B)
  outputs, expected = (model.unroll(params, None, x, start).outputs
                       for x in (pixels, pixels.astype(np.float32)))
  np.testing.assert_array_equal(outputs, expected)
  assert np.ptp(outputs) > 0
  for size in ((0, B), (T, 0)):
    start = model.initial_state(params, size[1])
    outputs = jax.eval_shape(lambda x, s=start: model.unroll(
        params, None, x, s).outputs, jnp.zeros([*size, 256]))
    assert outputs.shape == (*size, OUT)


@every_output
@pytest.mark.parametrize("encoder", [CNN, Embed])
def test_bfloat16_policy(encoder, output):
  net = hk.without_apply_rng(hk.transform(lambda x: encoder(OUT)(x)))
  with bfloat16_policy(encoder, output):
    params = jax.eval_shape(net.init, jax.random.key(0), draw(B, 256))
    jaxpr = jax.make_jaxpr(net.apply)(params, draw(B, 256))
  assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(params))
  (outputs,) = jaxpr.out_avals
  assert outputs.dtype == output
  types = [v.dtype for p in products(jaxpr) for v in p]
  assert len(types) == 3 * len(params) or jax.default_backend() != "cpu"
  assert set(types) == {jnp.dtype(jnp.bfloat16)}


@pytest.mark.parametrize("encoder, args", [
    *((encoder, {}) for encoder in OF_NUMBERS), ("cnn", dict(num_passed=3))])
@pytest.mark.parametrize("core, kwargs", [
    ("lstm", dict(hidden_size=7)),
    pytest.param("rmc", dict(num_slots=3, head_size=5),
                 marks=pytest.mark.slow)])  # Both have unrolls of their own.
def test_a_model_encodes_each_step(encoder, args, core, kwargs):
  inputs = draw(T, B, 256 + args.get("num_passed", 0))
  model = make_model(core, OUT, encoder=encoder, encoder_args=args,
                     input_size=inputs.shape[-1], **kwargs)
  plain = make_model(core, OUT, **kwargs)
  params = model.init(jax.random.key(0), inputs)
  start = model.initial_state(params, B)
  outputs = model.unroll(params, None, inputs, start).outputs
  encode = hk.without_apply_rng(hk.transform(
      lambda x: ENCODERS.get(encoder)(**args)(x)))
  own = {name: params.pop(f"model/~/{name}") for name in jax.eval_shape(
      encode.init, jax.random.key(0), inputs)}
  assert bool(own) == (encoder != "none")
  encoded = encode.apply(own, inputs)
  expected = plain.unroll(params, None, encoded, start).outputs
  np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("call, words", [
    (lambda: Embed(0), "output_size must be at least 1, got 0"),
    (lambda: CNN(0), "output_size must be at least 1, got 0"),
    (lambda: CNN(hidden_size=0), "hidden_size must be at least 1, got 0"),
    (lambda: CNN(std=0.), "std must be above 0, got 0"),
    (lambda: CNN(num_passed=-1), "num_passed must be at least 0, got -1"),
    (lambda: CNN(num_passed=4)(jnp.zeros([2, 16 * 16 + 3])),
     "inputs of 259 numbers, num_passed=4 of them after"),
    (lambda: CNN(num_passed=300)(jnp.zeros([2, 16 * 16])), "num_passed=300"),
    (lambda: CNN()(jnp.zeros([2, 17 * 16])), "square images .* inputs of 272"),
    (lambda: CNN()(jnp.zeros([2, 15 * 15])), "square images .* inputs of 225"),
])
def test_errors(call, words):
  with pytest.raises(ValueError, match=words):
    hk.transform(lambda: call() and None).init(jax.random.key(0))
