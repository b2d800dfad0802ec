"""Experiments, their files of results, and RESULTS.md."""

import dataclasses
import json
import re

import pytest
from launch_helpers import run

from launch import reproduce
from launch.configs.config import EXIT_USAGE
from launch.evidence import (
    accelerator,
    listing,
    page,
    results,
    runner,
    selection,
    tables,
)
from launch.evidence.experiment import Cell, Experiment, Figure, Piece

TINY = ("--task=copy --core=lstm --core.hidden_size=3 --steps=4 --log_every=2 "
        "--eval_every=2 --eval_episodes=4 --batch_size=2 --task.max_length=2")
GOOD = Piece("lstm", f"{TINY} --num_seeds=2",
             {Cell("LSTM", "copy"): "bits_wrong"},
             {"tiny": "", "small": "--steps=8"}, evaluate="--levels=3")
BAD = Piece("bad", TINY, {Cell("bad", "copy"): "bits_wrong"},
            {"tiny": "--learning_rate=0"})
COPY = Experiment(
    "copy", "Copying", "A paper (2016), Figure 1", "bits wrong",
    {Cell("LSTM", "copy"): 1.5, Cell("NTM", "copy"): "none"}, (BAD, GOOD),
    paper_episodes=80, note="What it shows.",
    figures=(Figure("copy.png", "Copying"),))
LATER = Experiment("later", "Later", "A paper, Table 2", "error",
                   {Cell("LSTM", "error"): 2.}, missing="needs words")


def entry(**fields):
  return results.Entry(**dict(
      piece="lstm", scale="small", commands=["python -m launch.train --x=1"],
      commit="abc", date="2026-11-29", machine=dict(
          cpu="a CPU", cores=2, accelerator=None, load="nothing else"),
      versions=dict(python="3.11", jax="0.10", rmc_nalu_sam="0.1"),
      seeds=[0, 1], updates=8, episodes=16, seconds=90.,
      metrics={"bits_wrong": [0.5, 2.]}) | fields)


@pytest.fixture
def catalogue(monkeypatch):
  found = {"copy": COPY, "later": LATER}
  monkeypatch.setattr(selection, "EXPERIMENTS", found)
  return found


def test_a_failure_stops_nothing_and_what_is_done_is_not_repeated(
    catalogue, tmp_path, capsys):
  flags = ["--experiment=copy", "--scale=tiny", f"--runs={tmp_path / 'runs'}",
           f"--results={tmp_path / 'results'}", "--cpu_devices=1"]
  assert run(reproduce, *flags) == reproduce.EXIT_FAILED
  captured = capsys.readouterr()
  assert "FAILED: copy/bad" in captured.err
  assert re.search(r"\| LSTM \| [\d.]+, [\d.]+ \(1\.5\) \|", captured.out)
  assert "learning_rate" in captured.err.splitlines()[-1]
  (found,) = results.load(tmp_path / "results", "copy")
  assert (found.piece, found.scale, found.seeds) == ("lstm", "tiny", [0, 1])
  assert (found.updates, found.episodes, found.note) == (4, 8, "")
  assert len(found.metrics["bits_wrong"]) == 2
  assert len(found.metrics["level 3/bits_wrong"]) == 2
  assert found.seconds > 0
  assert found.commands[0].startswith("python -m launch.train --task=copy")
  assert found.commands[0].endswith("--workdir=runs/copy-tiny/lstm")
  assert (tmp_path / "results" / "copy.png").stat().st_size
  jobs = selection.jobs("copy", "tiny")
  assert [job.piece.name for job in runner.to_do(
      jobs, tmp_path / "runs")] == ["bad"]


@pytest.mark.slow
def test_training_goes_on_where_the_minutes_ended_it(catalogue, tmp_path):
  job = selection.jobs("copy", "tiny", ["lstm"])[0]._replace(minutes=1e-9)
  folder = tmp_path / "results"

  class Quiet:
    show = ended = failed = staticmethod(lambda *args: None)

  piece = dataclasses.replace(GOOD, evaluate="")
  job = job._replace(piece=piece)
  assert runner.run([job], tmp_path / "runs", folder, Quiet(),
                    more_flags=["--cpu_devices=1"]) == []
  (first,) = results.load(folder, "copy")
  assert first.updates == 2
  assert "not all updates" in first.note
  assert runner.to_do([job], tmp_path / "runs") == [job]
  assert runner.run([job._replace(minutes=None)], tmp_path / "runs", folder,
                    Quiet(), more_flags=["--cpu_devices=1"]) == []
  (last,) = results.load(folder, "copy")
  assert (last.updates, last.note) == (4, "")
  assert not runner.to_do([job], tmp_path / "runs")
  longer = job._replace(piece=dataclasses.replace(
      piece, scales={"tiny": piece.scales["tiny"] + " --steps=8"}))
  assert runner.to_do([longer], tmp_path / "runs") == [longer]


@pytest.mark.parametrize("count", [
    2, pytest.param(None, marks=pytest.mark.slow)])
def test_the_accelerator_plan_in_a_rehearsal(
    monkeypatch, tmp_path, capsys, count):
  """The first visits at tiny sizes on the CPU; the slow case is all of them."""
  monkeypatch.setattr(accelerator, "PLAN", accelerator.PLAN[:count])
  planned = {(visit.experiment, visit.piece) for visit in accelerator.PLAN}
  assert run(reproduce, "--experiment=accelerator", "--scale=tiny",
             "--minutes=60", "--cpu_devices=1", "--jobs=2",
             f"--runs={tmp_path / 'runs'}",
             f"--results={tmp_path / 'results'}") == 0
  assert "FAILED" not in capsys.readouterr().err
  assert {(name, entry.piece) for name in {name for name, _ in planned}
          for entry in results.load(tmp_path / "results", name)} == planned


@pytest.mark.parametrize("flags, message", [
    (["--experiment=coyp"], "did you mean 'copy'?"),
    (["--experiment=later"], "later cannot be run yet: needs words"),
    (["--experiment=copy", "--scale=paper"],
     "copy has no runs at --scale=paper; valid: tiny, small"),
    (["--experiment=copy", "--pieces=ntm"], "valid: lstm"),
    ([], "name an --experiment"),
])
def test_refusals(catalogue, tmp_path, capsys, flags, message):
  assert run(reproduce, *flags, f"--results={tmp_path}",
             f"--runs={tmp_path}") == EXIT_USAGE
  (line,) = capsys.readouterr().err.splitlines()
  assert message in line


def test_real_data_are_asked_for(catalogue, tmp_path, capsys):
  piece = Piece("images", "--preset=sam_omniglot --data_dir={data}",
                {Cell("SAM", ""): "error"})
  catalogue["images"] = Experiment("images", "I", "P", "error", pieces=[piece])
  assert piece.needs_data
  assert run(reproduce, "--experiment=images",
             f"--results={tmp_path}") == EXIT_USAGE
  assert "images/images need real data: give --data_dir" in (
      capsys.readouterr().err)
  assert piece.commands("small", "a b")[0] == (
      "python -m launch.train --preset=sam_omniglot --data_dir=$data "
      "--workdir='a b'")


def test_a_run_can_start_with_what_another_has_learnt():
  piece = Piece("high", "--init_from={runs}/low", {Cell("SAM", ""): "level"})
  assert piece.commands("small", "my runs/climb-small/high")[0] == (
      "python -m launch.train --init_from='my runs/climb-small'/low "
      "--workdir='my runs/climb-small/high'")


def test_the_page_has_all_that_the_files_hold(tmp_path):
  folder = tmp_path / "results"
  results.save(folder, COPY, [entry(), entry(piece="bad", scale="tiny")])
  (folder / "copy.png").write_bytes(b"")
  text = page.render([COPY, LATER], folder)
  assert "| [Copying](#copying) | - | not yet | 0.2 | `--experiment" in text
  assert "| LSTM | 0.5, 2 (1.5) |" in text
  assert "| NTM | (none) |" in text
  assert "| Later | LSTM, error: 2 | not yet: needs words |" in text
  assert "![Copying](results/copy.png)" in text
  assert "What it shows." in text
  assert "python -m launch.train --x=1" in text
  assert "2026-11-29, commit abc, 2 x a CPU, nothing else, JAX 0.10" in text
  assert "## Later" not in text


def test_rehearsals_are_not_shown(tmp_path):
  results.save(tmp_path, COPY, [entry(scale="tiny")])
  assert results.measured(tmp_path, "copy") == []
  assert "## Copying" not in page.render([COPY], tmp_path)


def test_list_shows_all_or_the_named_one(catalogue, tmp_path, capsys):
  for more, names in (([], ["copy", "later"]),
                      (["--experiment=later"], ["later"])):
    assert run(reproduce, "--list", *more, f"--results={tmp_path}") == 0
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == names
  assert run(reproduce, "--list", "--experiment=coyp") == EXIT_USAGE


def test_the_accelerator_s_experiments_are_listed(tmp_path, capsys):
  assert run(reproduce, "--list", "--experiment=accelerator",
             f"--results={tmp_path}") == 0
  _, *rows = capsys.readouterr().out.splitlines()
  names = [row.split()[0] for row in rows]
  assert names[0] == "rmc_speed"
  assert len(names) == len(set(names)) < len(selection.EXPERIMENTS)
  assert run(reproduce, "--describe=accelerator") == EXIT_USAGE
  assert "several experiments" in capsys.readouterr().err


def test_listing(tmp_path):
  results.save(tmp_path, COPY, [entry()])
  text = listing.overview([COPY, LATER], tmp_path)
  assert "1 of 2" in text
  assert "small 2" in text  # 90 seconds.
  assert "not yet: needs words" in text
  assert "python -m launch.evaluate" in listing.describe(COPY, tmp_path, "tiny")
  slow = dataclasses.replace(GOOD, scales={"small": "", "paper": "--steps=80"})
  grown = dataclasses.replace(COPY, pieces=[slow])
  assert listing.cost_of(grown, [entry()], "paper") == (900, True)
  assert listing.cost_of(COPY, [], "small") == (0, False)
  limited = dataclasses.replace(GOOD, name="other", scales={
      "small": "--max_minutes=7"})
  both = dataclasses.replace(COPY, pieces=[GOOD, limited])
  assert listing.cost_of(both, [entry()], "small") == (90 + 7 * 60, True)
  assert listing.cost_of(both, [], "small") == (7 * 60, False)
  assert "small > 7" in listing.overview([both], tmp_path / "none")


@pytest.mark.parametrize("metric, value, text", [
    ("bits_wrong", [1., 2.25], "1, 2.25"),
    ("bits_wrong", [1., 2., 3., 4., 5., None], "3.5 [1 to inf]"),
    ("far/solved", [1, 1, 1, 0], "75 % [30 to 95]"),
    ("solved", {"value": .97, "low": .92, "high": .99}, "97 % [92 to 99]"),
    ("mae", {"mean": 15.1, "median": 15.}, "15 [mean 15.1]"),
    ("ms", {"value": 4856., "low": 4280., "high": 7080.},
     "4,856 [4,280 to 7,080]"),
    ("solved", [1], "1"),
    ("mae", [1234., 2.], "1,234; 2"),
])
def test_metrics_as_text(metric, value, text):
  assert tables.text(metric, value) == text


@pytest.mark.parametrize("changed", [
    dict(scale="huge"), dict(date="today"), dict(seeds=3),
    dict(machine={}), dict(metrics={"bits_wrong": [1.]}),
    dict(metrics={"bits_wrong": ["much", 1.]}), dict(metrics={"a": {"b": 1.}}),
    dict(sweep=[.1]), dict(sweep={"learning_rate": [.1, "high"]}),
    dict(sweep={"learning_rate": []}), dict(chosen="learning_rate=0.1"),
])
def test_the_schema_is_checked(tmp_path, changed):
  (field,) = changed
  with pytest.raises(ValueError, match=f"run 'lstm' has {field}"):
    results.save(tmp_path, COPY, [entry(**changed)])
  path = results.save(tmp_path, COPY, [entry()])
  content = json.loads(path.read_text())
  content["runs"][0] |= changed
  path.write_text(json.dumps(content))
  with pytest.raises(ValueError, match=r"copy\.json is not a file of results"):
    results.load(tmp_path, "copy")


def test_what_was_measured_is_kept_and_the_larger_scale_is_shown(tmp_path):
  paper = entry(scale="paper", metrics={"bits_wrong": [0., 0.]})
  entries = results.put(results.put([entry()], paper), entry(seconds=1.))
  assert [(each.scale, each.seconds) for each in entries] == [
      ("paper", 90.), ("small", 1.)]
  assert results.best(entries, "lstm") is paper
  results.save(tmp_path, COPY, entries)
  assert results.load(tmp_path, "copy") == entries
