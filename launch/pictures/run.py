"""Draws all pictures of a run, and writes the formula if it learned one."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
from absl import logging

import tasks
from launch.configs import config as config_lib
from launch.configs import members
from launch.learning import evaluators
from launch.learning.trainer import Trainer
from launch.pictures import attention, curves, film, memory, success, weights
from launch.runs import Run, outcome, reporting
from launch.runs.board import events
from rmc_nalu_sam.registry import attribute

# A larger trace of an episode is not kept for a picture of the states.
MAX_TRACE_BYTES = 2**30


def draw(run: Run, trainer: Trainer, params: Any, data: Any,
         level: int | None = None) -> None:
  """Draws curves, success rates, weights and states into the run's folder.

  TensorBoard shows these pictures, too.

  Weights and states are those of the best value of a sweep. States are drawn of
  a run of one seed.

  Logs a warning for each picture that cannot be drawn: a full disk or a broken
  matplotlib must not cost the result of a run.

  Args:
    run: opened for writing.
    trainer: of the run.
    params: on the host, as `Trainer.get_params` returns them.
    data: of the test split, on the host.
    level: the level that the curriculum has reached; None without one.
  """
  before = _pictures(run)
  _draw(run, trainer, params, data, level)
  with _may_fail("run in TensorBoard"):
    records = run.records()
    events.write_pictures(
        run.workdir, [path for path, time in _pictures(run).items()
                      if time != before.get(path)],
        records[-1]["step"] if records else 0)


def _pictures(run: Run) -> dict[pathlib.Path, int]:
  """Returns the pictures in the run's folder, and when each was drawn."""
  return {path: path.stat().st_mtime_ns for path in sorted(
      run.workdir.iterdir()) if path.suffix in reporting.PICTURES}


def _draw(run, trainer, params, data, level):
  name = f"{config_lib.label(run.config)} on {run.config.task}"
  title = f"{name}, {describe_seeds(run)}"
  with _may_fail("learning curve"):
    _draw_curves(run, title)
  if film.can_draw(run.task):
    with _may_fail("episode"):
      film.draw(run, trainer, params, run.workdir)
  with _may_fail("weights"):
    _draw_units(run, trainer, params, name)
  if len(run.seeds) > 1:
    with _may_fail("success rates"):
      _draw_success(run, title)
    return
  task = run.task
  if level is not None and isinstance(task, tasks.Levelled):
    # A level above the task's own would leave too little to see.
    task = task.at_level(min(level, task.max_level))
  with _may_fail("states"):
    _draw_states(run, trainer, run.best_params(params)[1], data, task,
                 ", ".join(filter(None, [title, run.best().value])))


@contextlib.contextmanager
def _may_fail(picture: str) -> Iterator[None]:
  """Logs an error in one line."""
  try:
    yield
  except Exception as error:  # pylint: disable=broad-except
    reason = str(error).strip().split("\n")[0]
    logging.warning("no picture of the %s: %s: %s", picture,
                    type(error).__name__, reason)


def describe_seeds(run: Run) -> str:
  """Returns 'seed 3' or 'seed 3 to 7'."""
  first, last = run.seeds[0], run.seeds[-1]
  return f"seed {first}" if first == last else f"seed {first} to {last}"


def beside(task: tasks.Task) -> str:
  """Returns the metric that is drawn beside the main one."""
  # The loss of an agent tells little, and an evaluation has none.
  return "length" if isinstance(task, tasks.Environment) else "loss"


def guesses(runs: list[Run], metric: str) -> set[float]:
  """Returns the scores of guessing that apply to curves of a metric.

  With a curriculum the score depends on the level, so there is none.
  """
  return {run.task.trivial_score for run in runs
          if metric == run.main_metric and run.config.curriculum == "none"}


def _draw_curves(run, title):
  metric = run.main_metric if run.config.curriculum == "none" else "level"
  label = config_lib.label(run.config)
  curves.draw(
      [(name, {view.value or label: curves.of_runs([view], name)
               for view in run.by_value()})
       for name in (beside(run.task), metric)],
      run.workdir / "learning_curve.png", title,
      guesses=guesses([run], metric))


def _draw_units(run, trainer, params, name):
  if not outcome.has_formula(run, trainer.model):
    return
  seed, of_seed = run.best_params(params)
  formula = outcome.describe_formula(
      run, outcome.learned_formula(run, trainer.model, of_seed))
  which = ", ".join(filter(None, [run.best().value, f"seed {seed}"]))
  (run.workdir / outcome.FORMULA_FILE).write_text(f"{which}: {formula}\n")
  weights.draw(trainer.model.units, of_seed, run.workdir / "weights.png",
               f"{name}, {which}", formula)


def _draw_success(run, title):
  """Draws `success.png`, if the task has a criterion of success."""
  label = config_lib.label(run.config)
  counts = {view.value or label: {
      name: (int(each.solved.sum()), each.solved.size)
      for name, each in view.outcomes().items()} for view in run.by_value()}
  if all(counts.values()):
    success.draw(counts, run.workdir / "success.png", title)


def _draw_states(run, trainer, params, data, task: tasks.Trainable, title):
  """Draws one episode, if the core names a picture for its states."""
  if not isinstance(task, tasks.Episodes):
    return  # A text has too many words for a row each; `film` draws agents.
  core = members.REGISTRIES["core"].get(run.config.core)
  picture = attribute(core, "PICTURE", None)
  if picture is None:
    return
  state = jax.eval_shape(lambda: trainer.model.initial_state(params, 1))
  size = task.num_steps * sum(x.size * x.dtype.itemsize
                              for x in jax.tree.leaves(state))
  if size > MAX_TRACE_BYTES:
    logging.info("no picture of the %s: %d of its states are too large to keep",
                 picture, task.num_steps)
    return
  batch, outputs, states = evaluators.trace(trainer, params, data, task)
  path = run.workdir / f"{picture}.png"
  if picture == "attention":
    attention.draw(states.attention, task, batch, outputs, path, title)
  else:
    memory.draw(states.access, task, batch, outputs, path, title)
