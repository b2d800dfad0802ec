"""catbAbI: bAbI's stories as one text, read with the state carried on."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import chex
import jax
import jax.numpy as jnp

from tasks import base, checks, scores
from tasks.babi import facts, reader, texts
from tasks.text import codecs

MODES = ("qm", "lm")
_QUESTION = texts.VOCABULARY.index(texts.QUESTION)
_COUNTS = ("nats", "targets", "right", "answers")


@dataclasses.dataclass(frozen=True)
class AnswerScore(scores.Score):
  """Scores all tokens by their probabilities, and answers by being right.

  An answer is the token after '?'. Metrics are sums.
  """

  main_metric: str = "accuracy"
  lower_is_better: ClassVar[bool] = False

  def loss(self, outputs: jax.Array, batch: base.Batch) -> jax.Array:
    """Returns the mean negative log-probability of each row's targets, `[B]`.

    Args:
      outputs: `[T, B, V]` logits.
      batch: has integer targets, `[T, B]`.
    """
    return scores.mean_over_steps(_nats(outputs, batch), batch.mask)

  def metrics(self, outputs: jax.Array, batch: base.Batch
              ) -> dict[str, jax.Array]:
    """Returns sums over the targets, and over the answers, of each row."""
    right, answers = _right_answers(outputs, batch)
    return {"nats": _nats(outputs, batch).sum(0), "targets": batch.mask.sum(0),
            "right": right.sum(0), "answers": answers.sum(0)}

  def with_ratios(self, means: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the loss (nats), perplexity and accuracy in place of the sums.

    Windows without any target have the loss 0, those without an answer the
    accuracy 0.
    """
    kept = {name: mean for name, mean in means.items() if name not in _COUNTS}
    loss = _ratio(means["nats"], means["targets"])
    return kept | {"loss": loss, "perplexity": jnp.exp(loss),
                   "accuracy": _ratio(means["right"], means["answers"])}


@dataclasses.dataclass(frozen=True)
class AnswerScoreByTask(AnswerScore):
  """Scores the answers of each task of bAbI, too.

  Targets are `[T, B, 2]`: a token, and the number of its task.

  Attributes:
    numbers: of the tasks.
  """

  numbers: tuple[int, ...] = ()

  def loss(self, outputs: jax.Array, batch: base.Batch) -> jax.Array:
    return super().loss(outputs, _without_tasks(batch))

  def metrics(self, outputs: jax.Array, batch: base.Batch
              ) -> dict[str, jax.Array]:
    number_of, batch = batch.targets[:, :, 1], _without_tasks(batch)
    found = super().metrics(outputs, batch)
    right, answers = _right_answers(outputs, batch)
    for number, names in self._names().items():
      for name, counts in zip(names, (right, answers), strict=True):
        found[name] = jnp.where(number_of == number, counts, 0).sum(0)
    return found

  def with_ratios(self, means: Mapping[str, Any]) -> dict[str, Any]:
    names, kept = self._names(), dict(means)
    of_tasks = {f"qa{number}_accuracy": _ratio(kept.pop(right), kept.pop(asked))
                for number, (right, asked) in names.items()}
    return super().with_ratios(kept) | of_tasks

  def _names(self) -> dict[int, tuple[str, str]]:
    """Maps a task's number to the names of its two sums."""
    return {number: (f"qa{number}_right", f"qa{number}_answers")
            for number in self.numbers}


class Texts(NamedTuple):
  """Holds a text to read, the test text, and counts of the files.

  Attributes:
    text: of the training stories, or of the validation stories to evaluate.
    test: of the test stories; None in training.
    questions: see `reader.Stories`.
    stories: see `reader.Stories`.
    left_out: see `reader.Stories`.
  """

  text: base.Corpus
  test: base.Corpus | None
  questions: Any
  stories: Any
  left_out: Any


@dataclasses.dataclass(frozen=True)
class CatBabi(base.Stream, base.Readable):
  """Reads bAbI's stories as one text, and predicts answers or all words.

  The stories of all tasks lie one after the other, in a random order that is
  always the same, with '<eos>' between them. The state of the core is carried
  from story to story. Words are in lower case, '.' and '?' are words, an answer
  is one word even if it has commas ('n,w'), and supporting facts are removed:
  178 words in `en-10k`, with '<eos>' and a '<pad>' that never occurs 180.

  See "Learning Associative Inference Using Fast Weight Memory" (Schlag et al.,
  2021, arXiv 2011.07831), section 4.1. In its QM mode only the tokens after '?'
  count, in its LM mode all do. Accuracy is over the answers in both, as the
  authors' program has it; perplexity is over what counts.

  Example:
    >>> task = tasks.CatBabi(mode="lm", num_steps=50)
    >>> task.output_size, task.num_steps, task.score.main_metric
    (180, 50, 'accuracy')
    >>> text = "where is mary ? garden"
    >>> task.codec.encode(text).tolist()
    [143, 71, 85, 3, 53]

  Notes:
    The authors take the validation stories of `en-valid-10k`; here they are the
    last tenth of each training file, as in `babi`. Their program leaves out the
    last story of each file, we none. They draw a new order of the stories for
    each epoch, and carry the state into it; here the rows are read again in the
    same order, with a new state, and a state is dropped now and then (see
    `drop_state`). They evaluate the test text in one row; here an evaluation
    cuts it into rows, and each begins with a new state.
    The task is evaluated on the validation text, its variant 'test' on the
    test stories, with the accuracy of each task, `qa1_accuracy` and so on.

  Attributes:
    tasks: numbers of tasks, such as '1' or '1,2,3', or 'all'.
    size: folder of the files, 'en-10k' (10,000 questions a task) or 'en'
      (1,000).
    mode: 'qm': only answers count; 'lm': all tokens do.
    num_steps: steps of a window, over which gradients flow.
  """

  tasks: str = "all"
  size: str = "en-10k"
  mode: str = "qm"
  num_steps: int = 200

  def __post_init__(self):
    super().__post_init__()
    facts.numbers_of(self.tasks)
    checks.check_member("size", self.size, facts.NUM_QUESTIONS)
    checks.check_member("mode", self.mode, MODES)
    checks.check_positive(num_steps=self.num_steps)

  @property
  def numbers(self) -> tuple[int, ...]:
    """The numbers of the tasks."""
    return facts.numbers_of(self.tasks)

  @property
  def output_size(self) -> int:
    return len(texts.VOCABULARY)

  @property
  def codec(self) -> codecs.Codec:
    return codecs.Words(texts.VOCABULARY)

  @property
  def vocabulary_json(self) -> str:
    return codecs.identity(self.codec)

  def with_vocabulary_json(self, text: str) -> Self:
    if text != self.vocabulary_json:
      raise ValueError("is not the vocabulary of this version's catbAbI")
    return self

  @property
  def score(self) -> scores.Score:
    return AnswerScore()

  @property
  def trivial_score(self) -> float:
    """The share of test questions with the most frequent answer."""
    found = collections.Counter[str]()
    for number in self.numbers:
      found.update(facts.FACTS[number].answers)
    return max(found.values()) / found.total()

  @property
  def extrapolations(self) -> Mapping[str, base.Task]:
    """The test text, with the accuracy of each task."""
    return {"test": CatBabiTest(**dataclasses.asdict(self))}

  def summary(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the accuracy of each task in the test text."""
    return {f"qa{number}": metrics[f"test/qa{number}_accuracy"]
            for number in self.numbers}

  def load(self, split: str, data_dir: str | None = None) -> Any:
    """Loads the text of training, or those of validation and test.

    See `reader.load_stories`.
    """
    checks.check_member("split", split, reader.FILE_SPLITS)
    stories = reader.load_stories(
        split, data_dir, self.size,
        {number: facts.FACTS[number].longest for number in self.numbers})
    is_test = split == "test"
    return Texts(self._corpus(stories, part=int(is_test)),
                 self._corpus(stories, part=0) if is_test else None,
                 stories.questions, stories.stories, stories.left_out)

  def _corpus(self, stories: reader.Stories, part: int) -> base.Corpus:
    corpus = texts.corpus(stories, part)
    return corpus if self.mode == "qm" else corpus._replace(scored=None)

  def remarks(self, data: Any) -> Sequence[str]:
    return reader.remarks(self.size, data.questions, data.stories,
                          data.left_out)

  def corpus(self, data: Any) -> base.Corpus:
    return _checked(data).text


@dataclasses.dataclass(frozen=True)
class CatBabiTest(CatBabi):
  """Reads the test text, and scores each task."""

  @property
  def score(self) -> scores.Score:
    return AnswerScoreByTask(numbers=self.numbers)

  @property
  def extrapolations(self) -> Mapping[str, base.Task]:
    return {}

  def summary(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {}

  def corpus(self, data: Any) -> base.Corpus:
    test = _checked(data).test
    if test is None:
      raise ValueError("the data of training hold no test text; pass what "
                       "`load('test')` returns")
    return test

  def window(self, corpus: base.Corpus, rows: jax.Array, num_rows: int,
             position: jax.Array) -> base.Batch:
    """Returns a window as `Stream.window`, with targets `[T, B, 2]`.

    The second of a target is the number of its task.
    """
    batch, of_task = (
        super(CatBabiTest, self).window(
            corpus._replace(tokens=tokens), rows, num_rows, position)
        for tokens in (corpus.tokens, corpus.labels))
    return batch._replace(
        targets=jnp.stack([batch.targets, of_task.targets], 2))


def _checked(data: Any) -> Texts:
  if not isinstance(data, Texts):
    raise ValueError(f"need bAbI's texts as `data`, got "
                     f"{'None' if data is None else type(data).__name__}; pass "
                     "what `load` returns")
  return data


def _without_tasks(batch: base.Batch) -> base.Batch:
  return batch._replace(targets=batch.targets[:, :, 0])


def _right_answers(outputs: jax.Array, batch: base.Batch
                   ) -> tuple[jax.Array, jax.Array]:
  """Returns right answers, and all that count, `[T, B]` float32."""
  chex.assert_equal_shape_prefix([outputs, batch.targets], 2)
  answers = jnp.where(batch.inputs == _QUESTION, batch.mask, 0)
  is_right = outputs.argmax(2) == batch.targets
  return jnp.where(is_right, answers, 0), answers


def _nats(outputs: jax.Array, batch: base.Batch) -> jax.Array:
  """Returns negative log-probabilities where mask = 1, else 0, `[T, B]`."""
  chex.assert_equal_shape_prefix([outputs, batch.targets], 2)
  log_probs = jax.nn.log_softmax(outputs.astype(jnp.float32))
  of_target = jnp.take_along_axis(log_probs, batch.targets[:, :, None], 2)
  return jnp.where(batch.mask > 0, -of_target[:, :, 0], 0)


def _ratio(numerator: Any, denominator: Any) -> Any:
  return numerator / jnp.maximum(denominator, 1e-9)
