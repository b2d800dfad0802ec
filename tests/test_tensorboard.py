"""Tests what TensorBoard shows beside the metrics."""

import io
import pathlib

import numpy as np
import pytest
from launch_helpers import board_values, tiny_config
from PIL import Image
from tensorboardX.proto import plugin_hparams_pb2

from launch.configs import config as config_lib
from launch.runs import reporting
from launch.runs.board import events, rates

METRICS = {"loss": np.array([.5, .25])}


def hparams(values, part):
  """Returns a part of what the HPARAMS plugin reads."""
  (value,) = [value for tag, _, value in values if tag == f"_hparams_/{part}"]
  assert value.metadata.plugin_data.plugin_name == "hparams"
  return getattr(plugin_hparams_pb2.HParamsPluginData.FromString(
      value.metadata.plugin_data.content), part)


def test_hyper_parameters_and_the_metric_to_compare_by(tmp_path):
  settings = {"core": "sam", "optimizer.learning_rate": .5, "batch_size": 7,
              "reuse_memory": True, "penalty": None, "unit.x": [1, 2]}
  reporting.Reporter(tmp_path, 0, 9, "mse", settings=settings).close()
  values = board_values(tmp_path)
  found = hparams(values, "session_start_info").hparams
  assert found["core"].string_value == "sam"
  assert found["optimizer.learning_rate"].number_value == .5
  assert found["batch_size"].number_value == 7
  assert found["reuse_memory"].bool_value
  assert found["unit.x"].string_value == "[1, 2]"
  assert "penalty" not in found
  experiment = hparams(values, "experiment")
  assert {info.name for info in experiment.hparam_infos} == set(found)
  assert [info.name.tag for info in experiment.metric_infos] == ["eval/mse"]


def test_of_a_sweep_each_value_has_its_metric(tmp_path):
  reporting.Reporter(
      tmp_path, 0, 9, "mse", {"optimizer.learning_rate=0.1": slice(0, 1),
                              "optimizer.learning_rate=0.2": slice(1, 2)},
      settings={}).close()
  assert [info.name.tag for info in hparams(
      board_values(tmp_path), "experiment").metric_infos] == [
          "eval/mse/optimizer.learning_rate_0.1",
          "eval/mse/optimizer.learning_rate_0.2"]


def test_the_learning_rate_is_that_of_the_last_update(tmp_path):
  reporter = reporting.Reporter(
      tmp_path, 0, 9, "mse", rates=lambda done: 10. ** -done)
  reporter.train(1, METRICS)
  reporter.train(3, METRICS | {"skipped": np.array([1, 1])})
  reporter.close()
  found = {step: value.simple_value for tag, step, value in board_values(
      tmp_path) if tag == "train/learning_rate"}
  # A skipped update leaves the schedule where it is.
  assert found == pytest.approx({1: 1., 3: .1})
  assert all("learning_rate" not in record
             for record in reporting.read_records(tmp_path))


def test_learning_rates_follow_the_schedule_of_each_value():
  config = tiny_config(num_seeds=2, num_devices=2, steps=8, schedule="cosine",
                       member_args={"optimizer": {"learning_rate": (.1, .3)}})
  np.testing.assert_allclose(
      rates.learning_rates(config, np.array([0, 4, 4, 8])),
      [.1, .05, .15, 0], atol=1e-7)
  np.testing.assert_allclose(
      rates.learning_rates(tiny_config(), np.array([5])), [1e-3])


def test_settings_of_a_run_are_flat(tmp_path):
  """Whatever a run may be set to can be written."""
  config = tiny_config(schedule="cosine", core="sam")
  reporting.Reporter(tmp_path, 0, 9, "mse",
                     settings=config_lib.settings(config)).close()
  found = hparams(board_values(tmp_path), "session_start_info").hparams
  assert found["core.num_slots"].number_value == 11
  assert found["optimizer.learning_rate"].number_value == 1e-3


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_pictures(tmp_path, ending):
  path = tmp_path / f"curve.{ending}"
  Image.new("RGB", (5, 3), "red").save(path)
  events.write_pictures(tmp_path, [path], 7)
  ((tag, step, value),) = board_values(tmp_path)
  assert (tag, step) == (f"pictures/curve.{ending}", 7)
  assert (value.image.width, value.image.height) == (5, 3)
  with Image.open(io.BytesIO(value.image.encoded_image_string)) as found:
    assert found.convert("RGB").getpixel((0, 0))[0] > 200


def test_pictures_do_not_overwrite_the_metrics(tmp_path):
  """Both files may be opened in the same second."""
  reporter = reporting.Reporter(tmp_path, 0, 9, "mse")
  reporter.train(1, METRICS)
  reporter.close()
  path = tmp_path / "x.png"
  Image.new("RGB", (5, 3)).save(path)
  events.write_pictures(tmp_path, [path], 1)
  assert {"train/loss", "pictures/x.png"} <= {
      tag for tag, *_ in board_values(tmp_path)}


def test_a_full_disk_closes_the_file(tmp_path):
  """Otherwise Python 3.13 prints an error of its own at the end."""
  written = events.Events(tmp_path)
  with pathlib.Path("/dev/full").open("wb") as full:
    written._writer._writer.close()
    written._writer._writer = full
    written.scalar("a", 1., 1)
    with pytest.raises(OSError):
      written.close()
    assert full.closed
