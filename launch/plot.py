"""Draws the learning curves of several runs side by side.

  python -m launch.plot --output=curves.png runs/sam-0 runs/sam-1 runs/lstm-0

Runs that differ in their seed only are drawn as one line, the median over
seeds, in a band from the lowest to the highest. So is each value of a sweep,
and its best value by validation is named. A line is labelled with core,
unit and the settings that differ among runs of these. A grey line is the score
of guessing. Prints the last evaluation of each run, and its lowest and highest
(some papers report the best one).

  python -m launch.plot --metric=level --x=minutes --output=levels.png runs/*

draws the level that runs with a curriculum have reached against wall time.

  python -m launch.plot --best --output=curves.png runs/*

draws only the best value of each sweep.

  python -m launch.plot --split=train --output=curves.png runs/*

draws the batches of training in place of the evaluations: more points, and
noisier ones.

  python -m launch.plot --x=variants --output=lengths.png runs/*

draws how far runs extrapolate: the metric at the last evaluation against the
task's variants (lengths, ranges, numbers). Prints its mean over the seeds and,
in parentheses, its median.

  python -m launch.plot --x=levels --output=characters.png runs/*

draws the metric against the levels that `launch.evaluate --levels=...` was last
told: lengths, or numbers of items or characters.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from launch.configs import endings
from launch.configs.config import UsageError
from launch.pictures import curves, layout, variants
from launch.pictures.run import beside, guesses
from launch.runs import Run, comparison, outcome
from launch.runs.run import FACTS

FLAGS = flags.FLAGS

# What is drawn beyond training -> its names, and the values there.
_BEYOND = {"variants": (comparison.variants_of, comparison.last_values),
           "levels": (comparison.levels_of, comparison.values_at)}


def compare(workdirs: Sequence[pathlib.Path], output: pathlib.Path,
            metric: str | None, x: str = "updates", best: bool = False,
            split: str = "eval") -> str:
  """Draws the runs, and returns a table of their evaluations.

  Args:
    workdirs: of runs on one task.
    output: the picture to write.
    metric: the metric to draw; the task's main one if None.
    x: what to draw it against: 'updates', 'minutes', 'variants' or 'levels'.
    best: whether to leave out all values of a sweep but the best.
    split: of learning curves: 'eval' or 'train'.

  Raises:
    UsageError: see `comparison.compare`; or a run lacks times, variants or
      levels, or its batches lack the metric, or `output` has an unknown ending.
  """
  layout.check_ending(output)
  runs = [Run(workdir) for workdir in workdirs]
  found = comparison.compare(
      [run.best() for run in runs] if best else runs, metric)
  metric, title = found.metric, found.runs[0].config.task
  if split == "train":
    _check_batches(found, x)
  if x in _BEYOND:
    names_of, values_of = _BEYOND[x]
    names = names_of(found)
    values = {label: values_of(runs, metric, names)
              for label, runs in found.groups.items()}
    variants.draw(values, names, metric, output, title,
                  _axis_name(x, found))
    return comparison.variants_table(values, names)
  if x == "minutes":
    comparison.check_times(found.runs)
  panels = [(name, {label: curves.of_runs(runs, name, x, split)
                    for label, runs in found.groups.items()})
            for name in (beside(found.runs[0].task), metric)]
  curves.draw(panels, output, title, x, guesses(found.runs, metric))
  return "\n".join([comparison.table(found), *(
      f"{run.workdir}: {outcome.describe_best(run)}"
      for run in runs if run.sweep)])


def _check_batches(found: comparison.Comparison, x: str) -> None:
  """Refuses what the batches of training do not have."""
  if x in _BEYOND:
    raise UsageError(f"--split=train has no {x}: leave out --x={x}")
  for run in found.runs:
    names = set(run.last("train")) - set(FACTS)
    if found.metric not in names:
      raise UsageError(f"--split=train has no metric {found.metric!r}; valid: "
                       f"{', '.join(sorted(names))}")


def _axis_name(x: str, found: comparison.Comparison) -> str:
  """Returns what the numbers on the axis are."""
  task = found.runs[0].task
  return getattr(task, "level_name", "level") if x == "levels" else "variant"


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  workdirs = [pathlib.Path(name) for name in argv[1:]]
  print(compare(workdirs, pathlib.Path(FLAGS.output), FLAGS.metric, FLAGS.x,
                FLAGS.best, FLAGS.split))


def run() -> None:
  """Runs the program with the flags of the command line."""
  flags.DEFINE_string("output", "curves.png", "The picture to write.")
  flags.DEFINE_string("metric", None, "The metric beside the loss, or beside "
                      "the length of an agent's episodes. Default: the task's "
                      "main one.")
  flags.DEFINE_enum("x", "updates", ["updates", "minutes", *_BEYOND],
                    "What to draw the metric against; 'variants' are those of "
                    "the last evaluation, 'levels' those of launch.evaluate.")
  flags.DEFINE_bool("best", False, "Whether to draw only the best value of "
                    "each sweep, by validation.")
  flags.DEFINE_enum("split", "eval", ["eval", "train"], "What learning curves "
                    "are of: evaluations, or the batches of training.")
  endings.run(main, "the number of runs", takes_words=True)


if __name__ == "__main__":
  run()
