"""The command line: usage errors, that every flag is heard, presets, help."""

import functools
import json

import jax
import launch_helpers
import ml_collections
import pytest
from absl import flags
from launch_helpers import records, run, saved_state, saved_steps, tiny_flags

import rmc_nalu_sam
import tasks
from launch import config as config_lib
from launch import evaluate, experiments, pictures, plot, train
from launch import flags as flags_lib
from rmc_nalu_sam import zoo


@pytest.fixture(autouse=True, scope="module")
def fast_compilation():
  with launch_helpers.fast_compilation():
    yield


@pytest.fixture
def prepared(monkeypatch, tmp_path):
  """Gives the configuration that a command line leads to; trains nothing."""
  configs = []

  def note(config, workdir):
    configs.append(config)
    config_lib.save(config, workdir)
    # Where main reads what to print.
    (workdir / "metrics.jsonl").write_text('{"step": 1, "split": "eval"}\n')
    return True, config.steps

  monkeypatch.setattr(train, "train", note)

  def prepare(*argv, workdir=None):
    workdir = workdir or tmp_path / f"run-{len(configs)}"
    assert run(train, *argv, f"--workdir={workdir}") == 0
    assert config_lib.load(workdir) == configs[-1]
    return configs[-1]

  return prepare


@pytest.fixture
def refuse_to_train(monkeypatch):
  """A mistake that is not seen must not cost an hour of training."""

  def refuse(config, workdir):
    pytest.fail(f"was trained in {workdir}: {config}")

  monkeypatch.setattr(train, "train", refuse)


def assert_one_line(capsys, words: str) -> None:
  out, err = capsys.readouterr()
  assert out == ""
  assert err.startswith("error: ")
  assert err.count("\n") == 1
  assert err.endswith("\n")
  for word in words.split(" ... "):
    assert word in err


# Usage errors.


@pytest.mark.parametrize("argv, words", [
    ("--task=sopy", "unknown task 'sopy' ... associative_recall, copy"),
    ("--core=lsdm", "unknown core 'lsdm' ... lstm ... sam"),
    ("--preset=sam_sopy", "unknown preset 'sam_sopy' ... sam_copy"),
    ("--optimizer=adan", "unknown optimizer 'adan' ... adam, rmsprop, sgd"),
    ("--lr_schedule=sine", "unknown lr_schedule 'sine' ... constant, cosine"),
    ("--core=lstm --core.top_k=4", "'lstm' ... 'top_k' ... hidden_size"),
    ("--task=copy --task.max_pairs=3", "'copy' ... 'max_pairs' ... max_length"),
    ("--batch_size=18", "batch_size=18 ... 4 devices ... multiple of 4"),
    ("--core.num_slots=3", "top_k ... num_slots=3 ... 4"),
    ("--core.hidden_size=0", "hidden_size ... at least 1 ... 0"),
    ("--core.gradient_steps=0", "gradient_steps ... at least 1 ... 0"),
    ("--core.index=lhs", "unknown index 'lhs' ... exact, approx, lsh"),
    ("--task.num_bits=-2", "num_bits=-2"),
    ("--task.min_length=21", "min_length=21 ... max_length=20"),
    ("--steps=-5", "steps ... at least 1 ... -5"),
    ("--steps=0", "steps ... at least 1 ... 0"),
    ("--batch_size=0", "batch_size ... at least 1 ... 0"),
    ("--log_every=0", "log_every ... at least 1"),
    ("--eval_every=0", "eval_every ... at least 1"),
    ("--eval_episodes=0", "eval_episodes ... at least 1"),
    ("--checkpoint_every=0", "checkpoint_every ... at least 1"),
    ("--learning_rate=0", "learning_rate ... above 0 ... 0"),
    ("--learning_rate=-1e-3", "learning_rate ... above 0 ... -0.001"),
    ("--learning_rate=nan", "learning_rate ... above 0 ... nan"),
    ("--max_grad_norm=-1", "max_grad_norm ... 0 (off) or above ... -1"),
    ("--max_grad_value=-1", "max_grad_value ... 0 (off) or above ... -1"),
    ("--penalty_weight=-1", "penalty_weight ... 0 (off) or above ... -1"),
    ("--input_penalty_weight=-1", "input_penalty_weight ... 0 (off) or above"),
    ("--penalty_weight=1 --penalty_start=5 --penalty_end=3",
     "penalty_start=5 ... penalty_end=3"),
    ("--penalty_start=-5", "penalty_start=-5"),
    ("--penalty_weight=1 --unit=nalu", "penalty_weight=1: there is no unit"),
    ("--input_penalty_weight=2 --core=stack --unit=inalu",
     "input_penalty_weight=2: there is no unit"),
    ("--unit=nmo", "unknown unit 'nmo' ... linear, ... nmu"),
    ("--unit=nmu --unit.epsilon=1", "'nmu' ... 'epsilon' ... penalty"),
    ("--unit=nmu --unit.penalty=none", "penalty 'none' ... linear, squared"),
    ("--encoder=rnn", "unknown encoder 'rnn' ... cnn, embed, none"),
    ("--encoder=cnn", "square images ... got 10 numbers"),
    ("--encoder=embed --encoder.mean=1", "'embed' ... 'mean' ... output_size"),
    ("--core=stack --core.hidden_unit=nmo", "hidden_unit 'nmo' ... nmu"),
    ("--core=rnn --core.activation=selu", "activation 'selu' ... relu, tanh"),
    ("--rng=mersenne", "unknown rng 'mersenne' ... rbg, threefry"),
    ("--rng=rbg", "rng='rbg' ... several seeds or devices ... threefry"),
    ("--num_seeds=0", "num_seeds ... at least 1 ... 0"),
    ("--num_seeds=6", "num_seeds=6 ... 4 devices ... multiple of 4"),
    ("--num_seeds=8 --curriculum=exponential",
     "curriculum=exponential ... num_seeds=8"),
    ("--num_seeds=8 --reuse_memory", "reuse_memory=True ... num_seeds=8"),
    ("--max_minutes=-1", "max_minutes ... 0 (no limit) or above ... -1"),
    ("--max_minutes=nan", "max_minutes ... nan"),
    ("--curriculum=linear", "unknown curriculum 'linear' ... exponential"),
    ("--curriculum_start=2", "curriculum_start ... --curriculum=exponential"),
    ("--penalty_end=30000", "penalty_end ... --penalty_weight=0.01"),
    ("--curriculum=exponential --curriculum_start=0", "curriculum_start=0"),
    ("--curriculum=exponential --curriculum_start=8 --curriculum_max=7",
     "curriculum_start=8 ... curriculum_max=7"),
    ("--curriculum=exponential --curriculum_max=2000000000", "2000000000"),
    ("--curriculum=exponential --curriculum_threshold=0",
     "curriculum_threshold ... above 0 ... 0"),
    ("--curriculum=exponential --curriculum_patience=0",
     "curriculum_patience ... multiple of 10 ... 0"),
    ("--curriculum=exponential --curriculum_patience=25",
     "curriculum_patience ... multiple of 10 ... 25"),
    ("--curriculum=exponential --task=omniglot --task.num_labels=7",
     "curriculum_max=4096 is too high ... num_labels=7"),
    ("--resume", "--resume: no run was started in ... config.json"),
])
def test_usage_errors(refuse_to_train, tmp_path, capsys, argv, words):
  workdir = tmp_path / "run"
  status = run(train, *argv.split(), f"--workdir={workdir}")
  assert status == config_lib.EXIT_USAGE == 2
  assert_one_line(capsys, words)
  assert not workdir.exists()  # Nothing was started.


@pytest.mark.parametrize("below", ["", "below", "below/that"])
def test_workdir_that_cannot_be_written(
    refuse_to_train, tmp_path, capsys, below):
  file = tmp_path / "file"
  file.write_text("kept")
  assert run(train, f"--workdir={file / below}") == config_lib.EXIT_USAGE
  assert_one_line(capsys, f"cannot write to --workdir={file} ... : "
                  if not below else f"{file / below}: ")
  assert file.read_text() == "kept"


def test_data_that_is_not_there(tmp_path, capsys):
  workdir = tmp_path / "run"
  status = run(train, "--task=omniglot", f"--data_dir={tmp_path / 'nowhere'}",
               f"--workdir={workdir}")
  assert status == config_lib.EXIT_USAGE
  assert_one_line(capsys, "nowhere")
  assert not (workdir / "config.json").exists()


@pytest.mark.parametrize("changed, words", [
    ("--noresume", "--noresume ... already holds a run"),
    ("--seed=5", "seed=0 ... seed=5"),
    ("--task=priority_sort", "task=copy ... task=priority_sort"),
    ("--core=sam", "core=lstm ... core=sam"),
    ("--task.num_bits=5", "task.num_bits=3 ... task.num_bits=5"),
    ("--core.hidden_size=5", "core.hidden_size=7 ... core.hidden_size=5"),
    ("--core.top_k=5", "core.top_k=not set ... core.top_k=5"),
    ("--unit=nau", "unit=linear ... unit=nau"),
    ("--unit.with_bias=false", "unit.with_bias=True ... False"),
    ("--encoder=embed", "encoder=none ... encoder=embed"),
    ("--num_seeds=8", "num_seeds=1 ... num_seeds=8"),
    ("--batch_size=16", "batch_size=8 ... batch_size=16"),
    ("--learning_rate=0.5", "learning_rate=0.001 ... learning_rate=0.5"),
    ("--curriculum=exponential", "curriculum=none ... curriculum=exponential"),
    ("--preset=sam_priority_sort", "priority_sort ... --workdir"),
    ("--steps=-1", "steps ... at least 1"),
])
def test_run_that_exists_is_not_changed(
    prepared, tmp_path, capsys, changed, words):
  workdir = tmp_path / "run"
  prepared(*tiny_flags(), workdir=workdir)
  before = (workdir / "config.json").read_bytes()
  capsys.readouterr()
  status = run(train, changed, f"--workdir={workdir}")
  assert status == config_lib.EXIT_USAGE
  assert_one_line(capsys, words)
  assert (workdir / "config.json").read_bytes() == before


def test_run_of_a_preset_is_not_changed_by_the_preset_alone(
    prepared, tmp_path, capsys):
  workdir = tmp_path / "run"
  prepared("--preset=sam_copy", "--core.num_slots=67", workdir=workdir)
  capsys.readouterr()
  status = run(train, "--preset=sam_copy", f"--workdir={workdir}")
  assert status == config_lib.EXIT_USAGE
  assert_one_line(capsys, "67 ... --preset=sam_copy ... 64")


def test_run_that_exists_takes_the_same_flags_and_runtime_ones(
    prepared, tmp_path):
  workdir = tmp_path / "run"
  argv = ["--preset=sam_copy", "--core=lstm", "--core.hidden_size=11",
          "--task.max_length=7", "--steps=13"]
  first = prepared(*argv, workdir=workdir)
  assert first.core == "lstm"
  assert prepared(*argv, workdir=workdir) == first
  assert prepared(workdir=workdir) == first
  for name in config_lib.RUNTIME_FIELDS:
    value = "elsewhere" if name == "data_dir" else 11
    assert first[name] != value
    config = prepared(f"--{name}={value}", workdir=workdir)
    assert config[name] == value


@pytest.mark.parametrize("text", ["", "{", '{"steps": "many"}', "[]", "7"])
def test_config_that_cannot_be_read(refuse_to_train, tmp_path, capsys, text):
  (tmp_path / "config.json").write_text(text)
  status = run(train, f"--workdir={tmp_path}")
  assert status == config_lib.EXIT_USAGE
  assert_one_line(capsys, "config.json")


def test_workdir_to_evaluate_is_needed():
  with pytest.raises(flags.IllegalFlagValueError, match="workdir"):
    run(evaluate)


# Every flag is heard.


def runtime_steps(workdir, split):
  return [record["step"] for record in records(workdir, split)]


def numbers(workdir, split):
  return [{**record, "step": 0} for record in records(workdir, split)]


# Field -> flags, and where the flag makes a difference.
EFFECTS = {
    "task": (["--task=priority_sort", "--task.num_bits=3",
              "--task.max_keys=3"], lambda w: saved_state(w).params),
    "core": (["--core=lstm", "--core.hidden_size=5"],
             lambda w: saved_state(w).params),
    "steps": (["--steps=6"], saved_steps),
    # Not a moment, but as much as is done in one call.
    "max_minutes": (["--max_minutes=1e-9"], saved_steps),
    "batch_size": (["--batch_size=4"],
                   functools.partial(numbers, split="train")),
    "learning_rate": (["--learning_rate=0.5"],
                      lambda w: saved_state(w).params),
    "lr_schedule": (["--lr_schedule=cosine"], lambda w: saved_state(w).params),
    "optimizer": (["--optimizer=adam"], lambda w: saved_state(w).opt_state),
    "max_grad_norm": (["--max_grad_norm=0.01"],
                      lambda w: saved_state(w).params),
    "max_grad_value": (["--max_grad_value=0.001"],
                       lambda w: saved_state(w).params),
    "unit": (["--unit=nau"], lambda w: saved_state(w).params),
    "encoder": (["--encoder=embed"], lambda w: saved_state(w).params),
    "num_seeds": (["--num_seeds=8"], lambda w: saved_state(w).params),
    "seed": (["--seed=5"], functools.partial(numbers, split="train")),
    "log_every": (["--log_every=1"],
                  functools.partial(runtime_steps, split="train")),
    "eval_every": (["--eval_every=2"],
                   functools.partial(runtime_steps, split="eval")),
    "eval_episodes": (["--eval_episodes=56"],
                      functools.partial(numbers, split="eval")),
    "checkpoint_every": (["--checkpoint_every=2"], saved_steps),
    # Of the synthetic tasks none reads it; see the test after the next.
    "data_dir": (["--data_dir=/nowhere"],
                 lambda w: json.loads((w / "config.json").read_text())),
}
ELSEWHERE = {# In test_launch_curriculum.py and test_launch_memory.py.
             "curriculum", "curriculum_start", "curriculum_threshold",
             "curriculum_patience", "curriculum_max", "reuse_memory",
             # In test_launch_learner.py.
             "penalty_weight", "penalty_start", "penalty_end",
             "input_penalty_weight", "rng"}
BASE = [*tiny_flags(optimizer="sgd", learning_rate=0.05, max_grad_norm=3),
        "--steps=4", "--log_every=2"]


@pytest.fixture(scope="module")
def baseline(fast_compilation, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("baseline")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pictures, "draw", lambda *_: None)
    assert run(train, *BASE, f"--workdir={workdir}") == 0
  assert runtime_steps(workdir, "train") == [2, 4]
  assert saved_steps(workdir) == [4]
  return workdir


def test_every_field_has_a_flag_and_a_test():
  assert set(EFFECTS) == set(config_lib.default_config()) - {
      # --task.X, --core.X and so on: see below. Of presets alone.
      *(f"{kind}_args" for kind in config_lib.KINDS), "unit_settings"
  } - ELSEWHERE


def same(a, b):
  if jax.tree.structure(a) != jax.tree.structure(b):
    return False
  return all(getattr(x, "shape", 0) == getattr(y, "shape", 0)
             and not launch_helpers.differ(x, y) for x, y in zip(
                 jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.mark.parametrize("field", sorted(EFFECTS))
def test_flag_has_an_effect(field, baseline, tmp_path, monkeypatch):
  argv, observe = EFFECTS[field]
  monkeypatch.setattr(pictures, "draw", lambda *_: None)
  base = BASE
  if field == "task":
    base = [flag for flag in BASE if not flag.startswith("--task.")]
  assert run(train, *base, *argv, f"--workdir={tmp_path}") == 0
  value = argv[0].split("=")[1]
  config, default = config_lib.load(tmp_path), config_lib.load(baseline)
  if field != "core":  # Whose size is the flag that changes.
    assert config[field] != default[field]
  assert config[field] == type(default[field])(value)
  # What is observed of the same run does not change by itself.
  assert same(observe(baseline), observe(baseline))
  assert not same(observe(tmp_path), observe(baseline))


def test_data_dir_reaches_the_task(tmp_path, monkeypatch):
  seen = []

  def load(self, split, data_dir):
    seen.append((split, data_dir))
    raise OSError("no data")

  monkeypatch.setattr(tasks.TASKS["copy"], "load", load)
  run(train, "--data_dir=/there", f"--workdir={tmp_path}")
  run(train, f"--workdir={tmp_path}")
  assert seen == [("train", "/there"), ("train", None)]


def test_defaults_are_those_of_the_configuration(prepared):
  config, default = prepared(), config_lib.default_config()
  assert default.encoder == ""
  default.encoder = "none"  # Copy's.
  assert config == default
  for name, value in default.items():
    assert type(config[name]) is type(value)


# Flags of members. An argument that takes no other value than twice its
# default, or 3 if it has none, needs a value here.
VALUES = {("core", "dam", "discount"): .5,
          ("core", "dnc", "mask_min"): .25,
          ("core", "rmc", "gate_style"): "memory",
          ("core", "rmc", "input_bias"): .5,
          ("core", "sam", "index"): "lsh",
          ("core", "sdnc", "index"): "lsh",
          ("core", "rnn", "activation"): "relu",
          ("core", "stack", "hidden_unit"): "nau",
          ("core", "ugrnn", "activation"): "relu",
          ("task", "arithmetic", "criterion"): "module",
          ("task", "arithmetic", "operation"): "mul",
          ("task", "arithmetic", "test_range"): "3,7",
          ("task", "arithmetic", "train_range"): "0,1",
          ("task", "identity", "train_range"): "0,1",
          ("task", "language_numbers", "split"): "test",
          ("task", "language_numbers", "split_seed"): 1,
          ("task", "learning_to_execute", "min_length"): 2,
          ("task", "learning_to_execute", "min_nesting"): 2,
          ("task", "learning_to_execute", "operation"): "copy",
          ("task", "mnist_parity", "max_digits"): 4,
          ("task", "omniglot", "num_labels"): 7,
          ("task", "omniglot", "image_size"): 11,
          ("task", "program_evaluation", "min_operations"): 2,
          ("task", "program_evaluation", "min_value"): 3,
          ("task", "program_evaluation", "program"): "full",
          ("task", "recurrent_arithmetic", "min_length"): 7,
          ("task", "recurrent_arithmetic", "operation"): "mul",
          ("task", "recurrent_arithmetic", "subset_ratio"): .3,
          ("task", "recurrent_arithmetic", "train_range"): "1,2"}
# What these need besides.
WITH = {("task", "arithmetic", "criterion"): [
            "--task.input_size=2", "--task.subset_ratio=0.5",
            "--task.overlap_ratio=0."],
        ("task", "program_evaluation", "min_operations"): [
            "--task.max_operations=2"]}
# Of several units.
UNIT_VALUES = {"activation": "elu", "kind": "sigmoid", "penalty": "squared",
               "squash": "tanh", "w_init": "glorot"}
# Objects, not numbers: to be given in Python.
NO_FLAG = {("core", "sam", "controller"), ("core", "sdnc", "controller"),
           *(("core", "gru", name) for name in ("w_i_init", "w_h_init",
                                                "b_init"))}


def member_arguments():
  for kind, members, arguments in (
      ("core", rmc_nalu_sam.CORES, rmc_nalu_sam.core_arguments),
      ("unit", rmc_nalu_sam.UNITS, rmc_nalu_sam.unit_arguments),
      ("encoder", rmc_nalu_sam.ENCODERS, rmc_nalu_sam.encoder_arguments)):
    for member in sorted(members):
      for name, parameter in arguments(member).items():
        yield kind, member, name, parameter.default
  for task in sorted(tasks.TASKS):
    for name, field in tasks.task_arguments(task).items():
      yield "task", task, name, field.default


@pytest.mark.parametrize("kind, member, name, default", [
    argument for argument in member_arguments() if argument[:3] not in NO_FLAG])
def test_member_flag_reaches_the_member(
    prepared, monkeypatch, kind, member, name, default):
  registry = {"core": zoo.CORES, "task": tasks.TASKS, "unit": zoo.UNITS,
              "encoder": zoo.ENCODERS}[kind]
  made = []
  build = registry[member]

  @functools.wraps(build, updated=())
  def note(*args, **kwargs):
    made.append(kwargs)
    return build(*args, **kwargs)

  value = VALUES.get((kind, member, name))
  if kind == "unit":
    value = UNIT_VALUES.get(name)
  if value == default:
    pytest.skip("the other value is tested with another unit")
  if value is None:
    value = 3 if default is None else (
        not default if isinstance(default, bool) else 2 * default)
  assert value != default
  with monkeypatch.context() as patch:
    if kind != "task":
      patch.setitem(registry, member, note)
    others = {"task": ["--preset=none"], "unit": ["--core=lstm"],
              "encoder": ["--core=lstm", "--task.num_bits=254"]}  # 16 x 16.
    config = prepared(f"--{kind}={member}", f"--{kind}.{name}={value}",
                      *others.get(kind, ()),
                      *WITH.get((kind, member, name), ()))
  assert config[kind] == member
  if (kind, member, name) not in WITH:
    assert config[f"{kind}_args"].to_dict() == {name: value}
  assert type(config[f"{kind}_args"][name]) is type(value)
  if kind != "task":
    assert made
    assert all(kwargs[name] == value for kwargs in made)
  else:
    task = tasks.make_task(member, **config.task_args)
    assert getattr(task, name) == value


def test_members_without_a_flag_have_no_flag():
  known = {argument[:3] for argument in member_arguments()}
  assert known > NO_FLAG
  before = set(flags.FLAGS)
  try:
    train.define_flags()
    defined = set(flags.FLAGS) - before
    assert set(flags_lib.ALIASES) <= defined
    for kind, _, name, _ in member_arguments():
      flagless = any((kind, member, name) in NO_FLAG for member in (
          *rmc_nalu_sam.CORES, *tasks.TASKS))
      assert (f"{kind}.{name}" in defined) != flagless
    # The flags of a name that several members have must suit all of them.
    for kind, member, name, default in member_arguments():
      if (kind, member, name) not in NO_FLAG and default is not None:
        flag = flags.FLAGS[f"{kind}.{name}"]
        assert flag.parser.parse(str(default)) == default
        assert type(flag.parser.parse(str(default))) is type(default)
        assert member in flag.help
  finally:
    for name in set(flags.FLAGS) - before:
      delattr(flags.FLAGS, name)


# Presets.


def test_there_are_presets():
  assert "sam_copy" in experiments.preset_names()


@pytest.mark.parametrize("preset", experiments.preset_names())
def test_preset(preset, prepared):
  loaded = experiments.load_preset(preset)
  assert isinstance(loaded, ml_collections.ConfigDict)
  # No field that nobody reads.
  assert set(loaded) == set(config_lib.default_config())
  assert set(loaded.unit_settings) <= set(rmc_nalu_sam.UNITS)
  for settings in loaded.unit_settings.values():
    assert set(settings) <= set(config_lib.default_config())
  assert loaded.core in loaded.core_args
  assert set(loaded.core_args) <= set(rmc_nalu_sam.CORES)
  assert set(loaded.task_args) <= {loaded.task}
  for core in set(loaded.core_args) & set(rmc_nalu_sam.CORES):
    arguments = loaded.core_args[core]
    config = prepared(f"--preset={preset}", f"--core={core}")
    assert config.core == core
    wanted = experiments.load_preset(preset)
    wanted.update(loaded.unit_settings.get(loaded.unit, {}))
    assert dict(wanted.core_args[core]).items() >= dict(arguments).items()
    for kind in config_lib.KINDS:
      assert config[f"{kind}_args"].to_dict() == dict(
          wanted[f"{kind}_args"].get(config[kind], {}))
    assert not config.unit_settings
    for name in set(loaded) - {"core", "encoder", "unit_settings",
                               *(f"{kind}_args" for kind in config_lib.KINDS)}:
      assert config[name] == wanted[name]
    for num_devices in (1, 2, 4, 8):
      config_lib.check(config, num_devices)


def test_flags_override_a_preset(prepared):
  loaded = experiments.load_preset("sam_copy")
  config = prepared("--preset=sam_copy", "--steps=7", "--core.num_slots=67",
                    "--task.max_length=5", "--lr_schedule=constant")
  assert config.steps == 7 != loaded.steps
  assert config.lr_schedule == "constant" != loaded.lr_schedule
  assert config.core_args.to_dict() == dict(
      loaded.core_args.sam, num_slots=67)
  assert config.task_args.to_dict() == dict(max_length=5)
  # A default that is asked for is not the preset's value.
  assert prepared("--preset=sam_copy", "--steps=10000").steps == 10_000


@pytest.fixture
def copy_preset(monkeypatch):
  """A preset that has the name of a task, and something for a unit."""
  config = config_lib.default_config()
  config.core = "stack"
  config.core_args = {"stack": dict(num_layers=3, hidden_size=5)}
  config.learning_rate = 0.25
  config.steps = 13
  config.unit_settings = {"nmu": dict(
      steps=17, penalty_weight=10., unit_args={"nmu": dict(penalty="squared")},
      core_args={"stack": dict(hidden_unit="nau")})}
  names = [*experiments.preset_names(), "copy"]
  load = experiments.load_preset
  monkeypatch.setattr(experiments, "preset_names", lambda: names)
  monkeypatch.setattr(
      experiments, "load_preset",
      lambda name: config.copy_and_resolve_references() if name == "copy"
      else load(name))


def test_preset_of_the_task_s_name_is_the_default(prepared, copy_preset):
  config = prepared("--task=copy", "--steps=11")
  assert (config.core, config.learning_rate, config.steps) == (
      "stack", 0.25, 11)
  assert config.core_args.to_dict() == dict(num_layers=3, hidden_size=5)
  assert prepared("--preset=copy").learning_rate == 0.25
  assert prepared("--preset=none").learning_rate == 1e-3
  assert prepared("--preset=sam_copy").core == "sam"
  assert prepared("--task=priority_sort").core == "sam"


def test_settings_of_a_unit(prepared, copy_preset):
  config = prepared("--unit=nmu")
  assert (config.steps, config.penalty_weight) == (17, 10.)
  assert config.unit_args.to_dict() == dict(penalty="squared")
  assert config.core_args.to_dict() == dict(
      num_layers=3, hidden_size=5, hidden_unit="nau")
  # Flags override them.
  config = prepared("--unit=nmu", "--steps=19", "--core.hidden_unit=nac")
  assert (config.steps, config.penalty_weight) == (19, 10.)
  assert config.core_args.hidden_unit == "nac"
  # Other units have none of them.
  config = prepared("--unit=nau")
  assert (config.steps, config.penalty_weight) == (13, 0.)
  assert "hidden_unit" not in config.core_args


def test_run_of_a_default_preset_is_continued(prepared, copy_preset, tmp_path):
  first = prepared("--unit=nmu", workdir=tmp_path / "run")
  assert prepared(workdir=tmp_path / "run") == first
  assert prepared("--preset=copy", "--unit=nmu",
                  workdir=tmp_path / "run") == first


def test_run_is_continued_with_a_default_that_was_not_set(
    prepared, tmp_path, capsys):
  first = prepared("--core=sam", workdir=tmp_path / "run")
  assert "num_slots" not in first.core_args
  default = rmc_nalu_sam.core_arguments("sam")["num_slots"].default
  assert prepared(f"--core.num_slots={default}",
                  workdir=tmp_path / "run") == first
  capsys.readouterr()
  assert run(train, "--core.num_slots=3",
             f"--workdir={tmp_path / 'run'}") == config_lib.EXIT_USAGE
  assert_one_line(capsys, f"core.num_slots={default}, now core.num_slots=3:")


@pytest.mark.parametrize("argv, name", [
    ("--task=arithmetic --unit=nmu --operation=mul --num_seeds=8",
     "arithmetic-stack-nmu-mul-0"),
    ("--preset=sam_copy --seed=3", "copy-sam-3"),
])
def test_run_without_a_workdir(argv, name, monkeypatch, tmp_path):
  calls = []
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(train, "train", lambda config, workdir: calls.append(
      workdir) or (False, 0))
  assert run(train, *argv.split()) == train.EXIT_INTERRUPTED
  assert calls == [tmp_path / "runs" / name]


def test_alias(prepared):
  config = prepared("--task=arithmetic", "--operation=mul", "--core=stack")
  assert config.task_args.to_dict() == dict(operation="mul")


def test_encoder_is_that_of_the_task(prepared, monkeypatch):
  monkeypatch.setattr(tasks.TASKS["copy"], "encoder", "embed")
  assert prepared("--core=lstm").encoder == "embed"
  assert prepared("--core=lstm", "--encoder=none").encoder == "none"


def test_run_that_is_older_than_units(prepared, tmp_path):
  workdir = tmp_path / "run"
  config = prepared("--core=lstm", workdir=workdir)
  stored = json.loads((workdir / "config.json").read_text())
  for name in ("unit", "unit_args", "unit_settings", "encoder", "encoder_args",
               "num_seeds", "penalty_weight", "penalty_start", "penalty_end",
               "input_penalty_weight", "max_grad_value", "rng"):
    del stored[name]
  (workdir / "config.json").write_text(json.dumps(stored))
  assert config_lib.load(workdir) == config
  assert prepared(workdir=workdir) == config


# What only a process of its own can show.


def test_help_and_absl_s_own_errors(tmp_path):
  programs = {
      "help": ["launch.train", "--help"],
      "evaluate help": ["launch.evaluate", "--help"],
      "unknown": ["launch.train", f"--workdir={tmp_path / 'a'}", "--stepz=3"],
      "no number": ["launch.train", f"--workdir={tmp_path / 'b'}",
                    "--steps=many"],
      "argument": ["launch.train", f"--workdir={tmp_path / 'c'}", "copy"],
  }
  processes = {name: launch_helpers.start(["-m", *command])
               for name, command in programs.items()}
  out, err = {}, {}
  for name, process in processes.items():
    out[name], err[name] = process.communicate(timeout=300)
    assert process.returncode != 0  # As absl has it, even for --help.
    assert "Traceback" not in err[name]
  assert "Unknown command line flag 'stepz'" in err["unknown"]
  assert "Did you mean: steps" in err["unknown"]
  assert "--steps=many" in err["no number"]
  assert "unexpected arguments: copy" in out["argument"] + err["argument"]
  assert not list(tmp_path.iterdir())
  # Names come from the registries; the help must show all of them.
  text = " ".join(out["help"].split())
  for name in (*tasks.TASKS, *rmc_nalu_sam.CORES, *experiments.preset_names(),
               "--workdir", "--preset", "--cpu_devices"):
    assert name in text
  for name in EFFECTS.keys() | ELSEWHERE:
    assert f"--{name}:" in text or f"--[no]{name}:" in text
  for kind, member, name, _ in member_arguments():
    if (kind, member, name) not in NO_FLAG:
      assert f"{kind}.{name}:" in text
  for name in ("--levels", "--core.num_slots"):
    assert name in out["evaluate help"]


def test_plot_needs_runs(tmp_path, capsys):
  for argv, words in (
      ([], "need runs ... none"),
      ([tmp_path], "config.json does not exist")):
    output = tmp_path / "curves.png"
    assert run(plot, f"--output={output}", *argv) == config_lib.EXIT_USAGE
    assert_one_line(capsys, words)
    assert not output.exists()
