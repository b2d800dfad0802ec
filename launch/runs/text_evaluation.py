"""Rows of an evaluation for other ways to score a text."""

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np
from absl import logging

import tasks
from launch.configs.config import UsageError
from launch.learning.text import evaluators as text_evaluators
from launch.learning.trainer import Trainer
from launch.runs.run import Run

# (network, its parameters, task, data) -> metrics.
_Evaluator: TypeAlias = Callable[..., Mapping[str, Any]]


def check(task: tasks.Trainable, options: text_evaluators.Options) -> None:
  """Raises a UsageError if a task has no text to score in these ways."""
  is_text = isinstance(task, tasks.Stream) and task.score.of_targets
  if options.ways() and not is_text:
    raise UsageError(
        "--dynamic, --cache and --contexts are for tasks that score each token "
        "of a text by its probability, such as --task=text")


def rows(run: Run, trainer: Trainer, params: Any,
         variants: Mapping[str, tasks.Stream], data: Any,
         options: text_evaluators.Options
         ) -> Iterator[tuple[str, tasks.Stream, dict[str, np.ndarray]]]:
  """Yields the name of a row, the variant, and its metrics `[S]`.

  Args:
    run: whose network it is.
    trainer: of the run.
    params: of all networks, on the host.
    variants: of the task, by name.
    data: of the split to evaluate, on the host.
    options: the ways.
  """
  networks = [jax.device_put(trainer.params_of(params, index))
              for index in range(len(trainer.seeds))]
  data = jax.device_put(data)
  for way, evaluators in _ways(run, trainer, networks, options).items():
    for name, variant in variants.items():
      logging.info("evaluating %s, %s", name, way)
      metrics = [evaluate(trainer.model, of_network, variant, data)
                 for evaluate, of_network in zip(
                     evaluators, networks, strict=True)]
      yield f"{name}, {way}", variant, jax.tree.map(
          lambda *values: np.stack(values), *metrics)


def _ways(run, trainer, networks, options) -> dict[str, list[_Evaluator]]:
  """Returns an evaluator for each network, by the name of the way."""
  found: dict[str, list[_Evaluator]] = {}
  if options.dynamic:
    data = jax.device_put(run.load_data("train"))
    found["dynamic"] = [functools.partial(
        text_evaluators.dynamic, options=options.dynamic,
        scale=text_evaluators.gradient_scale(
            trainer.model, params, run.task, data, options.dynamic))
                        for params in networks]
  same: dict[str, _Evaluator] = {
      f"context {length}": functools.partial(
          text_evaluators.in_context, length=length,
          batch_size=options.batch_size) for length in options.contexts}
  if options.cache:
    same["cache"] = functools.partial(
        text_evaluators.cached, options=options.cache)
  return found | {way: len(networks) * [each] for way, each in same.items()}
