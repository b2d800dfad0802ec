"""The experiments: what they name exists, and their commands are accepted."""

import dataclasses
import functools
import importlib
import itertools
import json
import pathlib
import pkgutil
import re
import shlex
from unittest import mock

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
from absl import flags
from launch_helpers import run

import tasks
from launch import benchmark, benchmarks, evaluate, train
from launch.benchmarks import scaling
from launch.configs import build, endings
from launch.configs import flags as flags_lib
from launch.evidence import accelerator, catalogue, page, results
from launch.evidence.catalogue import EXPERIMENTS
from launch.evidence.experiment import SCALES
from launch.runs import evaluation
from tasks.text.score import UNITS
from tasks.text.vocabulary import Vocabulary

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


@pytest.mark.parametrize("name", WITH_PIECES)
def test_no_number_of_a_run_stands_in_two_cells(name):
  """An evaluation after the training replaces a metric of the same name."""
  for piece in EXPERIMENTS[name].pieces:
    assert len(set(piece.cells.values())) == len(piece.cells), piece.name


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


def runs_of(program):
  """Yields name, piece, scale, and command lines as tuples of words.

  Of a grid of many alike only every eleventh: that is a diagonal of the grid.
  """
  for experiment in EXPERIMENTS.values():
    pieces = experiment.pieces
    for piece in pieces[::11] if len(pieces) > 30 else pieces:
      for scale in piece.scales if piece.program == program else ():
        yield experiment.name, piece, scale, [
            tuple(shlex.split(line)[3:]) for line in piece.commands(
                scale, "WORKDIR", "DATA")]


TRAININGS, BENCHMARKS = list(runs_of("train")), list(runs_of("benchmark"))


def outcomes(program, lines, call):
  """Returns what `call(main)` gives for each command line, or the error.

  The program's flags, of which there are hundreds, are defined only once.
  """
  found = {}

  def parse_all(main, lower, *, parse_flags=flags.FLAGS, **kwargs):
    del lower, kwargs
    for line in lines:
      flags.FLAGS.unparse_flags()
      try:
        parse_flags(["program", *line])
        found[line] = call(main)
      except (SystemExit, Exception) as error:
        found[line] = error

  with mock.patch.object(endings, "run", parse_all):
    run(program)
  return found


def arguments(of, target, name):
  """Returns a `call` for `outcomes`: what `main` passes to `target.name`."""
  def call(main):
    with mock.patch.object(target, name, side_effect=InterruptedError) as work:
      with pytest.raises(InterruptedError):
        main([])
      return of(*work.call_args.args)

  return call


@pytest.fixture(scope="module", autouse=True)
def shared_models():
  """Makes a network once for all runs that differ in sizes only.

  This takes most of the time, and a hundred runs have the same network.
  """
  make, made = build.make_model, {}

  def make_model(config, task, **core_args):
    network = {name: value for name, value in config.to_dict().items()
               if name.split("_")[0] in ("core", "index", "unit", "encoder",
                                         "head")}
    key = re.sub(r"\b\d+(\.\d*)?\b", "N", repr((network, core_args)))
    if key not in made:
      made[key] = make(config, task, **core_args)
    return made[key]

  with mock.patch.object(build, "make_model", make_model), mock.patch.object(
      tasks.Text, "prepared", prepared):
    yield


def prepared(task, data_dir):
  """Returns a text with more words than any softmax has cutoffs for."""
  assert data_dir.startswith("DATA")
  frequent = (10, 20) if task.tokens == "words" else None
  return dataclasses.replace(task, vocabulary=Vocabulary(
      250_000, "0" * 16, frequent, (1., 1.), None))


@pytest.fixture(scope="module")
def configs(shared_models):
  """Maps a command line of training to the configuration, or the error."""
  return outcomes(train, {lines[0] for *_, lines in TRAININGS},
                  lambda main: train.prepare(flags.FLAGS.workdir, None)[1])


@pytest.fixture(scope="module")
def evaluations():
  """Maps a command line of evaluation to levels, changed arguments, and
  other ways to score a text."""
  lines = {line for *_, lines in TRAININGS for line in lines[1:]}
  return outcomes(evaluate, lines, arguments(
      lambda workdir, levels, episodes, changes, *more: (
          levels, changes, more[-1]),
      evaluation, "evaluate"))


@functools.cache
def metrics_of(score, num_steps, num_outputs):
  """Returns the names of the metrics of a score."""
  batch = tasks.Batch(jnp.zeros([num_steps, 2, 1]),
                      jnp.zeros([num_steps, 2, num_outputs]),
                      jnp.ones([num_steps, 2]))
  return {*jax.eval_shape(lambda batch: score.with_ratios(
      score.metrics(batch.targets, batch)), batch), "loss", "solved"}


@functools.cache
def metrics_of_environment(task):
  """Returns the names of the metrics of played episodes."""
  state = jax.eval_shape(task.reset, jax.random.key(0))
  return {*jax.eval_shape(task.outcome, state), "return", "length"}


@functools.cache
def metrics_of_text(task):
  """Returns the names of the metrics of a text."""
  def metrics(tokens):
    batch = task.window(tasks.Corpus(tokens, labels=tokens), rows, 2, rows)
    outputs = jnp.zeros(batch.mask.shape + (
        () if task.score.of_targets else (task.output_size,)))
    means = task.score.metrics(outputs, batch)
    if isinstance(task, tasks.Text):
      return task.score.of_text(means, dict.fromkeys(
          UNITS.values(), 1.)) | task.score.by_frequency(means)
    return task.score.with_ratios(means)

  rows = jnp.arange(2)
  return {*jax.eval_shape(metrics, jnp.zeros(9, jnp.int32)), "loss"}


def recorded(task, variants, with_level):
  """Returns the names of the metrics of a run; see `collect`."""
  def of(variant):
    if isinstance(variant, tasks.Stream):
      return metrics_of_text(variant)
    if isinstance(variant, tasks.Environment):
      return metrics_of_environment(variant)
    return metrics_of(variant.score, variant.num_steps, variant.output_size)

  far = {f"{name}/{metric}" for name, variant in task.extrapolations.items()
         for metric in of(variant)}
  total = set(task.summary(dict.fromkeys(far, np.zeros(1))))
  last = {*of(task), *far, *total}
  chosen = {f"chosen/{name}" for name in {*task.extrapolations, *total}
            if "validation" in task.extrapolations}
  judged = {f"{prefix}{name}" for name in ("solved_at", "score")
            for prefix in ("", *(f"{name}/" for name in task.extrapolations))}
  return last | judged | chosen | {f"best/{name}" for name in last} | {
      "sparsity_error", "index_recall", "updates_per_second"} | (
      {"level"} if with_level else set()) | {
      f"{name if isinstance(name, str) else f'level {name}'}/{metric}"
      for name, variant in variants.items()
      for metric in {*of(variant), "index_recall", "guess"}}


EXPERIMENTS_THAT_TRAIN = sorted({name for name, *_ in TRAININGS})


@pytest.mark.parametrize("name", EXPERIMENTS_THAT_TRAIN)
def test_trainings(name, configs, evaluations):
  """Flags are valid and fit each other, and the cells' metrics exist."""
  for _, piece, scale, lines in [each for each in TRAININGS if each[0] == name]:
    where = f"{piece.name} at {scale}: {' '.join(lines[0])}"
    config = configs[lines[0]]
    assert isinstance(config, ml_collections.ConfigDict), (where, config)
    assert piece.needs_data == config.data_dir.startswith("DATA"), where
    task, variants = build.make_task(config), {}
    for line in lines[1:]:
      assert isinstance(evaluations[line], tuple), (where, evaluations[line])
      levels, changes, of_text = evaluations[line]
      evaluation._config(config, changes)
      variants = evaluation._variants(task, levels)
      variants |= {f"{name}, {way}": variant
                   for name, variant in variants.items()
                   for way in of_text.ways()}
    assert set(piece.cells.values()) <= recorded(
        task, variants, config.curriculum != "none"), where


@pytest.mark.parametrize("name", sorted({name for name, *_ in BENCHMARKS}))
def test_benchmarks(monkeypatch, tmp_path, name):
  """Flags are those of the suite, and the models are."""
  monkeypatch.chdir(tmp_path)  # The folder of results is made there.
  for _, piece, scale, (line,) in [
      each for each in BENCHMARKS if each[0] == name]:
    suite = next(word.removeprefix("--suite=") for word in line
                 if word.startswith("--suite="))
    unstarted = mock.Mock(side_effect=InterruptedError)
    replaced = benchmarks.SUITES[suite]._replace(run=unstarted)
    with (mock.patch.dict(benchmarks.SUITES, {suite: replaced}),
          mock.patch.object(flags_lib, "apply_device_flags")):
      found = outcomes(benchmark, [line], lambda main: main([]))[line]
    assert isinstance(found, InterruptedError), (piece.name, scale, found)
    (options,) = unstarted.call_args.args
    if scale == "tiny":  # Of another size.
      continue
    if models := {"sam_scaling": scaling.SAM_MODELS,
                  "sdnc": scaling.SDNC_MODELS}.get(suite):
      names = [f"{size} {model}" for size in options.sizes
               for model in scaling.chosen(models, options)]
      assert {metric.split("/")[0] for metric in piece.cells.values()} <= set(
          names)


def test_the_page_is_made_of_the_files():
  """Run `python -m launch.reproduce --page` if this fails."""
  assert (ROOT / page.FILE).read_text() == page.render(
      EXPERIMENTS.values(), FOLDER)


def test_the_plan_for_an_accelerator_can_be_rehearsed():
  jobs = accelerator.jobs(EXPERIMENTS)
  assert len(jobs) > 10
  assert sum(job.minutes for job in jobs[:7]) <= 12
  assert {"rmc_boxworld", "language_speed"} <= {
      job.experiment.name for job in jobs}
  for job, rehearsed in zip(
      jobs, accelerator.jobs(EXPERIMENTS, tiny=True), strict=True):
    assert job.scale in job.piece.scales
    assert rehearsed.scale == "tiny"
    assert "tiny" in job.piece.scales
