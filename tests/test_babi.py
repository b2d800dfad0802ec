"""bAbI's questions: marks, variants, scores of answers of several words."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import write_babi
from launch_helpers import run
from task_helpers import loss_and_metrics, sample, small, stories

import tasks
from launch import evaluate, train
from launch.runs import evaluation
from launch.runs.run import Run
from tasks.babi import babi, facts

MARK = facts.VOCABULARY.index("-")


def test_marks_stand_for_answers():
  """An answer is asked for after '?', and never shown at its step."""
  batch = sample(small("babi"))
  words, asked = batch.inputs.argmax(2), batch.mask == 1
  assert (batch.inputs.sum(2) <= 1).all()
  np.testing.assert_array_equal((words == MARK) & batch.inputs.any(2), asked)
  question = facts.VOCABULARY.index("?")
  before = np.roll(words, 1, 0)
  assert np.isin(before[asked], [question, MARK]).all()
  assert (batch.targets.sum(2) == asked).all()
  assert not batch.targets[:, :, MARK].any()
  assert (asked.sum(0) > 2).any()  # Answers of several words.


def test_both_tasks_are_drawn_alike():
  """Task 8's stories are among those with these answers, task 1's never."""
  batch = sample(small("babi"), episodes=2003)
  of_one = [facts.VOCABULARY.index(word) for word in facts.FACTS[1].answers]
  share = batch.targets[:, :, of_one].any((0, 2)).mean()
  assert share == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(2003))


def outputs_for(targets, wrong):
  """Returns logits that are right but at the steps `wrong`."""
  return np.where(wrong[:, :, None], -targets, targets).astype(np.float32)


@pytest.mark.parametrize("wrong, right", [
    ([], [2, 1]), ([1], [1, 1]), ([2], [1, 1]), ([1, 2], [1, 1]),
    ([4], [1, 1]), ([2, 4], [0, 1]), ([0, 3], [2, 1])])
def test_a_question_needs_all_its_words(wrong, right):
  mask = np.array([[0, 1, 1, 0, 1], [0, 0, 0, 1, 0]], np.float32).T
  targets = jax.nn.one_hot(np.arange(10).reshape(2, 5).T % 7, 7) * (
      mask[:, :, None])
  places = np.zeros((5, 2), bool)
  places[wrong, 0] = True
  batch = tasks.Batch(np.zeros((5, 2, 3)), targets, mask)
  score = babi.QuestionScore()
  _, found = loss_and_metrics(score, outputs_for(np.asarray(targets), places),
                              batch)
  assert list(found["questions"]) == [2, 1]
  assert list(found["questions_right"]) == right
  np.testing.assert_allclose(found["error"], [1 - right[0] / 2, 0])
  means = score.with_ratios({k: v.mean() for k, v in found.items()})
  assert means["error"] == pytest.approx(1 - sum(right) / 3)
  assert set(means) == {"error", "accuracy"}


def test_a_variant_takes_each_test_story_once():
  task = tasks.Babi("8,1", max_length=15)
  assert list(task.extrapolations) == ["qa8", "qa1", "validation"]
  variant, data = task.extrapolations["qa8"], stories(task)
  assert isinstance(variant, tasks.Countable)
  assert variant.num_examples == 200  # The file here has more.
  count = 137  # Now it has fewer: the others ask nothing.
  few = data._replace(count=np.minimum(data.count, count))
  batch = jax.jit(jax.vmap(variant.example, (0, None), 1))(
      jnp.arange(200), few)
  first = data.first[0, 7]
  assert batch.mask.sum() == sum(
      data.asked[data.start[i]:][:data.length[i]].sum()
      for i in range(first, first + count))
  assert not any(np.any(x[:, count:]) for x in batch)
  for i in (0, count - 1):
    steps = slice(data.start[first + i], None)
    words = data.words[steps][:data.length[first + i]]
    shown = batch.inputs[:len(words), i] + batch.targets[:len(words), i]
    assert (np.take_along_axis(
        np.asarray(shown), words[:, None], 1) == 1).all()


def test_validation_draws_from_held_out_stories():
  task = tasks.Babi("1", max_length=15)
  data = stories(task)
  held_out = task.extrapolations["validation"]
  batch = jax.jit(held_out.sample, static_argnums=1)(
      jax.random.key(0), 499, data=data)
  drawn = {tuple(x) for x in np.asarray(batch.targets.argmax(2)).T}
  only = data._replace(first=data.first[::-1], count=data.count[::-1])
  again = jax.jit(task.sample, static_argnums=1)(
      jax.random.key(0), 499, data=only)
  np.testing.assert_array_equal(batch.inputs, again.inputs)
  assert 1 < len(drawn) <= data.count[1, 0] < data.count[0, 0]


@pytest.mark.parametrize("numbers, share", [
    ("1", .187), ("2", .187), ("3", .215), ("6", .503), ("8", .336),
    ("17", .520), ("20", .180),
    ("19", .092),  # 'n,n': the same word at both marks.
    ("1,2", .187), ("6,9", (.503 + .638) / 2),
    ("1,19", .187 * 5 / 6),  # Task 1 asks five questions a story.
])
def test_guessing(numbers, share):
  """The shares of the most frequent answers, in the test files."""
  assert tasks.Babi(numbers).trivial_score == pytest.approx(1 - share)


def test_all_is_every_task():
  task = tasks.Babi("all")
  assert task.numbers == tuple(range(1, 21))
  assert len(task.extrapolations) == 21
  assert task.num_steps == 2000
  assert task.num_answers == 13
  assert tasks.Babi("all", max_length=300).num_steps == 300
  assert tasks.Babi("1", max_length=300).num_steps == 93


def test_mean_and_failures_of_a_run(tmp_path, capsys, caplog):
  """Training and evaluation tell the mean over tasks, and what is missing."""
  write_babi(tmp_path, (1, 4))
  workdir = tmp_path / "run"
  run(train, "--task=babi", "--task.tasks=1,4", f"--workdir={workdir}",
      f"--data_dir={tmp_path}", "--core=lstm", "--core.hidden_size=3",
      "--num_seeds=2", "--steps=1", "--log_every=1", "--eval_every=1",
      "--batch_size=8", "--eval_episodes=8", "--task.max_length=15")
  missing = ("bAbI en-10k, task 4, train: 1,000 questions in the file, not the "
             "published 10,000")
  assert missing in caplog.text
  last = Run(workdir).last()
  errors = np.stack([last["qa1/error"], last["qa4/error"]])
  assert (errors > 0.05).all()
  np.testing.assert_allclose(last["mean_error"], errors.mean(0))
  assert list(last["failed_tasks"]) == [2, 2]
  capsys.readouterr()
  run(evaluate, f"--workdir={workdir}", "--episodes=8")
  printed = capsys.readouterr().out
  result = json.loads((workdir / evaluation.EVALUATION_FILE).read_text())
  np.testing.assert_allclose(result["summary"]["mean_error"], errors.mean(0),
                             rtol=1e-5)
  assert f"mean_error: {np.median(errors.mean(0)):.4g}" in printed
  assert "failed_tasks: 2" in printed
  assert f"\ndata: {missing}\n" in printed
