"""Evaluates a trained run, also at levels that it was not trained at.

  python -m launch.evaluate --workdir=/tmp/copy --levels=10,20,40

Prints a table on stdout and writes evaluation.json into the workdir. Without
--levels: episodes as in training, if their levels differ; its highest level
(with a curriculum, the one reached) and, where the task allows, twice and four
times that; and the task's variants to extrapolate to. A memory core may be
given more room: --core.num_slots=256. Of a run of many seeds the table shows
the medians, and the share of seeds that solved it.

  python -m launch.evaluate --workdir=/tmp/numbers --show=5

prints five episodes, too, and what was answered, of tasks that are text; those
of the last row, by the best seed.
"""

import json
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags, logging

import tasks
from launch import checkpoints as checkpoints_lib
from launch import config as config_lib
from launch import devices, outcome, reporting, train
from launch import flags as flags_lib

FLAGS = flags.FLAGS

EVALUATION_FILE = "evaluation.json"


def default_levels(task: tasks.Task) -> list[int]:
  """The task's highest level, twice and four times that, where it allows."""
  levels = []
  for factor in (1, 2, 4):
    try:
      task.at_level(factor * task.max_level)
    except ValueError:
      break
    levels.append(factor * task.max_level)
  return levels


def evaluate(workdir: pathlib.Path, levels: Sequence[int], episodes: int,
             core_args: Mapping[str, Any],
             data_dir: str | None = None, show: int = 0) -> dict[str, Any]:
  """Evaluates the newest checkpoint of a run.

  Args:
    workdir: of the run.
    levels: at which to evaluate; see `default_levels` if empty, and then the
      task's `extrapolations`, too.
    episodes: how many at each level.
    core_args: the core's arguments that differ from training.
    data_dir: where real data lies, if not where it was in training.
    show: how many episodes of the last variant are put into words.

  Returns:
    What `evaluation.json` holds. `trained` is whether a level is not above
    those of training; it is None for a variant, which tells only what it is.

  Raises:
    UsageError: there is no such run, or no checkpoint, or no such level, or
      nothing to show.
  """
  stored, config = config_lib.load(workdir), config_lib.load(workdir)
  with config.unlocked():
    config.core_args.update(core_args)
  if data_dir is not None:
    config.data_dir = data_dir
  config_lib.check(config, jax.local_device_count())
  task = tasks.make_task(config.task, **config.task_args)
  if show and not task.is_text:
    raise config_lib.UsageError(
        f"--show is of tasks that are text, not of {config.task}; valid: "
        + ", ".join(sorted(name for name, cls in tasks.TASKS.items()
                           if cls.is_text)))
  try:
    data = devices.replicate(task.load("test", config.data_dir or None))
  except (OSError, ValueError) as error:
    raise config_lib.UsageError(str(error)) from None
  trainer = train.make_trainer(config, task)
  like = trainer.initial_state()
  if core_args and _shapes(like) != _shapes(
      train.make_trainer(stored, task).initial_state()):
    raise config_lib.UsageError(
        f"the parameters in {workdir} do not fit "
        + ", ".join(f"core.{k}={v}" for k, v in core_args.items()))
  checkpoints = checkpoints_lib.Checkpoints(
      workdir, are_finite=config.num_seeds == 1)
  state = checkpoints.restore(like)
  checkpoints.close()
  if state is None:
    raise config_lib.UsageError(f"{workdir} holds no checkpoint yet")
  if state.curriculum:
    task = task.at_level(int(state.curriculum.level))
  variants: dict[int | str, tasks.Task] = {}
  if not levels and task != task.at_level(task.max_level):
    variants[outcome.TRAINED] = task
  try:
    for level in levels or default_levels(task):
      variants[level] = task.at_level(level)
  except ValueError as error:
    raise config_lib.UsageError(str(error)) from None
  if not levels:
    variants.update(task.extrapolations.items())
  params = trainer.put(state).params
  rows = []
  for name, variant in variants.items():
    # All there are, once each, or whole batches.
    count = variant.num_examples or (
        math.ceil(episodes / config.batch_size) * config.batch_size)
    logging.info("evaluating %d episodes at %s %s", count, task.level_name,
                 name)
    metrics = trainer.evaluate(params, data, variant, episodes)
    trained = name == outcome.TRAINED or (
        None if isinstance(name, str) else name <= task.max_level)
    rows.append({"level": name, "trained": trained, "episodes": count,
                 **metrics})
  result = {"task": config.task, "core": config.core,
            "core_args": config.core_args.to_dict(), "unit": config.unit,
            "step": int(np.min(state.step)), "seed": config.seed,
            "num_seeds": config.num_seeds, "level_name": task.level_name,
            "levels": rows}
  if show:
    _, params = outcome.params_of_best(config, workdir, task, state.params)
    result["examples"] = _transcribe(
        config, trainer.model, params, variant, show)
  return result


def _transcribe(config, model, params, task, count):
  """Episodes of a task in words, with the answers of one network."""
  @jax.jit
  def answer(params, key):
    batch = task.sample(key, count)
    outputs, _ = model.unroll(params, batch.inputs,
                              model.initial_state(params, count))
    return batch, outputs

  return task.transcribe(*jax.tree.map(
      np.asarray, answer(params, jax.random.key(config.seed))))


def _shapes(tree: Any) -> Any:
  return jax.tree.map(jnp.shape, tree)


def format_table(result: Mapping[str, Any]) -> str:
  """The evaluation as a table for people."""
  rows = result["levels"]
  names = [name for name in rows[0] if name not in ("level", "trained")
           and all(name in row for row in rows)]
  marks = {True: "", False: " *", None: " +"}
  lines = [[result["level_name"], *names]]
  for row in rows:
    level = f"{row['level']}{marks[row['trained']]}"
    values = (reporting.over_seeds(name, row[name]) for name in names)
    lines.append([level, *map(reporting.format_value, values)])
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  table = ["  ".join(cell.rjust(width) for cell, width in
                     zip(line, widths, strict=True)) for line in lines]
  found = {row["trained"] for row in rows}
  if False in found:
    table.append("* above the levels of training")
  if None in found:
    table.append("+ a variant of the task")
  return "\n".join(table)


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
  flags_lib.apply_device_flags()
  reporting.quiet_libraries()
  workdir = pathlib.Path(FLAGS.workdir).expanduser().absolute()
  try:
    levels = [int(level) for level in FLAGS.levels]
  except ValueError:
    print(f"error: --levels takes integers, got {','.join(FLAGS.levels)}",
          file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)
  try:
    result = evaluate(workdir, levels, FLAGS.episodes,
                      flags_lib.member_overrides(["core"])["core"],
                      FLAGS.data_dir, FLAGS.show)
    print(f"{result['core']} on {result['task']} after {result['step']} updates"
          f", seed {result['seed']}"
          + (f" and the {result['num_seeds'] - 1} after it"
             if result["num_seeds"] > 1 else ""))
    print(format_table(result), flush=True)
    for line in result.get("examples", ()):
      print(line)
    # Last, so that a file that cannot be written does not cost the result.
    (workdir / EVALUATION_FILE).write_text(json.dumps(result, indent=2) + "\n")
  except (config_lib.UsageError, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)


def run() -> None:
  """Entry point."""
  flags.DEFINE_string("workdir", None, "Of the run.", required=True)
  flags.DEFINE_list("levels", [], "Levels to evaluate at (lengths, numbers of "
                    "items or classes).")
  flags.DEFINE_integer("episodes", 512, "Episodes at each level.",
                       lower_bound=1)
  flags.DEFINE_string("data_dir", None, "Where the files of tasks with real "
                      "data lie, if not where they were in training.")
  flags.DEFINE_integer("show", 0, "Episodes to print, with what was answered; "
                       "of tasks that are text.", lower_bound=0)
  flags_lib.define_member_flags(["core"])
  flags_lib.define_device_flags()
  flags.adopt_module_key_flags(flags_lib)
  app.run(main)


if __name__ == "__main__":
  run()
