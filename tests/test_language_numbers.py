"""Language to number: the words, the split, episodes, answers word by word."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from task_helpers import loss_and_metrics

import tasks
from tasks.language import language_numbers, number_words

pytestmark = pytest.mark.usefixtures("strict_promotion")

SPLITS = ("train", "validation", "test")

# A second, independent reader, which uses only the words' names.
STEMS = ("twen", "thir", "for", "fif", "six", "seven", "eigh", "nine")
SMALL = {word: value for value, word in enumerate((
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight",
    "nine", "ten", "eleven", "twelve"))}


def read(words) -> int:
  """Reads digits from the end of each word, without divisions by ten."""
  text = " ".join(words)
  if " hundred" in text:
    before, after = text.split(" hundred")
    assert not after or after.startswith(" and ")
    rest = read(after.removeprefix(" and ").split()) if after else 0
    assert not after or rest  # No 'two hundred and zero'.
    assert 1 <= SMALL[before] <= 9
    return 100 * SMALL[before] + rest
  if len(words) == 2:
    tens, units = words
    assert tens.endswith("ty")
    assert 1 <= SMALL[units] <= 9
    return read([tens]) + SMALL[units]
  (word,) = words
  for suffix, value in (("teen", lambda n: 10 + n), ("ty", lambda n: 10 * n)):
    stem = word.removesuffix(suffix)
    if stem != word:
      stem = {"four": "for", "eight": "eigh"}.get(stem, stem)
      return value(STEMS.index(stem) + 2)
  return SMALL[word]


def examples(split: str, **kwargs) -> tuple[tasks.Task, tasks.Batch]:
  """Returns a task and all episodes of a split, in order."""
  task = tasks.LanguageNumbers(split=split, **kwargs)
  batch = jax.jit(jax.vmap(task.example, out_axes=1))(
      jnp.arange(task.num_examples))
  return task, jax.tree.map(np.asarray, batch)


def test_all_numbers_can_be_read_back():
  texts = [number_words.number_words(n) for n in range(1000)]
  assert [read(words) for words in texts] == list(range(1000))
  assert max(map(len, texts)) == number_words.MAX_WORDS
  assert {word for words in texts for word in words} == set(number_words.WORDS)
  assert len(set(number_words.WORDS)) == len(number_words.WORDS) == 30


def test_some_numbers_in_words():
  for number, text in ((0, "zero"), (13, "thirteen"), (40, "forty"),
                       (88, "eighty eight"), (100, "one hundred"),
                       (205, "two hundred and five"),
                       (334, "three hundred and thirty four")):
    assert " ".join(number_words.number_words(number)) == text
  for number in (-1, 1000):
    with pytest.raises(ValueError, match=f"got {number}"):
      number_words.number_words(number)


def test_the_papers_split():
  split = language_numbers.split_numbers(0)
  assert {name: numbers.size for name, numbers in split.items()} == {
      "train": 169, "validation": 200, "test": 631}
  everything = np.concatenate([split[name] for name in SPLITS])
  np.testing.assert_array_equal(np.sort(everything), np.arange(1000))
  assert set(range(20)) < set(split["train"])


@pytest.mark.parametrize("seed", range(20))
def test_every_word_is_trained_on(seed):
  # A random choice of so few numbers rarely contains every word.
  train = language_numbers.split_numbers(seed, num_train=41)["train"]
  assert train.size == len(set(train)) == 41
  words = {word for n in train for word in number_words.number_words(int(n))}
  assert words == set(number_words.WORDS)


def test_the_seed_decides_on_the_split():
  numbers = {(split, seed): tasks.LanguageNumbers(
      split=split, split_seed=seed).numbers
             for split in SPLITS for seed in (0, 1)}
  for split in SPLITS:
    assert (numbers[split, 0] != numbers[split, 1]).any()
    language_numbers.split_numbers.cache_clear()
    np.testing.assert_array_equal(numbers[split, 0], tasks.LanguageNumbers(
        split=split).numbers)


@pytest.mark.parametrize("split", SPLITS)
def test_each_string_once_word_by_word(split):
  task, batch = examples(split)
  assert batch.inputs.shape == (5, task.num_examples, 30)
  seen = []
  for b in range(task.num_examples):
    (step,) = np.flatnonzero(batch.mask[:, b])
    rows = batch.inputs[:step + 1, b]
    assert (rows.sum(1) == 1).all()
    assert set(np.unique(rows)) == {0, 1}
    assert not batch.inputs[step + 1:, b].any()
    number = read([number_words.WORDS[i] for i in rows.argmax(1)])
    seen.append(number)
    targets = np.zeros((5, 1))
    targets[step] = number
    np.testing.assert_array_equal(batch.targets[:, b], targets)
  np.testing.assert_array_equal(seen, task.numbers)
  assert len(set(seen)) == task.num_examples


@pytest.mark.parametrize("split", SPLITS)
def test_oracle_and_trivial_answer_on_the_whole_split(split):
  task, batch = examples(split, split_seed=2)
  blind = batch._replace(targets=np.zeros_like(batch.targets),
                         mask=np.zeros_like(batch.mask))
  answers = oracles.solve(task, blind)
  loss, metrics = loss_and_metrics(task.score, answers, batch)
  assert not loss.any()
  assert not metrics["mae"].any()
  _, metrics = loss_and_metrics(task.score, task.trivial(batch), batch)
  score = np.mean(metrics["mae"])
  np.testing.assert_allclose(score, task.trivial_score, rtol=1e-6)
  # No other constant does better.
  errors = np.abs(task.numbers - np.arange(1000)[:, None]).mean(1)
  np.testing.assert_allclose(errors.min(), task.trivial_score)


def test_the_oracle_tells_the_papers_intermediate_numbers():
  texts = ["three hundred and thirty four", "seven hundred and two",
           "twenty seven and eighty"]
  inputs = language_numbers.encode(texts)
  assert inputs.shape == (5, 3, 30)
  task = tasks.LanguageNumbers()
  outputs = oracles.solve(task, tasks.Batch(inputs, inputs, inputs))
  # The right answer is at the last word; the steps after it do not matter.
  targets = np.zeros((5, 3, 1))
  targets[[4, 3, 3], range(3), 0] = 334, 702, 107
  batch = tasks.Batch(inputs, targets, None)
  assert task.transcribe(batch, outputs) == [
      "three 3  hundred 300  and 300  thirty 330  four 334  (334)",
      "seven 7  hundred 700  and 700  two 702  (702)",
      "twenty 20  seven 27  and 27  eighty 107  (107)"]
  assert task.transcribe(
      jax.tree.map(lambda x: x[:, 1:2], batch), 1.00049 * outputs[:, 1:2]) == [
          "seven 7.003  hundred 700.3  and 700.3  two 702.3  (702)"]


def test_encode_is_what_episodes_show():
  task, batch = examples("test")
  texts = [" ".join(number_words.number_words(int(n))) for n in task.numbers]
  np.testing.assert_array_equal(language_numbers.encode(texts), batch.inputs)
  with pytest.raises(ValueError, match=r"unknown word 'thousand'.* hundred"):
    language_numbers.encode(["one thousand"])


def test_episodes_are_drawn_from_all_of_the_split():
  task = tasks.LanguageNumbers(split="validation")
  batch = jax.jit(lambda key: task.sample(key, 20_011))(jax.random.key(0))
  numbers, counts = np.unique(batch.targets.sum(0), return_counts=True)
  np.testing.assert_array_equal(numbers, task.numbers)
  expected = 20_011 / 200
  np.testing.assert_allclose(counts, expected, atol=4.5 * expected ** 0.5)


def test_the_other_splits_are_what_is_evaluated_beside():
  task = tasks.LanguageNumbers(split_seed=3)
  assert dict(task.extrapolations) == {
      split: tasks.LanguageNumbers(split=split, split_seed=3)
      for split in ("validation", "test")}
  assert not task.extrapolations["test"].extrapolations
  assert task.encoder == "embed"
  assert task.score.main_metric == "mae"
  assert 0 < task.solved_below < task.trivial_score
