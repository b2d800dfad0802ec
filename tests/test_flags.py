"""Flags: each argument of a member has one, also of user-defined members."""

import functools
import subprocess
import sys

import config_helpers
import jax
import jax.numpy as jnp
import pytest
from absl import flags
from config_helpers import parsed, resolve

from launch.configs import build, checks, members
from launch.configs import config as config_lib
from launch.configs import flags as flags_lib
from rmc_nalu_sam.registry import Argument

# The tests set an argument to twice its default, or to 3 if it has no default.
# Arguments for which that value is not valid have another value here.
VALUES = {("agent", "actor_critic", "discount"): .5,
          ("agent", "actor_critic", "ready_levels"): 3,
          ("agent", "actor_critic", "reward_clip"): .5,
          ("agent", "actor_critic", "trace_decay"): .5,
          ("core", "awd_lstm", "dropout"): .1,
          ("core", "awd_lstm", "last_size"): 3,
          ("core", "awd_lstm", "num_rounds"): 3,
          ("core", "awd_lstm", "rank"): 3,
          ("core", "awd_lstm", "weight_drop"): .1,
          ("core", "dam", "controller"): "feedforward",
          ("core", "dam", "discount"): .5,
          ("core", "dnc", "controller"): "feedforward",
          ("core", "dnc", "mask_min"): .25,
          ("core", "mogrifier", "rank"): 3,
          ("core", "ntm", "controller"): "feedforward",
          ("core", "rmc", "gate_style"): "memory",
          ("core", "rmc", "input_bias"): .5,
          ("core", "rmc", "input_rows"): 2,
          ("core", "sam", "controller"): "feedforward",
          ("core", "sam", "index"): "lsh",
          ("core", "sdnc", "controller"): "feedforward",
          ("core", "sdnc", "index"): "lsh",
          ("core", "rnn", "activation"): "relu",
          ("core", "stack", "hidden_unit"): "nau",
          ("core", "ugrnn", "activation"): "relu",
          ("core", "unit_rnn", "initial_value"): .5,
          ("curriculum", "exponential", "threshold"): .5,
          ("encoder", "tokens", "dropout"): .1,
          ("encoder", "tokens", "word_dropout"): .1,
          ("head", "adaptive_softmax", "cutoffs"): "2,5",
          ("core", "conv_lstm", "channels"): 2,
          ("encoder", "cnn", "num_passed"): 3,
          ("encoder", "torso", "channels"): "3,5",
          ("encoder", "torso", "padding"): "same",
          ("head", "adaptive_softmax", "dropout"): .1,
          ("head", "softmax", "dropout"): .1,
          ("index", "approx", "recall_target"): .5,
          ("index", "lsh", "max_bits"): 11,
          ("index", "lsh", "min_bits"): 3,
          ("index", "lsh", "seed"): 7,
          ("optimizer", "adam", "b1"): .5,
          ("optimizer", "adam", "b2"): .5,
          ("optimizer", "rmsprop", "decay"): .5,
          ("optimizer", "rmsprop", "momentum"): .5,
          ("optimizer", "sgd", "momentum"): .5,
          ("penalty", "discrete", "weight"): .5,
          ("penalty", "discrete", "start"): 3,
          ("penalty", "discrete", "end"): 5,
          ("penalty", "discrete", "input_weight"): .5,
          ("schedule", "cosine", "final_fraction"): .5,
          ("schedule", "staircase", "every"): 2,
          ("schedule", "staircase", "factor"): .25,
          ("task", "arithmetic", "criterion"): "module",
          ("task", "arithmetic", "operation"): "mul",
          ("task", "arithmetic", "test_range"): "3,7",
          ("task", "arithmetic", "train_range"): "0,1",
          ("task", "identity", "train_range"): "0,1",
          ("task", "language_numbers", "split"): "test",
          ("task", "language_numbers", "split_seed"): 1,
          ("task", "babi", "size"): "en",
          ("task", "boxworld", "min_backward"): 1,
          ("task", "boxworld", "min_forward"): 1,
          ("task", "boxworld", "num_backward"): 1,
          ("task", "boxworld", "num_forward"): 3,
          ("task", "boxworld", "solution_length"): 3,
          ("task", "boxworld", "view"): 3,
          ("task", "catbabi", "mode"): "lm",
          ("task", "catbabi", "size"): "en",
          ("task", "catbabi", "tasks"): "3",
          ("task", "gymnax", "env_name"): "Walk-v0",
          ("task", "gymnax", "max_steps"): 3,
          ("task", "gymnax", "path"): "test_adapters:OldEnv",
          ("task", "learning_to_execute", "min_length"): 2,
          ("task", "learning_to_execute", "min_nesting"): 2,
          ("task", "learning_to_execute", "operation"): "copy",
          ("task", "minipacman", "max_ghosts"): 3,
          ("task", "minipacman", "mode"): "hunt",
          ("task", "minipacman", "pixels"): "planes",
          ("task", "minipacman", "view"): 3,
          ("task", "mnist_parity", "max_digits"): 4,
          ("task", "mnist_parity", "num_classes"): 7,
          ("task", "mnist_sequence_product", "min_length"): 1,
          ("task", "nth_farthest", "num_labels"): 11,
          ("task", "omniglot", "num_labels"): 7,
          ("task", "omniglot", "image_size"): 11,
          ("task", "program_evaluation", "min_operations"): 2,
          ("task", "program_evaluation", "min_value"): 3,
          ("task", "program_evaluation", "program"): "full",
          ("task", "recurrent_arithmetic", "min_length"): 7,
          ("task", "recurrent_arithmetic", "operation"): "mul",
          ("task", "recurrent_arithmetic", "subset_ratio"): .3,
          ("task", "recurrent_arithmetic", "train_range"): "1,2",
          ("task", "text", "name"): "ptb",
          ("task", "text", "tokens"): "bytes",
          ("task", "text", "vocabulary_from"): "train"} | {
              ("core", core, name): value
              for core in ("dam", "dnc", "ntm", "sam", "sdnc")
              for name, value in (("output_from", "reads"),
                                  ("bypass_dropout", .1))}
# Other flags that the value needs.
WITH = {("task", "arithmetic", "criterion"): [
            "--task.input_size=2", "--task.subset_ratio=0.5",
            "--task.overlap_ratio=0."],
        ("core", "conv_lstm", "channels"): ["--core.height=1",
                                            "--core.width=2"],
        ("encoder", "cnn", "num_passed"): ["--task.num_bits=257"],
        ("task", "boxworld", "branch_length"): ["--task.num_forward=2"],
        ("task", "boxworld", "min_backward"): ["--task.num_backward=1"],
        ("task", "gymnax", "env_name"): ["--task.path=test_adapters:make_old"],
        ("task", "gymnax", "max_steps"): ["--task.path=test_adapters:OldEnv"],
        ("task", "program_evaluation", "min_operations"): [
            "--task.max_operations=2"]}
# The value is the same in all units.
UNIT_VALUES = {"activation": "elu", "kind": "sigmoid", "penalty": "squared",
               "squash": "tanh", "w_init": "glorot"}
# Other flags that the kind needs; 254 bits give images of 16 x 16.
OTHERS = {"agent": ["--task=time_tracking"],
          "unit": ["--core=lstm"],
          "encoder": ["--core=lstm", "--task.num_bits=254"],
          "penalty": ["--unit=nmu", "--penalty.weight=1", "--penalty.end=11",
                      "--penalty.input_weight=1"]}
# These need a task of tokens; test_tokens.py makes such models.
OF_TOKENS = {("encoder", "tokens", name)
             for name in ("output_size", "dropout", "word_dropout")} | {
                 ("head", head, "tied")
                 for head in ("adaptive_softmax", "softmax")}
# Objects or mappings, which can be passed only in Python.
NO_FLAG = {("core", "sam", "index_args"), ("core", "sdnc", "index_args"),
           ("task", "text", "vocabulary")}


def member_arguments():
  for kind, registry in members.REGISTRIES.items():
    for member in registry:
      for argument in registry.arguments(member).values():
        yield kind, member, argument.name, argument


WITH_FLAGS = [each for each in member_arguments() if each[:3] not in NO_FLAG]


def other_value(kind, member, name, default):
  value = VALUES.get((kind, member, name))
  if kind == "unit":
    value = UNIT_VALUES.get(name)
  if value is None:
    value = 3 if default is None else (
        not default if isinstance(default, bool) else 2 * default)
  return value


@pytest.mark.parametrize("kind, member, name, argument", WITH_FLAGS)
def test_member_flag_reaches_the_member(
    monkeypatch, kind, member, name, argument):
  value = other_value(kind, member, name, argument.default)
  if value == argument.default:
    pytest.skip("the other value is tested with another unit")
  names_member = f"--core.index={member}" if kind == "index" else (
      f"--{kind}={member}")
  others = [flag for flag in OTHERS.get(kind, ())
            if not flag.startswith(f"--{kind}.{name}=")]
  config = resolve(names_member, f"--{kind}.{name}={value}", *others,
                   *WITH.get((kind, member, name), ()))
  assert members.name_of(config, kind) == member
  assert config[f"{kind}_args"][name] == value
  assert type(config[f"{kind}_args"][name]) is type(value)
  assert members.arguments_of(config, kind)[name] == value
  if (kind, member, name) in OF_TOKENS:
    return
  if kind in ("core", "unit", "encoder", "head", "index"):
    made = note_constructions(monkeypatch, kind, member)
    build.make_model(config, build.make_task(config))
    assert made
    assert all(kwargs[name] == value for kwargs in made)
  elif kind == "task":
    assert getattr(build.make_task(config, is_prepared=False), name) == value
  elif kind in ("agent", "curriculum", "penalty"):
    made = {"agent": build.make_agent, "curriculum": build.make_curriculum,
            "penalty": build.make_penalty}[kind](config)
    assert getattr(made, name) == value
  else:
    made = note_constructions(monkeypatch, kind, member)
    build.make_optimizer(config)
    (kwargs,) = made
    if name != "learning_rate":  # The schedule gets it.
      assert kwargs[name] == value


def note_constructions(monkeypatch, kind, member):
  """Returns a list that fills with the arguments of each construction."""
  registry, made = members.REGISTRIES[kind], []
  constructor = registry.get(member)

  @functools.wraps(constructor, updated=())
  def note(*args, **kwargs):
    made.append(kwargs)
    return constructor(*args, **kwargs)

  for name in vars(getattr(constructor, "func", constructor)):
    if name.isupper():  # Constants that describe a core.
      setattr(note, name, getattr(getattr(constructor, "func", constructor),
                                  name))
  monkeypatch.setitem(registry._members, member, note)
  return made


def test_arguments_without_a_flag():
  known = {each[:3] for each in member_arguments()}
  assert known >= NO_FLAG
  with parsed():
    for kind, member, name, argument in member_arguments():
      if name == "index_args":
        assert f"{kind}.{name}" not in flags.FLAGS
        continue
      has_flag = f"{kind}.{name}" in flags.FLAGS
      assert has_flag == ((kind, member, name) not in NO_FLAG)
      if has_flag and argument.default not in (None, argument.annotation):
        # A flag that several members have must suit all of them.
        flag = flags.FLAGS[f"{kind}.{name}"]
        value = flag.parser.parse(str(argument.default))
        assert value == argument.default
        assert type(value) is type(argument.default)
        assert member in flag.help


def test_every_field_has_a_flag():
  with parsed():
    # Several values of other flags make a sweep.
    fields = set(config_lib.default_config()) - {"sweep"} - {
        f"{kind}_args" for kind in config_lib.KINDS}
    assert fields <= set(flags.FLAGS)
    for field in fields:
      assert flags.FLAGS[field].help


def test_aliases():
  config = resolve("--task=arithmetic", "--operation=mul", "--core=stack",
                   "--learning_rate=0.25")
  assert config.task_args.to_dict() == dict(operation="mul")
  assert config.optimizer_args.to_dict() == dict(learning_rate=0.25)


def test_program_with_flags_of_a_few_kinds():
  with parsed("--core.num_slots=7", kinds=["core", "index"]):
    assert flags_lib.member_overrides(["core"]) == {"core": dict(num_slots=7)}
    assert "task.num_bits" not in flags.FLAGS
    assert "index.num_tables" in flags.FLAGS


@pytest.mark.parametrize("annotation, default, wanted", [
    (int, 3, int), (int | None, None, int), (str | jax.Array, "a", str),
    (bool, True, bool), (jax.Array, None, None), (int | str, 3, None),
    (Argument.annotation, 3, None), ("unresolved", .5, float),
])
def test_type_of_a_flag(annotation, default, wanted):
  assert members.flag_type(
      Argument("x", annotation, default, "")) is wanted


# Members that a user defines.

MODULE = '''
"""A module of a user's own."""

import dataclasses
from typing import Literal

import haiku as hk

import jax
import jax.numpy as jnp

import tasks
from rmc_nalu_sam import RNN, Linear


class Leaky(hk.RNNCore):
  """Keeps a leaky mean of a linear function of the inputs."""

  def __init__(self, hidden_size: int = 11, leak: float = 0.5, steep: int = 2,
               form: Literal["linear", "tanh"] = "linear", name=None):
    """Constructs a core.

    Args:
      hidden_size: Size of the state.
      leak: Share of the state that a step replaces.
      steep: Factor of the outputs.
      form: Form of the outputs.
      name: Name of the module.
    """
    super().__init__(name=name)
    self.hidden_size, self.leak, self.steep = hidden_size, leak, steep

  def __call__(self, inputs, prev_state):
    new = hk.Linear(self.hidden_size)(inputs)
    state = (1 - self.leak) * prev_state + self.leak * new
    return self.steep * state, state

  def initial_state(self, batch_size):
    return jnp.zeros([*([] if batch_size is None else [batch_size]),
                      self.hidden_size])


@dataclasses.dataclass(frozen=True)
class Repeat(tasks.TASKS["copy"]):
  """Repeats a sequence.

  Attributes:
    spacing: An argument that no other task has.
  """

  spacing: int = 3


class Plain(Linear):
  """Is a linear layer.

  Args:
    output_size: Size of the output.
    shine: An argument that no other unit has.
    name: Name of the module.
  """

  def __init__(self, output_size, shine: float = 0.25, name=None):
    super().__init__(output_size, name=name)


def preset():
  """Trains the user's core."""
  return dict(core=f"{__name__}:Leaky", steps=17,
              core_args={f"{__name__}:Leaky": dict(hidden_size=5)})


broken = 3
'''


@pytest.fixture
def own(monkeypatch, tmp_path):
  """Puts a user's package on the path; yields the name of its module."""
  package = tmp_path / "own_package"
  package.mkdir()
  (package / "__init__.py").touch()
  (package / "parts.py").write_text(MODULE)
  monkeypatch.syspath_prepend(str(tmp_path))
  yield "own_package.parts"
  for name in ("own_package", "own_package.parts"):
    sys.modules.pop(name, None)


def test_own_core(own):
  config = resolve(f"--core={own}:Leaky", "--core.leak=0.75",
                   "--core.hidden_size=7", "--core.form=tanh")
  assert config.core_args.to_dict() == dict(
      leak=0.75, hidden_size=7, form="tanh")
  checks.check(config, 4)
  task = build.make_task(config)
  model = build.make_model(config, task)

  def outputs(key):
    params = model.init(key, jnp.zeros((1, 1, task.input_size)))
    return model.unroll(params, None, jnp.zeros((5, 2, task.input_size)),
                        model.initial_state(params, 2)).outputs

  assert jax.eval_shape(outputs, jax.random.key(0)).shape == (
      5, 2, task.output_size)
  assert config_lib.label(config) == "Leaky"
  assert str(config_lib.default_workdir(config)) == "runs/copy-Leaky-0"
  settings = config_lib.settings(config)
  assert (settings["core.leak"], settings["core.steep"]) == (0.75, 2)


def test_own_task_and_unit(own):
  config = resolve(f"--task={own}:Repeat", "--task.spacing=5",
                   "--task.num_bits=7", f"--unit={own}:Plain",
                   "--unit.shine=0.5")
  assert config.encoder == "none"
  checks.check(config, 4)
  task = build.make_task(config)
  assert (task.spacing, task.num_bits) == (5, 7)
  assert config_lib.label(config) == "sam/Plain"
  assert config.unit_args.to_dict() == dict(shine=0.5)


def test_own_optimizer():
  config = resolve("--optimizer=optax:lion", "--learning_rate=0.125",
                   "--optimizer.b1=0.5")
  checks.check(config, 4)
  assert config.optimizer_args.to_dict() == dict(learning_rate=0.125, b1=0.5)
  with pytest.raises(config_lib.UsageError,
                     match="needs the argument 'learning_rate'"):
    checks.check(resolve("--optimizer=optax:lion"), 4)


def test_own_preset(own):
  config = resolve(f"--preset={own}:preset", "--core.leak=0.75")
  assert (config.preset, config.steps) == (f"{own}:preset", 17)
  assert config.core_args.to_dict() == dict(hidden_size=5, leak=0.75)


def test_run_of_an_own_core_is_resumed(own, tmp_path):
  workdir = tmp_path / "run"  # Code beside a config.json is not trusted.
  workdir.mkdir()
  first = resolve(f"--core={own}:Leaky", "--core.leak=0.75")
  config_lib.save(first, workdir)
  stored = config_lib.load(workdir)
  assert stored == first
  # Only the workdir names the core.
  argv = [f"--workdir={workdir}", "--core.leak=0.75", "--steps=7"]
  config = config_helpers.reconcile(stored, *argv)
  assert config.steps == 7
  with pytest.raises(config_lib.UsageError, match=r"core\.steep=2, now"):
    config_helpers.reconcile(stored, f"--workdir={workdir}", "--core.steep=3")
  with parsed(f"--workdir={workdir}", "--core.steep=3", kinds=["core"]):
    assert flags_lib.member_overrides(["core"]) == {"core": dict(steep=3)}


def test_flags_of_own_members_are_gone_afterwards(own):
  with parsed(f"--core={own}:Leaky"):
    assert "Size of the state" in flags.FLAGS["core.hidden_size"].help
    assert f"{own}:Leaky" in flags.FLAGS["core.hidden_size"].help
    assert "core.leak" in flags.FLAGS
  with parsed():
    assert "core.leak" not in flags.FLAGS


@pytest.mark.parametrize("form", [
    ["--core=NAME"], ["-core=NAME"], ["--core", "NAME"], ["--flagfile=FILE"]])
def test_ways_to_name_an_own_member(own, tmp_path, form):
  (tmp_path / "flags").write_text(f"--core={own}:Leaky\n")
  argv = [part.replace("NAME", f"{own}:Leaky").replace(
      "FILE", str(tmp_path / "flags")) for part in form]
  with parsed(*argv, "--core.leak=0.75"):
    assert flags_lib.member_overrides()["core"] == dict(leak=0.75)


@pytest.mark.parametrize("path, words", [
    ("own_package.missing:Core", "own_package.missing"),
    ("own_package.parts:Leeky", "did you mean 'Leaky'?"),
    ("own_package.parts:broken", "expected a class or a function"),
])
def test_own_member_that_cannot_be_imported(own, capsys, path, words):
  with pytest.raises(SystemExit) as exit_status, parsed(f"--core={path}"):
    pass
  assert exit_status.value.code == config_lib.EXIT_USAGE
  error = capsys.readouterr().err
  assert error.startswith("error: cannot import core ")
  assert words in error
  assert error.count("\n") == 1


PROGRAM = '''
from launch.configs import endings
from launch.configs import flags as flags_lib

def main(argv):
  print("core:", flags_lib.member_overrides()["core"])

if __name__ == "__main__":
  flags_lib.define_config_flags()
  flags_lib.define_member_flags()
  endings.run(main, "--size", parse_flags=flags_lib.parse)
'''


def test_program(own, tmp_path):
  """The long help and errors work; each runs in its own process."""
  (tmp_path / "program.py").write_text(PROGRAM)
  commands = [["--core.leak=0.75"], ["--helpfull"], ["--core.leek=3"]]
  processes = [subprocess.Popen(
      [sys.executable, str(tmp_path / "program.py"), f"--core={own}:Leaky",
       *command], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      env=config_helpers.environment()) for command in commands]
  (used, _), (text, _), (_, error) = [p.communicate() for p in processes]
  assert "core: {'leak': 0.75}" in used
  text = " ".join(text.split())
  for _, member, name, _ in WITH_FLAGS[::7]:
    assert f".{name}:" in text
    assert member in text
  assert "--core.leak: Share of the state that a step replaces." in text
  assert error == ("error: unknown flag --core.leek; did you mean core.leak?; "
                   "--help shows the flags\n")


