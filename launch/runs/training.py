"""The training loop: from one event (a record, an evaluation) to the next."""

import contextlib
import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from launch.configs import config as config_lib
from launch.configs.processes import hosts
from launch.learning import diagnosis, evaluators
from launch.learning.learner import RunState
from launch.learning.trainer import Trainer
from launch.runs import interrupts as interrupts_lib
from launch.runs import reporting
from launch.runs.board import rates
from launch.runs.checkpoints import Checkpoints
from launch.runs.job import watch as watch_lib
from launch.runs.job.profiling import Profiler
from launch.runs.job.watch import Watch
from launch.runs.progress import bar
from launch.runs.run import Run, at_level
from launch.runs.trained import loading, starting


class DivergedError(RuntimeError):
  """Represents numbers that are no longer finite."""


class Result(NamedTuple):
  """Represents the end of training.

  Attributes:
    finished: False if a signal ended it early.
    step: updates done; the state after them is saved, unless it is 0.
    params: on the host, as `Trainer.get_params` returns them.
    level: the level that the curriculum has reached; None without one.
  """

  finished: bool
  step: int
  params: Any
  level: int | None


def train(run: Run, trainer: Trainer, train_data: Any, test_data: Any,
          watch: Watch, profiler: Profiler | None = None) -> Result:
  """Trains until the steps or minutes are over, from the last checkpoint on.

  Args:
    run: opened for writing.
    trainer: trains it.
    train_data: of the training split, on the devices.
    test_data: of the test split, on the devices.
    watch: entered when the launch began.
    profiler: traces some updates; None if there is nothing to trace.

  Raises:
    DivergedError: the loss is not finite, or too many updates in a row were
      skipped; with many seeds, of every seed.
    OSError: a file cannot be written.
    UsageError: no checkpoint can be read, though there are some.
  """
  checkpoints = run.checkpoints(writes=hosts.is_first())
  state, is_new = _first_state(run, trainer, checkpoints)
  step = int(np.min(state.train.step))  # All seeds have the same step.
  state = trainer.put(state)
  with contextlib.ExitStack() as stack:
    interrupts = stack.enter_context(interrupts_lib.caught(run.workdir))
    stack.callback(checkpoints.close)
    reporter = _reporter(run, trainer, step)
    stack.callback(reporter.close)
    if profiler:
      stack.callback(profiler.close)
    launch = _Launch(
        run, trainer, train_data, test_data, watch, profiler, checkpoints,
        reporter, interrupts, itertools.count(1), step)
    done = launch.is_done(step)
    if not done:
      watch.begin(step)
      reporter.doing(bar.COMPILING)
    if run.num_entries > 1 and is_new:  # Scores are relative to this.
      launch.evaluate(state, 0, {})
    ended = launch.must_end()
    while not done and not ended:
      chunk = _updates_until_next_event(step, run.config)
      state, reached = launch.update(state, step, chunk)
      step += chunk
      done = launch.is_done(step)
      if done or step % run.config.eval_every == 0:
        launch.evaluate(state, step, reached)
      ended = launch.must_end()
      if done or ended or step % run.config.checkpoint_every == 0:
        launch.save(state, step, chunk)
  return Result(done, step, trainer.get_params(state.train.params),
                trainer.level(state))


def _reporter(run: Run, trainer: Trainer, step: int) -> Any:
  if not hosts.is_first():
    return reporting.Silent()
  return reporting.Reporter(
      run.workdir, step, run.config.steps, run.main_metric, run.columns(),
      trainer.learner.frames * run.num_entries, 60 * run.config.max_minutes,
      settings=config_lib.settings(run.config) | {
          name: run.config[name] for name in ("seed", "num_seeds", "steps")},
      rates=functools.partial(rates.learning_rates, run.config))


class _Launch(NamedTuple):
  """Holds what one launch of a run works with, and does its events."""

  run: Run
  trainer: Trainer
  train_data: Any
  test_data: Any
  watch: Watch
  profiler: Profiler | None
  checkpoints: Checkpoints
  reporter: Any
  interrupts: interrupts_lib.Caught
  events: Iterator[int]
  first_step: int

  def is_done(self, step: int) -> bool:
    """Returns whether the steps or the minutes are over."""
    limit = 60 * self.run.config.max_minutes
    return step >= self.run.config.steps or (limit > 0 and hosts.says_first(
        self.reporter.seconds >= limit))

  def must_end(self) -> bool:
    """Returns whether a signal ends this launch."""
    return hosts.must_end(bool(self.interrupts), next(self.events))

  def update(self, state: RunState, step: int, chunk: int
             ) -> tuple[RunState, dict[str, np.ndarray]]:
    """Does some updates, and reports them.

    Returns:
      The state after them, and what a record of an evaluation shares: the level
      and the number of skipped updates.
    """
    if self.profiler:
      self.profiler.before(step, chunk)
    measured: dict[str, np.ndarray] = {}
    with self.watch.updates(chunk, measured), self._compiling(step):
      state, metrics = self.trainer.train(state, self.train_data, chunk)
    last = step + chunk
    if self.profiler:
      self.profiler.after(last)
    level, skips = self.trainer.level(state), None
    reached = {} if level is None else {"level": np.array([level])}
    if self.run.config.skip_nonfinite:
      skips = self.trainer.skips(state)
      reached["skipped"] = skips.total
    if wrong := _not_finite(metrics, skips, step, last, self.run.config):
      del state  # Make room to repeat its updates.
      raise self._diverged(wrong, step, last)
    self.reporter.train(last, {
        **metrics, **reached, **measured,
        **watch_lib.memory(self.trainer.layout.devices)})
    return state, reached

  def _compiling(self, step: int) -> contextlib.AbstractContextManager[None]:
    """Lets the first signal end the first compilation."""
    return (self.interrupts.compiling() if step == self.first_step
            else contextlib.nullcontext())

  def evaluate(self, state: RunState, step: int,
               reached: dict[str, np.ndarray]) -> None:
    """Evaluates, at the level that the curriculum has reached."""
    level = self.trainer.level(state) if step else None
    if step:
      self.reporter.doing("evaluating")
    with self.watch.event(watch_lib.EVALUATION):
      metrics = evaluators.evaluate_all(
          self.trainer, state.train.params, self.test_data,
          at_level(self.run.task, level), self.run.config.eval_episodes)
    self.reporter.evaluation(step, {**metrics, **reached})

  def save(self, state: RunState, step: int, chunk: int) -> None:
    """Saves a state.

    Args:
      state: on the devices.
      step: updates done.
      chunk: how many of them were the last ones.
    """
    with self.watch.event(watch_lib.SAVING):
      saved = self.trainer.get(state)
      if not _can_save(saved, self.run, self.trainer):
        raise self._diverged(f"parameters that are not finite at step {step}",
                             step - chunk, step)
      if hosts.is_first():
        self.checkpoints.save(step, saved)

  def _diverged(self, what: str, first: int, last: int) -> DivergedError:
    """Returns the end of a run, with the update at fault and the way out."""
    config = self.run.config
    step = hosts.on_first(self.checkpoints.latest_step)
    logging.warning("%s: repeating the updates since step %d to find the first "
                    "that is not finite", what, step or 0)
    try:
      restored = _restored(self.trainer, self.checkpoints)
      cause = diagnosis.describe(
          self.trainer, self.train_data,
          starting.initial_state(self.run, self.trainer)
          if restored is None else restored,
          first, last, max(1, config.skip_nonfinite),
          lambda step: _updates_until_next_event(step, config), self.must_end)
    except config_lib.UsageError as error:
      cause = str(error)
    saved = ("there is no checkpoint yet" if step is None
             else f"the last good checkpoint is that of step {step}")
    clip = ("or --max_grad_norm" if config.max_grad_norm
            else "or a --max_grad_norm (it is 0, off)")
    skip = "" if config.skip_nonfinite else "or --skip_nonfinite=10, "
    return DivergedError(
        f"{what}; {cause}; {saved}. Try a lower --learning_rate {clip}, {skip}"
        "or another --seed, in another --workdir")


def _first_state(run, trainer, checkpoints):
  """Returns the state to start from, on the host, and whether it is new."""
  config, restored = run.config, _restored(trainer, checkpoints)
  state = (starting.initial_state(run, trainer) if restored is None
           else restored)
  devices = trainer.layout.devices
  logging.info(
      "%s at step %d of %d, preset %s: %s on %s, %d parameters, %d %s (%s)",
      "start" if restored is None else "CONTINUE", np.min(state.train.step),
      config.steps, config.preset or "none", config_lib.label(config),
      config.task, sum(map(np.size, jax.tree.leaves(state.train.params))),
      len(devices), "device" if len(devices) == 1 else "devices",
      devices[0].device_kind)
  return state, restored is None


def _restored(trainer, checkpoints):
  """Returns the state of the newest checkpoint; None if there is none."""
  like = trainer.empty_state()

  def restore():
    found = checkpoints.restore(like)
    if found is not None:
      loading.check_source(trainer, found)
    return found

  return hosts.tree_of_first(restore, like)


def _updates_until_next_event(step: int, config) -> int:
  periods = (config.log_every, config.eval_every, config.checkpoint_every)
  return min(config.steps - step,
             *(period - step % period for period in periods))


def _not_finite(metrics, skips, first, last, config) -> str:
  """Returns what is not finite; '' if one seed at least can go on."""
  if skips:
    limit = config.skip_nonfinite
    return (f"{limit} updates in a row were not finite up to step {last}"
            if (skips.longest >= limit).all() else "")
  loss, norm = metrics["loss"], metrics["grad_norm"]
  if np.isfinite(np.add(loss, norm)).any():
    return ""
  return (f"loss {_shown(loss)} and gradient norm {_shown(norm)} between steps "
          f"{first} and {last}")


def _shown(values: np.ndarray) -> Any:
  return values.item() if np.size(values) == 1 else values


def _can_save(state: RunState, run: Run, trainer: Trainer) -> bool:
  """Returns whether a state is finite; of many seeds, some may not be.

  The loss of an update is the loss of the parameters before it, so it may still
  be finite when the parameters no longer are.
  """
  return run.num_entries > 1 or all(
      np.isfinite(x).all() for x in jax.tree.leaves(
          (state.train, trainer.learner.source.carried(state.source))))
