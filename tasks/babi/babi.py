"""bAbI as episodes: a story, and answers at the marks."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from tasks import base, checks, scores
from tasks.babi import facts, reader

_MARK = facts.VOCABULARY.index(facts.MARK)
_FAILED_ABOVE = 0.05


@dataclasses.dataclass(frozen=True)
class QuestionScore(scores.Classes):
  """Scores questions; one is right only if all words of its answer are.

  The words of an answer are asked for at adjacent steps, and no two questions
  are adjacent. The error of many episodes is the share of wrong questions.
  """

  main_metric: str = "error"
  lower_is_better: ClassVar[bool] = True
  ratios: ClassVar[Mapping[str, tuple[str, str]]] = {
      "accuracy": ("questions_right", "questions")}

  def metrics(self, outputs: jax.Array,
              batch: base.Batch) -> dict[str, jax.Array]:
    """Returns the number of questions, of right ones, and the share of wrong.
    """
    wrong = jnp.cumsum(scores.is_wrong(outputs, batch) * batch.mask, 0)
    edge = jnp.zeros((1, batch.mask.shape[1]), jnp.float32)
    before = jnp.concatenate([edge, batch.mask])[:-1]
    after = jnp.concatenate([batch.mask, edge])[1:]
    ends = batch.mask * (1 - after)
    # Wrong words up to the first word of the latest question; never fewer.
    wrong_before = jnp.concatenate([edge, wrong])[:-1]
    at_start = jax.lax.cummax(batch.mask * (1 - before) * wrong_before)
    num = ends.sum(0)
    right = jnp.where(wrong == at_start, ends, 0).sum(0)
    return {"error": (num - right) / jnp.maximum(num, 1),
            "questions_right": right, "questions": num}

  def with_ratios(self, means: Mapping[str, Any]) -> dict[str, Any]:
    # Not 1 - accuracy: a compiled quotient of equal numbers may exceed 1.
    wrong = means["questions"] - means["questions_right"]
    return super().with_ratios(means) | {"error": wrong / means["questions"]}


@dataclasses.dataclass(frozen=True)
class Babi(base.Episodes, base.Symbolic):
  r"""Answers questions about stories; some or all of the 20 tasks of bAbI.

  A step shows one word. At each word of an answer it shows the mark '-'
  instead, and the target is the word. The answers are classes, one logit for
  each of the 159 words and symbols. An episode draws one of the tasks, all with
  the same odds, and one of its stories.

  See "Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes"
  (Rae et al., 2016, arXiv 1610.09027), section 4.4, and "Hybrid computing using
  a neural network with dynamic external memory" (Graves et al., 2016, Nature),
  whose preprocessing this is: lower case, '.' and '?' are words, line numbers
  and supporting facts are removed, each word of an answer is replaced by '-'.

  Example:
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as tmp:
    ...   pathlib.Path(tmp, "en").mkdir()
    ...   for name in ("train", "test"):
    ...     _ = pathlib.Path(tmp, "en", f"qa1_a_{name}.txt").write_text(10 * (
    ...         "1 Mary went to the garden.\n2 Where is Mary?\tgarden\t1\n"))
    ...   data = tasks.Babi(size="en").load("train", tmp)
    >>> batch = tasks.Babi(size="en").sample(jax.random.key(0), 3, data=data)
    >>> batch.inputs.shape, batch.mask[:, 0].nonzero()[0].tolist()
    ((93, 3, 159), [10])

  Notes:
    The papers do not tell how often each task is drawn, nor how many stories
    are held out. Here the last tenth of each training file is the variant
    'validation'. The variants 'qa1', 'qa2' ... take each test story of one
    task once. `mean_error` and `failed_tasks` (error above 5 %) are over these.

  Attributes:
    tasks: numbers of tasks, such as '1' or '1,2,3', or 'all'.
    size: folder of the files, 'en-10k' (10,000 questions a task) or 'en'
      (1,000).
    max_length: longest story in steps, in training and in test; None for no
      bound. Longer stories are left out, and how many is reported.
  """

  tasks: str = "1"
  size: str = "en-10k"
  max_length: int | None = None

  score: ClassVar[scores.Score] = QuestionScore()

  def __post_init__(self):
    checks.check_member("size", self.size, facts.NUM_QUESTIONS)
    if self.max_length is not None:
      checks.check_positive(max_length=self.max_length)
    facts.numbers_of(self.tasks)

  @property
  def numbers(self) -> tuple[int, ...]:
    """The numbers of the tasks."""
    return facts.numbers_of(self.tasks)

  @property
  def input_size(self) -> int:
    return len(facts.VOCABULARY)

  @property
  def output_size(self) -> int:
    return len(facts.VOCABULARY)

  @property
  def input_names(self) -> Sequence[str]:
    return facts.VOCABULARY

  @property
  def output_names(self) -> Sequence[str]:
    return facts.VOCABULARY

  @property
  def num_steps(self) -> int:
    return max(self._longest.values())

  @property
  def num_answers(self) -> int:
    return min(self.num_steps, max(
        facts.FACTS[number].most_answers for number in self.numbers))

  @property
  def solved_below(self) -> float:
    """At most 5 % of wrong questions is what the papers call a success."""
    return _FAILED_ABOVE

  @property
  def extrapolations(self) -> Mapping[str, "Babi"]:
    """Each task alone, on all test stories; and the validation stories."""
    return {f"qa{number}": BabiTask(str(number), self.size, self.max_length)
            for number in self.numbers} | {
        "validation": BabiValidation(self.tasks, self.size, self.max_length)}

  def summary(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the mean error over tasks, and the number of failed tasks."""
    errors = np.stack([metrics[f"qa{number}/error"] for number in self.numbers])
    return {"mean_error": errors.mean(0),
            "failed_tasks": (errors > _FAILED_ABOVE).sum(0)}

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """Loads the stories of a split, see `reader.load_stories`."""
    return reader.load_stories(split, data_dir, self.size, self._longest)

  def remarks(self, data: Any) -> Sequence[str]:
    return reader.remarks(self.size, data.questions, data.stories,
                          data.left_out)

  def episode(self, key: jax.Array, level: None, data: Any) -> base.Batch:
    """Draws one episode of `data`, a `reader.Stories`."""
    del level
    return self._draw(key, data, part=0)

  def _draw(self, key: jax.Array, data: Any, part: int) -> base.Batch:
    _check_data(data)
    task_key, story_key = jax.random.split(key)
    column = jax.random.choice(task_key, jnp.array(self.numbers) - 1)
    index = jax.random.randint(
        story_key, (), 0, jnp.asarray(data.count)[part, column])
    return self._story(data, jnp.asarray(data.first)[part, column] + index)

  def _story(self, data: reader.Stories, index: jax.Array) -> base.Batch:
    """Returns one story, padded."""
    step = jnp.arange(self.num_steps)
    place = jnp.asarray(data.start)[index] + step
    place = jnp.minimum(place, data.words.shape[0] - 1)
    shown = step < jnp.asarray(data.length)[index]
    asked = shown & jnp.asarray(data.asked)[place]
    words = jnp.where(shown, jnp.asarray(data.words)[place], -1)
    size = len(facts.VOCABULARY)  # Of -1, `one_hot` makes zeros.
    return base.Batch(
        jax.nn.one_hot(jnp.where(asked, _MARK, words), size),
        jax.nn.one_hot(jnp.where(asked, words, -1), size),
        asked.astype(jnp.float32))

  @property
  def trivial_answer(self) -> np.ndarray:
    """Always the word that alone answers most of the questions."""
    word = max(facts.VOCABULARY, key=self._share_right)
    return np.array([float(other == word) for other in facts.VOCABULARY])

  @property
  def trivial_score(self) -> float:
    """The share of questions that the most frequent answer gets wrong."""
    return 1 - max(map(self._share_right, facts.VOCABULARY))

  def _share_right(self, word: str) -> float:
    """Returns the share of test questions whose answer is one word alone.

    Tasks are drawn with the same odds, and some ask more of a story.
    """
    right = total = 0.
    for number in self.numbers:
      found = facts.FACTS[number]
      right += sum(count for answer, count in found.answers.items()
                   if set(answer.split(",")) == {word}) / found.num_stories
      total += sum(found.answers.values()) / found.num_stories
    return right / total

  @property
  def _longest(self) -> dict[int, int]:
    """Maps the number of a task to the steps of the longest story."""
    bound = float("inf") if self.max_length is None else self.max_length
    return {number: int(min(bound, facts.FACTS[number].longest))
            for number in self.numbers}


@dataclasses.dataclass(frozen=True)
class BabiTask(Babi, base.Countable):
  """Takes each story of one task once, in the order of the file.

  Notes:
    `num_examples` is that of the test file. If there are fewer stories, the
    other examples ask nothing, so the error is right, and the loss too small.
  """

  @property
  def extrapolations(self) -> Mapping[str, Babi]:
    return {}

  @property
  def num_examples(self) -> int:
    return sum(facts.FACTS[number].num_stories for number in self.numbers)

  def example(self, index: jax.Array, data: Any = None) -> base.Batch:
    _check_data(data)
    column = self.numbers[0] - 1
    first, count = (jnp.asarray(rows)[0, column]
                    for rows in (data.first, data.count))
    story = self._story(data, first + jnp.minimum(index, count - 1))
    return jax.tree.map(lambda x: jnp.where(index < count, x, 0), story)


@dataclasses.dataclass(frozen=True)
class BabiValidation(Babi):
  """Draws from the stories that are held out of training."""

  @property
  def extrapolations(self) -> Mapping[str, Babi]:
    return {}

  def episode(self, key: jax.Array, level: None, data: Any) -> base.Batch:
    del level
    return self._draw(key, data, part=1)


def _check_data(data: Any) -> None:
  if not isinstance(data, reader.Stories):
    raise ValueError(f"need bAbI's stories as `data`, got "
                     f"{'None' if data is None else type(data).__name__}; pass "
                     "what `load` returns")
