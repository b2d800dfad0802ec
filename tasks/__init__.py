"""What is to be learnt: tasks by name. Knows arrays and keys, no network."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tasks.arithmetic import Arithmetic
from tasks.associative_recall import AssociativeRecall
from tasks.base import Batch, Task
from tasks.copy import Copy
from tasks.identity import Identity
from tasks.language_numbers import LanguageNumbers
from tasks.learning_to_execute import LearningToExecute
from tasks.mnist_addition import MnistAddition
from tasks.mnist_counting import MnistCounting
from tasks.mnist_parity import MnistParity
from tasks.mnist_sequences import MnistSequenceProduct, MnistSequenceSum
from tasks.nth_farthest import NthFarthest
from tasks.omniglot import Omniglot
from tasks.priority_sort import PrioritySort
from tasks.program_evaluation import ProgramEvaluation
from tasks.recurrent_arithmetic import RecurrentArithmetic

TASKS: Mapping[str, type[Task]] = {
    "arithmetic": Arithmetic,
    "associative_recall": AssociativeRecall,
    "copy": Copy,
    "identity": Identity,
    "mnist_addition": MnistAddition,
    "mnist_counting": MnistCounting,
    "mnist_parity": MnistParity,
    "mnist_sequence_product": MnistSequenceProduct,
    "mnist_sequence_sum": MnistSequenceSum,
    "language_numbers": LanguageNumbers,
    "learning_to_execute": LearningToExecute,
    "nth_farthest": NthFarthest,
    "omniglot": Omniglot,
    "priority_sort": PrioritySort,
    "program_evaluation": ProgramEvaluation,
    "recurrent_arithmetic": RecurrentArithmetic,
}


def task_arguments(task: str) -> Mapping[str, dataclasses.Field]:
  """The arguments that `make_task` takes for a task.

  Raises:
    ValueError: there is no such task.
  """
  if task not in TASKS:
    raise ValueError(
        f"unknown task {task!r}; valid tasks: {', '.join(sorted(TASKS))}")
  return {field.name: field for field in dataclasses.fields(TASKS[task])}


def make_task(task: str, **task_kwargs: Any) -> Task:
  """A task from its name.

  Args:
    task: a name in `TASKS`.
    **task_kwargs: the task's own arguments.

  Raises:
    ValueError: there is no such task, or it has no such argument, or refuses
      its value.
  """
  valid = task_arguments(task)
  for name in task_kwargs:
    if name not in valid:
      raise ValueError(f"task {task!r} has no argument {name!r}; valid "
                       f"arguments: {', '.join(valid)}")
  return TASKS[task](**task_kwargs)


__all__ = ("TASKS", "Batch", "Task", "make_task", "task_arguments")
