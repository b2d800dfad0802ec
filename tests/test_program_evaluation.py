"""Program evaluation: programs against Python's own eval; digits that match."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import text_of
from task_helpers import loss_and_metrics, sample

import tasks
from tasks.programs import program_evaluation
from tasks.programs.digit_score import matching_digits

pytestmark = pytest.mark.usefixtures("strict_promotion")

EPISODES = 211
KINDS = (
    dict(program="addition", max_operations=1),
    dict(program="addition", min_operations=2, max_operations=4),
    dict(program="full", max_operations=3, min_value=3, max_value=17),
)

all_kinds = pytest.mark.parametrize("kwargs", KINDS, ids=str)


def make(**kwargs) -> tasks.Task:
  return tasks.ProgramEvaluation(**kwargs)


def num_operations(program: str) -> int:
  return sum(program.split().count(token) for token in ("+", "-", "if"))


@all_kinds
def test_programs_are_python_and_answers_what_it_makes_of_them(kwargs):
  task = make(**kwargs)
  batch = sample(task, 0, EPISODES)
  assert batch.inputs.shape == (task.num_steps, EPISODES, 11)
  assert batch.targets.shape == (task.num_steps, EPISODES, 1)
  assert {x.dtype for x in batch} == {np.dtype(np.float32)}
  seen, longest = set(), 0
  for b in range(EPISODES):
    program = text_of(batch.inputs[:, b])
    assert program.endswith(" =")
    length = len(program.split())
    longest = max(longest, length)
    mask = np.arange(task.num_steps) == length - 1
    np.testing.assert_array_equal(batch.mask[:, b], mask)
    np.testing.assert_array_equal(
        batch.targets[:, b, 0], mask * eval(program.removesuffix("=")))
    numbers = [int(x) for x in program.split() if x.isdigit()]
    assert task.min_value <= min(numbers) <= max(numbers) <= task.max_value
    seen.add(program)
  counts = {num_operations(program) for program in seen}
  assert counts == set(range(task.min_operations, task.max_operations + 1))
  assert len(seen) > EPISODES / 2
  # A full program is longest if all its operations are 'if', which is rare.
  assert longest == task.num_steps or task.program == "full"


def test_the_papers_programs():
  """The programs add two numbers of [0, 100): `a + b =`."""
  batch = sample(make(), episodes=4001)
  programs_ = [text_of(batch.inputs[:, b]).split() for b in range(4001)]
  assert {(len(p), p[1], p[3]) for p in programs_} == {(4, "+", "=")}
  for place in (0, 2):
    counts = np.bincount([int(p[place]) for p in programs_], minlength=100)
    assert counts.size == 100
    np.testing.assert_allclose(counts, 40, atol=4.5 * 40**0.5)


def test_every_form_of_an_operation():
  """In full programs, an expression becomes any operand of the next one."""
  batch = sample(make(program="full", max_operations=2, min_operations=2),
                 episodes=4001)
  forms = [" ".join("n" if token.isdigit() else token for token in text_of(
      batch.inputs[:, b]).split()) for b in range(4001)]
  operations = ("n + n", "n - n", "n if n < n else n", "n if n > n else n")
  share = dict(zip(operations, (1 / 3, 1 / 3, 1 / 6, 1 / 6), strict=True))
  expected = {}
  for inner, outer in itertools.product(operations, operations):
    places = [i for i, token in enumerate(outer.split()) if token == "n"]
    for place in places:
      tokens = outer.split()
      tokens[place] = f"( {inner} )"
      expected[" ".join(tokens) + " ="] = (
          4001 * share[inner] * share[outer] / len(places))
  names, counts = np.unique(forms, return_counts=True)
  assert set(names) == set(expected)
  wanted = np.array([expected[name] for name in names])
  np.testing.assert_array_less(np.abs(counts - wanted), 4.5 * wanted**0.5)


@all_kinds
def test_answers_have_the_computed_distribution(kwargs):
  task = make(**kwargs)
  values, shares = program_evaluation.answer_distribution(
      task.program, task.min_operations, task.max_operations, task.min_value,
      task.max_value)
  np.testing.assert_allclose(shares.sum(), 1)
  assert shares.min() > -1e-12
  answers = sample(task, 2, 20_011).targets.sum((0, 2))
  count = np.array([(answers == value).sum() for value in values])
  expected = 20_011 * shares
  np.testing.assert_array_less(
      np.abs(count - expected), 4.5 * np.sqrt(expected) + 1)


@all_kinds
def test_the_trivial_baseline(kwargs):
  task = make(**kwargs)
  batch = sample(task, 3, 4001)
  outputs = task.trivial(batch)
  assert np.unique(outputs).size == 1
  scores = loss_and_metrics(task.score, outputs, batch)[1]["digit_error"]
  error = scores.std() / np.sqrt(4001)
  assert 0 < error < 0.02
  assert abs(scores.mean() - task.trivial_score) < 4 * error
  # The baseline is the constant with the least loss, up to sampling noise.
  losses = [loss_and_metrics(task.score, outputs + shift, batch)[0].mean()
            for shift in (-10, 0, 10)]
  assert losses[1] == min(losses)


def test_matching_digits():
  nan, inf = float("nan"), float("inf")
  cases = {
      (123, 123): 1, (123.4, 123): 1, (122.6, 123): 1, (124, 123): 2 / 3,
      (923, 123): 2 / 3, (321, 123): 1 / 3, (23, 123): 2 / 3, (3, 103): 1 / 3,
      (1123, 123): 3 / 4, (0, 0): 1, (0.3, 0): 1, (-0.3, 0): 1, (7, 0): 0,
      (10, 0): 1 / 2, (0, 10): 1 / 2, (-12, -12): 1, (-12, 12): 0, (12, -12): 0,
      (nan, 0): 0, (inf, 5): 0, (-inf, -5): 0, (1e30, 5): 0, (-1e30, -5): 0,
      (999_999_999, 7): 0, (20000, 19999): 0, (5e8, 500_000_000): 1,
      (1e30, 9): 1 / 9,
  }
  for dtype in (jnp.float32, jnp.int32):
    targets = jnp.array([target for _, target in cases], dtype)
    predictions = jnp.array([prediction for prediction, _ in cases])
    share = jax.jit(matching_digits)(predictions, targets)
    assert share.dtype == jnp.float32
    np.testing.assert_allclose(share, list(cases.values()), rtol=1e-6)


def test_matching_digits_as_text():
  rng = np.random.default_rng(0)
  ours = np.round(10 ** rng.uniform(0, 6, 997)) * rng.choice([-1, 1], 997)
  theirs = np.where(rng.random(997) < .5, ours + rng.integers(-20, 20, 997),
                    rng.integers(-2000, 2000, 997))

  def share(a, b):
    if a * b < 0:
      return 0
    a, b = str(abs(int(a)))[::-1], str(abs(int(b)))[::-1]
    return sum(x == y for x, y in zip(a, b, strict=False)) / max(
        len(a), len(b))

  expected = [share(a, b) for a, b in zip(ours, theirs, strict=True)]
  assert len(set(expected)) > 10
  np.testing.assert_allclose(matching_digits(
      jnp.asarray(ours, jnp.float32), jnp.asarray(theirs, jnp.float32)),
                             expected, rtol=1e-6)


def test_loss_and_metrics_look_at_the_answer_alone():
  task = make(**KINDS[2])
  batch = sample(task, 4, EPISODES)
  noise = np.random.default_rng(1).normal(size=batch.targets.shape) * 20
  noise = noise.astype(np.float32)
  noise[:, ::3] = batch.targets[:, ::3] + 0.3  # Right after rounding.
  wild = np.where(batch.mask[:, :, None] == 1, noise, np.nan)
  answers = noise[..., 0].T[batch.mask.T == 1]
  targets = batch.targets.sum((0, 2))
  loss, metrics = loss_and_metrics(task.score, wild, batch)
  np.testing.assert_allclose(loss, np.abs(answers - targets), rtol=1e-5)
  np.testing.assert_allclose(
      metrics["mse"], (answers - targets)**2, rtol=1e-5)
  np.testing.assert_allclose(
      metrics["mae"], np.abs(answers - targets), rtol=1e-5)
  np.testing.assert_array_equal(
      metrics["digit_accuracy"],
      matching_digits(answers, targets))
  np.testing.assert_array_equal(
      metrics["digit_error"], 1 - metrics["digit_accuracy"])
  np.testing.assert_array_equal(
      metrics["exact_accuracy"], np.round(answers) == targets)
  assert set(np.unique(metrics["exact_accuracy"])) == {0, 1}


def test_the_gradient_is_finite_at_the_right_answer():
  task = make()
  batch = sample(task, 5, 7)
  gradient = jax.jit(jax.grad(lambda x: task.score.loss(x, batch).sum()))
  np.testing.assert_array_equal(gradient(batch.targets), 0)
  np.testing.assert_allclose(
      gradient(batch.targets - 3), -batch.mask[:, :, None], rtol=1e-6)


def test_larger_numbers_are_evaluated_beside():
  task = make(program="full", max_operations=3)
  assert dict(task.extrapolations) == {
      "3_digits": dataclasses.replace(task, min_value=100, max_value=999),
      "4_digits": dataclasses.replace(task, min_value=1000, max_value=9999)}
  assert list(task.extrapolations["3_digits"].extrapolations) == ["4_digits"]
  assert not task.extrapolations["4_digits"].extrapolations
