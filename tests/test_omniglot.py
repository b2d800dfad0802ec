"""Omniglot's episodes. For its files, see test_omniglot_data.py."""

import collections
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from task_helpers import drawings, loss_and_metrics

import tasks

pytestmark = pytest.mark.usefixtures("strict_promotion")

# The task. C = 23 characters of 20 drawings of 7 x 7 pixels.

B, MANY, C, S = 17, 1009, 23, 7
PLAIN = tasks.Omniglot(
    num_classes=3, num_presentations=11, num_labels=5, image_size=S,
    quarter_turns=False, max_angle=0.0, max_stretch=0.0)
VARIED = dataclasses.replace(PLAIN, num_classes=5, min_classes=2,
                             num_labels=None)
WARPED = dataclasses.replace(PLAIN, quarter_turns=True, max_angle=30.0,
                             max_stretch=0.5)
DATA = drawings(S)


# Compiling takes nearly all the time of these tests. So optimisation is off,
# and there are few batch sizes.
jitted_sample = jax.jit(
    tasks.Episodes.sample, static_argnums=(0, 2),
    compiler_options={"xla_backend_optimization_level": 0})


def sample(task, seed=0, batch_size=B, level=None, data=DATA) -> tasks.Batch:
  level = jnp.int32(task.max_level if level is None else level)
  batch = jitted_sample(task, jax.random.key(seed), batch_size, level, data)
  return jax.tree.map(np.asarray, batch)


def shown_images(task, batch) -> np.ndarray:
  return batch.inputs[:, :, :S * S].reshape(task.num_steps, -1, S, S)


def identify(images: np.ndarray, data: np.ndarray = DATA) -> np.ndarray:
  """Returns the character and the drawing of each image: `[..., 2]`."""
  names = {data[c, d].tobytes(): (c, d) for c in range(len(data))
           for d in range(20)}
  assert len(names) == len(data) * 20
  pixels = np.round(images * 255).astype(np.uint8)
  np.testing.assert_allclose(pixels / 255, images, atol=1e-6)
  rows = [names[image.tobytes()] for image in pixels.reshape(-1, S, S)]
  return np.array(rows).reshape(*images.shape[:-2], 2)


@pytest.mark.parametrize("task", (PLAIN, VARIED, WARPED))
def test_shapes_match_the_spec(task):
  batch = sample(task)
  assert batch.inputs.shape == (task.num_steps, B, task.input_size)
  assert batch.targets.shape == (task.num_steps, B, task.output_size)
  assert batch.mask.shape == (task.num_steps, B)
  assert {x.dtype for x in batch} == {np.dtype(np.float32)}
  assert task.input_size == S * S + 5 and task.output_size == 5
  assert batch.inputs.min() >= 0 and batch.inputs.max() <= 1


def test_each_class_is_shown_as_often_as_said():
  batch = sample(PLAIN)
  assert batch.mask.all()
  counts = np.sort(batch.targets.sum(0), axis=1)
  np.testing.assert_array_equal(counts, [[0, 0, 11, 11, 11]] * B)
  np.testing.assert_array_equal(batch.targets.sum(2), 1)


def test_order_is_mixed():
  label = sample(PLAIN).targets.argmax(2)
  runs = (label[1:] != label[:-1]).sum(0)
  assert (runs > 2).all()  # 2 if each class were shown in one go.


def test_labels_name_characters_within_an_episode_only():
  batch = sample(PLAIN)
  character = identify(shown_images(PLAIN, batch))[..., 0]
  label = batch.targets.argmax(2)
  pairs = [set(zip(character[:, b], label[:, b], strict=True))
           for b in range(B)]
  for pair in pairs:
    assert len(pair) == 3
    assert len({c for c, _ in pair}) == len({y for _, y in pair}) == 3
  everywhere = set().union(*pairs)
  assert len({c for c, _ in everywhere}) < len(everywhere)
  assert {y for _, y in everywhere} == set(range(5))
  assert len({c for c, _ in everywhere}) > C / 2


def test_characters_and_labels_are_drawn_evenly():
  task = dataclasses.replace(PLAIN, num_presentations=1)
  batch = sample(task, batch_size=MANY)
  found = identify(shown_images(task, batch))
  for values, size in ((found[..., 0], C), (found[..., 1], 20),
                       (batch.targets.argmax(2), 5)):
    expected = values.size / size
    counts = np.bincount(values.ravel(), minlength=size)
    assert counts.shape == (size,)
    assert abs(counts - expected).max() < 5 * expected ** 0.5


@pytest.mark.parametrize("presentations", (11, 20, 29))
def test_drawings_repeat_only_when_they_must(presentations):
  task = dataclasses.replace(PLAIN, num_presentations=presentations)
  found = identify(shown_images(task, sample(task)))
  for b in range(B):
    distinct = len({tuple(row) for row in found[:, b]})
    if presentations <= 20:
      assert distinct == 3 * presentations
    else:
      assert distinct <= 60 < 3 * presentations


@pytest.mark.parametrize("task", (PLAIN, VARIED))
def test_input_has_the_preceding_label(task):
  batch = sample(task)
  label = batch.inputs[:, :, S * S:]
  np.testing.assert_array_equal(label[0], 0)
  np.testing.assert_array_equal(
      label[1:], batch.targets[:-1] * batch.mask[1:, :, None])
  assert label[1:].any()


def test_levels_and_padding():
  before = jitted_sample._cache_size()
  batch = sample(VARIED, batch_size=MANY)
  n = batch.mask.sum(0) / 11
  assert set(n) == {2, 3, 4, 5}
  np.testing.assert_array_equal(
      batch.mask, np.arange(55)[:, None] < 11 * n)
  np.testing.assert_array_equal((batch.targets.sum(0) > 0).sum(1), n)
  padding = batch.mask == 0
  assert padding.any()
  assert not batch.inputs[padding].any() and not batch.targets[padding].any()
  for level, classes in ((1, {1}), (2, {2}), (3, {2, 3}), (5, {2, 3, 4, 5})):
    n = sample(VARIED, batch_size=MANY, level=level).mask.sum(0) / 11
    assert set(n) == classes
  assert jitted_sample._cache_size() <= before + 1  # The level is traced.
  # Below `min_classes`, the number of classes is the level itself.
  assert set(sample(PLAIN, level=2).mask.sum(0) / 11) == {2}


def test_at_level_keeps_the_sizes_of_a_network():
  for level in (1, 2, 5):
    task = VARIED.at_level(level)
    assert (task.input_size, task.output_size) == (S * S + 5, 5)
    assert task.num_steps == 11 * level
  # At the highest level the shapes are those of this task itself.
  assert sample(VARIED.at_level(5)).mask.all()
  for level in (0, 6):
    with pytest.raises(ValueError, match=f"={level}"):
      VARIED.at_level(level)


def test_quarter_turns_alike_within_an_episode():
  task = dataclasses.replace(PLAIN, quarter_turns=True)
  batch = sample(task)
  turned = np.stack([np.rot90(DATA, turns, (2, 3)) for turns in range(4)])
  found = identify(shown_images(task, batch), turned.reshape(-1, 20, S, S))
  label = batch.targets.argmax(2)
  turns_seen = set()
  for b in range(B):
    for y in set(label[:, b]):
      turned_character, = set(found[label[:, b] == y, b, 0])
      turns_seen.add(int(turned_character) // C)
  assert turns_seen == {0, 1, 2, 3}


def test_warp_is_alike_within_an_episode():
  # All drawings of all characters are the same image. So each class has one
  # image, and classes differ by the warp alone.
  data = np.broadcast_to(DATA[:1, :1], DATA.shape)
  batch = sample(WARPED, data=data)
  images, label = shown_images(WARPED, batch), batch.targets.argmax(2)
  for b in range(B):
    distinct = {image.tobytes() for image in images[:, b]}
    assert len(distinct) == 3
    for y in set(label[:, b]):
      assert len({x.tobytes() for x in images[label[:, b] == y, b]}) == 1


@pytest.mark.parametrize("max_angle,max_stretch",
                         ((0.0, 0.3), (40.0, 0.0), (40.0, 0.3)))
def test_warp_is_within_its_bounds(max_angle, max_stretch):
  """The turn and the stretch of a blob of ink are within the task's bounds."""
  size = 41
  task = tasks.Omniglot(
      num_classes=1, num_presentations=1, image_size=size, quarter_turns=False,
      max_angle=max_angle, max_stretch=max_stretch)
  y, x = np.mgrid[:size, :size] - size // 2
  # A Gaussian of unequal axes. Its covariance shows the turn and the stretch.
  blob = np.exp(-(x / 5) ** 2 / 2 - (y / 3) ** 2 / 2)
  data = np.round(255 * blob).astype(np.uint8)[None, None].repeat(20, 1)
  batch = sample(task, batch_size=101, data=data)
  images = batch.inputs[0, :, :-1].reshape(-1, size, size)
  mass = images.sum((1, 2))
  xx, yy, xy = ((images * w).sum((1, 2)) / mass for w in (x * x, y * y, x * y))
  for centre in (x, y):
    np.testing.assert_allclose((images * centre).sum((1, 2)) / mass, 0,
                               atol=0.05)
  areas = np.sqrt(xx * yy - xy ** 2) / 15
  bound = (1 + max_stretch) ** 2
  assert areas.max() < bound * 1.03 and areas.min() > 0.97 / bound
  if max_stretch:
    assert areas.max() > 1.15 and areas.min() < 1 / 1.15
  else:
    np.testing.assert_allclose(areas, 1, atol=0.03)
  angles = np.degrees(np.arctan2(2 * xy, xx - yy) / 2)
  if not max_angle:
    np.testing.assert_allclose(angles, 0, atol=0.5)
    sides = np.sqrt(np.stack([xx / 25, yy / 9]))
    assert (sides.max(1) > 1.2).all() and (sides.max(1) < 1.33).all()
    assert (sides.min(1) < 1 / 1.2).all() and (sides.min(1) > 0.75).all()
  elif not max_stretch:
    assert abs(angles).max() < 40.5
    assert angles.max() > 30 and angles.min() < -30


def best_guess(batch):
  """Recognises known characters; guesses unused labels for new characters."""
  used = batch.targets.cumsum(0) - batch.targets
  is_known = (used * batch.targets).sum(2, keepdims=True) > 0
  return 20 * np.where(is_known, batch.targets, used == 0)


@pytest.mark.parametrize("task", (PLAIN, VARIED))
def test_the_best_guess_errs_on_new_characters_only(task):
  batch = sample(task, batch_size=MANY)
  _, metrics = loss_and_metrics(task.score, best_guess(batch), batch)
  later = {"error_2nd", "error_3rd", *(f"error_{n}th" for n in range(4, 11))}
  assert set(metrics) == {"error", "error_1st", "later_loss", *later}
  for name in later:
    np.testing.assert_array_equal(metrics[name], 0)
  # The curriculum is judged without the guesses.
  assert metrics[task.score.judged_metric].max() < 1e-6
  # The i-th new character has one of the 5 - i labels left.
  classes = batch.mask.sum(0).astype(int) // 11
  expected = np.array([
      1 - np.mean([1 / (5 - i) for i in range(n)]) for n in classes])
  first = np.asarray(metrics["error_1st"])
  error = (first - expected).mean()
  assert first.std() > 0
  assert abs(error) < 5 * (first - expected).std() / MANY ** 0.5
  np.testing.assert_allclose(metrics["error"], first / 11, rtol=1e-5)


def test_metrics_by_hand():
  task = dataclasses.replace(PLAIN, num_classes=2, num_labels=3,
                             num_presentations=2)
  label = np.array([[1, 1], [2, 1], [1, 0], [2, 0]])  # [T, B]
  mask = np.array([[1, 1], [1, 1], [1, 0], [1, 0]], np.float32)
  targets = np.eye(3, dtype=np.float32)[label] * mask[..., None]
  answer = np.array([[1, 0], [0, 1], [0, 0], [0, 2]])
  batch = tasks.Batch(jnp.zeros((4, 2, task.input_size)), targets, mask)
  metrics = task.score.metrics(jnp.eye(3)[answer], batch)
  assert set(metrics) == {"error", "error_1st", "error_2nd", "later_loss"}
  np.testing.assert_allclose(metrics["error"], [3 / 4, 1 / 2])
  np.testing.assert_allclose(metrics["error_1st"], [1 / 2, 1])
  np.testing.assert_allclose(metrics["error_2nd"], [1, 0])
  nats = np.log(np.e + 2) - np.array([0, 1])  # Of a wrong, of a right label.
  np.testing.assert_allclose(metrics["later_loss"], nats, rtol=1e-6)


def test_showings_are_counted_within_an_episode():
  """Against loops, with episodes of several lengths and random answers."""
  batch = sample(VARIED)
  logits = np.random.default_rng(0).normal(size=batch.targets.shape)
  _, metrics = loss_and_metrics(VARIED.score, logits.astype(np.float32), batch)
  nats = np.log(np.exp(logits).sum(2)) - (logits * batch.targets).sum(2)
  right, label = logits.argmax(2), batch.targets.argmax(2)
  assert len(set(batch.mask.sum(0))) > 1
  for b in range(B):
    shown, wrong, later = collections.Counter(), {}, []
    for t in range(int(batch.mask[:, b].sum())):
      shown[label[t, b]] += 1
      times = shown[label[t, b]]
      wrong.setdefault(times, []).append(right[t, b] != label[t, b])
      later += [nats[t, b]] if times > 1 else []
    for times, name in ((1, "1st"), (2, "2nd"), (3, "3rd"), (10, "10th")):
      assert len(wrong[times]) == batch.mask[:, b].sum() / 11
      np.testing.assert_allclose(
          metrics[f"error_{name}"][b], np.mean(wrong[times]), rtol=1e-6)
    np.testing.assert_allclose(metrics["later_loss"][b], np.mean(later),
                               rtol=1e-5)


def test_a_single_showing_is_judged():
  """Without later ones, a loss of 0 would raise the level for nothing."""
  task = dataclasses.replace(PLAIN, num_presentations=1)
  batch = sample(task)
  logits = np.random.default_rng(0).normal(size=batch.targets.shape)
  loss, metrics = loss_and_metrics(
      task.score, logits.astype(np.float32), batch)
  assert loss.min() > 0
  np.testing.assert_array_equal(metrics["later_loss"], loss)


def test_episodes_of_500_characters():
  """5,000 steps need some times the memory of the batch itself, no more."""
  task = dataclasses.replace(WARPED, num_labels=500).at_level(500)
  data = jax.ShapeDtypeStruct((659, 20, S, S), np.uint8)
  batch = jax.eval_shape(lambda key, data: task.sample(key, 2, data=data),
                         jax.random.key(0), data)
  assert batch.inputs.shape == (5_500, 2, S * S + 500)
  drawn = jax.jit(lambda key, data: task.sample(key, 2, data=data)).lower(
      jax.random.key(0), data).compile().memory_analysis()
  scored = jax.jit(task.score.metrics).lower(
      batch.targets, batch).compile().memory_analysis()
  size = sum(x.size * 4 for x in batch)
  assert 0 < drawn.temp_size_in_bytes < 2 * size
  assert 0 < scored.temp_size_in_bytes < 2 * size
  # On a CPU, a cumulative sum of the targets takes longer than all the rest.
  assert "cumsum" not in str(jax.make_jaxpr(task.score.metrics)(
      batch.targets, batch))


def test_no_more_characters_than_are_held_out():
  task = dataclasses.replace(PLAIN, num_labels=1_000)
  assert task.at_level(659).num_steps == 659 * 11
  with pytest.raises(ValueError, match=r"held out for evaluation.*=660 .*=659"):
    task.at_level(660)


@pytest.mark.parametrize("data,message", (
    (None, "got None; pass what `load` returns"),
    (DATA[0], "got .20, 7, 7."),
    (DATA[:, :, :5], "got .23, 20, 5, 7."),
    (DATA / 255, "uint8, got float"),
    (DATA[:2], "only 2 characters"),
))
def test_bad_data_are_refused(data, message):
  with pytest.raises(ValueError, match=message):
    PLAIN.sample(jax.random.key(0), B, data=data)
