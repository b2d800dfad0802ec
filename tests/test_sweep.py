"""Sweeps: each value trains as in a run of its own, in one program."""

import functools
import json

import config_helpers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from launch_helpers import (
    assert_same,
    make_trainer,
    records,
    run,
    saved_state,
    tiny_config,
    tiny_flags,
)

import tasks
from launch import compare, evaluate, plot, train
from launch.configs import build, checks, members, sweeps
from launch.configs import config as config_lib
from launch.configs import flags as flags_lib
from launch.learning import optimizers, penalties
from launch.pictures import run as pictures
from launch.runs import Run, load, outcome, reporting
from launch.runs.reports import end
from launch.runs.trained import loading

close = functools.partial(
    jax.tree.map, functools.partial(np.testing.assert_allclose, rtol=2e-4,
                                    atol=1e-6))
ARITHMETIC = dict(task="arithmetic", core="stack", unit="nmu",
                  penalty="discrete", num_seeds=2, seed=3)
OF_ARITHMETIC = dict(task_args=dict(operation="mul", input_size=12),
                     core_args=dict(hidden_unit="nau"))
# Name -> fields, their members' arguments. Each of the flags with a tuple has
# two values; together these are all flags that can vary.
SWEEPS = {
    # Gradients are larger than the limits of their norm and values here.
    "cosine": (dict(optimizer="sgd", schedule="cosine", steps=5,
                    max_grad_norm=(.01, 0.)), dict(
        optimizer=dict(learning_rate=(1., 2.)),
        schedule=dict(final_fraction=(.1, .9)))),
    "staircase": (dict(optimizer="sgd", schedule="staircase", steps=5), dict(
        optimizer=dict(learning_rate=1.),
        schedule=dict(every=(1, 2), factor=(.1, .9)))),
    "adam": ({}, dict(optimizer=dict(
        learning_rate=(.01, .02), b1=(.5, .9), b2=(.5, .9), eps=(1e-8, .1)))),
    "rmsprop": (dict(optimizer="rmsprop"), dict(optimizer=dict(
        learning_rate=(.01, .02), decay=(.5, .9), momentum=(.3, .9),
        eps=(1e-8, .1)))),
    "sgd": (dict(optimizer="sgd", max_grad_value=(0., .001)), dict(
        optimizer=dict(learning_rate=(.1, .2), momentum=(0., .5)))),
    "penalty": (ARITHMETIC, dict(
        optimizer=dict(learning_rate=.01), penalty=dict(
            weight=(2., 5.), start=(0, 1), end=(2, 7),
            input_weight=(0., 3.)))),
    "agent": (dict(task="small_environments:Cue"), dict(agent=dict(
        discount=(.5, .9), entropy_cost=(0., .1), baseline_cost=(.1, .5),
        trace_decay=(.5, 1.), reward_clip=(0., .25)))),
}


def config_of(name):
  fields, arguments = SWEEPS[name]
  more = {"arithmetic": OF_ARITHMETIC, None: {}}.get(
      fields.get("task"), dict(task_args=dict(delay=2)))
  return tiny_config(**fields, **more, member_args=arguments, num_devices=2)


def history(config, num_devices):
  """Returns metrics of some updates and an evaluation, and the parameters."""
  trainer = make_trainer(config, num_devices)
  state = trainer.put(trainer.initial_state())
  state, metrics = trainer.train(state, None, 4)
  evaluation = trainer.evaluate(
      state.train.params, None, num_episodes=8) if config.penalty_args else {}
  return metrics, evaluation, trainer.get_params(state.train.params)


history_of = functools.cache(
    lambda name, num_devices: history(config_of(name), num_devices))


def test_all_that_can_vary_is_tested():
  found = set()
  for name in SWEEPS:
    config = config_of(name)
    found |= {(flag, members.name_of(config, flag.split(".")[0])
               if "." in flag else "") for flag, _ in config.sweep}
  assert found == {(name, "") for name in sweeps.FIELDS} | {
      (f"{kind}.{argument}", member) for kind in sweeps.KINDS
      for member in members.REGISTRIES[kind]
      for argument in members.REGISTRIES[kind].arguments(member)
      if sweeps.can_vary(f"{kind}.{argument}")}


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] * (name in (
        "cosine", "rmsprop", "sgd"))) for name in SWEEPS])
def test_each_value_is_as_in_a_run_of_its_own(name):
  """Compares the last point of a grid: all of its values are second ones."""
  config = config_of(name)
  points, seeds = sweeps.points(config), config.num_seeds
  many, evaluation, params = history_of(name, 2)
  assert {len(x) for x in many.values()} == {len(points) * seeds}
  # Every flag has an effect.
  assert len({*np.round(many["grad_norm"][::seeds], 8)}) == len(points)
  alone = history(sweeps.config_of(config, points[-1]), 1)
  close(jax.tree.map(lambda x: x[-seeds:], (many, evaluation)), alone[:2])
  close(jax.tree.map(lambda x: x[-seeds:] if seeds > 1 else x[-1], params),
        alone[2])


def test_first_value_is_as_in_a_run_of_its_own():
  """Here gradients are clipped, and the second value switches that off."""
  config = config_of("cosine")
  alone = history(sweeps.config_of(config, sweeps.points(config)[0]), 2)
  assert alone[0]["grad_norm"] > .01
  many, _, params = history_of("cosine", 2)
  close({name: x[:1] for name, x in many.items()}, alone[0])
  close(jax.tree.map(lambda x: x[0], params), alone[2])


class PenaltyOfThree:
  """Stands for a model whose units have the penalty 3."""

  def penalty(self, params):
    return jnp.float32(3 * params)


@pytest.mark.parametrize("weight, start, end", [
    (2., 0, 0), (2., 3, 3), (2., 1, 5), (0., 0, 0), (0., 2, 7)])
def test_penalty_of_traced_numbers(weight, start, end):
  traced = jax.jit(lambda step, *numbers: penalties.Discrete(
      *numbers).of_params(PenaltyOfThree(), 1, step)[0])
  for step in range(8):
    grown = np.clip((step - start) / (end - start), 0, 1) if end > start else (
        step >= start)
    assert traced(step, weight, start, end) == pytest.approx(
        3 * weight * grown, rel=1e-6)


def test_number_of_devices_does_not_matter():
  close(history_of("cosine", 1), history_of("cosine", 2))


def test_all_values_start_in_the_same_networks():
  trainer = make_trainer(config_of("penalty"), 1)
  assert trainer.seeds == [3, 4] * 16
  for leaf in jax.tree.leaves(trainer.initial_state().train.params):
    for number in range(16):
      np.testing.assert_array_equal(
          leaf[:2], leaf[2 * number:2 * number + 2])
    assert leaf.max() != leaf.min()


def test_all_values_are_one_program(monkeypatch):
  traces = []
  score = type(tasks.Copy().score)
  loss = score.loss
  monkeypatch.setattr(score, "loss",
                      lambda *args: traces.append(1) or loss(*args))
  counts = []
  for rates in ((.1, .2), (.1, .2, .3, .4, .5, .6)):
    traces.clear()
    trainer = make_trainer(tiny_config(num_devices=2, member_args=dict(
        optimizer=dict(learning_rate=rates))), 2)
    state = trainer.put(trainer.initial_state())
    for _ in range(2):
      state, _ = trainer.train(state, None, 2)
      counts.append(len(traces))
  assert len({*counts}) == 1
  assert counts[0] > 0


def test_entries_of_a_grid():
  config = tiny_config(max_grad_norm=(1., 2.), num_seeds=4, seed=5, member_args=
                       dict(optimizer=dict(learning_rate=(.1, .2))))
  assert [sweeps.label(point) for point in sweeps.points(config)] == [
      f"max_grad_norm={norm}, optimizer.learning_rate={rate}"
      for norm in (1., 2.) for rate in (.1, .2)]
  assert sweeps.num_entries(config) == 16
  third = sweeps.config_of(config, sweeps.points(config)[2])
  assert (third.max_grad_norm, third.optimizer_args.learning_rate) == (2., .1)
  assert third == tiny_config(max_grad_norm=2., num_seeds=4, seed=5,
                              member_args=dict(
                                  optimizer=dict(learning_rate=.1)))


def test_config_is_stored_and_without_a_sweep_as_before(tmp_path):
  config = tiny_config(max_grad_norm=(1., 2.), num_devices=2)
  config_lib.save(config, tmp_path)
  stored = json.loads((tmp_path / "config.json").read_text())
  assert stored["sweep"] == {"max_grad_norm": [1., 2.]}
  assert config_lib.load(tmp_path) == config
  config_lib.save(tiny_config(), tmp_path)
  assert "sweep" not in json.loads((tmp_path / "config.json").read_text())
  assert config_lib.load(tmp_path) == tiny_config()


@pytest.mark.parametrize("sweep", [
    [], {"batch_size": [1, 2]}, {"max_grad_norm": 1.}, {"max_grad_norm": [1.]}])
def test_damaged_sweep(tmp_path, sweep):
  config_lib.save(tiny_config(), tmp_path)
  path = tmp_path / "config.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | {"sweep": sweep}))
  with pytest.raises(config_lib.UsageError, match="sweep must map flags"):
    config_lib.load(tmp_path)


def resolved(*argv):
  config = config_helpers.resolve("--task=copy", "--core=lstm", *argv)
  checks.check(config)
  return config


@pytest.mark.parametrize("argv, message", [
    (["--learning_rate=1,0"], "learning_rate must be above 0, got 0"),
    (["--learning_rate=1,1e-60"], "optimizer.learning_rate must be 0 or of"),
    (["--learning_rate=0.1,0.2,1e-1"],
     "optimizer.learning_rate=0.1,0.2,0.1 has a value twice"),
    (["--max_grad_norm=1,-1"], "max_grad_norm must be 0 .off. or above"),
    (["--penalty.weight=1,2"], "penalty is 'none'"),
    (["--optimizer=sgd", "--optimizer.b1=.1,.2"], "--optimizer=adam"),
    (["--penalty=discrete", "--unit=nmu", "--penalty.weight=1,2",
      "--penalty.end=5", "--penalty.start=0,7"], "need 0 <= start <= end"),
    (["--penalty=discrete", "--unit=nmu", "--penalty.weight=0,-1"],
     "need weight >= 0"),
    (["--penalty=discrete", "--penalty.weight=0,2"],
     "no unit in the network has such a penalty"),
    (["--learning_rate=1,2", "--curriculum=exponential"],
     "optimizer.learning_rate=1.0,2.0 is a sweep: start a run for each value"),
    (["--learning_rate=1,2", "--rng=rbg"], "no independent streams"),
    (["--learning_rate=1,2", "--seed=4294967295", "--num_seeds=2"],
     "the last seed must be"),
    (["--optimizer=test_sweep:branching", "--learning_rate=1,2"],
     "optimizer.learning_rate cannot vary within a program"),
])
def test_refusals(argv, message):
  with pytest.raises(config_lib.UsageError, match=message) as error:
    resolved(*argv)
  assert "\n" not in str(error.value)


def branching(learning_rate: float = 1.) -> optax.GradientTransformation:
  """Decides in Python by its learning rate, at the first update.

  Args:
    learning_rate: Is more than 1, or not.
  """
  rate = learning_rate(0) if callable(learning_rate) else learning_rate
  return optax.sgd(2. if rate > 1 else 1.)


def test_a_penalty_may_be_off_for_one_value():
  config = resolved("--penalty=discrete", "--unit=nmu", "--penalty.weight=0,2",
                    "--penalty.start=1,2", "--penalty.end=5")
  assert [point["penalty.weight"] for point in sweeps.points(config)] in (
      [0, 0, 2, 2], [0, 2, 0, 2])


def test_a_member_that_decides_in_python_takes_one_value():
  assert resolved("--optimizer=test_sweep:branching", "--learning_rate=2")


@pytest.mark.parametrize("flag", ["batch_size=1,2", "steps=1,2",
                                  "core.hidden_size=7,8", "num_seeds=1,2",
                                  "task.max_length=2,3", "max_minutes=1,2"])
def test_flags_that_take_one_value(capsys, tmp_path, flag):
  assert run(train, "--core=lstm", f"--{flag}", f"--workdir={tmp_path}") != 0
  error = capsys.readouterr().err
  for name in ("takes one value", flag, *sweeps.VALID.split(", ")):
    assert name in error


@pytest.mark.parametrize("value", ["1,x", "1,", ",", ",1"])
def test_words_that_are_no_numbers(capsys, tmp_path, value):
  assert run(train, f"--learning_rate={value}", f"--workdir={tmp_path}") != 0
  assert "could not convert string to float" in capsys.readouterr().err


def test_help_tells_what_can_be_swept():
  with config_helpers.parsed():
    swept = {name for name in flags_lib.FLAGS
             if sweeps.HELP in flags_lib.FLAGS[name].help}
    assert {"optimizer.learning_rate", "penalty.start", "max_grad_norm",
            "schedule.final_fraction", "max_grad_value"} <= swept
    assert all(map(sweeps.can_vary, swept - {"learning_rate"}))
    assert sweeps.VALID in flags_lib.FLAGS["num_seeds"].help


FLAGS = [*tiny_flags(optimizer="sgd", num_seeds=2, seed=3, log_every=2,
                     eval_every=4, checkpoint_every=4),
         "--learning_rate=0.01,1,0.5"]
LABELS = [f"optimizer.learning_rate={rate}" for rate in (.01, 1., .5)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("trained")
  assert run(train, *FLAGS, "--steps=8", f"--workdir={workdir}") == 0
  return workdir


def best_of(workdir):
  """Returns the index of the best value of `trained`, and its error."""
  means = np.mean(np.reshape(
      records(workdir, "eval")[-1]["bits_wrong"], (3, 2)), 1)
  return int(np.argmin(means)), means.min()


def test_run_shows_each_value(trained):
  whole = Run(trained)
  best, error = best_of(trained)
  views = whole.by_value()
  assert [view.value for view in views] == LABELS == [*whole.columns()]
  assert whole.sweep == {"optimizer.learning_rate": (.01, 1., .5)}
  assert whole.best().value == LABELS[best]
  assert list(whole.seeds) == list(views[0].seeds) == [3, 4]
  for i, view in enumerate(views):
    for mine, all_ in zip(view.records(), records(trained), strict=True):
      assert list(mine["loss"]) == all_["loss"][2 * i:2 * i + 2]
  lines = end.describe(whole).splitlines()
  assert lines[0].startswith("step 8, evaluation: lstm on copy, trained for ")
  assert lines[1].split() == ["optimizer.learning_rate", "0.01", "1.0", "0.5"]
  (row,) = [line for line in lines if line.strip().startswith("bits_wrong")]
  assert row.split()[1:] == [
      f"{np.median(view.last()['bits_wrong']):.4g}" for view in views]
  assert (f"best by validation: {LABELS[best]} (bits_wrong {error:.4g}, mean "
          "of 2 seeds)") in lines
  assert (trained / "learning_curve.png").stat().st_size


def test_the_best_seed_of_the_best_value_is_loaded(trained):
  found, (best, _) = load(trained), best_of(trained)
  errors = records(trained, "eval")[-1]["bits_wrong"][2 * best:2 * best + 2]
  assert found.seed == 3 + int(np.argmin(errors))
  assert found.config.optimizer_args.learning_rate == (.01, 1., .5)[best]
  whole = Run(trained)
  state = loading.restore(whole, make_trainer(whole.config, 1))
  index = 2 * best + int(np.argmin(errors))
  jax.tree.map(lambda one, all_: np.testing.assert_array_equal(
      one, all_[index]), found.params, state.train.params)


def test_tensorboard_names_the_values(trained):
  (path,) = set((trained / "tensorboard").iterdir()) - set(
      (trained / "tensorboard").glob("*.pictures"))
  data = path.read_bytes()
  for label in LABELS:
    for name in ("train/loss", "eval/bits_wrong", "train/learning_rate"):
      assert f"{name}/{label.replace('=', '_')}".encode() in data
  assert b"train/steps_per_second" in data
  assert b"train/steps_per_second/" not in data


def test_continued_equals_uninterrupted(trained, tmp_path):
  assert run(train, *FLAGS, "--steps=4", f"--workdir={tmp_path}") == 0
  assert run(train, "--steps=8", f"--workdir={tmp_path}") == 0
  assert records(tmp_path) == records(trained)
  assert_same(saved_state(tmp_path), saved_state(trained))
  assert saved_state(tmp_path).train.step.shape == (6,)


@pytest.mark.parametrize("rates", ["0.01,1", "0.01", "1,0.01,0.5"])
def test_resumed_with_other_values_is_refused(trained, capsys, rates):
  assert run(train, f"--learning_rate={rates}", f"--workdir={trained}") == 2
  error = capsys.readouterr().err
  assert "was started with optimizer.learning_rate=0.01,1.0,0.5, now" in error
  assert error.count("\n") == 1


def test_one_value_is_not_resumed_as_a_sweep(tmp_path):
  config = tiny_config(max_grad_norm=1.)
  for values in ((1., 2.), 2.):
    with pytest.raises(config_lib.UsageError, match=r"max_grad_norm=1\.0, now"):
      config_lib.reconcile(config, None, dict(max_grad_norm=values), {})
  swept = tiny_config(max_grad_norm=(1., 2.), num_devices=2)
  for name in ("none", None):
    same = config_lib.reconcile(
        swept, name, dict(max_grad_norm=(1., 2.), core="lstm", batch_size=8), {
            "task": swept.task_args.to_dict(),
            "core": swept.core_args.to_dict()})
    assert same == swept


def test_evaluate_shows_each_value(trained, capsys):
  assert run(evaluate, f"--workdir={trained}", "--episodes=24",
             "--levels=2") == 0
  lines = capsys.readouterr().out.splitlines()
  best, _ = best_of(trained)
  marked = [label + (" (best by validation)" if i == best else "")
            for i, label in enumerate(LABELS)]
  assert [line[:-1] for line in lines if line.startswith("opt")] == marked
  result = json.loads((trained / "evaluation.json").read_text())
  assert (result["values"], result["best"]) == (LABELS, LABELS[best])
  (row,) = result["levels"]
  assert row["bits_wrong"] == records(trained, "eval")[-1]["bits_wrong"]
  for i, label in enumerate(marked):
    cells = lines[lines.index(f"{label}:") + 2].split()
    assert f"{np.median(row['loss'][2 * i:2 * i + 2]):.4g}" in cells


def test_plot_shows_each_value(trained, tmp_path, capsys):
  assert run(plot, f"--output={tmp_path / 'x.png'}", trained) == 0
  _, *rows, last = capsys.readouterr().out.splitlines()
  assert [row.split()[:2] for row in rows] == [
      ["lstm", each] for each in LABELS]
  assert f"best by validation: {LABELS[best_of(trained)[0]]} (" in last


def test_plot_of_the_best_value_alone(trained, tmp_path, capsys):
  assert run(plot, f"--output={tmp_path / 'all.png'}", trained) == 0
  _, *rows, said = capsys.readouterr().out.splitlines()
  assert run(plot, "--best", f"--output={tmp_path / 'best.png'}", trained) == 0
  _, row, last = capsys.readouterr().out.splitlines()
  (mine,) = [each.split()[2:] for each in rows
             if each.split()[1] == LABELS[best_of(trained)[0]]]
  assert row.split() == ["lstm", *mine]
  assert last == said


def made(workdir, errors, **fields):
  """Makes a workdir as a run leaves it, with errors `[E, S]`."""
  workdir.mkdir()
  config_lib.save(tiny_config(
      task="mnist_sequence_product", num_seeds=2, seed=3,
      task_args=dict(max_length=2, max_test_length=2), num_devices=2,
      **fields), workdir)
  run_ = Run(workdir)
  names = [f"{name}/mse" for name in run_.task.extrapolations] + ["mse"]
  (workdir / "metrics.jsonl").write_text("".join(
      json.dumps({"step": step, "split": "eval"} | dict.fromkeys(names, row))
      + "\n" for step, row in enumerate(errors)))
  return workdir


@pytest.mark.parametrize("errors, best", [
    ([5, 5, 3, 4, 4, 4], 1), ([5, 5, 5, 5, 5, 5], 0),
    ([np.nan, 1, 4, 4, 3, 3], 2), ([9, 9, np.inf, 1, 8, 8], 2),
    ([np.nan] * 6, 0)])
def test_best_value(tmp_path, errors, best):
  whole = Run(made(tmp_path / "a", [[0] * 4 + [9] * 2, errors],
                   max_grad_norm=(1., 2., 3.)))
  assert whole.best_value() == best
  seed, params = whole.best_params({"w": np.arange(6)})
  finite = np.nan_to_num(errors, nan=np.inf)[2 * best:2 * best + 2]
  assert seed == 3 + np.argmin(finite)
  assert params == {"w": 2 * best + np.argmin(finite)}


def test_best_value_of_a_metric_that_should_be_high(tmp_path, monkeypatch):
  whole = Run(made(tmp_path / "a", [[1, 1, 3, 4, np.inf, 9]],
                   max_grad_norm=(1., 2., 3.)))
  assert whole.best_value() == 0
  monkeypatch.setattr(type(whole.task.score), "lower_is_better", False)
  assert (whole.best_value(), whole.best_seed()) == (1, 1)


@pytest.mark.parametrize("errors, line", [
    ([[np.nan] * 4], "no value is the best one: each has a mse of nan"),
    ([], "no value is the best one: the run was not evaluated")])
def test_no_best_value(tmp_path, errors, line):
  whole = Run(made(tmp_path / "a", errors, max_grad_norm=(1., 2.)))
  assert outcome.describe_best(whole) == line


def test_compare_shows_each_value(tmp_path, capsys):
  swept = made(tmp_path / "swept", [[99, 99, 1, 2]], max_grad_norm=(1., 2.))
  assert run(compare, f"--reference={swept}", swept,
             f"--output={tmp_path / 'x.png'}") == 0
  lines = capsys.readouterr().out.splitlines()
  rows = {name: lines[lines.index(name) + 2]
          for name in ("swept max_grad_norm=1.0", "swept max_grad_norm=2.0")}
  assert ["0/2 = 0%" in rows["swept max_grad_norm=1.0"],
          "2/2 = 100%" in rows["swept max_grad_norm=2.0"]] == [True, True]
  assert lines[-1] == ("swept: best by validation: max_grad_norm=2.0 (mse 1.5, "
                       "mean of 2 seeds)")


def test_a_sweep_of_one_seed(tmp_path, capsys, monkeypatch):
  drawn = []
  monkeypatch.setattr(pictures, "_draw_states",
                      lambda *args: drawn.append((args[2], args[-1])))
  flags = tiny_flags(steps=2, eval_every=2, checkpoint_every=2)
  assert run(train, *flags, "--max_grad_norm=0,1", f"--workdir={tmp_path}") == 0
  out = capsys.readouterr().out
  assert "best by validation: max_grad_norm=" in out
  assert "over 1 seeds" not in out
  best = Run(tmp_path).best_value()
  ((params, title),) = drawn
  assert title.endswith(f", max_grad_norm={float(best)}")
  assert_same(params, jax.tree.map(
      lambda x: x[best], saved_state(tmp_path).train.params))
  assert len(records(tmp_path, "eval")[-1]["loss"]) == 2


def test_clipping_at_a_traced_zero_is_off():
  optimizer = optimizers.clipped(optax.sgd(1.), 0.)
  gradients = {"w": np.array([3e4, -4e4], np.float32)}
  plain = optimizer.update(gradients, optimizer.init(gradients))[0]

  @jax.jit
  def traced(norm, value):
    optimizer = optimizers.clipped(optax.sgd(1.), norm, value)
    return optimizer.update(gradients, optimizer.init(gradients))[0]

  assert_same(jax.device_get(traced(0., 0.)), jax.device_get(plain))
  np.testing.assert_allclose(traced(5., 0.)["w"], [-3, 4], rtol=1e-6)
  np.testing.assert_array_equal(traced(0., 7.)["w"], [-7, 7])


def test_devices_divide_values_times_seeds():
  config = tiny_config(max_grad_norm=(1., 2.), num_seeds=2)
  assert len(build.make_layout(config).devices) == 4
  three = tiny_config(max_grad_norm=(1., 2.), num_devices=2)
  with pytest.raises(config_lib.UsageError, match=(
      "num_seeds=1 times 2 values does not divide over 4 devices")):
    checks.check(three, 4)
  assert len(build.make_layout(three).devices) == 2


def test_reporter_without_a_sweep_has_no_values(tmp_path):
  reporter = reporting.Reporter(tmp_path, 0, 2, "mse")
  reporter.train(1, {"loss": np.ones(2), "mse": np.ones(2)})
  reporter.close()
  (path,) = (tmp_path / "tensorboard").iterdir()
  assert b"train/loss" in path.read_bytes()
  assert b"train/loss/" not in path.read_bytes()
