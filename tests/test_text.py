"""The task `text`: its sizes, its windows, and how its metrics are counted."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from text_helpers import TEXTS, ready, tokenizer_file, write

import tasks
from tasks.text import score
from tasks.text.text import Texts

pytestmark = pytest.mark.usefixtures("own_cache", "strict_promotion")


@pytest.fixture(params=["words", "characters", "bytes", "json"])
def task(request, tmp_path) -> tasks.Text:
  tokens = request.param
  if tokens == "json":
    tokens = str(tokenizer_file(tmp_path, TEXTS["train"]))
  return ready(write(tmp_path / "data"), tokens=tokens, num_steps=3)


def data_of(task, tmp_path, split="test") -> Texts:
  return task.load(split, str(tmp_path / "data"))


def in_rows(task, data, log_probs, num_rows: int):
  """Returns an evaluation's metrics, with a log-probability for each token."""
  corpus = task.corpus(data)
  sums, rows = {}, jnp.arange(num_rows, dtype=jnp.int32)
  for i in range(tasks.num_windows(task, corpus, num_rows)):
    batch = task.window(corpus, rows, num_rows,
                        jnp.full(num_rows, i * task.num_steps, jnp.int32))
    outputs = jnp.asarray(log_probs)[batch.targets]
    for name, values in task.score.metrics(outputs, batch).items():
      sums[name] = sums.get(name, 0.) + values.sum()
  return {name: float(value)
          for name, value in task.metrics_of(sums, data).items()}


def test_sizes(task):
  vocabulary = task.vocabulary
  assert task.input_size == task.output_size == vocabulary.size > 5
  assert task.input_spec == jax.ShapeDtypeStruct((), jnp.int32)
  assert (task.encoder, task.head) == ("tokens", "softmax")
  assert 0 < task.vocabulary_digest < 2**32


def test_unprepared():
  with pytest.raises(ValueError, match=r"words of the text are not known yet; "
                     r"call prepared\(data_dir\) first"):
    _ = tasks.Text().output_size
  task = tasks.Text(tokens="bytes")
  assert dataclasses.replace(task, num_steps=7).num_steps == 7


@pytest.mark.parametrize("kwargs, words", [
    (dict(num_steps=0), "need num_steps >= 1, got num_steps=0"),
    (dict(vocabulary_from="test"), "unknown vocabulary_from 'test'; valid "),
    (dict(max_words=1), "need max_words >= 2, got 1"),
    (dict(max_words=9, tokens="bytes"), "max_words=9 is for tokens=words, "),
])
def test_bad_arguments(kwargs, words):
  with pytest.raises(ValueError, match=words):
    tasks.Text(**kwargs)


def test_splits(task, tmp_path):
  train, test = (data_of(task, tmp_path, split) for split in ("train", "test"))
  variant, = task.extrapolations.values()
  codec = task.vocabulary.codec
  for corpus, text in ((task.corpus(train), TEXTS["train"]),
                       (task.corpus(test), TEXTS["valid"]),
                       (variant.corpus(test), TEXTS["test"])):
    np.testing.assert_array_equal(corpus.tokens, codec.encode(text))
  assert list(task.extrapolations) == ["test"]
  assert variant != task
  assert variant.extrapolations == {}
  for field in dataclasses.fields(task):
    assert getattr(variant, field.name) == getattr(task, field.name)
  with pytest.raises(ValueError, match="unknown split 'validation'"):
    data_of(task, tmp_path, "validation")
  with pytest.raises(ValueError, match="got None; pass what `load` returns"):
    task.corpus(None)


def test_windows_on_the_device(task, tmp_path):
  """A text may be traced, and no token is left out."""
  data = data_of(task, tmp_path)
  whole = task.corpus(data).tokens

  @jax.jit
  def window(data, position):
    return task.window(task.corpus(data), jnp.arange(2), 2, position)

  read = [[], []]
  for position in range(0, len(whole), 3):
    batch = window(data, jnp.full(2, position, jnp.int32))
    assert batch.inputs.shape == batch.targets.shape == (3, 2)
    assert batch.inputs.dtype == batch.targets.dtype == jnp.int32
    for row in range(2):
      read[row] += [int(x) for x, counts in zip(
          batch.targets[:, row], batch.mask[:, row], strict=True) if counts]
  assert read[0] + read[1] == whole[1:].tolist()


@pytest.mark.parametrize("num_rows", [1, 2, 5])
def test_metrics_are_those_of_the_whole_text(task, tmp_path, num_rows):
  data = data_of(task, tmp_path)
  log_probs = np.log(np.random.default_rng(0).dirichlet(
      np.ones(task.output_size))).astype(np.float32)
  for one, text in ((task, TEXTS["valid"]),
                    (task.extrapolations["test"], TEXTS["test"])):
    tokens = one.corpus(data).tokens
    nats = -log_probs[tokens[1:]].astype(np.float64).sum()
    # Of the first token, one word, character or byte is known.
    words = len(text.split()) + text.count("\n") - 1
    assert words > 5
    found = in_rows(one, data, log_probs, num_rows)
    expected = {"loss": nats / (len(tokens) - 1),
                "perplexity": math.exp(nats / words)}
    for name in ("character", "byte"):
      expected[f"bits_per_{name}"] = nats / math.log(2) / (len(text) - 1)
    for name, value in expected.items():
      assert found[name] == pytest.approx(value, rel=1e-5), name


def test_main_metrics(tmp_path):
  folder = write(tmp_path / "data")
  for tokens, metric in (
      ("words", "perplexity"), ("characters", "bits_per_character"),
      ("bytes", "bits_per_byte")):
    found = ready(folder, tokens=tokens).score
    assert found.main_metric == metric
    assert found.lower_is_better
    assert found.of_targets
  path = tokenizer_file(tmp_path, TEXTS["train"])
  assert ready(folder, tokens=str(path)).score.main_metric == "perplexity"


def test_the_trivial_score_is_that_of_the_frequencies(task, tmp_path):
  train, test = (data_of(task, tmp_path, split) for split in ("train", "test"))
  counts = np.bincount(train.train.tokens, minlength=task.output_size) + 1
  log_probs = np.log(counts / counts.sum()).astype(np.float32)
  for one in (task, task.extrapolations["test"]):
    found = in_rows(one, test, log_probs, 1)
    assert one.trivial_score == pytest.approx(
        found[one.score.main_metric], rel=1e-5)
  assert task.trivial_score != task.extrapolations["test"].trivial_score


def test_multibyte_characters_are_one_character(tmp_path):
  folder = write(tmp_path / "data", {
      split: text.replace("a", "ä") for split, text in TEXTS.items()})
  for tokens in ("words", "characters", "bytes"):
    task = ready(folder, tokens=tokens)
    data = task.load("test", str(folder))
    text = TEXTS["valid"].replace("a", "ä")
    units = data.validation.per_target
    assert units["characters"] / units["bytes"] == pytest.approx(
        (len(text) - 1) / (len(text.encode()) - 1), rel=1e-6)


@pytest.mark.parametrize("model", ["WordLevel", "Unigram"])
def test_what_a_tokenizer_lacks_is_told(tmp_path, model):
  """Else bits per byte would be those of another text."""
  tokenizers = pytest.importorskip("tokenizers")
  lost = "zebra" if model == "WordLevel" else "é"
  folder = write(tmp_path / "data", TEXTS | {
      "test": f"the {lost} <unk>\nthe {lost}\n"})
  pieces = ["<unk>", "the", "dog", "saw", "cat", "a"]
  tokenizer = tokenizers.Tokenizer(
      tokenizers.models.WordLevel(dict(zip(pieces, range(6), strict=True)),
                                  unk_token="<unk>") if model == "WordLevel"
      else tokenizers.models.Unigram([(piece, -1.) for piece in pieces], 0))
  tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
  tokenizer.add_special_tokens(["<unk>"])
  path = tmp_path / "tokenizer.json"
  tokenizer.save(str(path))
  task = ready(folder, tokens=str(path))
  data = task.load("test", str(folder))
  # The text's own '<unk>' is not lost.
  assert task.remarks(data) == [
      "test: 2 of 5 tokens are not in the vocabulary and count as <unk>"]
  assert set(data.test.per_target) == {"words"}
  assert set(data.validation.per_target) == {"words", "characters", "bytes"}


def test_perplexity_by_frequency(tmp_path):
  train = "often " * 11 + "middle " * 10 + "edge " * 5 + "rare " * 4 + "<unk>\n"
  text = "\n often often middle edge\n rare never often <unk> middle\n"
  folder = write(tmp_path / "data", {
      "train": train, "valid": text, "test": "often\n\n"})
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(score, "OFTEN", 10)
    patch.setattr(score, "SELDOM", 5)
    task = ready(folder, num_steps=2)
  assert task.vocabulary.codec.entries == (
      "often", "middle", "edge", "rare", "<eos>", "<unk>", "never")
  data = task.load("test", str(folder))
  log_probs = -np.arange(1, 8, dtype=np.float32)
  found = in_rows(task, data, log_probs, 3)
  words = [word for line in text.splitlines()
           for word in [*line.split(), "<eos>"]][1:]
  for name, group in zip(score.GROUPS, (
      ["often"], ["middle", "edge"], ["rare", "<eos>", "<unk>", "never"]),
                         strict=True):
    nats = [-log_probs[task.vocabulary.codec.numbers[word]]
            for word in words if word in group]
    assert len(nats) > 2
    assert found[f"perplexity_{name}"] == pytest.approx(
        math.exp(np.mean(nats)), rel=1e-5)
  # A text without words of a group has no perplexity of it.
  assert math.isnan(in_rows(task.extrapolations["test"], data, log_probs, 1)[
      "perplexity_1000_to_10000"])
  # In training, they are left out.
  train = in_rows(task, task.load("train", str(folder)), log_probs, 1)
  assert set(train) == {"loss", "perplexity", "bits_per_character",
                        "bits_per_byte"}
  assert not any(name.startswith(("nats", "targets")) for name in found)


def test_frequent_words_are_counted_in_the_training_text(tmp_path):
  text = "a " * 10_001 + "b " * 10_000 + "c " * 1_000 + "d " * 999
  folder = write(tmp_path / "data", {
      "train": text, "valid": "d " * 20_000, "test": "e e"})
  task = ready(folder)
  assert task.vocabulary.codec.entries == ("a", "b", "c", "d", "<eos>", "e")
  assert task.vocabulary.frequent == (1, 3)


def test_other_metrics_pass(task):
  means = dict(nats=jnp.float32(6), targets=jnp.float32(3),
               grad_norm=jnp.float32(5))
  means |= {f"{kind}_{name}": jnp.float32(1) for kind in ("nats", "targets")
            for name in score.GROUPS}
  found = task.score.with_ratios(means)
  assert set(found) == {"loss", "grad_norm", task.score.main_metric}
  assert found["loss"] == 2
  assert found["grad_norm"] == 5


def test_hashable_and_static_under_jit(task, tmp_path):
  again = ready(tmp_path / "data", tokens=task.tokens, num_steps=3)
  traces = []

  assert again is not task
  assert again == task
  assert hash(again) == hash(task)
  assert again.score == task.score
  traced = jax.jit(lambda task, x: traces.append(1) or x, static_argnums=0)
  traced(task, 1.)
  traced(again, 1.)
  assert len(traces) == 1
  other = write(tmp_path / "other", TEXTS | {"train": "other words\n<unk>é"})
  if task.tokens in ("words", "characters"):
    assert ready(other, tokens=task.tokens, num_steps=3) != task
