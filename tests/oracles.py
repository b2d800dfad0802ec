"""Perfect solvers of the tasks, in NumPy and Python.

An oracle uses only the inputs of a batch. It uses no code by which a task
computes its targets. Omniglot has no oracle, since the label of a new character
cannot be known.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from data_helpers import FILLERS
from task_helpers import MARK

import tasks
from tasks.babi import facts
from tasks.language import number_words
from tasks.programs import text_programs, token_programs
from tasks.programs.learning_to_execute import MEMORISATION

# Written again, independently of the tasks.
OPERATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "square": lambda a, b: a**2, "sqrt": lambda a, b: np.sqrt(a)}


def _bits(bits: np.ndarray) -> np.ndarray:
  """Returns logits of bits `[T, B, O]`, with probabilities near 0 and 1."""
  return (20 * (2 * bits - 1)).astype(np.float32)


def _each(solve: Callable[[np.ndarray], np.ndarray]
          ) -> Callable[[Any, tasks.Batch], np.ndarray]:
  """Makes an oracle from a function of a task and one episode's inputs.

  The function takes inputs [T, F].
  """
  return lambda task, batch: np.stack(
      [solve(task, batch.inputs[:, b]) for b in range(batch.inputs.shape[1])],
      axis=1)


def copy(task: Any, inputs: np.ndarray) -> np.ndarray:
  end = int(np.argmax(inputs[:, -1]))
  bits = np.zeros((len(inputs), task.num_bits))
  bits[end + 1:2 * end] = inputs[1:end, :task.num_bits]
  return _bits(bits)


def associative_recall(task: Any, inputs: np.ndarray) -> np.ndarray:
  n, bits = task.item_length, np.zeros((len(inputs), task.num_bits))
  vectors, item, query = inputs[:, :-2], inputs[:, -2], inputs[:, -1]
  start, end = np.flatnonzero(query)
  key = vectors[start + 1:end]
  values = [vectors[s + 1 + n:s + 1 + 2 * n] for s in np.flatnonzero(item)
            if (vectors[s + 1:s + 1 + n] == key).all()]
  bits[end + 1:end + 1 + n] = values[-1]
  return _bits(bits)


def priority_sort(task: Any, inputs: np.ndarray) -> np.ndarray:
  number, bits = int(np.argmax(inputs[:, -1])), np.zeros(
      (len(inputs), task.num_bits))
  order = np.argsort(-inputs[:number, -2])[:-(-4 * number // 5)]
  bits[number + 1:number + 1 + len(order)] = inputs[order, :-2]
  return _bits(bits)


def nth_farthest(task: Any, inputs: np.ndarray) -> np.ndarray:
  shown = inputs[inputs.any(1)].astype(np.float64)
  vectors, one_hot = shown[:, :task.num_dims], shown[:, task.num_dims:]
  labels, n, m = one_hot.reshape(len(shown), 3, -1).argmax(2).T
  reference = vectors[list(labels).index(m[0])]
  distance = np.linalg.norm(vectors - reference, axis=1)
  logits = np.zeros((len(inputs), task.output_size), np.float32)
  logits[len(shown) - 1, labels[np.argsort(-distance)[n[0]]]] = 20
  return logits


def identity(task: Any, batch: tasks.Batch) -> np.ndarray:
  return batch.inputs


def arithmetic(task: Any, batch: tasks.Batch, offset: int = 0) -> np.ndarray:
  """Computes in float64; sums inputs over time first."""
  inputs = np.asarray(batch.inputs, np.float64).sum(0)
  size = int(task.subset_ratio * task.input_size + 1e-9)
  second = offset + size - int(task.overlap_ratio * size + 1e-9)
  second_ratio = getattr(task, "second_ratio", 0) or task.subset_ratio
  end = second + int(second_ratio * task.input_size + 1e-9)
  answers = OPERATIONS[task.operation](
      inputs[:, offset:offset + size].sum(1),
      inputs[:, second:end].sum(1))
  return np.broadcast_to(answers[:, None], (*batch.mask.shape, 1))


def language_numbers(task: Any, batch: tasks.Batch) -> np.ndarray:
  """Adds the values of the words so far; 'hundred' multiplies by 100."""
  values = [*range(20), *range(20, 100, 10), 0, 0]
  hundred = number_words.WORDS.index("hundred")
  total, answers = np.zeros(batch.inputs.shape[1]), []
  for words in batch.inputs:
    total = total * np.where(words[:, hundred] > 0, 100, 1) + words @ values
    answers.append(total)
  return np.stack(answers)[:, :, None]


def mnist_series(task: Any, batch: tasks.Batch) -> np.ndarray:
  """Reads the labels off the marks."""
  labels = np.round(255 * batch.inputs[:, :, 0]).astype(int) - MARK  # [T, B]
  shown = labels >= 0
  if isinstance(task, tasks.MnistCounting):
    one_hot = np.eye(10)[np.where(shown, labels, 0)]
    return (one_hot * shown[:, :, None]).cumsum(0)
  if isinstance(task, tasks.MnistSequenceProduct):
    return np.where(shown, labels, 1).cumprod(0)[:, :, None]
  return np.where(shown, labels, 0).cumsum(0)[:, :, None]


def mnist_parity(task: Any, batch: tasks.Batch) -> np.ndarray:
  """Counts the marks of even labels."""
  labels = np.round(255 * batch.inputs).astype(int) - MARK  # [1, B, S^2]
  evens = ((labels >= 0) & (labels % 2 == 0)).sum(2)
  return 20 * np.eye(task.output_size, dtype=np.float32)[evens]


def execute(code: str) -> int:
  """Computes a program of characters, in Python's unbounded integers."""
  if loop := re.fullmatch(r"x=(.*)for\[([1-9])\]x\+=(\d+)", code):
    value = execute(loop[1])
    for _ in range(int(loop[2])):
      value += int(loop[3])
    return value
  if choice := re.fullmatch(r"(.*)if(\d+)([<>])(\d+)else(\d+)", code):
    holds = (int(choice[2]) < int(choice[4]) if choice[3] == "<"
             else int(choice[2]) > int(choice[4]))
    return execute(choice[1]) if holds else int(choice[5])
  if binary := re.fullmatch(r"(.*)([-+*])(\d+)", code):
    left, right = execute(binary[1]), int(binary[3])
    return {"+": left + right, "-": left - right,
            "*": left * right}[binary[2]]
  if inner := re.fullmatch(r"\((.*)\)", code):
    return execute(inner[1])
  return int(code)


def answer_of(operation: str, code: str) -> str:
  """Returns the right answer to a program of characters."""
  if operation in MEMORISATION:
    return {"copy": code, "reverse": code[::-1], "double": 2 * code}[operation]
  length = len(re.search(r"\d+", code)[0])
  return str(execute(code) % 10**(length + 1))


def babi(task: Any, inputs: np.ndarray) -> np.ndarray:
  """Repeats the words told, which are the answers in the tests' stories."""
  words = [facts.VOCABULARY[number] if row.any() else ""
           for row, number in zip(inputs, inputs.argmax(1), strict=True)]
  logits = np.zeros_like(inputs)
  told: list[str] = []
  for step, word in enumerate(words):
    if word == "-":
      logits[step, facts.VOCABULARY.index(told.pop(0))] = 20
    elif word not in (".", "?", "", *FILLERS):
      told.append(word)
  return logits


def learning_to_execute(task: Any, inputs: np.ndarray) -> np.ndarray:
  end = int(np.argmax(inputs[:, -1]))
  code = "".join(text_programs.VOCABULARY[i] for i in inputs[:end].argmax(1))
  logits = np.zeros((len(inputs), 10), np.float32)
  for step, digit in enumerate(answer_of(task.operation, code), end + 1):
    logits[step, int(digit)] = 20
  return logits


def text_of(inputs: np.ndarray) -> str:
  """Returns a program of tokens `[T, F]` as Python, except for the '='."""
  shown = []
  for value, *tokens in inputs:
    assert set(tokens) <= {0, 1}
    assert sum(tokens) <= 1
    if not any(tokens):
      shown.append("")
      assert value == 0
      continue
    token = token_programs.TOKENS[int(np.argmax(tokens))]
    assert value == 0 or token == "number"
    shown.append(str(int(value)) if token == "number" else token)
  program = " ".join(shown).rstrip()
  assert "  " not in program  # No empty step before the end.
  return program


def program_evaluation(task: Any, inputs: np.ndarray) -> np.ndarray:
  answer = eval(text_of(inputs).removesuffix("="))
  return np.full((len(inputs), 1), answer, np.float32)


ORACLES: Mapping[type[tasks.Task],
                 Callable[[Any, tasks.Batch], np.ndarray]] = {
    tasks.Arithmetic: arithmetic,
    tasks.AssociativeRecall: _each(associative_recall),
    tasks.Babi: _each(babi),
    tasks.Copy: _each(copy),
    tasks.Identity: identity,
    tasks.LanguageNumbers: language_numbers,
    tasks.LearningToExecute: _each(learning_to_execute),
    tasks.MnistAddition: mnist_series,
    tasks.MnistCounting: mnist_series,
    tasks.MnistParity: mnist_parity,
    tasks.MnistSequenceProduct: mnist_series,
    tasks.MnistSequenceSum: mnist_series,
    tasks.NthFarthest: _each(nth_farthest),
    tasks.PrioritySort: _each(priority_sort),
    tasks.ProgramEvaluation: _each(program_evaluation),
    tasks.RecurrentArithmetic: arithmetic,
}


def solve(task: tasks.Task, batch: tasks.Batch) -> np.ndarray:
  """Returns the oracle's outputs, `[T, B, O]` float32."""
  return np.asarray(ORACLES[type(task)](task, batch), np.float32)
