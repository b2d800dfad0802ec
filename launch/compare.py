"""Success rates of runs of many seeds, beside a reference that was trained.

  python -m launch.compare --reference=runs/solved runs/nau runs/nac runs/lstm

For tasks whose criterion cannot be computed: a seed succeeds at a length if its
error is below what the reference's mean error is below with 99 % confidence. A
network as good as the reference need not succeed at all seeds, and with few
episodes one that is worse often does.
See "Neural Arithmetic Units" (Madsen and Johansen, 2020, arXiv 2001.05016),
section 4.3, where the reference has the same image network, and adds up or
multiplies exactly (`--unit.solved`).
"""

import pathlib
import sys
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from absl import app, flags

import tasks
from launch import config as config_lib
from launch import outcome, plots, success

FLAGS = flags.FLAGS


def thresholds(reference: pathlib.Path, task: tasks.Task,
               left_out: Collection[int] = ()) -> dict[str, float]:
  """What an error has to be below, by the errors of the reference.

  Args:
    reference: workdir of its run.
    task: that it was trained on.
    left_out: seeds of it that do not count.

  Returns:
    Name of the variant -> threshold.

  Raises:
    UsageError: one of the errors is not finite; or there is no such seed to
      leave out, or less than two remain.
  """
  errors = outcome.errors_of_seeds(reference, task)
  best = success.best_evaluations(errors[outcome.TRAINED])
  first = config_lib.load(reference).seed
  valid = range(first, first + len(best))
  for seed in left_out:
    if seed not in valid:
      raise config_lib.UsageError(
          f"--leave_out: {reference} has the seeds {first} to {valid[-1]}, not "
          f"{seed}")
  seeds = np.array([seed - first for seed in valid if seed not in left_out])
  if len(seeds) < 2:
    raise config_lib.UsageError(
        f"--leave_out: at least two seeds of {reference} must remain")
  best = best[seeds]
  found = {name: success.upper_bound(values[best, seeds])
           for name, values in errors.items()}
  for name, limit in found.items():
    if not np.isfinite(limit):
      raise config_lib.UsageError(
          f"{reference} has errors that are not finite ({name}), and says not "
          "what a success is; train it anew, with other seeds or a lower "
          "--learning_rate")
  return found


def compare(reference: pathlib.Path, workdirs: Sequence[pathlib.Path],
            output: pathlib.Path, left_out: Collection[int] = ()) -> str:
  """Draws the success rates, and returns them as tables.

  Args:
    reference: of the run that says what a success is.
    workdirs: of runs on the same task, with names of their own.
    output: the PNG to write.
    left_out: seeds of the reference that do not count.

  Raises:
    UsageError: there is no run, or one is not of many seeds, or not of the
      reference's task; or `output` has an ending that cannot be drawn.
  """
  plots.check_ending(output)
  task = _task(reference)
  below = thresholds(reference, task, left_out)
  lines = [f"without seed {seed} of the reference" for seed in left_out]
  lines += ["a success is an error below "
           + ", ".join(f"{limit:.4g} ({name})"
                       for name, limit in below.items())]
  counts: dict[str, Mapping[str, tuple[int, int]]] = {}
  for workdir in workdirs:
    if _task(workdir) != task:
      raise config_lib.UsageError(
          f"{workdir} is not of the task of {reference}: {_task(workdir)}, "
          f"not {task}")
    if workdir.name in counts:
      raise config_lib.UsageError(
          f"two runs are named {workdir.name!r}, and cannot be told apart")
    found = outcome.outcomes(workdir, task, below)
    rows = {name: success.summarise(each) for name, each in found.items()}
    counts[workdir.name] = {
        name: (row.successes, row.trials) for name, row in rows.items()}
    lines += ["", workdir.name, success.format_table(rows)]
  success.success_curve(
      counts, output, f"{config_lib.load(reference).task}, beside {reference}")
  return "\n".join(lines)


def _task(workdir):
  """The task of a run of many seeds that was evaluated."""
  config = config_lib.load(workdir)
  task = tasks.make_task(config.task, **config.task_args)
  if config.num_seeds < 2:
    raise config_lib.UsageError(f"{workdir} is of one seed; start it with "
                                "--num_seeds=10 or the like")
  if not outcome.errors_of_seeds(workdir, task):
    raise config_lib.UsageError(f"{workdir} was not evaluated yet")
  return task


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  workdirs = [pathlib.Path(name) for name in argv[1:]]
  try:
    if not workdirs:
      raise config_lib.UsageError("name one workdir or more to compare")
    try:
      left_out = [int(seed) for seed in FLAGS.leave_out]
    except ValueError:
      raise config_lib.UsageError("--leave_out takes seeds, such as 3,7; got "
                                  f"{','.join(FLAGS.leave_out)}") from None
    print(compare(pathlib.Path(FLAGS.reference), workdirs,
                  pathlib.Path(FLAGS.output), left_out))
  except (config_lib.UsageError, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)


def run() -> None:
  """Entry point."""
  flags.DEFINE_string("reference", None, "The workdir of the run that says "
                      "what a success is.", required=True)
  flags.DEFINE_list("leave_out", [], "Seeds of the reference that do not "
                    "count, as they have not learned their task: they would "
                    "let everybody succeed.")
  flags.DEFINE_string("output", "success.png", "The picture to write.")
  app.run(main)


if __name__ == "__main__":
  run()
