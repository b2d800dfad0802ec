"""Tests launch.sample: tokens drawn by rules, and text as it comes."""

import io
import itertools
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from launch_helpers import run, tiny_flags

import tasks
from launch import sample, train
from launch.texts import drawing
from launch.texts.drawing import Rule
from rmc_nalu_sam import make_model
from tasks.text import codecs

TEXT = "abcdefabcdeffacefacebbdd" * 2
PROBS = np.array([.1, .4, .05, .25, .2])


def shares(rule, logits=None, count=4_000):
  """Returns how often each token is drawn."""
  logits = jnp.log(PROBS) if logits is None else logits
  tokens = jax.vmap(lambda key: drawing.draw(key, logits, rule))(
      jax.random.split(jax.random.key(0), count))
  return np.bincount(tokens, minlength=len(logits)) / count


@pytest.mark.parametrize("rule, wanted", [
    (Rule(), PROBS),
    (Rule(temperature=.5), PROBS**2 / (PROBS**2).sum()),
    (Rule(temperature=0.), [0, 1, 0, 0, 0]),
    (Rule(temperature=1e-30), [0, 1, 0, 0, 0]),
    (Rule(top_k=2), [0, .4 / .65, 0, .25 / .65, 0]),
    (Rule(top_k=7), PROBS),
    (Rule(top_p=.6), [0, .4 / .65, 0, .25 / .65, 0]),
    (Rule(top_p=1e-6), [0, 1, 0, 0, 0]),
    # After the two most likely ones are taken, 0.6 of them is one.
    (Rule(top_k=2, top_p=.6), [0, 1, 0, 0, 0])])
def test_rules(rule, wanted):
  np.testing.assert_allclose(shares(rule), wanted, atol=.03)


def test_the_first_ones_of_equal_tokens():
  assert shares(Rule(top_k=2), jnp.zeros(5))[2:].sum() == 0


@pytest.mark.parametrize("arguments, match", [
    (dict(temperature=-.1), "temperature must be .* got -0.1"),
    (dict(temperature=float("nan")), "temperature must be .* got nan"),
    (dict(temperature=float("inf")), "temperature must be .* got inf"),
    (dict(top_k=-1), "top_k must be at least 0 .* got -1"),
    (dict(top_p=0.), "top_p must be above 0 .* got 0.0"),
    (dict(top_p=1.1), "top_p must be .* at most 1 .* got 1.1")])
def test_bad_rules(arguments, match):
  with pytest.raises(ValueError, match=match):
    Rule(**arguments)


@pytest.fixture(scope="module")
def network():
  model = make_model("lstm", 11, encoder="tokens", input_size=None,
                     encoder_args=dict(output_size=3), hidden_size=5)
  return model, model.init(jax.random.key(1), jnp.zeros([1, 1], int))


def first(network, count, seed=3, prompt=(4, 2, 7), rule=Rule()):  # noqa: B008
  return list(itertools.islice(drawing.continued(
      *network, np.array(prompt), rule, seed), count))


@pytest.mark.parametrize("chunk", [1, 5])
def test_chunks_draw_the_same(network, monkeypatch, chunk):
  wanted = first(network, 23)
  assert len(set(wanted)) > 3
  monkeypatch.setattr(drawing, "CHUNK", chunk)
  assert first(network, 23) == wanted
  assert first(network, 7) == wanted[:7]
  assert first(network, 23, seed=4) != wanted


def test_greedy_tokens_are_those_of_the_whole_text(network):
  """Each token is the most likely one after all tokens before it."""
  prompt = [4, 2, 7]
  drawn = first(network, 20, rule=Rule(temperature=0.))
  model, params = network
  outputs = model.unroll(
      params, None, jnp.array([*prompt, *drawn])[:, None],
      model.initial_state(params, 1)).outputs[:, 0]
  assert list(outputs.argmax(1)[2:-1]) == drawn
  assert first(network, 5, prompt=[7], rule=Rule(temperature=0.)) != drawn[:5]


def test_a_network_without_numbers(network):
  model, params = network
  broken = jax.tree.map(lambda x: x * jnp.nan, params)
  with pytest.raises(ValueError, match="not finite numbers"):
    first((model, broken), 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """Returns the folder of a run whose data are gone."""
  folder = tmp_path_factory.mktemp("letters")
  data, workdir = folder / "data", folder / "run"
  data.mkdir()
  (data / "text.txt").write_text(TEXT)
  argv = ["--task=letters:Letters", f"--data_dir={data}", "--core=lstm",
          "--core.hidden_size=7", "--encoder.output_size=3", "--batch_size=4",
          "--num_seeds=2", "--steps=4", "--eval_every=4"]
  assert run(train, *argv, f"--workdir={workdir}") == 0
  return workdir, data


def printed(capsys, workdir, *argv):
  capsys.readouterr()
  status = run(sample, f"--workdir={workdir}", *argv)
  return status, *capsys.readouterr()


def test_text_without_data(trained, capsys):
  workdir, data = trained
  moved = data.rename(data.with_name("moved"))
  try:
    argv = ("--prompt=face", "--num_tokens=30")
    status, out, _ = printed(capsys, workdir, *argv, "--seed=5")
    assert status == 0
    assert out.startswith("face") and out.endswith("\n")
    assert len(out) == 35 and set(out[:-1]) <= set(TEXT)
    assert printed(capsys, workdir, *argv, "--seed=5")[1] == out
    assert printed(capsys, workdir, *argv, "--seed=6")[1] != out
    assert printed(capsys, workdir, *argv, "--top_k=1")[1] == printed(
        capsys, workdir, *argv, "--temperature=0")[1]
    assert printed(capsys, workdir, "--prompt=face", "--num_tokens=3",
                   "--seed=5")[1][:-1] == out[:7]
  finally:
    moved.rename(data)


def test_each_piece_is_printed_at_once(trained, capsys, monkeypatch):
  """After Ctrl-C what was drawn stands there, and one line on stderr."""
  original = drawing.continued

  def interrupted(*args):
    yield from itertools.islice(original(*args), 3)
    raise KeyboardInterrupt

  monkeypatch.setattr(drawing, "continued", interrupted)
  status, out, err = printed(capsys, trained[0], "--prompt=fa")
  assert status == 130
  assert len(out) == 6 and out.startswith("fa") and out.endswith("\n")
  assert err.splitlines()[-1].startswith("interrupted")


@pytest.mark.parametrize("argv, message", [
    (["--temperature=-1"], "--temperature must be a finite number of at least"),
    (["--top_k=-1"], "--top_k must be at least 0"),
    (["--top_p=2"], "--top_p must be above 0"),
    (["--prompt=faz"], "--prompt: 'z' is not among 'abcdef'"),
    (["--prompt="], "--prompt='' has no token")])
def test_bad_flags(trained, capsys, argv, message):
  status, out, err = printed(capsys, trained[0], *argv)
  assert (status, out) == (2, "")
  assert err.splitlines()[-1].startswith(f"error: {message}")


def test_runs_that_are_no_text(trained, capsys, tmp_path):
  workdir, _ = trained
  other = tmp_path / "copy"
  assert run(train, *tiny_flags(), "--steps=1", f"--workdir={other}") == 0
  assert not (other / "vocabulary.json").exists()
  assert "copy, which is no text to continue" in printed(capsys, other)[2]
  for name, message in (("checkpoints", "holds no checkpoint yet"),
                        ("vocabulary.json", "vocabulary.json does not exist"),
                        ("config.json", "config.json does not exist")):
    damaged = tmp_path / f"without {name}"
    shutil.copytree(workdir, damaged)
    path = damaged / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    status, out, err = printed(capsys, damaged, "--prompt=fa")
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]
  (damaged / "config.json").write_bytes((workdir / "config.json").read_bytes())
  (damaged / "vocabulary.json").write_text("{")
  assert "error: cannot read" in printed(capsys, damaged)[2].splitlines()[-1]


def test_a_resumed_run_keeps_its_vocabulary(trained, capsys, tmp_path):
  workdir, _ = trained
  copy = tmp_path / "run"
  shutil.copytree(workdir, copy)
  path = copy / "vocabulary.json"
  before = path.stat().st_mtime_ns, path.read_text()
  assert run(train, f"--workdir={copy}", "--steps=5") == 0
  assert (path.stat().st_mtime_ns, path.read_text()) == before
  other = tmp_path / "data"
  other.mkdir()
  (other / "text.txt").write_text(TEXT + "z")
  files = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
  capsys.readouterr()
  assert run(train, f"--workdir={copy}", f"--data_dir={other}",
             "--steps=6") == 2
  assert "the data have another vocabulary" in capsys.readouterr().err
  assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == files


@pytest.mark.parametrize("kind, prompt, begin", [
    ("bytes", "n\u00fc\u20ac", "n\u00fc\u20ac"),
    ("words", "der b\u00e4r fliegt\n", "der b\u00e4r <unk>\n")])
def test_a_text_of_a_folder(tmp_path, capsys, kind, prompt, begin):
  """Characters of several bytes are whole, unknown words are `<unk>`."""
  text = "der b\u00e4r kam , \u20ac <unk> f\u00fcr n\u00fcsse .\n" * 5
  for split in ("train", "valid", "test"):
    (tmp_path / f"{split}.txt").write_text(text, encoding="utf-8")
  workdir = tmp_path / "run"
  assert run(train, "--task=text", f"--task.tokens={kind}", "--core=lstm",
             "--core.hidden_size=3", "--encoder.output_size=3",
             f"--data_dir={tmp_path}", "--task.num_steps=5", "--batch_size=4",
             "--steps=1",
             f"--cache_dir={tmp_path / 'cache'}", f"--workdir={workdir}") == 0
  for split in ("train", "valid", "test"):
    (tmp_path / f"{split}.txt").unlink()
  argv = (f"--prompt={prompt}", "--num_tokens=20", "--seed=3")
  status, out, err = printed(capsys, workdir, *argv)
  assert status == 0, err
  assert out.startswith(begin) and len(out) > len(begin) + 5
  assert printed(capsys, workdir, *argv)[1] == out


def test_a_terminal_without_some_characters_gets_escapes(
    tmp_path, monkeypatch):
  for split in ("train", "valid", "test"):
    (tmp_path / f"{split}.txt").write_text("n\u20ac n\u20ac\n" * 9,
                                           encoding="utf-8")
  argv = ["--task=text", "--task.tokens=characters", "--core=lstm",
          "--core.hidden_size=3", "--encoder.output_size=3", "--steps=1",
          f"--data_dir={tmp_path}", "--batch_size=1", "--task.num_steps=5",
          f"--cache_dir={tmp_path / 'cache'}"]
  workdir = tmp_path / "run"
  assert run(train, *argv, f"--workdir={workdir}") == 0
  stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
  monkeypatch.setattr(sys, "stdout", stdout)
  assert run(sample, f"--workdir={workdir}", "--prompt=n\u20ac") == 0
  assert stdout.buffer.getvalue().startswith(rb"n\u20ac")


def test_words_of_catbabi():
  task = tasks.CatBabi()
  text = "mary went to the kitchen .\nwhere is mary ? kitchen"
  assert "".join(task.codec.as_they_come(task.codec.encode(text))) == text
  assert task.with_vocabulary_json(task.vocabulary_json) == task
  with pytest.raises(ValueError, match="not the vocabulary"):
    task.with_vocabulary_json("[]")


@pytest.mark.parametrize("codec", [
    codecs.Bytes(), codecs.Characters(sorted(set("n\u00fc\u20ac \n"))),
    codecs.Words(["n\u00fc\u20ac", "\u20ac\u20ac\u20ac", codecs.END])])
def test_a_long_text_comes_piece_by_piece_as_a_whole(codec):
  """The pieces are whole characters, though only the last tokens are kept."""
  text = "n\u00fc\u20ac \u20ac\u20ac\u20ac\n" * 40 + "n\u00fc\u20ac"
  tokens = codec.encode(text)
  pieces = list(codec.as_they_come(iter(tokens)))
  assert len(tokens) > 2 * codecs._MAX_READ - 20
  assert "".join(pieces) == codec.decode(tokens) == text
  assert "\ufffd" not in "".join(pieces) and len(pieces) > 100
