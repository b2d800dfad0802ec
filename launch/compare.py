"""Compares success rates of runs of many seeds with a trained reference.

  python -m launch.compare --reference=runs/solved runs/nau runs/nac runs/lstm

For tasks whose success criterion cannot be computed. A seed succeeds on a
variant of the task (a length) if its error is below the upper 99 % confidence
bound of the reference's mean error. A network as good as the reference need not
succeed with all seeds; with few episodes a worse network often succeeds.
See "Neural Arithmetic Units" (Madsen and Johansen, 2020, arXiv 2001.05016),
section 4.3. Its reference has the same image network, and adds up or multiplies
exactly (`--unit.solved`). A warning is printed if the reference is no better
than guessing, or a success with no seed.

Each value of a sweep is compared on its own, and the best one by validation is
named. A reference that is a sweep stands for its best value.
"""

import pathlib
from collections.abc import Collection, Mapping, Sequence

from absl import flags

from launch.configs import endings, numbers
from launch.configs.config import UsageError
from launch.pictures import layout, success
from launch.runs import Run, outcome, statistics, tables

FLAGS = flags.FLAGS


def compare(reference: pathlib.Path, workdirs: Sequence[pathlib.Path],
            output: pathlib.Path, left_out: Collection[int] = ()) -> str:
  """Draws the success rates, and returns them as tables.

  Args:
    reference: workdir of the run that defines a success.
    workdirs: of runs on the same task, with different names.
    output: the picture to write.
    left_out: seeds of the reference that do not count.

  Raises:
    UsageError: there is no run, or one has a single seed, or another task than
      the reference; or `output` has an unknown ending.
  """
  layout.check_ending(output)
  trained = _open(reference).best()
  below = outcome.thresholds(trained, left_out)
  lines = [*outcome.warnings(trained, left_out), *(
      f"without seed {seed} of the reference" for seed in left_out)]
  lines += ["a success is an error below "
           + ", ".join(f"{tables.format_value(limit)} ({name})"
                       for name, limit in below.items())]
  counts: dict[str, Mapping[str, tuple[int, int]]] = {}
  opened = [_open(workdir) for workdir in workdirs]
  for run in [view for whole in opened for view in whole.by_value()]:
    name = f"{run.workdir.name} {run.value}".strip()
    if run.task != trained.task:
      raise UsageError(f"{run.workdir} is not of the task of {reference}: "
                       f"{run.task}, not {trained.task}")
    if name in counts:
      raise UsageError(f"two runs are named {name!r}: rename one workdir")
    rows = {variant: statistics.summarise(each)
            for variant, each in run.outcomes(below).items()}
    counts[name] = {variant: (row.successes, row.trials)
                    for variant, row in rows.items()}
    lines += ["", name, tables.success_table(rows)]
  bests = [f"{run.workdir.name}: {outcome.describe_best(run)}"
           for run in opened if run.sweep]
  lines += ["", *bests] if bests else []
  success.draw(counts, output, f"{trained.config.task}, beside {reference}")
  return "\n".join(lines)


def _open(workdir: pathlib.Path) -> Run:
  """Opens a run of many seeds that was evaluated."""
  run = Run(workdir)
  if len(run.seeds) < 2:
    raise UsageError(f"{workdir} is of one seed; start it with --num_seeds=10 "
                     "or the like")
  run.last()
  return run


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  workdirs = [pathlib.Path(name) for name in argv[1:]]
  if not workdirs:
    raise UsageError("name one workdir or more to compare")
  print(compare(
      pathlib.Path(FLAGS.reference), workdirs, pathlib.Path(FLAGS.output),
      numbers.integers("leave_out", FLAGS.leave_out, 0, numbers.MAX_SEED)))


def run() -> None:
  """Runs the program with the flags of the command line."""
  flags.DEFINE_string("reference", None, "Workdir of the run that defines a "
                      "success.", required=True)
  flags.DEFINE_list("leave_out", [], "Seeds of the reference that do not "
                    "count, since they did not learn the task: their errors "
                    "would make every run succeed.")
  flags.DEFINE_string("output", "success.png", "The picture to write.")
  endings.run(main, "the number of runs", takes_words=True)


if __name__ == "__main__":
  run()
