"""The benchmarks of devices and of the bytes that they average."""

import pathlib

import jax
import learning_helpers
import numpy as np
import pytest

from launch import benchmarks
from launch.benchmarks import collectives, devices, measure
from launch.configs import build
from launch.configs import config as config_lib
from launch.learning.penalties import Discrete

resolve = config_lib.resolve


def small(preset, fields, args):
  """Returns a small network, whatever the preset."""
  del preset, args
  return resolve(
      "none", fields | dict(core="lstm", batch_size=4),
      dict(task=dict(max_length=2), core=dict(hidden_size=3)))


def test_rows_of_devices(monkeypatch):
  monkeypatch.setattr(measure, "TURN", 0.)
  monkeypatch.setattr(devices, "UPDATES", 1)
  monkeypatch.setattr(devices.config_lib, "resolve", small)
  result = devices.devices(benchmarks.Options(
      repeats=2, sizes=[1, 2], models=["sam_copy"]))
  first, second = result["rows"]
  assert (first["devices"], second["devices"]) == (1, 2)
  for row in (first, second):
    assert row["items"] == 4
    assert row["time"]["turns"] == row["apart"]["turns"] == 2
    assert row["collectives"] == pytest.approx(
        1 - row["apart"]["median"] / row["time"]["median"])
  assert first["efficiency"] == 1
  assert second["efficiency"] == pytest.approx(
      first["time"]["median"] / second["time"]["median"] / 2)
  assert len(result["table"]) == 3


def test_devices_that_do_not_exist_are_refused():
  with pytest.raises(ValueError, match="8 devices are asked for, and there are "
                     "4; on a CPU add --cpu_devices=8, or give --sizes of at "
                     "most 4"):
    devices.devices(benchmarks.Options(sizes=[1, 8]))


def test_devices_apart_average_nothing():
  """They differ after an update; those of a batch that is split do not."""
  for kind, is_same in ((devices.Apart, False),
                        (devices.layout.SplitBatch, True)):
    trainer = learning_helpers.Trainer(
        learning_helpers.make_trainer().learner, kind(jax.devices()[:2]))
    state = trainer.put(trainer.initial_state())
    state, _ = trainer.train(state, None, 1)
    for leaf in jax.tree.leaves(state.train.params):
      one, other = (shard.data for shard in leaf.addressable_shards)
      assert np.array_equal(one, other) == is_same


def test_bytes_are_those_of_gradients_and_metrics(monkeypatch):
  monkeypatch.setattr(collectives.config_lib, "resolve", small)
  result = collectives.collectives(benchmarks.Options(models=["sam_copy"]))
  (row,) = result["rows"]
  config = small("none", {}, {})
  learner = build.make_learner(config, task := build.make_task(config))
  batch = task.sample(jax.random.key(0), 4)
  assert row["drawn"] == sum(x.nbytes for x in jax.tree.leaves(batch))
  # LSTM and read-out.
  assert row["parameters"] == 4 * 3 * (task.input_size + 3 + 1) + (
      3 + 1) * task.output_size
  # The loss and three metrics, see test_in_chunks_equals_in_one_go.
  assert row["averaged"] == 4 * (row["parameters"] + 4)
  assert learner.accumulate == 1


def test_means_within_the_loss_count():
  trainer = learning_helpers.make_trainer(
      unit="nau", penalty=Discrete(input_weight=1.))
  plain = learning_helpers.make_trainer(unit="nau")
  more, less = (collectives.traced_bytes(t.learner, None)[0]
                for t in (trainer, plain))
  # The mean inputs of the read-out, and one or more metrics.
  assert more >= less + 4 * learning_helpers.LSTM["hidden_size"] + 4


def test_a_ring_of_devices():
  """By hand: 4 devices send 6 pieces of 250 bytes."""
  assert collectives.ring_seconds(1000, 4, 100., 3.) == (15., 18.)


def test_each_preset_has_a_row_or_says_what_it_needs(monkeypatch):
  monkeypatch.setattr(collectives, "traced_bytes", lambda *_: (4, 4))
  first, second = collectives.collectives(benchmarks.Options(
      models=["shakespeare", "arithmetic"]))["rows"]
  assert first == dict(preset="arithmetic", seeds=1, batch_size=128,
                       parameters=202, averaged=4, drawn=4)
  assert second == dict(preset="shakespeare",
                        error="its files are not in --data_dir")


@pytest.mark.parametrize("preset", ["sam_copy", "arithmetic_module_paper"])
def test_the_plan_in_the_docs_is_what_the_suite_prints(preset):
  page = pathlib.Path(__file__).parents[1] / "docs" / "scaling.md"
  header, cells = collectives.collectives(
      benchmarks.Options(models=[preset]))["table"]
  lines = [line.split() for line in page.read_text().splitlines()]
  assert " ".join(header).split() in lines
  assert cells in lines
