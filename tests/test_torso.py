"""What an agent sees as one vector, against NumPy; and in a model of a task."""

import math

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from config_helpers import resolve

from launch.configs import build
from rmc_nalu_sam import make_model
from rmc_nalu_sam.encoders import Torso

pytestmark = pytest.mark.usefixtures("strict_promotion")

T, B, K, REST, OUT = 2, 3, 2, 5, 7  # REST numbers after image and features.
SHAPE = (6, 5, 3)


def draw(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape)


def net_of(**kwargs):
  return hk.without_apply_rng(hk.transform(lambda x: Torso(**kwargs)(x)))


def convolve(layer, image, stride, same):
  """Computes a convolution and its ReLU, number by number."""
  w, b = layer["w"], layer["b"]
  size = len(w)
  if same:
    # As many rows and columns as are missing, the smaller half in front.
    around = [max((math.ceil(side / stride) - 1) * stride + size - side, 0)
              for side in image.shape[:2]]
    image = np.pad(image, [(n // 2, n - n // 2) for n in around] + [(0, 0)])
  height, width = ((side - size) // stride + 1 for side in image.shape[:2])
  maps = np.zeros([height, width, len(b)])
  for row in range(height):
    for column in range(width):
      y, x = row * stride, column * stride
      patch = image[y:y + size, x:x + size]
      maps[row, column] = np.einsum("ijc,ijco->o", patch, w) + b
  return np.maximum(maps, 0)


def reference(params, vector, shape, num_layers, stride, same, coordinates,
              linear):
  image, rest = np.split(vector, [math.prod(shape)])
  maps = image.reshape(shape)
  if image.size:
    if coordinates:
      rows, columns = (np.linspace(-1, 1, side) if side > 1 else np.zeros(1)
                       for side in shape[:2])
      maps = np.concatenate([maps, np.broadcast_to(
          rows[:, None, None], (*shape[:2], 1)), np.broadcast_to(
              columns[None, :, None], (*shape[:2], 1))], -1)
    for number in range(num_layers):
      maps = convolve(params[f"torso/conv2_d{f'_{number}' * (number > 0)}"],
                      maps, stride, same)
  joined = np.concatenate([maps.ravel(), rest])
  if not linear:
    return joined
  layer = params["torso/linear"]
  return np.concatenate([
      np.maximum(joined @ layer["w"] + layer["b"], 0), rest[:K]])


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape, kwargs", [
    (SHAPE, dict(channels="4,3")),
    (SHAPE, dict(channels="4, 3", coordinates=True, padding="same", stride=2)),
    (SHAPE, dict(channels="4", kernel=3, output_size=0)),
    ((1, 5, 3), dict(channels="4", padding="same", coordinates=True)),
    ((0, 0, 0), dict(coordinates=True)),
    (None, dict(output_size=0))])
def test_equals_its_reference(shape, kwargs):
  kwargs = dict(output_size=OUT) | kwargs
  net = net_of(image_shape=shape, num_features=K, **kwargs)
  shape = shape or (0, 0, 0)
  inputs = draw(T, B, math.prod(shape) + K + REST)
  params = jax.eval_shape(net.init, jax.random.key(0), inputs)
  params = jax.tree.map(lambda p: .4 * draw(*p.shape, seed=p.size), params)
  outputs = jax.jit(net.apply)(params, inputs)
  for t in range(T):
    for b in range(B):
      expected = reference(
          params, inputs[t, b], shape,
          kwargs.get("channels", "").count(",") + 1, kwargs.get("stride", 1),
          kwargs.get("padding") == "same",
          kwargs.get("coordinates"), kwargs["output_size"])
      assert outputs[t, b].shape == expected.shape
      np.testing.assert_allclose(outputs[t, b], expected, rtol=1e-9, atol=1e-9)
  assert np.ptp(outputs) > 1


def test_features_come_last_as_they_are():
  inputs = jnp.asarray(draw(T, B, math.prod(SHAPE) + K + REST), jnp.float32)
  net = net_of(image_shape=SHAPE, num_features=K, output_size=OUT)
  outputs = net.apply(net.init(jax.random.key(0), inputs), inputs)
  assert outputs.shape == (T, B, OUT + K)
  np.testing.assert_array_equal(
      outputs[..., OUT:], inputs[..., math.prod(SHAPE):][..., :K])


@pytest.mark.parametrize("output_size, size", [
    (0, 5 * 4 * 24 + K + REST), (OUT, OUT + K)])
def test_a_model_passes_the_sizes_on(output_size, size):
  inputs = jnp.zeros([T, B, math.prod(SHAPE) + K + REST])
  model = make_model(
      "lstm", 2, encoder="torso", image_shape=SHAPE, num_features=K,
      encoder_args=dict(channels="24", output_size=output_size),
      input_size=inputs.shape[-1], hidden_size=7)
  for one in (model, model.with_core_args(hidden_size=11)):
    params = jax.eval_shape(one.init, jax.random.key(0), inputs)
    assert params["model/~/torso/conv2_d"]["w"].shape == (2, 2, 3, 24)
    (w,) = (layer["w"] for name, layer in params.items()
            if name.startswith("model/~/lstm"))
    assert w.shape[1] in (28, 44)
    assert w.shape[0] == size + w.shape[1] // 4


@pytest.mark.parametrize("core", ["lstm", "nac_lstm"])
def test_a_task_gives_its_sizes(core):
  config = resolve("--preset=time_tracking", f"--core={core}",
                   "--encoder.output_size=7", "--core.hidden_size=11")
  task = build.make_task(config)
  model = build.make_model(config, task)
  params = jax.eval_shape(model.init, jax.random.key(0),
                          jnp.zeros([1, B, task.input_size]))
  kernel = params["model/~/torso/conv2_d"]["w"]
  assert kernel.shape[2] == task.image_shape[2]
  (w,) = (layer["w"] for name, layer in params.items() if "lstm" in name
          and "w" in layer and "conv" not in name)
  # The torso's numbers, the time, the NAC's outputs, the last output.
  of_nac = 16 if core == "nac_lstm" else 0
  assert w.shape == (7 + task.num_features + of_nac + 11, 4 * 11)


@pytest.mark.parametrize("kwargs, words", [
    (dict(output_size=-1), "output_size must be at least 0, got -1"),
    (dict(num_features=-1), "num_features must be at least 0, got -1"),
    (dict(kernel=0), "kernel must be at least 1, got 0"),
    (dict(stride=0), "stride must be at least 1, got 0"),
    (dict(padding="full"), "unknown padding 'full'.*valid, same"),
    (dict(channels="12;24"), "separated by commas, .* got '12;24'"),
    (dict(channels=""), "separated by commas, .* got ''"),
    (dict(channels="3,0"), "above 0, .* got '3,0'"),
    (dict(image_shape=(3, 0, 3)), r"all of them 0 .* got \(3, 0, 3\)"),
    (dict(image_shape=(3, 3)), r"height, width, channels\), .* got \(3, 3\)"),
    (dict(image_shape=(3, 9, 1), kernel=3),
     "3 x 9 pixels is too small for 2 .* 1 x 7 are left after 1; use fewer"),
    (dict(image_shape=(2, 2, 1), num_features=3, channels="3"),
     "an image of .*2, 2, 1.* and 3 features, 7 numbers or more, got .* 6"),
])
def test_errors(kwargs, words):
  with pytest.raises(ValueError, match=words):
    net_of(**kwargs).init(jax.random.key(0), jnp.zeros([B, 6]))
