"""Runs that start with the parameters of a trained network."""

import jax
import numpy as np
import pytest
import text_helpers
from launch_helpers import make_trainer, run, tiny_config, tiny_flags

import rmc_nalu_sam
from launch import train
from launch.configs import config as config_lib
from launch.runs import Run, load
from launch.runs.trained import loading, starting

TEXT = ["--task=text", "--task.tokens=characters", "--task.num_steps=5",
        "--core=lstm", "--core.hidden_size=3", "--encoder.output_size=4",
        "--batch_size=2", "--steps=2", "--log_every=1", "--eval_every=2"]


@pytest.fixture(name="trained", scope="module")
def fixture_trained(tmp_path_factory):
  """Returns the folders of a run of one seed and of one of three."""
  folder = tmp_path_factory.mktemp("trained")
  for name, seeds in (("one", 1), ("three", 3)):
    assert run(train, *tiny_flags(num_seeds=seeds), "--steps=4",
               "--log_every=2", "--eval_every=2", f"--workdir={folder / name}"
               ) == 0
  return folder


def first_state(**fields):
  config = tiny_config(num_devices=1, **fields)
  return starting.initial_state(
      Run("nowhere", config), make_trainer(config, 1)).train


def assert_equal(found, expected):
  jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_starts_with_the_parameters_alone(trained):
  state = first_state(init_from=str(trained / "one"), seed=7)
  expected = load(trained / "one").params
  assert_equal(state.params, expected)
  fresh = first_state(seed=7)
  assert state.step == 0
  assert_equal(state.opt_state, fresh.opt_state)  # Adam's means are 0.
  assert any(np.any(x != y) for x, y in zip(
      *map(jax.tree.leaves, (fresh.params, expected)), strict=True))


def test_the_best_seed_starts_all_seeds(trained):
  state = first_state(init_from=str(trained / "three"), num_seeds=2)
  source = Run(trained / "three")
  trainer = make_trainer(source.config, 1)
  params = loading.restore(source, trainer).train.params
  best = jax.tree.map(lambda x: x[source.best_seed()], params)
  assert_equal(state.params, jax.tree.map(lambda x: np.stack([x, x]), best))


def test_goes_on_from_the_shell(trained, tmp_path):
  """Updates of rate 0 keep the parameters; a resumed run needs no source."""
  argv = [*tiny_flags(init_from=trained / "one"),
          "--optimizer.learning_rate=1e-30", "--log_every=2", "--eval_every=2",
          f"--workdir={tmp_path}"]
  assert run(train, *argv, "--steps=2") == 0
  expected = load(trained / "one").params
  assert_equal(load(tmp_path).params, expected)
  (trained / "one").rename(trained / "moved")
  try:
    assert run(train, *argv, "--steps=4") == 0
  finally:
    (trained / "moved").rename(trained / "one")
  assert load(tmp_path).step == 4
  assert_equal(load(tmp_path).params, expected)


def test_starts_with_a_pretrained_network(tmp_path):
  assert run(train, "--preset=arithmetic_module", "--init_from=nau_add",
             "--optimizer.learning_rate=1e-30", "--task.train_range=-2,2",
             "--steps=1", "--num_seeds=2", f"--workdir={tmp_path}") == 0
  assert_equal(load(tmp_path).params, rmc_nalu_sam.pretrained("nau_add").params)


@pytest.mark.parametrize("fields, words", [
    (dict(core_args=dict(hidden_size=8)), "shape [7, 3] there and [8, 3] here"),
    (dict(core="gru"), "is a parameter "),
    (dict(unit="nau"), "nau/w is a parameter here alone"),
])
def test_another_network_is_refused(trained, fields, words):
  with pytest.raises(config_lib.UsageError) as raised:
    first_state(init_from=str(trained / "one"), **fields)
  message = str(raised.value)
  assert message.startswith(f"--init_from={trained / 'one'}: ")
  assert words in message and "\n" not in message


def test_what_is_no_network_is_refused(tmp_path, capsys):
  workdir = tmp_path / "new"
  assert run(train, *tiny_flags(init_from=tmp_path / "missing"),
             f"--workdir={workdir}") == config_lib.EXIT_USAGE
  (line,) = [line for line in capsys.readouterr().err.splitlines()
             if line.startswith("error: ")]
  assert "--init_from=" in line and "no run was started" in line
  assert "sam_copy" in line  # Names of pretrained networks are valid.


def test_another_vocabulary_is_refused(tmp_path, capsys):
  for name, texts in (("a", None), ("b", {
      split: text.replace("saw", "say") for split, text in
      text_helpers.TEXTS.items()})):
    text_helpers.write(tmp_path / name, texts)
  first = [*TEXT, f"--workdir={tmp_path / 'first'}"]
  assert run(train, *first, f"--data_dir={tmp_path / 'a'}") == 0
  argv = [*TEXT, f"--init_from={tmp_path / 'first'}"]
  assert run(train, *argv, f"--data_dir={tmp_path / 'b'}",
             f"--workdir={tmp_path / 'second'}") == config_lib.EXIT_USAGE
  assert "another vocabulary (digest" in capsys.readouterr().err
  assert run(train, *argv, f"--data_dir={tmp_path / 'a'}",
             f"--workdir={tmp_path / 'third'}") == 0
