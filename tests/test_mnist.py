"""The tasks on MNIST: series of digits, and digits strewn over an image."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from task_helpers import DIGITS, NO_ZEROS, loss_and_metrics

import tasks
from tasks.mnist import parity, reader

pytestmark = pytest.mark.usefixtures("strict_promotion")

B, MORE, MANY = 97, 503, 2003
DATA = DIGITS


def running_count(labels):
  return np.array([[(labels[:t + 1] == digit).sum() for digit in range(10)]
                   for t in range(len(labels))])


def running_sum(labels):
  return np.array([[sum(labels[:t + 1])] for t in range(len(labels))])


def running_product(labels):
  return np.array([[np.prod(labels[:t + 1])] for t in range(len(labels))])


@dataclasses.dataclass(frozen=True)
class Case:
  """Describes a task on series by facts from its documentation."""

  name: str
  answers: object  # NumPy reference: labels [T] -> answers [T, O].
  every_step: bool
  lengths: tuple[int, ...]  # Lengths of its tests.
  metrics: frozenset[str]  # Beyond mse, mae and accuracy.
  main_metric: str

  def make(self, **kwargs) -> tasks.Task:
    return tasks.TASKS[self.name](**kwargs)

  @property
  def data(self) -> reader.Digits:
    return NO_ZEROS if self.name == "mnist_sequence_product" else DATA


CASES = (
    Case("mnist_counting", running_count, False, (1, 100, 1000), frozenset(),
         "mae"),
    Case("mnist_addition", running_sum, False, (1, 100, 1000), frozenset(),
         "mae"),
    Case("mnist_sequence_sum", running_sum, True, (1, 100, 1000),
         frozenset({"final_mse"}), "mse"),
    Case("mnist_sequence_product", running_product, True, (1, 5, 10, 20),
         frozenset({"final_mse"}), "mse"),
)
all_series = pytest.mark.parametrize(
    "case", CASES, ids=[case.name for case in CASES])
PARITY = tasks.MnistParity()

# Compiling takes nearly all the time of these tests.
jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0})
_sample = jit(tasks.Episodes.sample, static_argnums=(0, 2))


def sample(task, episodes=B, seed=0, level=None, data=DATA) -> tasks.Batch:
  level = jnp.int32(task.max_level if level is None else level)
  batch = _sample(task, jax.random.key(seed), episodes, level, data)
  assert batch.mask.sum() > 0
  return jax.tree.map(np.asarray, batch)


def pixels_of(inputs: np.ndarray) -> np.ndarray:
  """Converts inputs back to bytes."""
  pixels = 255 * inputs
  np.testing.assert_allclose(pixels, np.round(pixels), atol=1e-3)
  return np.round(pixels).astype(np.uint8)


def read_labels(inputs: np.ndarray, data: reader.Digits) -> np.ndarray:
  """Finds the labels `[L]` of images `[L, 784]` by comparing pixels."""
  names = {image.tobytes(): label
           for image, label in zip(*data, strict=True)}
  assert len(names) == len(data.labels)
  return np.array([names[image.tobytes()] for image in pixels_of(inputs)])


@all_series
@pytest.mark.parametrize("low, high, level", [
    (2, 7, 7), (2, 7, 5), (2, 7, 1), (7, 7, 7), (1, 1, 1)])
def test_answers_follow_from_the_images(case, low, high, level):
  task = case.make(min_length=low, max_length=high)
  batch = sample(task, level=level, data=case.data)
  lengths, digits = set(), set()
  for i in range(B):
    # Padding is 0 throughout; the images have ink in every pixel.
    length = int((batch.inputs[:, i] != 0).any(1).sum())
    lengths.add(length)
    labels = read_labels(batch.inputs[:length, i], case.data)
    digits |= set(labels)
    expected, asked = np.zeros((2, high, 1))
    expected = expected * np.zeros(task.output_size)
    asked[0 if case.every_step else length - 1:length] = 1
    expected[:length] = case.answers(labels)
    np.testing.assert_array_equal(batch.mask[:, i], asked[:, 0])
    np.testing.assert_array_equal(batch.targets[:, i], expected * asked)
    assert not batch.inputs[length:, i].any()
  assert lengths == set(range(min(low, level), level + 1))
  assert digits == set(case.data.labels)


@all_series
def test_images_are_drawn_evenly_and_independently(case):
  task = case.make(max_length=7)
  batch = sample(task, data=case.data)
  rows = {image.tobytes(): i for i, image in enumerate(case.data.images)}
  shown = np.array([rows[image.tobytes()] for image in pixels_of(
      batch.inputs.reshape(-1, 784))]).reshape(7, B)
  counts = np.bincount(shown.ravel(), minlength=len(rows))
  expected = shown.size / len(rows)
  assert ((counts - expected) ** 2 / expected).sum() < len(rows) * 1.5
  assert counts.min() < expected < counts.max()
  # No two steps are the same, and no two episodes.
  for axis in (0, 1):
    series = {tuple(x) for x in np.moveaxis(shown, axis, 0)}
    assert len(series) == shown.shape[axis]


@all_series
def test_other_lengths_are_evaluated_beside(case):
  task = case.make(max_length=10 if case.lengths[-1] == 1000 else 2)
  assert task == case.make()
  variants = task.extrapolations
  assert list(variants) == [f"length {length}" for length in case.lengths]
  for length, variant in zip(case.lengths, variants.values(), strict=True):
    assert variant == task.at_level(length)
    assert (variant.num_steps, variant.max_level) == (length, length)
    assert type(variant) is type(task)
    assert variant.output_size == task.output_size
    batch = jax.eval_shape(functools.partial(
        variant.sample, jax.random.key(0), B, data=case.data))
    assert batch.inputs.shape == (length, B, 784)
  fewer = case.make(max_test_length=20, min_length=1).extrapolations
  assert list(fewer) == [f"length {length}" for length in sorted(
      {*case.lengths, task.max_length}) if length <= 20]


def test_a_long_series_is_exact():
  task = tasks.MnistAddition().extrapolations["length 1000"]
  batch = sample(task, 3)
  for i in range(3):
    labels = read_labels(batch.inputs[:, i], DATA)
    assert batch.targets[-1, i, 0] == labels.sum() > 4000


@all_series
@pytest.mark.parametrize("kwargs", [
    {}, dict(min_length=2, max_length=3), dict(max_length=1)])
def test_the_trivial_baseline(case, kwargs):
  task = case.make(**kwargs)
  batch = sample(task, MANY, seed=3, data=case.data)
  outputs = np.asarray(task.trivial(batch))
  assert outputs.shape == batch.targets.shape
  assert np.unique(outputs).size == 1
  _, metrics = loss_and_metrics(task.score, outputs, batch)
  scores = metrics[case.main_metric]
  error = scores.std() / MANY ** 0.5
  # With one digit, the errors of a count may all be equal: `error` may be 0.
  assert 0 <= error < 0.1 * task.trivial_score
  assert abs(scores.mean() - task.trivial_score) < 4 * error + 1e-6
  for other in (outputs - 0.5, outputs + 0.5):
    _, metrics = loss_and_metrics(task.score, other, batch)
    worse = metrics[case.main_metric]
    assert worse.mean() > scores.mean() - 4 * error


def test_trivial_scores_by_hand():
  # With 10 digits, a count X has mean 1, and E|X - 1| = 2 P(X = 0).
  assert tasks.MnistCounting().trivial_answer == 1
  np.testing.assert_allclose(
      tasks.MnistCounting().trivial_score, 2 * 0.9 ** 10)
  one = tasks.MnistAddition(max_length=1)
  assert one.trivial_answer in (4, 5)
  np.testing.assert_allclose(one.trivial_score, 2.5)
  # A digit has variance 8.25. Sums of 1 and 2 digits together have mean 6.75;
  # the mean of each is 2.25 away.
  two = tasks.MnistSequenceSum(max_length=2)
  np.testing.assert_allclose(two.trivial_answer, 6.75)
  np.testing.assert_allclose(two.trivial_score, 1.5 * 8.25 + 2.25 ** 2)
  product = tasks.MnistSequenceProduct()
  digits = np.arange(1, 10)
  products = np.concatenate([
      np.repeat(digits, 9), np.outer(digits, digits).ravel()])
  np.testing.assert_allclose(product.trivial_answer, products.mean())
  np.testing.assert_allclose(product.trivial_score, products.var())


@all_series
@pytest.mark.parametrize("kwargs", [
    dict(max_length=1), dict(min_length=2, max_length=7)])
def test_the_right_answers_are_perfect(case, kwargs):
  task = case.make(**kwargs)
  batch = sample(task, data=case.data)
  loss, metrics = loss_and_metrics(task.score, batch.targets, batch)
  assert task.score.main_metric == case.main_metric
  single = kwargs.get("max_length") == 1 and case.name == "mnist_counting"
  assert set(metrics) == {"mse", "mae", "accuracy"} | case.metrics | (
      {"class_accuracy"} if single else set())
  for name, value in metrics.items():
    expected = float(name.endswith("accuracy"))
    np.testing.assert_allclose(value, np.full(B, expected), rtol=1e-6)
  np.testing.assert_array_equal(loss, np.zeros(B))


def test_metrics_by_hand():
  mask = np.array([[1, 1], [1, 1], [1, 0]], np.float32)  # [T, B]
  targets = np.array([[3, 5], [7, 6], [9, 0]], np.float32)[..., None]
  outputs = np.array([[3.4, 5], [6, 9], [9.6, 99]], np.float32)[..., None]
  batch = tasks.Batch(jnp.zeros((3, 2, 784)), targets, mask)
  metrics = tasks.MnistSequenceSum().score.metrics(outputs, batch)
  for name, expected in dict(
      mae=[2 / 3, 1.5], mse=[1.52 / 3, 4.5], accuracy=[1 / 3, 1 / 2],
      final_mse=[0.36, 9]).items():
    np.testing.assert_allclose(metrics[name], expected, rtol=1e-5)


def test_count_is_right_if_all_counts_are():
  task = tasks.MnistCounting(max_length=7)
  batch = sample(task)
  outputs = batch.targets + 0.4
  _, metrics = loss_and_metrics(task.score, outputs, batch)
  np.testing.assert_array_equal(metrics["accuracy"], 1)
  np.testing.assert_allclose(metrics["mae"], 0.4, rtol=1e-5)
  outputs[6, :4, 7] += 0.2
  outputs[:6] = 9  # The mask is 0 here.
  _, metrics = loss_and_metrics(task.score, outputs, batch)
  np.testing.assert_array_equal(metrics["accuracy"], [0] * 4 + [1] * 93)
  np.testing.assert_allclose(metrics["mae"], [0.42] * 4 + [0.4] * 93, rtol=1e-5)


def test_the_highest_count_tells_the_class():
  task = tasks.MnistCounting(max_length=1)
  batch = sample(task)
  outputs = batch.targets * 0.3 + 0.1
  outputs[0, :3] = 0.2  # All counts are equal.
  outputs[0, np.arange(3), 9 - batch.targets[0, :3].argmax(1)] = 0.4
  _, metrics = loss_and_metrics(task.score, outputs, batch)
  np.testing.assert_array_equal(metrics["class_accuracy"], [0] * 3 + [1] * 94)


def test_products_leave_out_zeros(monkeypatch):
  asked = []
  monkeypatch.setattr(
      reader, "load_digits",
      lambda *args: asked.append(args) or DATA)
  images, labels = tasks.MnistSequenceProduct().load("test", "x")
  assert (images.shape, labels.shape) == ((207, 28, 28), (207,))
  assert set(labels) == set(range(1, 10))
  for name in ("mnist_counting", "mnist_addition", "mnist_sequence_sum",
               "mnist_parity"):
    assert tasks.TASKS[name]().load("test", "x") is DATA
  assert asked == [("test", "x")] * 5


# Parity. Images of DATA have ink in every pixel, so that places can be found.


def blank(images: np.ndarray, labels: np.ndarray) -> reader.Digits:
  return reader.Digits(images.astype(np.uint8), labels.astype(np.int32))


def test_digits_are_strewn_far_apart():
  # One pixel of ink in the corner, as dark as its label says.
  images = np.zeros((10, 28, 28))
  images[:, 0, 0] = 100 + np.arange(10)
  batch = sample(PARITY, MORE, data=blank(images, np.arange(10)))
  canvas = pixels_of(batch.inputs).reshape(MORE, 100, 100)
  numbers, rows, columns = np.zeros(6), set(), set()
  least = []
  for i in range(MORE):
    places = np.argwhere(canvas[i])
    numbers[len(places)] += 1
    digits = canvas[i][tuple(places.T)].astype(int) - 100
    np.testing.assert_array_equal(
        batch.targets[0, i], np.eye(6)[(digits % 2 == 0).sum()])
    distance = np.hypot(*(places[:, None] - places).transpose(2, 0, 1))
    distance = distance[~np.eye(len(places), dtype=bool)]
    if len(distance):
      least.append(distance.min())
    rows |= set(places[:, 0])
    columns |= set(places[:, 1])
  assert min(least) == 28
  assert max(least) > 60
  # All rows and columns occur. Each number of digits from 1 to 5 is equally
  # likely.
  assert rows == columns == set(range(73))
  assert numbers[0] == 0
  np.testing.assert_allclose(numbers[1:], MORE / 5,
                             atol=4 * (MORE * 0.2 * 0.8) ** 0.5)


def test_all_places_that_fit_are_equally_likely():
  keys = jax.random.split(jax.random.key(5), MANY)
  places = np.asarray(jit(jax.vmap(
      lambda key: parity.draw_places(key, jnp.int32(2), 2, 61)))(keys))
  assert places.shape == (MANY, 2, 2)
  grid = np.stack(np.meshgrid(*[np.arange(34)] * 2), axis=-1).reshape(-1, 2)
  apart = ((grid[:, None] - grid) ** 2).sum(2) >= 28 ** 2
  odds = apart.sum(1) / apart.sum()
  # Places near the rim are likelier: they leave more room for the other digit.
  centrality = ((grid - 16.5) ** 2).sum(1)
  expected = odds @ centrality
  assert expected > 1.2 * centrality.mean()
  for got in np.moveaxis(places, 1, 0):
    square = ((got - 16.5) ** 2).sum(1)
    assert abs(square.mean() - expected) < 4 * square.std() / MANY ** 0.5
    assert abs(got.mean(0) - 16.5).max() < 4 * got.std() / MANY ** 0.5
    assert got.min() == 0 and got.max() == 33


def test_whole_digits_are_pasted_the_darker_ink_on_top():
  task = dataclasses.replace(PARITY, max_digits=1)
  batch = sample(task)
  canvas = pixels_of(batch.inputs).reshape(B, 100, 100)
  for i in range(B):
    (top, left), (bottom, right) = (
        f(np.argwhere(canvas[i]), axis=0) for f in (np.min, np.max))
    image = canvas[i, top:bottom + 1, left:right + 1]
    label = read_labels(image.reshape(1, -1) / 255, DATA)
    np.testing.assert_array_equal(batch.targets[0, i], np.eye(2)[
        int(label[0] % 2 == 0)])
  # Where corners overlap, lighter ink never hides darker ink.
  images = np.full((2, 28, 28), 200)
  images[1] = 77
  batch = sample(PARITY, B, data=blank(images, np.arange(2)))
  canvas = pixels_of(batch.inputs).reshape(B, 100, 100)
  ink = (canvas > 0).sum((1, 2))
  assert (ink % 784 != 0).any()  # Some overlap.
  assert set(np.unique(canvas)) == {0, 77, 200}
  dark = (canvas == 200).sum((1, 2))
  evens = batch.targets[0].argmax(1)
  assert (dark <= evens * 784).all()
  # No dark ink is hidden: a single dark digit is visible as a whole.
  assert (evens == 1).sum() > 3
  np.testing.assert_array_equal(dark[evens == 1], 784)


def test_parity_sizes_and_levels():
  assert (PARITY.input_size, PARITY.output_size) == (100 * 100, 6)
  assert (PARITY.num_steps, PARITY.max_level, PARITY.encoder) == (1, 5, "cnn")
  batch = sample(PARITY)
  assert batch.inputs.shape == (1, B, 100 * 100)
  assert batch.targets.shape == (1, B, 6)
  np.testing.assert_array_equal(batch.mask, np.ones((1, B)))
  assert {x.dtype for x in batch} == {np.dtype(np.float32)}
  data = DATA._replace(labels=0 * DATA.labels)  # All are even.
  for task, level, expected in (
      (PARITY, 3, {1, 2, 3}), (PARITY.at_level(3), None, {3}),
      (PARITY.at_level(3), 2, {2})):
    batch = sample(task, level=level, data=data)
    assert set(batch.targets[0].argmax(1)) == expected
    assert task.output_size == 6
  assert not PARITY.extrapolations


@pytest.mark.parametrize("task", [PARITY, PARITY.at_level(3)])
def test_parity_baseline(task):
  batch = sample(task, MORE, seed=7)
  outputs = task.trivial(batch)
  losses, metrics = loss_and_metrics(task.score, outputs, batch)
  scores = metrics["error"]
  assert abs(scores.mean() - task.trivial_score) < 4 * 0.5 / MORE ** 0.5
  # The baseline's cross-entropy is the entropy of the number of even digits.
  odds = np.exp(np.asarray(outputs)[0, 0])
  np.testing.assert_allclose(odds.sum(), 1, rtol=1e-5)
  entropy = -sum(p * np.log(p) for p in odds if p > 1e-6)
  assert losses.shape == (MORE,)
  assert abs(losses.mean() - entropy) < 4 * losses.std() / MORE ** 0.5


def test_parity_trivial_score_by_hand():
  # With 1 or 2 digits, the probability of no even digit is (1/2 + 1/4) / 2, of
  # one even digit 1/2, and of two even digits 1/8.
  task = dataclasses.replace(PARITY, max_digits=2)
  np.testing.assert_allclose(task.trivial_score, 1 / 2)
  np.testing.assert_allclose(PARITY.at_level(4).trivial_score, 1 - 6 / 16)


@pytest.mark.parametrize("name", [case.name for case in CASES]
                         + ["mnist_parity"])
def test_bad_data_are_refused(name):
  task = tasks.TASKS[name]()
  small = DATA._replace(images=DATA.images[:, :14])
  for data, words in (
      (None, "got NoneType; pass what `load` returns"),
      (DATA.images, "got ndarray"), (small, r"got \(230, 14, 28\)"),
      (DATA._replace(images=DATA.images / 255), "got .* float64"),
      (DATA._replace(labels=DATA.labels[:-1]), r"need images of shape \(229,")):
    with pytest.raises(ValueError, match=words):
      task.sample(jax.random.key(0), 2, data=data)
