"""Tests the benchmark of language models: its programs, and its table."""

import json

import jax
import numpy as np
import pytest
from launch_helpers import run

from launch import benchmark
from launch.benchmarks import language, measure

TINY = language.Size("words", 23, 17, 2, 5, 4, (7, 13))
LETTERS = language.Size("characters", 11, 3, 1, 5, 4)
MODELS = ["awd_lstm", "awd_lstm, adaptive", "PyTorch LSTM",
          "PyTorch LSTM, adaptive"]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
  monkeypatch.setattr(measure, "TURN", 0.)
  monkeypatch.setattr(language, "SIZES", (TINY, LETTERS))
  monkeypatch.setattr(language, "NUM_TOKENS", 997)


def measured(tmp_path, *argv):
  assert run(benchmark, "--suite=language", f"--output={tmp_path}",
             "--repeats=1", *argv) == 0
  return json.loads((tmp_path / "benchmark.json").read_text())["rows"]


@pytest.mark.parametrize("has_torch", [True, False])
def test_rows(monkeypatch, tmp_path, capsys, has_torch):
  """Times are of updates; each adaptive model is compared with its own kind."""
  seconds = {"awd_lstm": 2., "awd_lstm, adaptive": 1., "PyTorch LSTM": 6.,
             "PyTorch LSTM, adaptive": 4.}

  def programs(size, cutoffs, label):
    if "PyTorch" in label and not has_torch:
      return None
    assert cutoffs == ((7, 13) if "adaptive" in label else ())
    return [fixed(label, seconds[label]),
            fixed(f"{label}: windows", seconds[label] / 8)]

  monkeypatch.setattr(language, "_programs", programs)
  monkeypatch.setattr(language, "_torch_programs", programs)
  rows = measured(tmp_path)
  assert [row["model"] for row in rows] == [*MODELS, *MODELS[::2]]
  times = [(row.get("times_faster"), row.get("times_full")) for row in rows]
  if has_torch:
    assert times == [(3., None), (4., 2.), (None, None), (None, 1.5),
                     (3., None), (None, None)]
  else:
    assert times == [(None, None), (None, 2.), *[(None, None)] * 4]
  assert rows[0]["tokens_per_second"] == 5 * 4 / 2
  assert rows[0]["share_of_data"] == 1 / 8
  out = capsys.readouterr().out
  assert (measure.ABSENT in out) != has_torch
  assert "12.50%" in out


def fixed(label, seconds):
  program = object.__new__(measure.Calls)
  program.case = measure.Case(label, "", (), 1, language.UPDATES)
  program.run = lambda: seconds * language.UPDATES
  return program


@pytest.mark.parametrize("cutoffs", [(), TINY.cutoffs])
def test_our_programs_train(cutoffs):
  update, draw = language._programs(TINY, cutoffs, "it")
  assert [program.case.label for program in (update, draw)] == [
      "it", "it: windows"]
  assert update.run() > 0 and draw.run() > 0


def test_the_loss_falls():
  trainer = language.make_trainer(TINY)
  data = trainer.put_data(language.tasks.Corpus(language.make_text(TINY)))
  state = trainer.put(trainer.initial_state())
  losses = []
  for _ in range(3):
    state, metrics = trainer.train(state, data, 40)
    losses.append(float(metrics["loss"][0]))
  assert losses[0] > losses[1] > losses[2]


def test_words_are_as_frequent_as_those_of_wikitext(monkeypatch):
  monkeypatch.setattr(language, "NUM_TOKENS", 50_000)
  text = language.make_text(language.Size("", 33_278, 1, 1, 1, 1))
  assert [np.mean(text < rank) for rank in (
      1_000, 4_000, 10_000, 20_000)] == pytest.approx(
          [.736, .865, .938, .981], abs=.02)


@pytest.mark.parametrize("cutoffs", [(), TINY.cutoffs])
def test_pytorch_trains(cutoffs):
  torch = pytest.importorskip("torch")
  from launch.benchmarks import language_torch

  assert language_torch.is_available("cpu")
  update, draw = language_torch.make_calls(
      "cpu", language.make_text(TINY), 2, TINY.num_steps, TINY.batch_size,
      max_grad_norm=.25, learning_rate=1e-2, vocabulary=TINY.vocabulary,
      num_units=TINY.num_units, num_layers=TINY.num_layers, cutoffs=cutoffs)
  losses = [update().item() for _ in range(150)]  # Also past the rows' end.
  assert np.mean(losses[-20:]) < np.mean(losses[:20])
  inputs, targets = draw()
  assert inputs.shape == targets.shape == (TINY.num_steps, TINY.batch_size)
  assert torch.equal(inputs[1:], targets[:-1])


def test_models_are_of_one_size():
  torch = pytest.importorskip("torch")
  from launch.benchmarks import language_torch

  for cutoffs in ((), TINY.cutoffs):
    net = language_torch.LanguageModel(
        TINY.vocabulary, TINY.num_units, TINY.num_layers, cutoffs)
    theirs = sum(p.numel() for p in net.parameters())
    # PyTorch has two vectors of biases in each layer.
    theirs -= TINY.num_layers * 4 * TINY.num_units
    params = language.make_trainer(TINY, cutoffs).initial_state().train.params
    assert sum(p.size for p in jax.tree.leaves(params)) == theirs
  assert torch.__version__


@pytest.mark.parametrize("argv, message", [
    (["--sizes=5"], "this suite has the sizes 17, 3, got 5"),
    (["--models=LSTM"], "LSTM")])
def test_bad_options(tmp_path, capsys, argv, message):
  assert run(benchmark, "--suite=language", f"--output={tmp_path}", *argv) == 2
  assert message in capsys.readouterr().err
