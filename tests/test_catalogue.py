"""The experiments: what they name exists, and their commands are accepted."""

import importlib
import itertools
import json
import pathlib
import pkgutil
import re
import shlex
from unittest import mock

import pytest
from launch_helpers import run

import tasks
from launch import benchmark, benchmarks, evaluate, train
from launch.configs import config as config_lib
from launch.evidence import catalogue, results
from launch.evidence.catalogue import EXPERIMENTS
from launch.evidence.experiment import SCALES
from launch.runs import Run, evaluation

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "results"
WITH_PIECES = [name for name in EXPERIMENTS if EXPERIMENTS[name].pieces]
WITH_RESULTS = [name for name in EXPERIMENTS
                if (FOLDER / f"{name}.json").exists()]


def test_no_experiment_is_lost():
  """Names and titles are unique, and every file of the folder is read."""
  modules = [importlib.import_module(f"{catalogue.__name__}.{module.name}")
             for module in pkgutil.iter_modules(catalogue.__path__)]
  defined = [experiment.name for module in modules
             for experiment in getattr(module, "EXPERIMENTS", ())]
  assert len(defined) > 15
  assert sorted(defined) == sorted(EXPERIMENTS)
  titles = [experiment.title for experiment in EXPERIMENTS.values()]
  assert len(set(titles)) == len(titles)


def test_files_and_pictures_are_of_experiments():
  pictures = [figure.file for experiment in EXPERIMENTS.values()
              for figure in experiment.figures]
  assert len(set(pictures)) == len(pictures)
  found = {path.name for path in FOLDER.iterdir()}
  assert {name for name in found if name.endswith(".png")} <= set(pictures)
  assert {name for name in found if name.endswith(".json")} == {
      f"{name}.json" for name in WITH_RESULTS}
  assert len(WITH_RESULTS) > 10


def test_something_runs_in_a_rehearsal():
  assert any(experiment.at("tiny") for experiment in EXPERIMENTS.values())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_fields(name):
  experiment = EXPERIMENTS[name]
  assert re.fullmatch("[a-z][a-z0-9_]*", name)
  assert experiment.title and experiment.source and experiment.measures
  assert set(experiment.headline) <= set(experiment.cells())
  names = {piece.name for piece in experiment.pieces}
  for figure in experiment.figures:
    assert set(figure.pieces) <= names
  for piece in experiment.pieces:
    assert piece.scales and set(piece.scales) <= set(SCALES)
    assert piece.program in ("train", "benchmark")
    assert re.fullmatch(r"[\w.-]+", piece.name)  # It names a folder.


@pytest.mark.parametrize("name", WITH_PIECES)
def test_no_two_pieces_fill_a_cell(name):
  """The number of one of them would not be shown."""
  experiment = EXPERIMENTS[name]
  for scale in SCALES:
    cells = list(itertools.chain.from_iterable(
        piece.cells for piece in experiment.at(scale)))
    assert len(set(cells)) == len(cells)


@pytest.mark.parametrize("name", WITH_RESULTS)
def test_results(name):
  """A file has the published numbers, and a metric for every cell."""
  experiment = EXPERIMENTS[name]
  entries = results.load(FOLDER, name)
  content = json.loads((FOLDER / f"{name}.json").read_text())
  assert content["experiment"] == name
  assert content["source"] == experiment.source
  assert content["published"] == results.published(experiment)
  assert entries
  names = [piece.name for piece in experiment.pieces]
  runs = [(entry.piece, entry.scale) for entry in entries]
  assert len(set(runs)) == len(runs)
  assert [entry.piece for entry in entries] == sorted(
      (entry.piece for entry in entries), key=names.index)
  for entry in entries:
    assert set(experiment.piece(entry.piece).cells.values()) <= set(
        entry.metrics)
    assert all(re.match(r"python3? -m launch\.\w+ ", line)
               for line in entry.commands)


class AcceptedError(Exception):
  """Ends a program once it has accepted its flags."""


def command_lines(name):
  """Yields a piece, its scale and its command lines as lists of arguments."""
  for piece in EXPERIMENTS[name].pieces:
    for scale in piece.scales:
      yield piece, scale, [shlex.split(line)[3:] for line in piece.commands(
          scale, "WORKDIR", "DATA")]


@pytest.fixture
def accepts(tmp_path):
  """Returns a function that runs a program up to its first work."""
  def accepts(program, argv):
    """Returns the arguments of the function that does the work."""
    name, target = {
        train: ("train", train),
        evaluate: ("evaluate", evaluation)}[program]
    argv = [each.replace("WORKDIR", str(tmp_path / "run")) for each in argv]
    with mock.patch.object(target, name, side_effect=AcceptedError) as work:
      with pytest.raises(AcceptedError):
        assert run(program, *argv) == 0
      return work.call_args.args

  return accepts


@pytest.mark.parametrize("name", WITH_PIECES)
def test_commands_are_accepted(name, accepts, tmp_path):
  """Flags of training and evaluation exist and fit each other."""
  seen = set()
  for piece, scale, lines in command_lines(name):
    if piece.program != "train" or str(lines) in seen:
      continue
    seen.add(str(lines))
    workdir = tmp_path / "run"
    (trained,) = accepts(train, lines[0])
    assert trained.config.preset != config_lib.NO_PRESET or "--task=" in (
        " ".join(lines[0])), (piece.name, scale)
    assert piece.needs_data == (trained.config.data_dir == "DATA")
    for line in lines[1:]:
      trained.save_config()
      _, levels, _, core_args, *_ = accepts(evaluate, line)
      config = evaluation._config(trained.config, core_args)
      assert evaluation._variants(Run(workdir, config).task, levels)
      (workdir / config_lib.CONFIG_FILE).unlink()


@pytest.mark.parametrize("name", WITH_PIECES)
def test_benchmarks_are_accepted(name, monkeypatch, tmp_path):
  """Flags exist and are of the suite, and so are the models."""
  for piece, _, lines in command_lines(name):
    if piece.program != "benchmark":
      continue
    (argv,) = lines
    (suite,) = [each.split("=")[1] for each in argv
                if each.startswith("--suite=")]
    work = mock.Mock(side_effect=AcceptedError)
    monkeypatch.setitem(benchmarks.SUITES, suite,
                        benchmarks.SUITES[suite]._replace(run=work))
    with pytest.raises(AcceptedError):
      run(benchmark, *[each.replace("WORKDIR", str(tmp_path))
                       for each in argv])
    (options,) = work.call_args.args
    monkeypatch.undo()
    models = {"sam_scaling": benchmarks.scaling.SAM_MODELS,
              "sdnc": benchmarks.scaling.SDNC_MODELS}.get(suite)
    if models is not None:
      benchmarks.scaling.chosen(models, options)


@pytest.mark.parametrize("name", WITH_PIECES)
def test_metrics_of_cells_exist(name, accepts):
  """A cell's metric is one that the task has."""
  for piece, scale, lines in command_lines(name):
    if piece.program != "train" or scale == "tiny":
      continue
    (trained,) = accepts(train, lines[0])
    assert isinstance(trained.task, tasks.Episodes)
