"""Training in a memory that is used again, and how much its index finds."""

import launch_helpers
import numpy as np
import pytest
from launch_helpers import make_trainer, records, run, tiny_config, tiny_flags

import tasks
from launch import config as config_lib
from launch import devices, train

# More rows than all heads take in two episodes, so that none is used twice.
ARGUMENTS = dict(launch_helpers.TINY_CORES["sdnc"], num_slots=64, delta=0.)


@pytest.fixture(autouse=True, scope="module")
def fast_compilation():
  with launch_helpers.fast_compilation():
    yield


@pytest.mark.parametrize("number", [
    pytest.param(1, marks=pytest.mark.slow), 2])
def test_used_memory_gives_the_same_losses(use_devices, number):
  use_devices(number)
  losses = []
  for reuse_memory in (False, True):
    trainer = make_trainer(tiny_config(
        "sdnc", ARGUMENTS, reuse_memory=reuse_memory, learning_rate=0.01))
    state = devices.replicate(trainer.initial_state())
    metrics = []
    for _ in range(3):
      state, last = trainer.train(state, None, 2)
      metrics.append((last["loss"], last["grad_norm"]))
    losses.append(metrics)
  np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5, atol=1e-5)
  assert len(set(losses[0])) == 3


def test_used_memory_is_made_anew_before_its_versions_run_out(use_devices):
  """Beyond that all rows would seem empty."""
  use_devices(2)
  config = tiny_config("sdnc", ARGUMENTS, reuse_memory=True, learning_rate=0.01)
  trainer = make_trainer(config)
  num_steps = 2 * tasks.make_task(config.task, **config.task_args).num_steps

  def train_three_times(steps_left=None):
    state = devices.replicate(trainer.initial_state())
    trainer._workspace = None
    losses, versions = [], []
    for number in range(3):
      if number == 1 and steps_left:
        wear(trainer, steps_left)
      state, last = trainer.train(state, None, 2)
      losses.append(last["loss"])
      versions.append(np.max(trainer._workspace.access.history.num_versions))
    return losses, versions

  losses, versions = train_three_times(steps_left=2 * num_steps - 1)
  assert versions[1] > 2**30 and versions[2] == versions[0]
  np.testing.assert_allclose(losses, train_three_times()[0], rtol=1e-5)


def wear(trainer, steps_left):
  """As if all steps but so many had been made, and forgotten."""
  access = trainer._workspace.access
  heads, writes = access.write_indices.shape[-2:]
  number = 2**31 - 1 - steps_left * heads * writes
  worn = {name: np.full(8, number, np.int32)  # One array each: it is donated.
          for name in ("num_versions", "oldest")}
  trainer._workspace = trainer._workspace._replace(access=access._replace(
      history=access.history._replace(**devices.shard(worn))))


@pytest.mark.parametrize("core", ["ntm", "lstm"])
def test_cores_that_cannot_forget_are_refused(tmp_path, capsys, core):
  workdir = tmp_path / "run"
  status = run(train, *tiny_flags(core), "--reuse_memory",
               f"--workdir={workdir}")
  assert status == config_lib.EXIT_USAGE
  (line,) = capsys.readouterr().err.splitlines()
  assert f"reuse_memory: core {core!r} cannot forget" in line
  assert not workdir.exists()


@pytest.mark.parametrize("index", ["lsh", "exact"])
def test_evaluations_say_how_much_the_index_finds(tmp_path, index):
  workdir = tmp_path / "run"
  assert run(train, *tiny_flags("sam"), f"--core.index={index}", "--steps=2",
             "--log_every=2", "--eval_every=2", f"--workdir={workdir}") == 0
  (record,) = records(workdir, "eval")
  if index == "exact":
    assert "index_recall" not in record
  else:  # Its lists of recent rows hold all of them.
    assert record["index_recall"] == 1
  assert "index_recall" not in records(workdir, "train")[0]
