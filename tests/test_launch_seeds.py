"""Many seeds at once: each as in a run of its own."""

import functools
import json
import shutil
import signal

import jax
import launch_helpers
import numpy as np
import pytest
from launch_helpers import (
    assert_same,
    make_trainer,
    records,
    run,
    saved_steps,
    tiny_config,
)

import tasks
from launch import (
  checkpoints,
  evaluate,
  keys,
  outcome,
  plot,
  reporting,
  success,
  train,
)
from launch import config as config_lib
from tasks import arithmetic

SEED, NUM_SEEDS = 3, 8  # Two a device.
ARITHMETIC = dict(operation="mul", input_size=12)
# An instance a seed, a penalty, constraints, an integer state of Adam; and
# sequences of different lengths.
KINDS = {
    "arithmetic": dict(
        core="stack", core_args=dict(hidden_size=2, hidden_unit="nau"),
        task_args=ARITHMETIC, task="arithmetic", unit="nmu",
        penalty_weight=1., learning_rate=.01),
    "copy": dict(core="lstm", task_args=dict(num_bits=3, max_length=3),
                 optimizer="sgd", learning_rate=.5, max_grad_norm=0.),
}
close = functools.partial(
    jax.tree.map, functools.partial(np.testing.assert_allclose, rtol=2e-4,
                                    atol=1e-6))


@pytest.fixture(autouse=True, scope="module")
def fast_compilation():
  """One variant of the task instead of four, too."""
  with (launch_helpers.fast_compilation(),
        pytest.MonkeyPatch.context() as patch):
    patch.setattr(arithmetic, "FACTORS", ())
    yield


def history(config):
  """Metrics of two chunks and of an evaluation, and the state, on the host."""
  trainer = make_trainer(config)
  state = trainer.put(trainer.initial_state())
  state, first = trainer.train(state, None, 1)
  state, second = trainer.train(state, None, 2)
  evaluation = trainer.evaluate(state.params, None)
  return [first, second, evaluation], trainer.get(state)


def seed_of(tree, index):
  """What many seeds have, of one of them."""
  return jax.tree.map(
      lambda x: x[index], tree,
      is_leaf=lambda x: isinstance(x, list) and isinstance(x[0], float))


@pytest.mark.parametrize("kind", KINDS)
def test_each_seed_is_as_in_a_run_of_its_own(kind, use_devices):
  config = tiny_config(**KINDS[kind], seed=SEED, num_seeds=NUM_SEEDS)
  many, state = history(config)
  assert {len(value) for metrics in many for value in metrics.values()} == {
      NUM_SEEDS}
  for number in (0, 3, 7):  # On different devices; one alone has one device.
    one = tiny_config(**KINDS[kind], seed=SEED + number)
    if number == 3:
      use_devices(1)
    metrics, alone = history(one)
    close([seed_of(each, number) for each in many], metrics)
    close(seed_of(state, number), alone)
  # No two of them are alike, in what they start from or in what they see.
  for metrics in many:
    assert len(set(metrics["loss"])) == NUM_SEEDS


def test_number_of_devices_does_not_matter(use_devices):
  config = tiny_config(**KINDS["arithmetic"], num_seeds=4)
  results = []
  for number in (4, 1):
    use_devices(number)
    trainer = make_trainer(config)
    state = trainer.put(trainer.initial_state())
    for leaf in jax.tree.leaves(state):
      assert len(leaf.sharding.device_set) == number
      assert leaf.shape[:2] == (number, 4 // number)
    results.append(history(config))
  close(*results)


def test_seeds_have_instances_of_their_own():
  config = tiny_config(**KINDS["arithmetic"], num_seeds=NUM_SEEDS)
  trainer = make_trainer(config)
  offsets = {int(trainer._task.instance(
      keys.make_keys(seed, "threefry").instance))
             for seed in range(NUM_SEEDS)}
  assert len(offsets) > 2


def test_one_that_diverges_does_not_stop_the_others():
  config = tiny_config(**KINDS["arithmetic"], num_seeds=4)
  trainer = make_trainer(config)

  def histories(spoil):
    state = trainer.initial_state()
    if spoil:
      state = state._replace(params=jax.tree.map(
          lambda x: np.where(np.arange(4).reshape(4, *[1] * (x.ndim - 1)) == 1,
                             np.nan, x), state.params))
    state, metrics = trainer.train(trainer.put(state), None, 3)
    evaluation = trainer.evaluate(state.params, None)
    return metrics, evaluation, trainer.get(state)._asdict()

  whole, spoilt = histories(False), histories(True)
  for index in (0, 2, 3):
    assert_same(seed_of(whole, index), seed_of(spoilt, index))
  assert np.isnan(spoilt[0]["loss"][1])
  assert np.isnan(spoilt[1]["mse"][1])
  assert spoilt[1]["solved"][1] == 0
  assert np.isfinite(whole[0]["loss"]).all()


FLAGS = ["--task=arithmetic", "--core=stack", "--unit=nmu", "--operation=mul",
         "--task.input_size=12", "--core.hidden_unit=nau", "--num_seeds=8",
         "--seed=3", "--batch_size=8", "--eval_episodes=16", "--log_every=2",
         "--eval_every=4", "--checkpoint_every=4", "--penalty_weight=1",
         "--preset=none"]


@pytest.fixture(scope="module")
def trained(fast_compilation, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("trained")
  assert run(train, *FLAGS, "--steps=8", f"--workdir={workdir}") == 0
  return workdir


def saved(workdir):
  like = train.make_trainer(*config_and_task(workdir)).initial_state()
  manager = checkpoints.Checkpoints(workdir)
  state = manager.restore(like)
  manager.close()
  return state


def config_and_task(workdir):
  config = config_lib.load(workdir)
  return config, tasks.make_task(config.task, **config.task_args)


def test_run_leaves_lists_and_pictures(trained):
  train_records, eval_records = (
      records(trained, split) for split in ("train", "eval"))
  assert [record["step"] for record in train_records] == [2, 4, 6, 8]
  assert [record["step"] for record in eval_records] == [0, 4, 8]
  for record in train_records + eval_records:
    values = {name: value for name, value in record.items()
              if name not in ("step", "split")}
    assert {len(value) for value in values.values()} == {8}
  assert {"mse", "solved", "sparsity_error", "extrapolation/mse",
          "extrapolation/solved"} <= set(eval_records[0])
  assert {"penalty", "penalty_weight"} <= set(train_records[0])
  assert saved_steps(trained) == [4, 8]
  for name in ("learning_curve.png", "success.png", "formula.txt",
               "weights.png"):
    assert (trained / name).stat().st_size
  assert not (trained / "memory.png").exists()


def test_continued_equals_uninterrupted(trained, tmp_path, capsys):
  assert run(train, *FLAGS, "--steps=4", f"--workdir={tmp_path}") == 0
  assert run(train, "--steps=8", f"--workdir={tmp_path}") == 0
  assert records(tmp_path) == records(trained)
  state = saved(tmp_path)
  assert_same(state, saved(trained))
  assert state.step.shape == (8,)
  assert set(state.step) == {8}
  out = capsys.readouterr().out
  assert "extrapolation" in out
  assert "0/8 = 0%" in out
  errors = [np.mean(record["extrapolation/mse"])
            for record in records(trained, "eval")]
  score = success.format_score(100 * errors[-1] / errors[0])
  median = success.format_score(100 / errors[0] * np.median(
      records(trained, "eval")[-1]["extrapolation/mse"]))
  assert "at the start, mean (median) of the seeds: as trained " in out
  assert f", extrapolation {score} ({median})\n" in out
  assert "y = " in out


def test_interrupted_says_how_far_it_came(tmp_path, capsys, monkeypatch):
  evaluation = reporting.Reporter.evaluation

  def evaluate_and_signal(self, step, metrics):
    evaluation(self, step, metrics)
    if step == 4:
      signal.raise_signal(signal.SIGINT)

  monkeypatch.setattr(reporting.Reporter, "evaluation", evaluate_and_signal)
  assert run(train, *FLAGS, "--steps=8",
             f"--workdir={tmp_path}") == train.EXIT_INTERRUPTED
  out, err = capsys.readouterr()
  assert "0/8 = 0%" in out
  assert "interrupted and saved" in err


def test_killed_before_the_first_checkpoint_starts_again(trained, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(trained, workdir)
  shutil.rmtree(workdir / "checkpoints")
  assert run(train, f"--workdir={workdir}") == 0
  assert records(workdir) == records(trained)


def test_evaluate(trained, capsys):
  assert run(evaluate, f"--workdir={trained}", "--episodes=16") == 0
  out = capsys.readouterr().out
  assert "stack on arithmetic after 8 updates, seed 3 and the 7 after it" in out
  result = json.loads((trained / "evaluation.json").read_text())
  rows = {row["level"]: row for row in result["levels"]}
  assert list(rows)[:2] == [1, "extrapolation"]
  assert [row["trained"] for row in rows.values()][:2] == [True, None]
  last = records(trained, "eval")[-1]
  assert rows[1]["mse"] == last["mse"]
  assert rows["extrapolation"]["mse"] == last["extrapolation/mse"]


def test_plot_draws_every_seed(trained, tmp_path, capsys):
  output = tmp_path / "curves.png"
  assert run(plot, f"--output={output}", trained) == 0
  evaluations = records(trained, "eval")
  medians = [float(np.median(record["mse"])) for record in evaluations]
  (low, first), (high, second) = (
      choose((median, record["step"]) for median, record in zip(
          medians, evaluations, strict=True)) for choose in (min, max))
  assert capsys.readouterr().out == (
      f"stack/nmu  seeds 3 to 10  step 8  mse {medians[-1]:.4g}"
      f"  lowest {low:.4g} at {first}  highest {high:.4g} at {second}\n")
  _, values = plot.plots._curves([trained, trained], "mse", "updates")
  assert values.shape == (16, 3)
  assert output.stat().st_size


def test_all_diverged_is_told(tmp_path, capsys):
  status = run(train, *FLAGS, "--learning_rate=inf", "--steps=8",
               "--optimizer=sgd", "--unit=linear", "--core.hidden_unit=linear",
               "--penalty_weight=0", f"--workdir={tmp_path}")
  assert status == train.EXIT_DIVERGED
  assert "diverged: loss" in capsys.readouterr().err


# What is made of the records of a run.


def write(workdir, task, steps, **metrics):
  """Records of 4 seeds; a value is `[E][S]`."""
  lines = []
  for i, step in enumerate(steps):
    lines.append({"step": step, "split": "train",
                  "loss": [1., 1., float("nan"), 1.]})
    values = {name.replace("__", "/"): value[i]
              for name, value in metrics.items()}
    for name in task.extrapolations:
      values.setdefault(f"{name}/mse", values["mse"])
    lines.append({"step": step, "split": "eval", **values})
  (workdir / "metrics.jsonl").write_text(
      "".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def invented(tmp_path):
  config = tiny_config(**KINDS["arithmetic"], seed=SEED, num_seeds=4)
  task = tasks.make_task(config.task, **config.task_args)
  nan, good = float("nan"), 1e-12
  write(tmp_path, task, [10, 20, 30],
        mse=[[1., 1., nan, 1.], [good, 1., nan, 1.], [good, good, nan, 1.]],
        extrapolation__mse=[[1., 1., nan, 1.], [good, 1., nan, 1.],
                            [good, 1., nan, 1.]],
        sparsity_error=[[.5] * 4, [.25, .5, nan, .5], [.125, .5, nan, .5]])
  return config, task, tmp_path


def test_outcomes(invented):
  _, task, workdir = invented
  found = outcome.outcomes(workdir, task)
  assert list(found)[:2] == [outcome.TRAINED, "extrapolation"]
  np.testing.assert_array_equal(found[outcome.TRAINED].solved, [1, 1, 0, 0])
  np.testing.assert_array_equal(found[outcome.TRAINED].solved_at,
                                [20, 30, np.nan, np.nan])
  np.testing.assert_array_equal(found["extrapolation"].solved, [1, 0, 0, 0])


def test_description(invented):
  config, task, workdir = invented
  lines = outcome.describe(config, workdir).splitlines()
  (row,) = [line for line in lines if line.startswith("extrapolation ")]
  assert "1/4 = 25%" in row
  assert "5% to 70%" in row  # Wilson.
  assert "diverged: 1 of 4 seeds: 5" in lines
  assert outcome.best_seed(workdir, task) == 0
  outcome.draw(config, workdir, task, "a title")
  assert (workdir / "success.png").stat().st_size


def test_formula_and_weights_are_of_the_best_seed(invented):
  config, task, workdir = invented
  write(workdir, task, [10], mse=[[1., 1e-12, float("nan"), 1.]])
  params = {"nmu": {"w": np.arange(8.).reshape(4, 2)}}
  seed, found = outcome.params_of_best(config, workdir, task, params)
  assert seed == SEED + 1
  assert_same(found, {"nmu": {"w": np.array([2., 3.])}})
  config.num_seeds = 1
  seed, found = outcome.params_of_best(config, workdir, task, params)
  assert seed == SEED
  assert found is params


def test_one_number_for_many_seeds():
  nan = float("nan")
  over_seeds = reporting.over_seeds
  assert over_seeds("mse", 3.5) == 3.5
  assert over_seeds("mse", [1., 2., 7.]) == 2
  assert over_seeds("mse", [nan, 2., 7.]) == 7
  assert over_seeds("mse", [nan, nan, 7.]) == np.inf
  assert over_seeds("solved", [1., 0., 0., 0.]) == .25
  assert over_seeds("extrapolation/solved", [1., 1., 0., 0.]) == .5
