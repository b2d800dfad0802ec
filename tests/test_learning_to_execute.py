"""Learning to execute: a separate interpreter checks every program."""

import collections
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from oracles import answer_of, execute
from task_helpers import loss_and_metrics

import tasks
from tasks.programs import text_programs
from tasks.programs.learning_to_execute import MEMORISATION, PROGRAMS

pytestmark = pytest.mark.usefixtures("strict_promotion")

OPERATIONS = (*PROGRAMS, *MEMORISATION)
EPISODES = 499


def draw(seed: int = 0, episodes: int = EPISODES, **kwargs):
  """Returns a task, a batch, and its programs and answers as text."""
  task = tasks.LearningToExecute(**kwargs)
  batch = jax.jit(lambda key: task.sample(key, episodes))(jax.random.key(seed))
  batch = jax.tree.map(np.asarray, batch)
  return task, batch, *zip(*(
      decode(jax.tree.map(lambda leaf, i=i: leaf[:, i], batch))
      for i in range(episodes)), strict=True)


def decode(episode: tasks.Batch) -> tuple[str, str]:
  """Returns the program and the answer of an episode."""
  end = int(np.flatnonzero(episode.inputs[:, -1])[0])
  assert (episode.inputs[:end + 1].sum(1) == 1).all()
  assert not episode.inputs[end + 1:].any()
  code = "".join(text_programs.VOCABULARY[i]
                 for i in episode.inputs[:end].argmax(1))
  asked = np.flatnonzero(episode.mask)
  np.testing.assert_array_equal(asked, end + 1 + np.arange(asked.size))
  assert (episode.targets.sum(1) == episode.mask).all()
  return code, "".join(map(str, episode.targets[asked].argmax(1)))


def nesting(code: str) -> int:
  return len(re.findall(r"(?<!\+)[-+*](?!=)|if|for", code))


def longest(task, length, nests):
  """Returns padded sizes (characters, answer) in the paper's released code."""
  if task in MEMORISATION:
    return length, MEMORISATION[task] * length
  return (3 * length + 10) * (nests - 1) + 4 * length + 10 + 2 * (
      nests - 1), 2 * length


MIXED = dict(max_length=4, max_nesting=3)
# Products of about 10^44.
LARGE = dict(min_length=11, max_length=11, min_nesting=3, max_nesting=3)


@pytest.mark.parametrize("operation, sizes", [
    *((operation, MIXED) for operation in OPERATIONS), ("program", LARGE)])
def test_every_answer_is_python_s(operation, sizes):
  task, _, codes, answers = draw(operation=operation, **sizes)
  lengths, nestings = set(), set()
  for code, given in zip(codes, answers, strict=True):
    assert given == answer_of(operation, code)
    literals = re.findall(r"\d+", re.sub(r"\[\d\]", "", code))
    # All literals have the same number of digits.
    length, = {len(literal) for literal in literals}
    assert not any(literal.startswith("0") for literal in literals)
    lengths.add(length)
    nestings.add(nesting(code))
    if operation == "addition":
      assert int(given) == eval(code) % 10**(length + 1)  # The text is Python.
  assert lengths == set(range(task.min_length, task.max_length + 1))
  if operation in MEMORISATION:
    assert nestings == {0}
  else:
    assert nestings == set(range(task.min_nesting, task.max_nesting + 1))
    assert len(set(map(len, answers))) > 1
  assert len(set(codes)) > EPISODES // 2


@pytest.mark.parametrize("operation", [
    pytest.param(operation, marks=[pytest.mark.slow] * (operation in (
        "control", "program"))) for operation in OPERATIONS])
def test_is_drawn_on_several_devices(operation):
  """JAX 0.11 crashed on an array of size 0 among the texts of additions."""
  task = tasks.LearningToExecute(operation=operation,
                         max_length=2)
  count = jax.local_device_count()
  assert count > 1
  keys = jax.random.split(jax.random.key(18), 2 * count)
  shares = jax.pmap(task.sample_from_keys)(keys.reshape(count, 2))
  whole = jax.jit(task.sample_from_keys)(keys)
  for share, part in zip(shares, whole, strict=True):
    np.testing.assert_array_equal(
        np.concatenate(np.asarray(share), 1), part)


def test_character_accuracy_is_over_all_characters():
  """One episode has 1 of 1 characters right, the other 1 of 4."""
  task = tasks.LearningToExecute(operation="addition")
  targets = jax.nn.one_hot(jnp.full([4, 2], 3), task.output_size)
  mask = jnp.array([[1, 1], [0, 1], [0, 1], [0, 1]], jnp.float32)
  outputs = jax.nn.one_hot(jnp.array([[3, 3], [0, 2], [0, 2], [0, 2]]),
                           task.output_size)
  batch = tasks.Batch(jnp.zeros([4, 2, task.input_size]), targets, mask)
  means = jax.tree.map(jnp.mean, task.score.metrics(outputs, batch))
  scores = task.score.with_ratios(means | {"loss": 7.})
  assert scores == {"accuracy": .625, "character_accuracy": .4,
                    "sequence_accuracy": .5, "loss": 7.}


@pytest.mark.parametrize("operation, longest", [("addition", 4), ("double", 6)])
def test_every_character_weighs_the_same_in_the_loss(operation, longest):
  task = tasks.LearningToExecute(operation=operation,
                         max_length=3)
  random = np.random.default_rng(0)
  logits = random.normal(size=(6, 2, 10))
  right = random.integers(10, size=(6, 2))
  mask = np.array([[0, 1], [1, 1], [0, 1], [0, 0], [0, 0], [0, 1]], np.float32)
  shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  nats = -np.log(np.take_along_axis(shares, right[..., None], -1))[..., 0]
  batch = tasks.Batch(jnp.zeros([6, 2, task.input_size]),
                      jax.nn.one_hot(right, 10), jnp.asarray(mask))
  np.testing.assert_allclose(
      task.score.loss(jnp.asarray(logits, jnp.float32), batch),
      [nats[1, 0] / longest, nats[[0, 1, 2, 5], 1].sum() / longest], rtol=1e-5)


def test_grammar():
  codes = draw(operation="program", min_length=2, max_length=2, min_nesting=2,
               max_nesting=2, episodes=997)[2]
  shapes = {re.sub(r"[1-9]\d", "N", re.sub(r"\[[1-9]\]", "[k]", code))
            for code in codes}
  inner = ["N+N", "N-N", "N*N", "NifN>NelseN", "NifN<NelseN", "x=Nfor[k]x+=N"]
  around = ["(#)+N", "(#)-N", "(#)*N", "(#)ifN>NelseN", "(#)ifN<NelseN",
            "x=(#)for[k]x+=N"]
  assert shapes == {o.replace("#", i) for o in around for i in inner}


def test_the_interpreter_of_this_file():
  assert execute("(19665+99651)+71884") % 10**6 == 191200
  assert execute("(14804-53351)*79721") % 10**6 == 994613
  assert execute(
      "x=(88210if82654<63554else94552)for[7]x+=74814") % 10**6 == 618250


def test_programs_of_sonnet(golden_programs):
  seen = collections.Counter()
  for nests, kind, code, value in golden_programs:
    if "/" in code:
      continue  # No task has divisions.
    if kind == "full":
      operation = "program"
      assert answer_of(operation, code) == value
    elif nests == 1:
      operation, = {name for name in MEMORISATION
                    if answer_of(name, code) == value}
    else:
      continue  # Nested memorisation answers twice; no task has it.
    seen[operation] += 1
    assert answer_of(operation, code) == value
  assert seen["program"] == 43
  assert all(seen[operation] for operation in MEMORISATION)


@pytest.fixture
def golden_programs(golden_root):
  samples = json.loads(
      (golden_root / "task_learn_to_execute_sonnet1.json").read_text())
  assert len(samples) == 120
  return [(x["nest"], x["kind"], x["code"], x["value"])
          for x in samples]


def assert_uniform(values, expected) -> None:
  counts = collections.Counter(values)
  assert set(counts) == set(expected)
  total = sum(counts.values())
  error = np.sqrt(total / len(counts))
  for value, count in counts.items():
    assert abs(count - total / len(counts)) < 4.5 * error, (value, counts)


def test_what_is_drawn_is_uniform():
  codes = draw(operation="program", min_length=3, max_length=3, episodes=4001,
               min_nesting=1, max_nesting=1)[2]
  first = [re.search(r"\d", code)[0] for code in codes]
  assert_uniform(first, "123456789")
  last = [code[-1] for code in codes]
  assert_uniform(last, "0123456789")
  assert_uniform([code[-2] for code in codes], "0123456789")
  # The literals of a program are independent of each other.
  assert_uniform([a + b for a, b in zip(first, last, strict=True)],
                 [a + b for a in "123456789" for b in "0123456789"])
  assert_uniform([re.search(r"for|if|[-+*]", code)[0] for code in codes],
                 ["+", "-", "*", "if", "for"])
  assert_uniform([code[code.index("[") + 1] for code in codes if "[" in code],
                 "123456789")
  comparisons = re.findall("[<>]", "".join(codes))
  assert len(comparisons) > 500
  assert_uniform(comparisons, "<>")


def test_length_and_nesting_are_mixed():
  codes = draw(operation="control", max_length=3, max_nesting=3,
               episodes=4001)[2]
  assert_uniform([(len(re.search(r"\d+", code)[0]), nesting(code))
                  for code in codes],
                 [(i, j) for i in range(1, 4) for j in range(1, 4)])


@pytest.mark.parametrize("operation, length, nests", [
    ("addition", 2, 3), ("control", 5, 2), ("program", 1, 2), ("copy", 5, 1),
    ("reverse", 2, 3), ("double", 5, 1)])
def test_there_is_room_for_the_longest_and_no_more(operation, length, nests):
  task, _, codes, answers = draw(
      operation=operation, min_length=length, max_length=length,
      min_nesting=nests, max_nesting=nests)
  text, reply = max(map(len, codes)), max(map(len, answers))
  size = (length if operation in MEMORISATION else
          text_programs.max_text(PROGRAMS[operation], length, nests))
  assert text == size
  bounds = longest(operation, length, nests)
  assert text <= bounds[0]
  assert task.num_steps - size - 1 == reply <= bounds[1]
  if operation == "control":
    assert (text, reply) == (51, 6)  # Observed with the released code.


def test_the_hardest():
  task = tasks.LearningToExecute(operation="control",
                         max_length=5, max_nesting=3)
  (name, hardest), = task.extrapolations.items()
  assert name == "hardest"
  assert not hardest.extrapolations
  assert hardest.num_steps == task.num_steps
  assert (hardest.min_length, hardest.max_length, hardest.min_nesting,
          hardest.max_nesting, hardest.operation) == (5, 5, 3, 3, "control")


def test_at_level_keeps_the_nesting():
  task = tasks.LearningToExecute(max_nesting=3).at_level(4)
  assert (task.min_length, task.max_length) == (4, 4)
  assert (task.min_nesting, task.max_nesting) == (1, 3)


@pytest.mark.parametrize("kwargs", [
    dict(operation="addition", max_length=5, min_nesting=3, max_nesting=3),
    pytest.param(dict(operation="control", max_nesting=1),
                 marks=pytest.mark.slow), dict(operation="double")])
def test_no_other_digit_is_a_better_guess(kwargs):
  """Sums of two numbers often begin with 1, longer sums with other digits."""
  task = tasks.LearningToExecute(**kwargs)
  batch = jax.jit(lambda key: task.sample(key, 8192))(jax.random.key(1))
  shares = [
      float(np.mean(loss_and_metrics(task.score, 20 * jax.nn.one_hot(
          jnp.full(batch.mask.shape, digit), 10), batch)[1]["accuracy"]))
      for digit in range(10)]
  (guess,) = set(np.asarray(jax.jit(task.trivial)(batch)).argmax(2).ravel())
  assert guess == (2 if kwargs.get("min_nesting") == 3 else 1)
  assert shares[guess] > .95 * max(shares)
  assert task.trivial_score == pytest.approx(shares[guess], rel=.03)


@pytest.mark.parametrize("kwargs, expected", [
    (dict(operation="copy", min_length=3, max_length=3), (1 / 9 + 2 / 10) / 3),
    (dict(operation="double", max_length=2),
     (1 / 9 + (1 / 9 + 1 / 10) / 2) / 2),
    (dict(operation="addition", min_length=2, max_length=2, max_nesting=1),
     np.mean([str(a + b).count("1") / len(str(a + b))
              for a in range(10, 100) for b in range(10, 100)]))])
def test_trivial_score(kwargs, expected):
  task = tasks.LearningToExecute(**kwargs)
  # The score is counted in 2^16 answers; its standard error is about 0.001.
  assert task.trivial_score == pytest.approx(expected, abs=0.004)
  batch = draw(**kwargs)[1]
  assert set(np.asarray(task.trivial(batch)).argmax(2).ravel()) == {1}


@pytest.mark.parametrize("operation", ["program", "reverse"])
def test_transcribe(operation):
  """Each episode has a line: program, right answer, and answer given."""
  task, batch, codes, answers = draw(episodes=17, operation=operation)
  lines = task.transcribe(batch, oracles.solve(task, batch))
  assert lines == [f"{code}: {given}, answered {given}"
                   for code, given in zip(codes, answers, strict=True)]
  wrong = np.roll(batch.targets, 1, axis=-1)
  assert task.transcribe(batch, wrong) == [
      f"{code}: {given}, answered " + "".join(
          str((int(digit) + 1) % 10) for digit in given)
      for code, given in zip(codes, answers, strict=True)]
