"""Command-line flags: a run's fields, and the arguments of its members.

Flags are read from `default_config` and the registries, so that a new member
has its flags at once: `--core.num_slots`, `--task.max_length`.

A member of a user's own, `--core=my_package.my_module:MyCore`, has flags too.
Its name is known only once the command line is read, and its flags must exist
before absl parses the command line. So a program hands `parse` on:

  endings.run(main, ..., parse_flags=flags_lib.parse)

The module is found where Python finds it: in the current folder under
`python -m`, in an installed package, or along PYTHONPATH.

`parse` first takes the names of members from the command line (flag files
included), from the `config.json` of `--workdir`, and from `--preset`. It
imports those that are paths, defines flags for their arguments, and then lets
absl parse everything. A run that is resumed or evaluated needs only
`--workdir`, since its config names its members.
"""

import json
import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
from absl import flags

from launch import experiments
from launch.configs import command_line, environment, members, sweeps, trust
from launch.configs import config as config_lib
from launch.configs import help as help_lib
from launch.learning import keys, layout
from rmc_nalu_sam.registry import Argument

FLAGS = flags.FLAGS


def _names(kind: str) -> str:
  return ", ".join(members.REGISTRIES[kind])


MAX_DEVICES = 1024  # On a CPU, each has threads of its own.
_OWN = "or a path: package.module:Class"
_HELP: Mapping[str, str] = {
    "task": f"Task to learn: {_names('task')}; {_OWN}.",
    "core": f"Core of the network: {_names('core')}; {_OWN}.",
    "unit": "Layer used as the read-out, and as the building block of the "
            f"cores 'stack' and 'unit_rnn': {_names('unit')}; {_OWN}.",
    "encoder": f"Layers in front of the core: {_names('encoder')}; {_OWN}. "
               "Default: what suits the task.",
    "head": f"Maps the core's outputs to answers: {_names('head')}; {_OWN}. "
            "Default: what suits the task.",
    "optimizer": f"Optimiser: {_names('optimizer')}; {_OWN}.",
    "schedule": "How the learning rate changes over all steps: "
                f"{_names('schedule')}; {_OWN}.",
    "curriculum": "How the level of the episodes grows, whatever levels "
                  f"--task.X sets: {_names('curriculum')}; none; {_OWN}.",
    "penalty": "Regulariser that is added to the loss: "
               f"{_names('penalty')}; none; {_OWN}.",
    "agent": "Algorithm that learns in an environment: "
             f"{_names('agent')}; {_OWN}. Default: the task's own; none for "
             "tasks with targets.",
    "steps": "Updates in the whole run.",
    "max_minutes": "Ends the run after this many minutes, pauses not counted; "
                   "0: no limit.",
    "batch_size": "Episodes per update, over all devices; for an agent, the "
                  "number of environments side by side.",
    "accumulate": "Computes each device's share of an update in this many "
                  "parts, one after the other, in the memory of one part; the "
                  "result is the same, but for rounding.",
    "max_grad_norm": "Scales gradients of a larger global norm down to this "
                     "norm; 0: off.",
    "max_grad_value": "Cuts larger magnitudes in a gradient to this value; 0: "
                      "off.",
    "skip_nonfinite": "Skips an update whose loss, gradients or result are not "
                      "finite, as optax.apply_if_finite does, and counts it as "
                      "'skipped'; so many in a row end the run. 0: off, the "
                      "first one ends the run.",
    "seed": "Seed of the initial parameters, the training data and the "
            "evaluation data.",
    "num_seeds": "Trains this many seeds at once, from --seed on, each as in a "
                 "run of its own; metrics are then lists. Numbers of several "
                 f"values are trained with each seed: {sweeps.VALID}, as in "
                 "--optimizer.learning_rate=1e-3,2e-3; several such flags make "
                 "a grid.",
    "rng": "Generator of random numbers: "
           f"{', '.join(sorted(keys.GENERATORS))}.",
    "precision": "Type of the operands of matrix products: float32; or "
                 "bfloat16, which is faster on accelerators, not on a CPU. "
                 "Parameters, sums over steps and arithmetic units are float32 "
                 "in any case.",
    "parallel": "How JAX compiles an update for the devices; the result is the "
                f"same: {', '.join(layout.PARALLEL)}.",
    "reuse_memory": "Starts each update in the memory of the last one, "
                    "forgotten but not cleared, so that no update costs "
                    "anything that grows with the number of slots.",
    "init_from": "Starts with the parameters of a trained network: folder of a "
                 "run (of many seeds, the best one), or name of a pretrained "
                 "network. Step, optimiser and level start anew.",
    "log_every": "Updates per record of metrics; they run in one device call.",
    "eval_every": "Updates between evaluations.",
    "eval_episodes": "Episodes per evaluation.",
    "checkpoint_every": "Updates between checkpoints.",
    "data_dir": "Folder with the files of tasks with real data. It is only "
                "read.",
    "cache_dir": "Folder for real data in the form in which a task needs them; "
                 "it may be deleted. Default: $XDG_CACHE_HOME/rmc_nalu_sam, or "
                 "~/.cache/rmc_nalu_sam.",
    "data_timeout": "Ends the program if the files of the data take longer "
                    "than this many seconds to read; 0: no limit.",
}

# Short name -> the flag that it stands for.
ALIASES: Mapping[str, str] = {"learning_rate": "optimizer.learning_rate",
                              "operation": "task.operation"}



class _Numbers(flags.ArgumentParser):
  """Parses a number; or several, as a tuple, if the flag can be swept."""

  def __init__(self, name: str, one: flags.ArgumentParser):
    super().__init__()
    self._name, self._one = name, one
    self.syntactic_help = one.syntactic_help

  def flag_type(self):
    return self._one.flag_type()

  def parse(self, argument: Any) -> Any:
    if not isinstance(argument, str) or "," not in argument:
      return self._one.parse(argument)
    if not sweeps.can_vary(self._name):
      raise ValueError("it takes one value; those that take several: "
                       f"{sweeps.VALID}")
    return tuple(self._one.parse(word) for word in argument.split(","))


class _Serializer(flags.ArgumentSerializer):
  """Writes a number, or several, as on the command line."""

  def serialize(self, value: Any) -> str:
    return str(sweeps.shown(value))


def _define_number(parser: type[flags.ArgumentParser]) -> Callable[..., Any]:
  def define(name, default, text):
    more = f" {sweeps.HELP}" if sweeps.can_vary(name) else ""
    return flags.DEFINE(_Numbers(name, parser()), name, default, text + more,
                        serializer=_Serializer())
  return define


_DEFINE: Mapping[type, Callable[..., Any]] = {
    int: _define_number(flags.IntegerParser),
    float: _define_number(flags.FloatParser),
    str: flags.DEFINE_string, bool: flags.DEFINE_boolean}


def define_config_flags() -> None:
  """Defines a flag for each field of a run, and `--preset`."""
  for name, default in config_lib.default_config().items():
    if name in _HELP:
      _DEFINE[type(default)](name, default, _HELP[name])
  flags.DEFINE_string(
      "preset", None, "Starts from a paper's experiment; other flags override "
      f"it. One of {', '.join(experiments.preset_names())}; or a path: "
      "package.module:function. Default: none.")


def define_member_flags(kinds: Iterable[str] = config_lib.KINDS) -> None:
  """Defines `--core.X`, `--task.X` and so on for the arguments of members.

  Args:
    kinds: Kinds in `config.KINDS`.
  """
  for kind in kinds:
    _define_kind(kind, ())


def define_device_flags() -> None:
  """Defines `--cpu_devices`."""
  flags.DEFINE_integer(
      "cpu_devices", None, "Number of devices on the CPU, each with its share "
      "of the batch; the number of cores is fastest. Default: 1, or as JAX is "
      "set up.", lower_bound=1, upper_bound=MAX_DEVICES)


def apply_device_flags() -> None:
  """Sets up JAX and its devices; must be called before one is used."""
  environment.pin_settings()
  # Once JAX 0.7 has devices, it refuses even the number that it has.
  if FLAGS.cpu_devices not in (None, jax.config.values["jax_num_cpu_devices"]):
    jax.config.update("jax_num_cpu_devices", FLAGS.cpu_devices)


def parse(argv: Sequence[str]) -> list[str]:
  """Parses a command line; for `endings.run(main, parse_flags=parse)`.

  First defines flags for the arguments of members of the user's own. Exits with
  one line on stderr if one of them cannot be imported.

  Args:
    argv: The program's name and its arguments.

  Returns:
    What is left of `argv`.
  """
  try:
    for kind, names in own_members(argv).items():
      _define_kind(kind, names)
  except ValueError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(config_lib.EXIT_USAGE)
  return command_line.parse(argv)


def own_members(argv: Sequence[str]) -> dict[str, list[str]]:
  """Returns the members of the user's own that a command line leads to.

  Args:
    argv: The program's name and its arguments.

  Returns:
    Maps each kind that has flags to the paths of such members, if any.
  """
  given = _peek(argv)
  sources = [given, _stored_fields(given.get("workdir"), given.values()),
             _preset_fields(given.get("preset"))]
  found: dict[str, list[str]] = {}
  for kind in _kinds_with_flags():
    names = [_member_name(source, kind) for source in sources]
    own = list(dict.fromkeys(filter(members.is_own, names)))
    if own:
      found[kind] = own
  return found


def config_overrides() -> dict[str, Any]:
  """Returns the fields of a run that were set on the command line."""
  return {name: FLAGS[name].value for name in _HELP if FLAGS[name].present}


def member_overrides(
    kinds: Iterable[str] = config_lib.KINDS) -> dict[str, dict[str, Any]]:
  """Returns the arguments of members that were set on the command line.

  Args:
    kinds: Kinds in `config.KINDS`.

  Returns:
    Maps each kind to the values of its arguments by name.
  """
  return {kind: {name.removeprefix(f"{kind}."): FLAGS[name].value
                 for name in FLAGS
                 if name.startswith(f"{kind}.") and FLAGS[name].present}
          for kind in kinds}


def _define_kind(kind, own):
  """Defines the flags of a kind's arguments, anew if they exist."""
  registry = members.REGISTRIES[kind]
  owners: dict[str, list[tuple[str, Argument]]] = {}
  for member in (*own, *registry):  # The type is that of the user's own member.
    for name, argument in registry.arguments(member).items():
      if members.flag_type(argument) is not None:
        owners.setdefault(name, []).append((member, argument))
  for name, of_members in sorted(owners.items()):
    _define(f"{kind}.{name}", members.flag_type(of_members[0][1]),
            help_lib.flag_help(kind, of_members))
  for alias, name in ALIASES.items():
    if name.startswith(f"{kind}."):
      if alias in FLAGS:
        delattr(FLAGS, alias)
      flags.DEFINE_alias(alias, name)
      FLAGS.register_key_flag_for_module(sys.argv[0], FLAGS[alias])


def _define(name, kind_type, text):
  if name in FLAGS:
    delattr(FLAGS, name)
  _DEFINE[kind_type](name, None, text)
  # `--help` prints the flags of the program's own module only.
  FLAGS.register_key_flag_for_module(sys.argv[0], FLAGS[name])


def _kinds_with_flags():
  """Returns the kinds that the program has defined flags for."""
  prefixes = {name.partition(".")[0] for name in FLAGS if "." in name}
  return [kind for kind in config_lib.KINDS if kind in prefixes]


def _peek(argv):
  """Returns the last value of each flag in `argv`, before it is parsed."""
  try:
    arguments = FLAGS.read_flags_from_files(list(argv[1:]), force_gnu=False)
  except flags.Error:  # absl reports it when it parses `argv`.
    arguments = list(argv[1:])
  values = {}
  for index, argument in enumerate(arguments):
    if argument == "--":
      break
    if argument.startswith("-"):
      name, equals, value = argument.lstrip("-").partition("=")
      if equals:
        values[name] = value
      elif index + 1 < len(arguments):
        values[name] = arguments[index + 1]
  return values


def _member_name(fields, kind):
  """Returns the name of a member in a config, a preset or a command line."""
  if kind == "index":
    return fields.get("core.index") or fields.get("core_args", {}).get("index")
  return fields.get(kind)


def _stored_fields(workdir, given):
  """Returns the config of the run in a workdir; {} without one to use."""
  if not workdir:
    return {}
  path = pathlib.Path(workdir).expanduser() / config_lib.CONFIG_FILE
  try:
    stored = json.loads(path.read_text())
  except (OSError, RecursionError, ValueError):  # `config.load` reports it.
    return {}
  if not isinstance(stored, dict) or trust.refusal(stored, path.parent, given):
    return {}
  return stored


def _preset_fields(preset):
  if not preset or preset == config_lib.NO_PRESET:
    return {}
  try:
    return members.PRESETS.get(preset)()
  except ValueError:  # `config.resolve` reports it.
    return {}
