"""catbAbI: the text, what of it counts, and the accuracy of each task."""

import collections
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import write_babi
from launch_helpers import run

import tasks
from launch import evaluate, train
from launch.configs import config as config_lib
from launch.runs.run import Run
from tasks.babi import catbabi, facts, reader, texts
from tasks.data import errors

NUMBERS = (1, 8, 19)  # The latter two have answers of several words.
NUM_STEPS = 97


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
  """Returns a folder with three tasks."""
  root = tmp_path_factory.mktemp("catbabi")
  write(root)
  return root


def write(root: pathlib.Path) -> None:
  """Writes files of three tasks; those of task 19 have no 'n' in a story."""
  for path in write_babi(root, NUMBERS).glob("qa19_*"):
    path.write_text(re.sub("1 [ENSW] [ensw]", "1 North east",
                           path.read_text()))


def make(mode: str = "qm", numbers: str = "1,8,19") -> tasks.CatBabi:
  return tasks.CatBabi(tasks=numbers, mode=mode, num_steps=NUM_STEPS)


def words_of(tokens) -> list[str]:
  return [texts.VOCABULARY[token] for token in np.asarray(tokens)]


def stories_of(path: pathlib.Path) -> list[str]:
  """Reads a file in plain Python, a story a string."""
  stories: list[list[str]] = []
  for line in path.read_text().lower().splitlines():
    number, text = line.split(" ", 1)
    if number == "1":
      stories.append([])
    asked, *answer = text.split("\t")
    stories[-1] += [asked[:-1].strip(), asked[-1], *answer[:1]]
  return [" ".join(" ".join(story).split()) for story in stories]


def expected(root: pathlib.Path, split: str) -> collections.Counter:
  """Counts (number of a task, story) of a split."""
  found = collections.Counter[tuple[int, str]]()
  for number in NUMBERS:
    name = f"qa{number}_some-task_{'test' if split == 'test' else 'train'}.txt"
    stories = stories_of(root / "en-10k" / name)
    held_out = len(stories) // 10
    found.update((number, story) for story in {
        "train": stories[:-held_out], "validation": stories[-held_out:],
        "test": stories}[split])
  return found


def test_the_vocabulary():
  assert len(set(texts.VOCABULARY)) == len(texts.VOCABULARY) == 180
  assert tasks.CatBabi().output_size == tasks.CatBabi().input_size == 180
  answers = {answer for fact in facts.FACTS.values() for answer in fact.answers}
  assert len(answers) > 40
  assert answers <= set(texts.VOCABULARY)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_text_is_all_stories(folder, split):
  """Equals a construction in plain Python, up to the order of the stories."""
  task = make()
  data = task.load("train" if split == "train" else "test", str(folder))
  corpus = data.test if split == "test" else data.text
  words, labels = words_of(corpus.tokens), list(corpus.labels)
  assert words[0] == words[-1] == texts.END
  assert labels[0] == 0
  found, story, start = [], [], 1
  for place, word in enumerate(words[1:], 1):
    if word == texts.END:
      assert len(set(labels[start:place + 1])) == 1
      found.append((int(labels[place]), " ".join(story)))
      story, start = [], place + 1
    else:
      story.append(word)
  wanted = expected(folder, split)
  assert collections.Counter(found) == wanted
  assert any("," in story for _, story in wanted)
  # Tasks are mixed, and no story is where the files have it.
  changes = np.diff([number for number, _ in found]) != 0
  assert changes.mean() > 0.3
  assert found != sorted(found)
  assert words == words_of(getattr(
      make("lm").load("train" if split == "train" else "test", str(folder)),
      "test" if split == "test" else "text").tokens)


@pytest.mark.parametrize("mode", ["qm", "lm"])
@pytest.mark.parametrize("variant", [None, "test"])
def test_windows_are_the_text_and_what_counts(folder, mode, variant):
  task = make(mode)
  data = task.load("test", str(folder))
  task = task.extrapolations[variant] if variant else task
  corpus, num_rows = task.corpus(data), 5
  length = tasks.row_length(corpus, num_rows)
  read = jax.jit(lambda corpus, position: task.window(
      corpus, jnp.arange(num_rows), num_rows, jnp.full(num_rows, position)))
  batch = jax.tree.map(lambda *x: np.concatenate(x), *(
      read(corpus, position) for position in range(0, length, NUM_STEPS)))
  inputs, targets, mask = (np.concatenate(
      np.swapaxes(x[:length], 0, 1))[:len(corpus.tokens) - 1] for x in batch)
  np.testing.assert_array_equal(inputs, corpus.tokens[:-1])
  if variant:
    np.testing.assert_array_equal(targets[:, 1], corpus.labels[1:])
    targets = targets[:, 0]
  np.testing.assert_array_equal(targets, corpus.tokens[1:])
  after_question = np.array(words_of(inputs)) == "?"
  questions = data.questions[1].sum() if variant else after_question.sum()
  assert after_question.sum() == questions > 0
  np.testing.assert_array_equal(
      mask, after_question if mode == "qm" else np.ones_like(mask))
  assert batch.mask.sum() == mask.sum()  # None beyond the end counts.


def score_in_numpy(logits, inputs, targets, mask):
  """Returns sums over rows and steps: nats, targets, right, answers."""
  sums = np.zeros(4)
  for place in np.ndindex(mask.shape):
    if mask[place]:
      log_prob = logits[place] - np.log(np.exp(logits[place]).sum())
      is_answer = texts.VOCABULARY[inputs[place]] == "?"
      is_right = max(range(len(log_prob)), key=lambda k: log_prob[k]) == (
          targets[place])
      sums += [-log_prob[targets[place]], 1, is_answer and is_right, is_answer]
  return sums


def some_answers(mode):
  """Returns logits, a batch of `CatBabiTest`, and the numbers of its tasks."""
  rng = np.random.default_rng(0)
  question = texts.VOCABULARY.index("?")
  inputs = np.where(rng.random((NUM_STEPS, 3)) < .5, question, 11)
  targets = rng.integers(2, 13, (NUM_STEPS, 3))
  numbers = rng.choice(NUMBERS, (NUM_STEPS, 3))
  mask = inputs == question if mode == "qm" else np.ones_like(inputs)
  mask[-1] = 0
  logits = rng.normal(size=(NUM_STEPS, 3, 13))
  is_right = rng.random((NUM_STEPS, 3)) < .5
  logits[(*np.nonzero(is_right), targets[is_right])] = 5
  logits[-1] = np.nan  # Does not count.
  return logits.astype(np.float32), tasks.Batch(
      inputs, np.stack([targets, numbers], 2), mask.astype(np.float32))


@pytest.mark.usefixtures("strict_promotion")
@pytest.mark.parametrize("mode", ["qm", "lm"])
def test_the_score(mode):
  logits, batch = some_answers(mode)
  targets, numbers = np.moveaxis(batch.targets, 2, 0)
  score = catbabi.AnswerScoreByTask(numbers=NUMBERS)
  found = jax.jit(score.metrics)(logits, batch)
  assert all(x.shape == (3,) for x in found.values())
  means = jax.tree.map(np.mean, found)
  metrics = score.with_ratios(means | {"other": 5.})
  assert set(metrics) == {"loss", "perplexity", "accuracy", "other",
                          *(f"qa{number}_accuracy" for number in NUMBERS)}
  nats, count, right, answers = score_in_numpy(
      logits, batch.inputs, targets, batch.mask)
  assert 0 < right < answers <= count
  assert (answers < count) == (mode == "lm")
  np.testing.assert_allclose(metrics["loss"], nats / count, rtol=1e-5)
  np.testing.assert_allclose(metrics["perplexity"], np.exp(nats / count),
                             rtol=1e-5)
  np.testing.assert_allclose(metrics["accuracy"], right / answers, rtol=1e-6)
  for number in NUMBERS:
    _, _, right, answers = score_in_numpy(
        logits, batch.inputs, targets, batch.mask * (numbers == number))
    assert answers > 0
    np.testing.assert_allclose(metrics[f"qa{number}_accuracy"],
                               right / answers, rtol=1e-6)
  plain = catbabi.AnswerScore()
  for key, value in plain.metrics(logits, batch._replace(
      targets=targets)).items():
    np.testing.assert_allclose(value, found[key], rtol=1e-5)
  loss = score.loss(logits, batch)
  np.testing.assert_allclose(
      loss, found["nats"] / np.maximum(found["targets"], 1), rtol=1e-5)
  for wrong in (logits[:3], logits[:, :1]):
    with pytest.raises(AssertionError):
      score.metrics(wrong, batch)


def test_windows_without_an_answer_score_nothing():
  score = catbabi.AnswerScoreByTask(numbers=(3,))
  sums = dict.fromkeys(("nats", "targets", "right", "answers", "qa3_right",
                        "qa3_answers"), np.zeros(()))
  found = score.with_ratios(sums)
  assert found == dict(loss=0, perplexity=1, accuracy=0, qa3_accuracy=0)


def test_guessing():
  assert tasks.CatBabi(tasks="1").trivial_score == pytest.approx(.187)
  assert tasks.CatBabi(tasks="19").trivial_score == pytest.approx(.093)
  both = tasks.CatBabi(tasks="6,9").trivial_score
  assert both == pytest.approx((.503 + .638) / 2)
  assert not tasks.CatBabi().score.lower_is_better


def test_a_table_of_all_tasks():
  task = tasks.CatBabi(tasks="all", mode="lm", num_steps=5, drop_state=.5)
  assert list(task.extrapolations) == ["test"]
  test = task.extrapolations["test"]
  assert (test.mode, test.num_steps, test.drop_state) == ("lm", 5, .5)
  assert not test.extrapolations
  metrics = {f"test/qa{number}_accuracy": np.full(2, number)
             for number in range(1, 21)}
  table = task.summary(metrics)
  assert list(table) == [f"qa{number}" for number in range(1, 21)]
  assert [int(value[1]) for value in table.values()] == list(range(1, 21))
  assert not test.summary(metrics)


def test_errors(folder):
  task = make()
  with pytest.raises(ValueError, match="'dev'; valid splits: train, test"):
    task.load("dev", str(folder))
  with pytest.raises(FileNotFoundError, match="needs --data_dir: get tasks_1"):
    task.load("train")
  with pytest.raises(ValueError, match=r"got None.*; pass what `load` returns"):
    task.corpus(None)
  with pytest.raises(ValueError, match=r"no test text; pass what `load\('test"):
    task.extrapolations["test"].corpus(task.load("train", str(folder)))


@pytest.mark.parametrize("there, other, word", [
    ("n,w", "n,s", "n,s"), ("n,w", "w", "w"), ("milk\t", "milk,milk\t",
                                              "milk,milk"),
    ("North", "N", "n")])
def test_words_that_are_not_babis(tmp_path, there, other, word):
  write(tmp_path)
  for path in (tmp_path / "en-10k").glob("*.txt"):
    path.write_text(path.read_text().replace(there, other))
  with pytest.raises(errors.DataError, match=f"'{word}', which is not among "
                     "the 178 words and answers of bAbI v1.2; get the orig"):
    make().load("test", str(tmp_path))


def test_parts_of_files_are_told(folder):
  assert make().remarks(make().load("train", str(folder))) == [
      f"bAbI en-10k, task {number}, train: 1,000 questions in the file, not "
      "the published 10,000" for number in NUMBERS]


def test_a_run_gives_the_table(folder, tmp_path, capsys, caplog):
  workdir = tmp_path / "run"
  run(train, "--task=catbabi", "--task.tasks=1,19", "--task.num_steps=97",
      f"--workdir={workdir}", f"--data_dir={folder}", "--core=lstm",
      "--core.hidden_size=3", "--encoder.output_size=5", "--batch_size=64",
      "--steps=2", "--log_every=1", "--eval_every=2")
  assert "task 19, train: 1,000 questions in the file, not" in caplog.text
  last = Run(workdir).last()
  each = [last[name].item() for name in ("qa1", "qa19")]
  # Both tasks have 1,000 test questions.
  assert last["test/accuracy"].item() == pytest.approx(sum(each) / 2)
  assert 0 < sum(each) < 2
  assert {"accuracy", "perplexity", "test/perplexity"} <= set(last)
  capsys.readouterr()
  run(evaluate, f"--workdir={workdir}")
  printed = capsys.readouterr().out
  assert f"qa1: {each[0]:.4g}\nqa19: {each[1]:.4g}\n" in printed


@pytest.mark.parametrize("flag, words", [
    ("", "error: bAbI needs --data_dir: get tasks_1-20_v1-2.tar.gz"),
    ("--data_dir=/nowhere", "error: no bAbI in --data_dir=/nowhere: looked")])
def test_a_run_without_data(tmp_path, capfd, flag, words):
  assert run(train, "--preset=catbabi", f"--workdir={tmp_path / 'run'}",
             *flag.split()) == config_lib.EXIT_USAGE
  out, err = capfd.readouterr()
  assert out == ""
  assert err.startswith(words)
  assert err.count("\n") == 1


# The real files.


def test_real_training_files(data_root):
  """Every story and every question is in one of the texts, once."""
  data = reader.load_stories("train", str(data_root), "en-10k", {
      number: fact.longest for number, fact in facts.FACTS.items()})
  asked, ends, used = np.zeros(21, int), 0, np.zeros(180, bool)
  for part in (0, 1):
    corpus = texts.corpus(data, part)
    question = corpus.tokens == texts.VOCABULARY.index("?")
    asked += np.bincount(corpus.labels[question], minlength=21)
    ends += (corpus.tokens[1:] == texts.VOCABULARY.index(texts.END)).sum()
    used[np.unique(corpus.tokens)] = True
  np.testing.assert_array_equal(asked[1:], data.questions[0])
  assert ends == data.stories[0].sum() > 50_000
  assert not data.left_out.any()
  # All words occur but the padding.
  assert list(np.flatnonzero(~used)) == [texts.VOCABULARY.index(texts.PAD)]


def test_real_answers(data_root):
  """Those of the files, which are the same in `en-10k`, each after a '?'."""
  data = tasks.CatBabi(size="en").load("test", str(data_root)).test
  question = data.tokens[:-1] == texts.VOCABULARY.index("?")
  np.testing.assert_array_equal(data.scored[1:], question)
  found: dict[int, dict[str, int]] = {number: {} for number in facts.FACTS}
  for token, label in zip(data.tokens[data.scored], data.labels[data.scored],
                          strict=True):
    counts, word = found[int(label)], texts.VOCABULARY[token]
    counts[word] = counts.get(word, 0) + 1
  assert found == {number: dict(fact.answers)
                   for number, fact in facts.FACTS.items()}
