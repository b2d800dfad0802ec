"""Model cards: one page about a run, and a network made of a run."""

import json
import os
import shlex

import config_helpers
import numpy as np
import pytest
from launch_helpers import assert_same, records, run, saved_state, tiny_flags

import tasks
from launch import describe, train
from launch.cards import command, export
from launch.configs import config as config_lib
from launch.configs import environment
from launch.runs import Run, strict_json
from rmc_nalu_sam import trained

ARITHMETIC = ["--task=arithmetic", "--core=stack", "--unit=nau"]


def make_run(workdir, flags, metrics, *, step=20, evaluation=None):
  """Makes the folder of a run without training it."""
  workdir.mkdir()
  config_lib.save(config_helpers.resolve(*flags), workdir)
  loss = np.zeros(np.shape(next(iter(metrics.values()), 0.))).tolist()
  lines = [dict(step=step, split="train", seconds=90., loss=loss),
           dict(step=step, split="eval", seconds=93., **metrics)]
  (workdir / "metrics.jsonl").write_text(
      "".join(strict_json.dumps(line) + "\n" for line in lines))
  if evaluation:
    (workdir / "evaluation.json").write_text(strict_json.dumps(evaluation))
  return workdir


def described(workdir, *flags):
  """Returns the lines of a run's card."""
  assert run(describe, f"--workdir={workdir}", *flags) == 0
  return (workdir / "card.md").read_text().splitlines()


def test_one_seed(tmp_path):
  workdir = make_run(tmp_path / "copy", [
      "--preset=sam_copy", "--core.num_slots=32", "--steps=20"],
                     dict(bits_wrong=7.25, loss=0.4))
  (workdir / "learning_curve.png").touch()
  lines = described(workdir)
  assert lines[0] == "# copy"
  assert "hidden_size=100, num_heads=1, num_slots=32, top_k=4" in "".join(lines)
  assert "| updates | 20, with batches of 16 |" in lines
  assert "| time | 1.6 minutes |" in lines
  assert f"| machine | {environment.machine()} |" in lines
  assert f"| commit | {environment.commit()} |" in lines
  assert ("python -m launch.train --preset=sam_copy --steps=20 "
          "--core.num_slots=32 --workdir=runs/copy") in lines
  assert "| as trained | bits_wrong | 7.25 | 42 |" in lines
  assert "![learning_curve](learning_curve.png)" in lines
  assert "Generated while it trains." in lines
  assert "- One seed was trained; another may be better or worse." in lines


def test_another_place_has_links_to_the_pictures(tmp_path):
  workdir = make_run(tmp_path / "a run", ["--core=lstm"], dict(bits_wrong=1.))
  (workdir / "memory.png").touch()
  page = tmp_path / "pages" / "card.md"
  assert run(describe, f"--workdir={workdir}", f"--output={page}") == 2
  page.parent.mkdir()
  assert run(describe, f"--workdir={workdir}", f"--output={page}") == 0
  assert "](../a%20run/memory.png)" in page.read_text()
  assert os.listdir(workdir).count("card.md") == 0


def test_many_seeds_and_variants(tmp_path):
  workdir = make_run(
      tmp_path / "seeds", [*ARITHMETIC, "--num_seeds=3", "--steps=70"],
      {"mse": [3., 1., float("nan")], "extrapolation/mse": [5., 7., 11.]})
  lines = described(workdir)
  assert "| seeds | 0 to 2 |" in lines
  (trained_on, beyond) = (line.split(" | ") for line in lines
                          if " | mse | " in line)
  assert trained_on[:5] == ["| as trained", "mse", "3", "1", "inf"]
  assert beyond[:5] == ["| extrapolation, a variant", "mse", "7", "5", "11"]
  assert "- The run ended after 20 of 70 updates." in lines


def test_a_sweep(tmp_path):
  workdir = make_run(
      tmp_path / "sweep", ["--core=lstm", "--num_seeds=2",
                           "--learning_rate=1e-3,1e-2"],
      dict(bits_wrong=[5., 6., 2., 3.]))
  lines = described(workdir)
  assert "| optimizer.learning_rate | 0.001, 0.01 |" in lines
  assert ("| optimizer.learning_rate=0.01: as trained | bits_wrong | 2.5 | 2 | "
          "3 | 42 |") in lines
  assert any("best by validation: optimizer.learning_rate=0.01" in line
             for line in lines)


def test_an_evaluation_at_levels(tmp_path):
  row = dict(episodes=5, bits_wrong=4., guess=80.)
  evaluation = dict(step=20, levels=[dict(row, level=20, trained=True),
                                     dict(row, level=40, trained=False)])
  flags = ["--core=lstm", "--steps=20"]
  lines = described(make_run(
      tmp_path / "new", flags, dict(bits_wrong=1.), evaluation=evaluation))
  assert "| level 20 | bits_wrong | 4 | 80 |" in lines
  assert "| level 40, beyond training | bits_wrong | 4 | 80 |" in lines
  # An evaluation before more training is not of the run's newest checkpoint.
  lines = described(make_run(
      tmp_path / "old", flags, dict(bits_wrong=1.),
      evaluation=evaluation | dict(step=10)))
  assert "| as trained | bits_wrong | 1 | 42 |" in lines
  assert not any("level 40" in line for line in lines)


def test_a_text_needs_its_vocabulary_only(tmp_path):
  data = tmp_path / "data"
  data.mkdir()
  (data / "input.txt").write_text("abcab" * 40)
  task = tasks.Text(tokens="characters").prepared(str(data))
  workdir = make_run(tmp_path / "text", [
      "--preset=shakespeare", "--task.name=", "--core.hidden_size=7",
      f"--data_dir={tmp_path / 'nothing'}"],
                     {"bits_per_character": 1.5, "test/bits_per_character": 2.})
  (workdir / "vocabulary.json").write_text(task.vocabulary_json)
  lines = described(workdir)
  guess = f"{task.trivial_score:.4g}"
  assert f"| as trained | bits_per_character | 1.5 | {guess} |" in lines
  assert "Text; tiny Shakespeare (input.txt)." in lines
  assert any("--data_dir=$data" in line for line in lines)
  assert str(tmp_path) not in "\n".join(lines)


def test_an_agent(tmp_path):
  workdir = make_run(tmp_path / "agent", [
      "--preset=time_tracking", "--core.hidden_size=5"], {"return": 0.5})
  (workdir / "episode.gif").touch()
  lines = described(workdir)
  assert "Played while it trains." in lines
  assert any(line.startswith("| as trained | return | 0.5 | -0.0")
             for line in lines)
  assert "![episode](episode.gif)" in lines


def test_an_older_run_names_no_machine(tmp_path):
  workdir = make_run(tmp_path / "old", ["--core=lstm"], dict(bits_wrong=1.))
  path = workdir / "config.json"
  stored = json.loads(path.read_text())
  for written in (None, dict(commit="abc123", jax="0.10"), []):
    path.write_text(json.dumps(stored | {"written_by": written}))
    lines = described(workdir)
    assert "| machine | not recorded |" in lines
    assert ("| commit | abc123 |" in lines) == bool(written)
    assert ("| versions | jax 0.10 |" in lines) == bool(written)


@pytest.mark.parametrize("flags", [
    "--preset=sam_copy --core=lstm",
    "--preset=arithmetic_module --unit=nmu --operation=mul",
    "--preset=nth_farthest --core=dnc --core.num_slots=5 --seed=3",
    "--task=associative_recall --core=ntm --core.num_heads=2 --noreuse_memory",
    "--core=sam --core.index=lsh --index.num_tables=3 --reuse_memory",
    "--core=lstm --optimizer=rmsprop --learning_rate=0.1,0.2 --max_grad_norm=3",
    "--preset=curriculum_copy --curriculum.start=16 --core=sam",
    "--preset=time_tracking --core=nac_lstm --agent.discount=0.5",
    "--preset=shakespeare --core=rmc --task.name=a'b --data_dir=/a/b"])
def test_the_command_gives_the_configuration(flags):
  config = config_helpers.resolve(*flags.split())
  words = shlex.split(command.of(config))
  assert words[:3] == ["python", "-m", "launch.train"]
  again = config_helpers.resolve(*words[3:])
  again.data_dir = config.data_dir
  assert again.to_dict() == config.to_dict()


def test_a_preset_of_a_file_is_not_called():
  config = config_helpers.resolve("--core=lstm", "--core.hidden_size=5")
  config.preset = "antigravity:fly"
  words = command.of(config).split()
  assert words[3:] == ["--core=lstm", "--core.hidden_size=5"]


# Errors.


@pytest.mark.parametrize("flags, words", [
    (("--episodes=5",), "--workdir is missing"),
    (("--workdir=nowhere",), "nowhere/config.json does not exist"),
])
def test_no_run(tmp_path, monkeypatch, capsys, flags, words):
  monkeypatch.chdir(tmp_path)
  assert run(describe, *flags) == config_lib.EXIT_USAGE
  assert words in capsys.readouterr().err


def test_a_run_that_was_not_evaluated(tmp_path, capsys):
  workdir = make_run(tmp_path / "new", ["--core=lstm"], {})
  (workdir / "metrics.jsonl").write_text("")
  assert run(describe, f"--workdir={workdir}") == config_lib.EXIT_USAGE
  assert "was not evaluated yet" in capsys.readouterr().err


def test_what_is_not_exported(tmp_path, capsys):
  workdir = make_run(tmp_path / "a", ["--core=lstm"], dict(bits_wrong=1.))
  assert run(describe, f"--workdir={workdir}", "--export=../a") == 2
  assert "--export=../a: need small letters" in capsys.readouterr().err
  workdir = make_run(tmp_path / "b", [
      "--task=small_environments:Cue", "--core=lstm"], {"return": 1.})
  assert run(describe, f"--workdir={workdir}", "--export=a") == 2
  assert "a member of your own, small_environments" in capsys.readouterr().err


# A network of a run.


def test_export(tmp_path):
  workdir, folder = tmp_path / "run", tmp_path / "networks"
  flags = tiny_flags(num_seeds=4, steps=2, optimizer="adam")
  assert run(train, *flags, f"--workdir={workdir}") == 0
  assert run(describe, f"--workdir={workdir}", "--export=my_copy",
             f"--folder={folder}", "--episodes=24", "--about=Copies.") == 0
  network = trained.load(folder, "my_copy")
  last = records(workdir, "eval")[-1]["bits_wrong"]
  best = int(np.argmin(last))
  assert best != 0, "take another seed: this test needs a choice"
  assert network.card["seed"] == best
  params = saved_state(workdir).train.params
  assert_same(network.params,
              {module: {name: value[best] for name, value in values.items()}
               for module, values in params.items()})
  first, *_ = network.card["figures"]
  assert first["value"] == pytest.approx(last[best], rel=1e-5)
  assert export.measure(network.card, network.params) == (
      network.card["figures"])
  assert network.card["about"] == "Copies."
  assert network.card["config"]["num_seeds"] == 1
  assert "chosen as the best of 4" in " ".join(network.card["limits"]).lower()
  opened = Run(workdir)
  assert export._more(opened, 2)["config"]["seed"] == 2
  assert opened.config == Run(workdir).config  # It trains on as it was.


def test_data_of_others_need_a_licence(tmp_path, capsys):
  workdir = make_run(tmp_path / "a", [
      "--preset=mnist_addition", "--data_dir=/nowhere"], dict(mae=1.))
  assert run(describe, f"--workdir={workdir}", "--export=a") == 2
  assert "--licence is missing" in capsys.readouterr().err
