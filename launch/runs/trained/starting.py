"""The first state of a run, also with the parameters of a trained network."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

import rmc_nalu_sam
import tasks
from launch.configs.config import UsageError
from launch.configs.processes import hosts
from launch.learning.learner import RunState
from launch.learning.trainer import Trainer
from launch.runs.run import Run
from launch.runs.trained import loading


def initial_state(run: Run, trainer: Trainer) -> RunState:
  """Returns the state before the first update, on the host.

  Args:
    run: whose `init_from` may name a trained network; all seeds start with its
      parameters.
    trainer: of the run.

  Raises:
    UsageError: there is no such network, or it has other parameters, or another
      vocabulary.
  """
  if not run.config.init_from:
    return trainer.initial_state()
  like = trainer.params_of(trainer.empty_state().train.params, 0)
  return trainer.initial_state(
      hosts.tree_of_first(lambda: _trained_params(run, like), like))


def _trained_params(run: Run, like: Mapping[str, Any]) -> Mapping[str, Any]:
  """Returns the parameters that `init_from` names, on the host."""
  name = run.config.init_from
  if name in rmc_nalu_sam.pretrained():
    _, params, card = rmc_nalu_sam.pretrained(name)
    vocabulary = card.get("vocabulary")
  else:
    try:
      trained = loading.load(name)
    except UsageError as error:
      valid = ", ".join(rmc_nalu_sam.pretrained())
      raise UsageError(f"--init_from={name}: {error}; valid: the folder of a "
                       f"trained run, {valid}") from None
    params, vocabulary = trained.params, _vocabulary(trained.task)
  _check_shapes(name, params, like)
  here = _vocabulary(run.task)
  if here and vocabulary and here["digest"] != vocabulary["digest"]:
    raise UsageError(
        f"--init_from={name}: it was trained with another vocabulary (digest "
        f"{vocabulary['digest']}) than that of the data ({here['digest']})")
  return {module: {key: np.asarray(value) for key, value in values.items()}
          for module, values in params.items()}


def _vocabulary(task: tasks.Task) -> dict[str, Any] | None:
  return (json.loads(task.vocabulary_json)
          if isinstance(task, tasks.Readable) else None)


def _check_shapes(name, found, like) -> None:
  there, here = _shapes(found), _shapes(like)
  for each in {**here, **there}:
    if here.get(each) != there.get(each):
      sizes = (f"has the shape {there[each]} there and {here[each]} here"
               if each in here and each in there else
               f"is a parameter {'there' if each in there else 'here'} alone")
      raise UsageError(f"--init_from={name}: {each} {sizes}; train the same "
                       "network, of the same sizes")


def _shapes(params: Mapping[str, Any]) -> dict[str, list[int]]:
  return {f"{module}/{key}": list(np.shape(value))
          for module, values in params.items() for key, value in values.items()}
