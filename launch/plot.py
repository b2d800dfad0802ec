"""Draws the learning curves of several runs side by side.

  python -m launch.plot --output=curves.png runs/sam-0 runs/sam-1 runs/lstm-0

Runs that learn the same with other seeds are drawn as one line, the median over
seeds, in a band from the lowest to the highest; the seeds of a run of many are
taken one by one. Lines of the same core and unit are labelled with what differs
in their settings. Prints the last evaluation of each run, and its lowest and
highest (its best, as some papers report it, is one of these).

  python -m launch.plot --metric=level --x=minutes --output=levels.png runs/*

draws the level that runs with a curriculum have reached against wall time.

  python -m launch.plot --x=variants --output=lengths.png runs/*

draws how far they extrapolate: the metric at the last evaluation against the
task's variants (lengths, ranges, numbers), and prints its mean and, in
parentheses, its median over the seeds.
"""

import pathlib
import sys
from collections.abc import Sequence

import numpy as np
from absl import app, flags

import tasks
from launch import config as config_lib
from launch import outcome, plots, reporting, variant_plots

FLAGS = flags.FLAGS


def compare(workdirs: Sequence[pathlib.Path], output: pathlib.Path,
            metric: str | None, x: str = "updates") -> str:
  """Draws the runs, and returns a table of their evaluations.

  Args:
    workdirs: of runs on one task.
    output: the PNG to write.
    metric: the metric to draw; the task's main one if None.
    x: against what, 'updates', 'minutes' or 'variants'.

  Raises:
    UsageError: there is no run, or they are not of one task, or have no such
      metric, or no times or variants, or two are of the same seed.
  """
  plots.check_ending(output)
  configs = {workdir: config_lib.load(workdir) for workdir in workdirs}
  names = sorted({config.task for config in configs.values()})
  if len(names) != 1:
    raise config_lib.UsageError(
        f"need runs on one task, got {', '.join(names) or 'none'}")
  metric = metric or tasks.TASKS[names[0]].main_metric
  labels = _labels(configs)
  groups: dict[str, list[pathlib.Path]] = {}
  owners: dict[tuple[str, int], pathlib.Path] = {}
  lines = []
  for workdir, config in configs.items():
    records = reporting.read_metrics(workdir)
    evaluations = [record for record in records if record["split"] == "eval"]
    if not evaluations:
      raise config_lib.UsageError(f"{workdir} was not evaluated yet")
    if metric not in evaluations[-1]:
      valid = set(evaluations[-1]) - {"step", "split", "seconds"}
      raise config_lib.UsageError(
          f"unknown metric {metric!r}; valid: {', '.join(sorted(valid))}")
    if x == "minutes" and any("seconds" not in record for record in records):
      raise config_lib.UsageError(
          f"{workdir} is of a version that noted no times: draw it with "
          "--x=updates")
    label = labels[workdir]
    for seed in range(config.seed, config.seed + config.num_seeds):
      other = owners.setdefault((label, seed), workdir)
      if other != workdir:
        raise config_lib.UsageError(
            f"{other} and {workdir} are both of {label} with seed {seed}, "
            "which would count twice: leave one out")
    groups.setdefault(label, []).append(workdir)
    last = reporting.over_seeds(metric, evaluations[-1][metric])
    seeds = f"seed {config.seed}" if config.num_seeds == 1 else (
        f"seeds {config.seed} to {config.seed + config.num_seeds - 1}")
    lines.append(f"{label}  {seeds}  step {evaluations[-1]['step']}  {metric} "
                 f"{reporting.format_value(last)}"
                 f"{_extremes(metric, evaluations)}")
  if x == "variants":
    return _compare_variants(groups, metric, output, configs)
  plots.learning_curves(groups, metric, output, names[0], x)
  return "\n".join(lines)


def _extremes(metric, evaluations):
  """The lowest and highest evaluation and their steps, in words."""
  values = [(reporting.over_seeds(metric, record[metric]), record["step"])
            for record in evaluations if metric in record]
  finite = [pair for pair in values if np.isfinite(pair[0])]
  if not finite:
    return ""
  (low, first), (high, second) = (
      choose(finite, key=lambda pair: pair[0]) for choose in (min, max))
  return (f"  lowest {reporting.format_value(low)} at {first}"
          f"  highest {reporting.format_value(high)} at {second}")


def _compare_variants(groups, metric, output, configs):
  first = next(iter(configs.values()))
  task = tasks.make_task(first.task, **first.task_args)
  if not task.extrapolations:
    raise config_lib.UsageError(
        f"{first.task} has no variants to draw --x=variants of")
  names = [outcome.TRAINED, *task.extrapolations]
  values = {label: np.concatenate([
      variant_plots.last_values(workdir, metric, names)
      for workdir in workdirs]) for label, workdirs in groups.items()}
  variant_plots.draw(values, names, metric, output, first.task)
  return "\n".join(variant_plots.format_row(label, rows, names)
                   for label, rows in values.items())


def _labels(configs):
  """Workdir -> core, unit and the settings in which others of these differ."""
  settings = {workdir: config_lib.settings(config)
              for workdir, config in configs.items()}
  labels = {}
  for workdir, config in configs.items():
    label = config_lib.label(config)
    alike = [settings[other] for other in configs
             if config_lib.label(configs[other]) == label]
    labels[workdir] = " ".join([label, *(
        f"{name}={value}" for name, value in settings[workdir].items()
        if any(other.get(name) != value for other in alike))])
  return labels


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  workdirs = [pathlib.Path(name) for name in argv[1:]]
  try:
    print(compare(workdirs, pathlib.Path(FLAGS.output), FLAGS.metric, FLAGS.x))
  except (config_lib.UsageError, OSError) as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)


def run() -> None:
  """Entry point."""
  flags.DEFINE_string("output", "curves.png", "The picture to write.")
  flags.DEFINE_string("metric", None, "The metric beside the loss. Default: "
                      "the task's main one.")
  flags.DEFINE_enum("x", "updates", ["updates", "minutes", "variants"],
                    "What the curves are drawn against; 'variants' are of the "
                    "last evaluation.")
  app.run(main)


if __name__ == "__main__":
  run()
