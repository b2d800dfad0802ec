"""Repeats tables and figures of the papers.

  python -m launch.reproduce --list
  python -m launch.reproduce --describe=sam_figure2_copy
  python -m launch.reproduce --experiment=sam_figure2_copy --jobs=2

Runs all cores and seeds of an experiment, prints its table, draws its figures
and writes results/NAME.json. Started again, it goes on where it was stopped; a
run that fails does not stop the others. --scale=small takes minutes on two
cores, --scale=paper is the paper's own size.

  python -m launch.reproduce --experiment=accelerator --minutes=12

runs what waits for a GPU or TPU, in order of value, within the minutes.

  python -m launch.reproduce --page

makes RESULTS.md, and the table of README.md, of the files.
"""

import os
import pathlib
from collections.abc import Sequence

from absl import flags

from launch.configs import endings, environment
from launch.configs.config import EXIT_USAGE, UsageError
from launch.evidence import (
    figures,
    listing,
    page,
    results,
    runner,
    selection,
    tables,
)
from launch.evidence.experiment import SCALES
from launch.evidence.view import View
from tasks.data import replacing

FLAGS = flags.FLAGS
EXIT_FAILED = 1


def reproduce(jobs: Sequence[runner.Job], runs: pathlib.Path,
              folder: pathlib.Path) -> list[runner.Failure]:
  """Runs jobs, draws their figures and prints their tables."""
  left = runner.to_do(jobs, runs)
  view = View(len(left))
  more = [f"--cpu_devices={FLAGS.cpu_devices}"] if FLAGS.cpu_devices else []
  try:
    failures = runner.run(
        left, runs, folder, view, data=FLAGS.data_dir,
        side_by_side=FLAGS.jobs, more_flags=more,
        seconds=FLAGS.minutes and 60 * FLAGS.minutes)
  finally:
    view.close()
  scales = {job.experiment.name: job.scale for job in jobs}
  for experiment in scales:
    found = selection.EXPERIMENTS[experiment]
    for line in figures.draw(found, scales[experiment], runs, folder):
      print(line)
    print(f"\n{found.title}\n")
    entries = [entry for entry in results.load(folder, experiment)
               if entry.scale == scales[experiment]]
    print(tables.table(found, entries))
    if entries:
      print(f"\nwritten to {folder / experiment}.json")
  return failures


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  del argv
  folder = pathlib.Path(
      FLAGS.results or environment.ROOT / "results").expanduser()
  runs = pathlib.Path(FLAGS.runs).expanduser().absolute()
  try:
    if FLAGS.list:
      print(listing.overview(selection.listed(FLAGS.experiment), folder))
    elif FLAGS.describe:
      print(listing.describe(
          selection.find(FLAGS.describe), folder, FLAGS.scale))
    elif FLAGS.page:
      _write_pages(folder)
    elif not FLAGS.experiment:
      raise UsageError("name an --experiment; --list shows all of them")
    else:
      _run(runs, folder)
  except ValueError as error:
    endings.leave(EXIT_USAGE, f"error: {error}")


def _write_pages(folder) -> None:
  replacing.replace_text(
      folder.parent / page.FILE,
      page.render(selection.EXPERIMENTS.values(), folder))
  for name, renewed in ((page.README, page.at_a_glance),
                        (page.PAPERS, page.with_links)):
    path = folder.parent / name
    if path.exists():  # Results may lie elsewhere than in a checkout.
      replacing.replace_text(path, renewed(
          path.read_text(), selection.EXPERIMENTS, folder))


def _run(runs, folder) -> None:
  jobs = selection.jobs(FLAGS.experiment, FLAGS.scale, FLAGS.pieces,
                        FLAGS.minutes_each)
  lacking = [job.label for job in jobs
             if job.piece.needs_data and not FLAGS.data_dir]
  if lacking:
    raise UsageError(f"{', '.join(lacking)} need real data: give --data_dir")
  failures = reproduce(jobs, runs, folder)
  if failures:
    endings.leave(EXIT_FAILED, "\n".join(
        f"failed: {each.job.label}: {each.reason}" for each in failures))


def run() -> None:
  """Runs the program with the flags of the command line."""
  flags.DEFINE_boolean("list", False, "Prints all experiments, or the one of "
                       "--experiment, and what is done of them.")
  flags.DEFINE_string("describe", None, "Prints one experiment: its table and "
                      "its commands.")
  flags.DEFINE_string("experiment", None, "Runs this experiment.")
  flags.DEFINE_enum("scale", "small", SCALES, "small: minutes on two cores. "
                    "paper: the paper's size. tiny: a rehearsal.")
  flags.DEFINE_list("pieces", [], "Runs these pieces alone.")
  flags.DEFINE_integer("jobs", 1, "Runs side by side.", lower_bound=1,
                       upper_bound=os.cpu_count())
  flags.DEFINE_float("minutes", None, "No run starts after these, and "
                     "training stops; it goes on the next time.",
                     lower_bound=0)
  flags.DEFINE_float("minutes_each", None, "Each training stops after these; "
                     "it goes on the next time.", lower_bound=0)
  flags.DEFINE_boolean("page", False, "Makes RESULTS.md and README's "
                       "table of the results.")
  flags.DEFINE_string("runs", "runs", "Folder for the runs.")
  flags.DEFINE_string("results", None, "Folder of the results. Default: that "
                      "of the checkout.")
  flags.DEFINE_string("data_dir", None, "Folder of real data.")
  flags.DEFINE_integer("cpu_devices", None, "Devices of each run on the CPU.",
                       lower_bound=1)
  endings.run(main, "--jobs")


if __name__ == "__main__":
  run()
