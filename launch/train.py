"""Trains a core on a task.

  python -m launch.train --preset=sam_copy --workdir=/tmp/copy

Started again on the same --workdir it goes on from the last checkpoint. The
workdir gets config.json, metrics.jsonl, tensorboard/, checkpoints/ and
pictures. What is logged goes to stderr.
"""

import contextlib
import math
import os
import pathlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

import filelock
import jax
import numpy as np
from absl import app, flags, logging

import tasks
from launch import checkpoints as checkpoints_lib
from launch import config as config_lib
from launch import devices, outcome, pictures, reporting, seeds, training
from launch import flags as flags_lib

FLAGS = flags.FLAGS

EXIT_DIVERGED = 3
EXIT_INTERRUPTED = 130


class DivergedError(RuntimeError):
  """The loss is no longer a finite number."""


def find_workdir() -> pathlib.Path:
  """The run's workdir, from flags.

  Raises:
    UsageError: there is none among them, and others are not valid.
  """
  workdir = FLAGS.workdir
  if workdir is None:
    workdir = config_lib.default_workdir(config_lib.resolve(
        FLAGS.preset, flags_lib.config_overrides(),
        flags_lib.member_overrides()))
  return pathlib.Path(workdir).expanduser().absolute()


def prepare(workdir: pathlib.Path, resume: bool | None):
  """Makes or reads the run's configuration, from flags and workdir.

  Args:
    workdir: of the run.
    resume: True if there must be a run to continue, False if there must be
      none, None for either.

  Returns:
    The configuration.

  Raises:
    UsageError: something the user asked for cannot be done.
  """
  overrides = flags_lib.config_overrides()
  member_args = flags_lib.member_overrides()
  exists = (workdir / config_lib.CONFIG_FILE).exists()
  if resume and not exists:
    raise config_lib.UsageError(
        f"--resume: no run was started in {workdir} "
        f"({config_lib.CONFIG_FILE} is missing)")
  if resume is False and exists:
    raise config_lib.UsageError(
        f"--noresume: {workdir} already holds a run; choose another --workdir")
  if exists:
    config = config_lib.reconcile(
        config_lib.load(workdir), FLAGS.preset, overrides, member_args)
  else:
    config = config_lib.resolve(FLAGS.preset, overrides, member_args)
  config_lib.check(config, jax.local_device_count())
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    probe = workdir / f".writable-{os.getpid()}"
    probe.touch()
    probe.unlink()
  except OSError as error:
    raise config_lib.UsageError(
        f"cannot write to --workdir={workdir}: {error.strerror}") from None
  return config


def load_data(config, task: tasks.Task):
  """The task's training and test data, replicated over devices."""
  try:
    return tuple(devices.replicate(task.load(split, config.data_dir or None))
                 for split in ("train", "test"))
  except (OSError, ValueError) as error:
    raise config_lib.UsageError(str(error)) from None


@contextlib.contextmanager
def only_process(workdir: pathlib.Path):
  """While it lasts, no other process trains in the workdir, which exists.

  Two would mix their metrics, and each remove checkpoints of the other. The
  lock ends with the process, however that ends.

  Raises:
    UsageError: another process does.
  """
  try:
    with filelock.FileLock(workdir / ".lock", blocking=False):
      yield
  except filelock.Timeout:
    raise config_lib.UsageError(
        f"another process trains in --workdir={workdir}; wait for its end, or "
        "choose another --workdir") from None


@contextlib.contextmanager
def catch_interrupts():
  """Yields a list that is not empty once SIGINT or SIGTERM came.

  A second signal is not caught.
  """
  caught: list[int] = []
  previous: dict[signal.Signals, Any] = {}

  def handler(number, _):
    caught.append(number)
    for name, old in previous.items():
      signal.signal(name, old)

  for name in (signal.SIGINT, signal.SIGTERM):
    previous[name] = signal.signal(name, handler)
  try:
    yield caught
  finally:
    for name, old in previous.items():
      signal.signal(name, old)


def train(config, workdir: pathlib.Path) -> tuple[bool, int]:
  """Trains until the steps or minutes are over, from the last checkpoint on.

  Args:
    config: a checked configuration.
    workdir: of the run; exists.

  Returns:
    False if a signal ended it before; and the updates done, which are saved.

  Raises:
    DivergedError: the loss is not finite; of many seeds, that of none.
    OSError: a file cannot be written.
    UsageError: the data or all checkpoints cannot be read.
  """
  task = tasks.make_task(config.task, **config.task_args)
  train_data, test_data = load_data(config, task)
  config_lib.save(config, workdir)
  trainer = make_trainer(config, task)
  many = config.num_seeds > 1
  checkpoints = checkpoints_lib.Checkpoints(workdir, are_finite=not many)
  state, is_new = _first_state(config, trainer, checkpoints)
  step = int(np.min(state.step))  # The same of all seeds.
  state = trainer.put(state)
  reporter = reporting.Reporter(workdir, step, config.steps, task.main_metric)
  limit = 60 * config.max_minutes or math.inf
  done = step >= config.steps or reporter.seconds >= limit
  with contextlib.ExitStack() as stack:
    interrupts = stack.enter_context(catch_interrupts())
    stack.callback(checkpoints.close)
    stack.callback(reporter.close)
    if many and is_new:  # What scores are relative to.
      reporter.evaluation(0, training.evaluate_all(
          trainer, state.params, test_data, task))
    while not done and not interrupts:
      chunk = _updates_until_next_event(step, config)
      state, metrics = trainer.train(state, train_data, chunk)
      step += chunk
      # Of many seeds, one at least has to go on.
      if not np.isfinite(np.add(metrics["loss"], metrics["grad_norm"])).any():
        raise _diverged(
            f"loss {metrics['loss']} and gradient norm "
            f"{metrics['grad_norm']} between steps {step - chunk} and {step}",
            config, checkpoints)
      level = trainer.level(state)
      reached = {} if level is None else {"level": level}
      reporter.train(step, {**metrics, **reached})
      done = step >= config.steps or reporter.seconds >= limit
      if done or step % config.eval_every == 0:
        metrics = training.evaluate_all(
            trainer, state.params, test_data,
            task.at_level(level) if level else task)
        reporter.evaluation(step, {**metrics, **reached})
      if done or interrupts or step % config.checkpoint_every == 0:
        saved = trainer.get(state)
        if not many and not all(
            np.isfinite(x).all() for x in jax.tree.leaves(saved)):
          # The loss is of the parameters before the last update.
          raise _diverged(f"parameters that are not finite at step {step}",
                          config, checkpoints)
        checkpoints.save(step, saved)
  level = trainer.level(state)
  if level:  # No longer than the task itself, or there is little to see.
    task = task.at_level(min(level, task.max_level))
  pictures.draw(config, workdir, trainer, trainer.get(state).params,
                devices.first_replica(test_data), task)
  return done, step


def _first_state(config, trainer, checkpoints):
  """The state to go on from, on the host, and whether it is a new one."""
  fresh = trainer.initial_state()
  restored = checkpoints.restore(fresh, set_aside=True)
  state = fresh if restored is None else restored
  logging.info(
      "%s at step %d of %d: %s on %s, %d parameters, %d devices (%s)",
      "start" if restored is None else "CONTINUE", np.min(state.step),
      config.steps, config_lib.label(config), config.task,
      sum(map(np.size, jax.tree.leaves(state.params))),
      jax.local_device_count(), jax.devices()[0].device_kind)
  return state, restored is None


def _diverged(what, config, checkpoints):
  step = checkpoints.latest_step()
  last = ("there is no checkpoint yet" if step is None
          else f"the last good checkpoint is that of step {step}")
  clip = ("or --max_grad_norm" if config.max_grad_norm
          else "or a --max_grad_norm (it is 0, off)")
  return DivergedError(
      f"{what}; {last}. Try a lower --learning_rate {clip}, or another --seed, "
      "in another --workdir")


def make_trainer(config, task: tasks.Task
                 ) -> training.Trainer | seeds.SeedsTrainer:
  """What trains the seed, or the seeds, of a run."""
  if config.num_seeds > 1:
    return seeds.SeedsTrainer(config, task)
  return training.Trainer(config, task)


def _updates_until_next_event(step: int, config) -> int:
  periods = (config.log_every, config.eval_every, config.checkpoint_every)
  return min(config.steps - step,
             *(period - step % period for period in periods))


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {' '.join(argv[1:])}")
  flags_lib.apply_device_flags()
  reporting.quiet_libraries()
  try:
    workdir = find_workdir()
    again = f"python -m launch.train --workdir={workdir}"
    config = prepare(workdir, FLAGS.resume)
    with only_process(workdir):
      finished, step = train(config, workdir)
  except config_lib.UsageError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)
  except OSError as error:
    print(f"error: cannot write to --workdir={workdir}: {error}; once that is "
          f"mended, continue with: {again}", file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)
  except DivergedError as error:
    print(f"diverged: {error}", file=sys.stderr)
    sys.exit(EXIT_DIVERGED)
  if not finished:
    if config.num_seeds > 1 and step:
      print(outcome.describe(config, workdir))
    what = ("and saved; continue" if step
            else "before the first update, nothing is saved; start again")
    print(f"interrupted {what} with: {again}", file=sys.stderr)
    sys.exit(EXIT_INTERRUPTED)
  last = reporting.read_metrics(workdir)[-1]
  summary = "  ".join(
      f"{name} {reporting.format_value(reporting.over_seeds(name, value))}"
      for name, value in last.items() if name not in ("step", "split"))
  split = {"eval": "evaluation", "train": "training"}[last["split"]]
  print(f"step {last['step']}, {split}: {summary}")
  if config.num_seeds > 1:
    print(outcome.describe(config, workdir))
  learned = workdir / outcome.FORMULA_FILE
  if learned.exists():
    print(learned.read_text().strip())
  print(f"pictures and metrics in {workdir}")


def define_flags() -> None:
  """Defines the flags of this program."""
  flags_lib.define_config_flags()
  flags_lib.define_member_flags()
  flags_lib.define_device_flags()
  # So that --help, too, shows them.
  flags.adopt_module_key_flags(flags_lib)
  flags.DEFINE_string("workdir", None, "Where the run's files go. Default: "
                      "runs/TASK-CORE-SEED, or the like.")
  flags.DEFINE_boolean(
      "resume", None, "True: there must be a run in the workdir, and it is "
      "continued. False: there must be none. Default: continue if there is.")


def run() -> None:
  """Entry point."""
  define_flags()
  app.run(main)


if __name__ == "__main__":
  run()
