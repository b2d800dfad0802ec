"""Trains a core on a task.

  python -m launch.train --preset=sam_copy --workdir=/tmp/copy
  python -m launch.train --preset=sam_copy --core=lstm --workdir=/tmp/lstm
  python -m launch.train --task=nth_farthest --core=rmc --core.num_heads=4 \\
      --learning_rate=1e-3,3e-3 --num_seeds=3 --workdir=/tmp/sweep

Started again with the same --workdir, it resumes from the last checkpoint. The
workdir gets config.json, metrics.jsonl, goodput.jsonl, tensorboard/,
checkpoints/ and pictures. Logs go to stderr. --list prints the names of tasks,
cores, presets and so on; --describe=NAME describes one of them.
"""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from absl import flags, logging

from launch.configs import build, checks, endings, sweeps
from launch.configs import config as config_lib
from launch.configs import flags as flags_lib
from launch.configs import help as help_lib
from launch.configs.processes import hosts, joining
from launch.configs.signals import watching
from launch.learning.watching import timing
from launch.pictures import run as pictures
from launch.runs import Run, interrupts, outcome, reporting, training
from launch.runs.job import cost, profiling
from launch.runs.job.watch import Watch
from launch.runs.reports import end
from launch.texts import vocabulary

FLAGS = flags.FLAGS
EXIT_DIVERGED = 3
# What --help shows of the flags.
_COMMON = ("preset", "workdir", "task", "core", "unit", "steps", "batch_size",
           "learning_rate", "seed", "num_seeds", "cpu_devices", "data_dir",
           "resume", "list", "describe")


def given_flags() -> tuple[str | None, dict[str, Any],
                           dict[str, dict[str, Any]]]:
  """Returns the preset and the settings that the command line gives a run."""
  return (FLAGS.preset, flags_lib.config_overrides(),
          flags_lib.member_overrides())


def prepare(workdir: str | None, resume: bool | None):
  """Makes or reads the run's configuration, from flags and workdir.

  Args:
    workdir: folder of the run; None for a new one, or, to resume, that which a
      run without --workdir first gets.
    resume: whether there must be a run to resume; None if it does not matter.

  Returns:
    The folder, and the checked configuration.

  Raises:
    UsageError: a flag is not valid, or does not fit the folder.
  """
  given = given_flags()
  find = (config_lib.default_workdir if resume else config_lib.new_workdir)
  path = pathlib.Path(workdir or find(
      config_lib.resolve(*given))).expanduser().absolute()
  exists = (path / config_lib.CONFIG_FILE).exists()
  if resume and not exists:
    raise config_lib.UsageError(f"--resume: no run was started in {path} "
                                f"({config_lib.CONFIG_FILE} is missing)")
  if resume is False and exists:
    raise config_lib.UsageError(
        f"--noresume: {path} already holds a run; choose another --workdir")
  named = [value for value in (*given[1].values(), *(
      value for of_kind in given[2].values() for value in of_kind.values()))
           if isinstance(value, str)]
  config = (config_lib.reconcile(
      config_lib.load(path, named), *given, workdir=path) if exists
            else config_lib.resolve(*given))
  # Devices that were asked for must all be used; others need not.
  is_split = FLAGS.cpu_devices or jax.process_count() > 1
  checks.check(config, jax.device_count() if is_split else None)
  return path, config


@contextlib.contextmanager
def opened(workdir: pathlib.Path, config) -> Iterator[Run]:
  """Opens a run: process 0 for writing, the others without its folder."""
  with contextlib.ExitStack() as stack:
    def lock():
      stack.enter_context(Run.writing(workdir, config))

    hosts.on_first(lock)
    yield Run(workdir, config)


def _log_start(run: Run) -> None:
  """Logs where a run lies, its preset, and what the command line has set."""
  _, fields, of_members = given_flags()
  shown = "".join(
      f" --{name}={sweeps.shown(value)}" for name, value in (fields | {
          f"{kind}.{name}": value for kind, of_kind in of_members.items()
          for name, value in of_kind.items()}).items())
  logging.info("run in %s, preset %s%s", run.workdir, run.config.preset,
               f", with{shown}" if shown else "")


def train(run: Run, profiler: profiling.Profiler | None = None
          ) -> training.Result:
  """Trains a run to its end, then draws it; raises as `training.train`.

  Args:
    run: opened for writing.
    profiler: traces some updates.
  """
  with Watch(run.workdir) as watch:
    with timing.waiting_for_data():
      data = [run.load_data(split) for split in ("train", "test")]
    for remark in run.task.remarks(data[0]):
      logging.warning("%s", remark)
    hosts.on_first(lambda: vocabulary.keep(run))
    hosts.on_first(run.save_config)
    trainer = build.make_trainer(run.config, run.task)
    with timing.waiting_for_data():
      train_data, test_data = map(trainer.put_data, data)
    result = training.train(
        run, trainer, train_data, test_data, watch, profiler)
  hosts.on_first(lambda: pictures.draw(
      run, trainer, result.params, data[1], result.level))
  return result


def _tell_cost(preset: str) -> None:
  """Prints what a preset costs here, with the flags of the command line."""
  _, fields, of_members = given_flags()
  cost.tell(preset, fields, of_members)


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  del argv
  flags_lib.apply_device_flags()
  reporting.quiet_libraries()
  help_lib.handle_help_flags(_tell_cost)  # They exit.
  joining.join()
  hosts.check_same("flags", (given_flags(), FLAGS.workdir, FLAGS.resume,
                             FLAGS.profile))
  workdir, config = hosts.on_first(
      lambda: prepare(FLAGS.workdir, FLAGS.resume))
  profiler = hosts.on_first(
      lambda: profiling.make(FLAGS.profile, workdir, config.steps))
  try:
    with (watching.interruptible(lambda: interrupts.describe(workdir)),
          opened(workdir, config) as run):
      _log_start(run)
      result = train(run, profiler if hosts.is_first() else None)
  except OSError as error:
    endings.leave(
        config_lib.EXIT_USAGE, f"error: cannot write to --workdir={workdir}: "
        f"{error}; after fixing this, continue with: "
        f"{interrupts.command(workdir)}")
  except training.DivergedError as error:
    hosts.leave(EXIT_DIVERGED, f"diverged: {error}")
  except KeyboardInterrupt:
    endings.leave(endings.EXIT_INTERRUPTED, interrupts.describe(workdir))
  if not result.finished:
    if run.num_entries > 1 and result.step and hosts.is_first():
      print(outcome.describe(run))
    hosts.leave(endings.EXIT_INTERRUPTED, interrupts.describe(workdir))
  hosts.part()
  if hosts.is_first():
    print(end.describe(run))


def run() -> None:
  """Runs the program with the flags of the command line."""
  flags_lib.define_config_flags()
  flags_lib.define_member_flags()
  flags_lib.define_device_flags()
  joining.define_flags()
  help_lib.define_help_flags()
  for module in (flags_lib, help_lib, joining):
    flags.adopt_module_key_flags(module)  # So that --helpfull shows them.
  flags.DEFINE_string("workdir", None, "Where the run's files go. Default: "
                      "a new folder, runs/TASK-CORE-SEED or the like.")
  flags.DEFINE_boolean(
      "resume", None, "Resumes the run in the workdir, which must hold one. "
      "False: the workdir must hold none. Default: resumes if it does; without "
      "--workdir, starts anew.")
  flags.DEFINE_string("profile", None, profiling.HELP)
  with hosts.failing_alone():
    endings.run(main, "--batch_size, --eval_episodes, --num_seeds, or a size "
                "of --core.X or --task.X, such as --core.num_slots and "
                "--task.max_length, in another --workdir",
                common=_COMMON, needs_flags=True, parse_flags=flags_lib.parse)


if __name__ == "__main__":
  run()
