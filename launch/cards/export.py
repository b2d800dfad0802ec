"""Makes a pretrained network of a run, and measures it.

`rmc_nalu_sam/pretrained` holds the parameters and the card of each network. A
card has all fields of a run's card, and these: `licence` of the data, `seed`,
`sha256` of NAME.npz, `model` (the arguments of `make_model`), `inputs`,
`vocabulary` of a text, `config` of the run, `episodes` of an evaluation,
`results` and `export` (the command).
"""

import hashlib
import json
import pathlib
import re
import shlex
import tempfile
from collections.abc import Collection, Mapping
from typing import Any

import ml_collections

import tasks
from launch.cards import facts
from launch.configs import build, devices, members, sweeps
from launch.configs import config as config_lib
from launch.configs.config import UsageError
from launch.configs.environment import ROOT
from launch.runs import evaluation, strict_json
from launch.runs.run import Run
from launch.runs.trained import loading
from rmc_nalu_sam import trained
from tasks.data import replacing

FOLDER = ROOT / "rmc_nalu_sam" / "pretrained"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_GENERATED = "none needed"


def export(run: Run, name: str, folder: pathlib.Path = FOLDER, *,
           episodes: int = 256, about: str = "", licence: str = "",
           machine: str = "", results: str = "") -> dict[str, Any]:
  """Writes NAME.npz and NAME.json of a run's best seed; returns the card.

  The figures are measured anew, of this network.

  Args:
    run: that was trained and evaluated.
    name: of the network.
    folder: where the files go.
    episodes: to evaluate, of each variant of the task.
    about: a sentence; that of the run's preset or task if empty.
    licence: of the data.
    machine: of the training, if the run did not record it.
    results: file of results of the experiment that it belongs to.

  Raises:
    UsageError: the run is not of built-in members only, is too large or not
      float32, or has data whose licence is not given.
  """
  _check(run, name)
  card, task = facts.of_run(run), run.task
  if not licence and type(task).load is not tasks.Task.load:
    raise UsageError("--licence is missing: say under which terms the data of "
                     f"{run.workdir} may be used")
  trainer = build.make_trainer(
      run.config, task, devices.for_evaluation(run.config))
  seed, params = run.best_params(
      loading.restore(run, trainer).train.params)
  try:
    content = trained.write(params)
  except ValueError as error:
    raise UsageError(f"{run.workdir}: {error}") from None
  given = dict(episodes=episodes, about=about, licence=licence,
               machine=machine, results=results)
  card |= _more(run, seed) | {
      "name": name, "sha256": hashlib.sha256(content).hexdigest(),
      "about": about or card["about"], "licence": licence or _GENERATED,
      "episodes": episodes, "results": results, "pictures": [],
      "export": _command(name, given)}
  card["training"]["machine"] = card["training"]["machine"] or machine or None
  card["measured"] = _measured(task, episodes, seed)
  card["figures"] = measure(card, params, run.config.data_dir)
  card["limits"] = facts.limits(run, card["figures"], is_chosen=True)
  _write(folder, name, content, card)
  return card


def measure(card: Mapping[str, Any], params: Any, data_dir: str = "",
            only: Collection[Any] | None = None) -> list[dict[str, Any]]:
  """Measures the figures of a pretrained network, as `export` does.

  Args:
    card: of the network.
    params: of the network.
    data_dir: folder of the task's data.
    only: which rows to measure, by `on`; all if None.

  Raises:
    UsageError: the card is not of this version, or data cannot be read.
  """
  config = config_of(card)
  config.data_dir = data_dir
  run = Run(FOLDER, config)
  if "vocabulary" in card:
    task: Any = build.make_task(config, is_prepared=False)
    run.task = task.with_vocabulary_json(json.dumps(card["vocabulary"]))
  rows = evaluation.evaluate_network(
      config, run.task, params, run.load_data("test"), card["episodes"], only)
  return facts.of_rows(rows, run.main_metric, {})


def config_of(card: Mapping[str, Any]) -> ml_collections.ConfigDict:
  """Returns the configuration of a network's training, checked as any run's.

  Args:
    card: of the network.

  Raises:
    UsageError: it is not of this version, or names code.
  """
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder)
    (path / config_lib.CONFIG_FILE).write_text(json.dumps(card["config"]))
    return config_lib.load(path)


def _check(run: Run, name: str) -> None:
  if not _NAME.fullmatch(name):
    raise UsageError(f"--export={name}: need small letters, digits and _, a "
                     "letter first")
  own = [run.config[kind] for kind in members.KINDS
         if kind != "index" and members.is_own(run.config[kind])]
  if own:
    raise UsageError(f"{run.workdir} has a member of your own, {own[0]}, which "
                     "others do not have; only built-in ones can be exported")


def _more(run: Run, seed: int) -> dict[str, Any]:
  """Returns the fields of a card that are of the network to export."""
  config, task = sweeps.config_of(run.best().config, {}), run.task
  config.update({"seed": seed, "num_seeds": 1, "data_dir": "",
                 "cache_dir": "", "init_from": ""})
  words = ({"vocabulary": json.loads(task.vocabulary_json)}
           if isinstance(task, tasks.Readable) else {})
  return {"seed": seed, "config": sweeps.to_json(config.to_dict()),
          "model": build.model_arguments(config, task),
          "inputs": {"shape": ["T", "B", *task.input_spec.shape],
                     "dtype": str(task.input_spec.dtype)}, **words}


def _command(name: str, given: Mapping[str, Any]) -> str:
  flags = " ".join(f"--{flag}={shlex.quote(str(value))}"
                   for flag, value in given.items() if value)
  return (f"python -m launch.describe --workdir=runs/{name} --export={name} "
          f"{flags}")


def _measured(task: tasks.Trainable, episodes: int, seed: int) -> str:
  how = "by `python -m launch.describe`, as `launch.evaluate` does"
  if isinstance(task, tasks.Stream):
    return f"on all of each text, {how}"
  return f"over {episodes} episodes of seed {seed}, {how}"


def _write(folder: pathlib.Path, name: str, content: bytes,
           card: Mapping[str, Any]) -> None:
  try:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.npz").write_bytes(content)
    replacing.replace_text(folder / f"{name}.json",
                           strict_json.dumps(card, indent=1) + "\n")
  except OSError as error:
    raise UsageError(f"cannot write to {folder}: {error.strerror}") from None
