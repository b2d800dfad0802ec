"""Configurations: defaults, presets, overrides, resuming, checks."""

import functools
import json
import math
import types

import config_helpers
import haiku as hk
import jax
import jax.numpy as jnp
import pytest
from config_helpers import reconcile, resolve

from launch.configs import build, checks, devices, environment, members
from launch.configs import config as config_lib
from launch.configs.config import UsageError
from rmc_nalu_sam import CORES, SAM

TINY = ["--core=lstm", "--core.hidden_size=7", "--task.num_bits=3",
        "--batch_size=8", "--eval_episodes=24"]


def assert_words(text: str, words: str) -> None:
  assert "\n" not in text
  for word in words.split(" ... "):
    assert word in text
    text = text[text.index(word) + len(word):]


# Defaults and presets.


def test_defaults():
  config, default = resolve(), config_lib.default_config()
  assert default.encoder == default.head == default.agent == ""
  assert default.preset == "none"
  # Those of the task `copy`.
  default.encoder, default.head, default.agent = "none", "unit", "none"
  assert config == default
  for name, value in default.items():
    assert type(config[name]) is type(value)
  for kind in set(config_lib.KINDS) - {"index"}:
    assert f"{kind}_args" in default
    name = members.name_of(config, kind)
    assert name is None or name in members.REGISTRIES[kind]
  checks.check(config, 1)


def test_defaults_of_members_are_filled_in():
  config = resolve("--core.num_slots=67")
  assert config.core_args.to_dict() == dict(num_slots=67)
  arguments = members.arguments_of(config, "core")
  assert arguments["num_slots"] == 67
  assert arguments["hidden_size"] == 100
  assert members.arguments_of(config, "optimizer")["learning_rate"] == 1e-3
  assert members.arguments_of(config, "penalty") == {}


def test_flags_override_a_preset():
  config = resolve("--preset=sam_copy", "--steps=7", "--core.num_slots=67",
                   "--task.max_length=5", "--schedule=constant",
                   "--learning_rate=0.5")
  assert config.preset == "sam_copy"
  assert (config.steps, config.schedule) == (7, "constant")
  assert config.core_args.to_dict() == dict(
      hidden_size=100, num_slots=67, num_heads=1, top_k=4)
  assert config.task_args.to_dict() == dict(max_length=5)
  assert config.optimizer_args.to_dict() == dict(learning_rate=0.5)
  # A flag overrides the preset even if the flag has its default value.
  assert resolve("--preset=sam_copy", "--steps=10000").steps == 10_000
  lstm = resolve("--preset=sam_copy", "--core=lstm")
  assert lstm.core_args.to_dict() == dict(hidden_size=100)


@pytest.mark.parametrize("task", ["arithmetic", "nth_farthest"])
def test_no_preset_is_implied_by_the_task(task):
  config = resolve(f"--task={task}")
  assert (config.preset, config.core) == ("none", "sam")
  assert resolve(f"--preset={task}").core != "sam"


def test_settings_of_a_unit():
  config = resolve("--preset=arithmetic", "--unit=nmu")
  assert config.penalty == "discrete"
  assert config.penalty_args.to_dict() == dict(
      weight=10., start=1_000_000, end=2_000_000)
  assert config.core_args.to_dict() == dict(
      num_layers=2, hidden_size=2, hidden_unit="nau")
  config = resolve("--preset=arithmetic", "--unit=nmu",
                   "--core.hidden_unit=nac", "--penalty.weight=3")
  assert config.core_args.hidden_unit == "nac"
  assert config.penalty_args.weight == 3
  config = resolve("--preset=arithmetic", "--unit=linear")
  assert config.penalty == "none"
  assert config.penalty_args.to_dict() == {}
  assert "hidden_unit" not in config.core_args


def test_settings_of_a_core():
  assert resolve("--preset=curriculum_copy_paper").reuse_memory
  assert not resolve("--preset=curriculum_copy_paper",
                     "--core=ntm").reuse_memory
  assert not resolve("--preset=curriculum_copy_paper",
                     "--noreuse_memory").reuse_memory


def test_encoder_is_that_of_the_task(monkeypatch):
  monkeypatch.setattr(members.REGISTRIES["task"].get("copy"), "encoder",
                      "embed")
  assert resolve("--core=lstm").encoder == "embed"
  assert resolve("--core=lstm", "--encoder=none").encoder == "none"


def test_index_has_arguments():
  config = resolve("--core.index=lsh", "--index.num_tables=3")
  assert config.index_args.to_dict() == dict(num_tables=3)
  assert members.name_of(config, "index") == "lsh"
  assert members.arguments_of(config, "index")["num_tables"] == 3
  assert members.name_of(resolve("--core=lstm"), "index") is None


class WithAnIndexOfItsOwn(hk.RNNCore):
  """Has an argument of the name of SAM's index."""

  def __init__(self, index: str = "first", name: str | None = None):
    super().__init__(name=name)
    self._index = index

  def __call__(self, inputs, prev_state):
    return inputs, prev_state

  def initial_state(self, batch_size):
    return ()


def test_an_argument_named_index_is_not_yet_an_index():
  config = resolve(f"--core={__name__}:WithAnIndexOfItsOwn",
                   "--core.index=second", "--task=copy")
  assert members.name_of(config, "index") is None
  checks.check(config, 1)
  assert config.core_args.to_dict() == dict(index="second")


# Names of runs.


@pytest.mark.parametrize("argv, workdir", [
    ("--task=arithmetic --core=stack --unit=nmu --operation=mul",
     "arithmetic-stack-nmu-mul-0"),
    ("--preset=sam_copy --seed=3", "copy-sam-3"),
])
def test_default_workdir(argv, workdir):
  config = resolve(*argv.split())
  assert str(config_lib.default_workdir(config)) == f"runs/{workdir}"


@pytest.mark.parametrize("argv, label", [
    ("", "sam"), ("--unit=nau", "sam/nau"), ("--core=stack", "stack/linear"),
    ("--core=unit_rnn --unit=nac", "unit_rnn/nac")])
def test_label(argv, label):
  assert config_lib.label(resolve(*argv.split())) == label


def test_settings_are_what_determines_the_result(monkeypatch):
  base = config_lib.settings(resolve("--preset=sam_copy"))
  assert base["core.num_slots"] == 64
  assert base["core.word_size"] == 32  # Not set.
  assert base["optimizer.learning_rate"] == 2e-3
  assert base["steps"] == 4_000  # The schedule depends on the steps.
  assert "steps" not in config_lib.settings(resolve())
  same = ["--seed=3", "--log_every=7", "--core.recompute=false"]
  assert config_lib.settings(resolve("--preset=sam_copy", *same)) == base
  monkeypatch.setattr(SAM, "NOT_LEARNT", ())  # The core decides, not the name.
  assert config_lib.settings(resolve("--preset=sam_copy", *same)) != (
      config_lib.settings(resolve("--preset=sam_copy")))
  for other in ("--core.num_slots=65", "--learning_rate=1", "--steps=7",
                "--optimizer.b1=.5"):
    assert config_lib.settings(resolve("--preset=sam_copy", other)) != base
  written = resolve("--curriculum=exponential", "--curriculum.start=2")
  assert config_lib.settings(written)["curriculum.start"] == 2


# Storing and resuming.


def test_config_is_stored(tmp_path):
  config = resolve("--preset=arithmetic", "--unit=nmu", "--num_seeds=3")
  config_lib.save(config, tmp_path)
  assert config_lib.load(tmp_path) == config
  stored = json.loads((tmp_path / "config.json").read_text())
  assert stored["preset"] == "arithmetic"


@pytest.mark.parametrize("text", [
    "", "{", '{"steps": "many"}', "[]", "7", '{"penalty_weight": 3}'])
def test_config_that_cannot_be_read(tmp_path, text):
  (tmp_path / "config.json").write_text(text)
  with pytest.raises(UsageError, match=r"config\.json"):
    config_lib.load(tmp_path)


def test_older_and_newer_formats(tmp_path):
  config = resolve("--preset=sam_copy")
  config_lib.save(config, tmp_path)
  path = tmp_path / "config.json"
  stored = json.loads(path.read_text())
  assert stored.pop("format") == config_lib.FORMAT
  assert stored.pop("written_by") == environment.versions() | {
      "commit": environment.commit(), "machine": environment.machine()}
  path.write_text(json.dumps(stored))  # As versions before formats wrote it.
  assert config_lib.load(tmp_path) == config
  new = config_lib.FORMAT + 1
  path.write_text(json.dumps(stored | {"format": new, "of_the_future": 1}))
  with pytest.raises(UsageError, match=(
      f"config.json has format {new}, and this version reads formats 0 to "
      f"{config_lib.FORMAT}: a newer")):
    config_lib.load(tmp_path)


def test_config_that_does_not_exist(tmp_path):
  with pytest.raises(UsageError, match=r"config\.json does not exist"):
    config_lib.load(tmp_path)


@pytest.mark.parametrize("changed, words", [
    ("--seed=5", "seed=0 ... seed=5"),
    ("--task=priority_sort", "task=copy ... task=priority_sort"),
    ("--core=sam", "core=lstm ... core=sam"),
    ("--task.num_bits=5", "task.num_bits=3 ... task.num_bits=5"),
    ("--core.hidden_size=5", "core.hidden_size=7 ... core.hidden_size=5"),
    ("--core.top_k=5", "--core.top_k: core 'lstm' ... hidden_size"),
    ("--unit=nau", "unit=linear ... unit=nau"),
    ("--unit.with_bias=false", "unit.with_bias=True ... False"),
    ("--encoder=embed", "encoder=none ... encoder=embed"),
    ("--num_seeds=8", "num_seeds=1 ... num_seeds=8"),
    ("--batch_size=16", "batch_size=8 ... batch_size=16"),
    ("--learning_rate=0.5",
     "optimizer.learning_rate=0.001 ... optimizer.learning_rate=0.5"),
    ("--curriculum=exponential", "curriculum=none ... exponential"),
    ("--penalty.weight=3", "--penalty.weight: penalty is 'none' ... discrete"),
    ("--preset=sam_priority_sort",
     "now --preset=sam_priority_sort with ... --workdir"),
    ("--optimizer=adm", "unknown optimizer 'adm' ... adam"),
])
def test_resuming_refuses_to_change_what_is_learnt(changed, words):
  stored = resolve(*TINY)
  with pytest.raises(UsageError) as error:
    reconcile(stored, changed)
  assert_words(str(error.value), words)


def test_resuming_by_a_preset_alone_refuses_other_flags():
  stored = resolve("--preset=sam_copy", "--core.num_slots=67")
  with pytest.raises(UsageError) as error:
    reconcile(stored, "--preset=sam_copy")
  assert_words(str(error.value), "67 ... --preset=sam_copy ... 64")


def test_resuming_by_a_preset_refuses_what_the_preset_leaves_out():
  stored = resolve("--preset=sam_copy", "--core.word_size=16")
  assert "word_size" not in resolve("--preset=sam_copy").core_args
  with pytest.raises(UsageError) as error:
    reconcile(stored, "--preset=sam_copy")
  assert_words(str(error.value),
               "core.word_size=16 ... --preset=sam_copy with core.word_size=32")
  assert reconcile(
      stored, "--preset=sam_copy", "--core.word_size=16") == stored


def test_resuming_takes_the_encoder_of_the_task():
  stored = resolve(*TINY)
  assert reconcile(stored, "--encoder=") == stored
  with pytest.raises(UsageError, match=r"encoder=embed, now --encoder=none"):
    reconcile(resolve(*TINY, "--encoder=embed"), "--encoder=")


def test_resuming_takes_the_same_flags_and_runtime_ones():
  argv = ["--preset=sam_copy", "--core=lstm", "--core.hidden_size=11",
          "--task.max_length=7", "--steps=13"]
  first = resolve(*argv)
  assert reconcile(first, *argv) == first
  assert reconcile(first) == first
  assert first.preset == "sam_copy"
  for name in config_lib.RUNTIME_FIELDS:
    value = "elsewhere" if isinstance(first[name], str) else 11
    assert first[name] != value
    assert reconcile(first, f"--{name}={value}")[name] == value


def test_resuming_takes_a_default_that_was_not_set():
  first = resolve()
  assert "num_slots" not in first.core_args
  assert reconcile(first, "--core.num_slots=128") == first
  with pytest.raises(UsageError, match=r"core\.num_slots=128, now --core\.num"):
    reconcile(first, "--core.num_slots=3")


def lines_of(caplog, stored, *argv):
  """Returns what resuming a run with this command line logs."""
  caplog.clear()
  with caplog.at_level("INFO", logger="absl"):
    reconcile(stored, *argv)
  return [record.getMessage() for record in caplog.records]


def test_resuming_says_what_changes(caplog):
  first = resolve("--preset=sam_copy", "--steps=13")
  assert not lines_of(caplog, first, "--steps=13", "--core.num_slots=64")
  assert lines_of(caplog, first, "--steps=17", "--data_dir=there") == [
      "resuming with steps=17 (not 13), data_dir='there' (not '')"]
  (line,) = lines_of(caplog, first, "--preset=sam_copy")
  assert_words(line, "--preset=sam_copy ... keeps steps=13 (not 4000)")
  assert lines_of(caplog, first, "--preset=sam_copy", "--steps=17") == [
      "resuming with steps=17 (not 13)"]


def other_value(argument):
  """Returns a value that is not the argument's default."""
  of_type = members.flag_type(argument)
  value = argument.default
  return (not value if of_type is bool else
          "other" if of_type is str else of_type((value or 0) + 1))


@pytest.mark.parametrize("kind", config_lib.KINDS)
def test_resuming_refuses_arguments_of_all_kinds(kind):
  registry, refused, taken = members.REGISTRIES[kind], 0, 0
  of_members = {member: registry.arguments(member) for member in registry}
  for member, has in of_members.items():
    stored = config_lib.resolve(None, *given(kind, member, None, None))
    others = {} if refused else {  # For one member, those of all others.
        k: v for each in of_members.values() for k, v in each.items()}
    for name, argument in (others | has).items():
      if members.flag_type(argument) is None or argument.is_required:
        continue
      with pytest.raises(UsageError) as error:
        config_lib.reconcile(stored, None, {}, {kind: {
            name: other_value(argument)}})
      assert_words(str(error.value), f"{kind}.{name}")
      refused += 1
      # An environment of gymnax cannot be made without its path.
      if name in has and argument.default is not None and (
          (member, name) != ("gymnax", "path")):
        assert config_lib.reconcile(stored, None, {}, {kind: {
            name: argument.default}}) == stored
        taken += 1
  assert refused or kind == "head"  # No head has arguments.
  assert taken or kind == "head"


# A unit that the network does not have: its flags would have no effect.


def test_flags_of_a_unit_need_a_unit():
  for argv in (["--unit.with_bias=false"], ["--unit.with_bias=true"],
               ["--core=ntm", "--unit.w_init=glorot"],
               ["--head=none", "--unit=nau"]):
    with pytest.raises(UsageError) as error:
      resolve(*argv)
    flag = argv[-1].split("=")[0]
    assert_words(str(error.value), f"{flag}: ... core= ... has no unit; leave")
  # A sweep over units names the usual one, too.
  assert resolve("--unit=linear", "--core=sam") == resolve("--core=sam")
  # A preset's own arguments of a unit may stand idle.
  idle = resolve("--preset=arithmetic", "--core=sam", "--unit=linear")
  assert idle.unit_args.to_dict() == dict(w_init="glorot")
  with pytest.raises(UsageError, match="has no unit"):
    reconcile(resolve("--core=sam"), "--unit.with_bias=true")


# Refusals.


@pytest.mark.parametrize("argv, words", [
    ("--task=sopy", "unknown task 'sopy' ... associative_recall, babi,"),
    ("--core=lsdm", "unknown core 'lsdm' ... lstm ... sam"),
    ("--preset=sam_sopy", "unknown preset 'sam_sopy' ... sam_copy"),
    ("--optimizer=adan", "unknown optimizer 'adan' ... adam, rmsprop, sgd"),
    ("--schedule=sine", "unknown schedule 'sine' ... constant, cosine, "
     "staircase"),
    ("--core=lstm --core.top_k=4",
     "--core.top_k: core 'lstm' ... 'top_k' ... hidden_size ... --core=sam"),
    ("--task=copy --task.max_pairs=3", "'copy' ... 'max_pairs' ... max_length"),
    ("--optimizer=sgd --optimizer.b1=.3",
     "--optimizer.b1: optimizer 'sgd' ... learning_rate ... adam"),
    ("--batch_size=18",
     "batch_size=18 ... 4 devices ... multiple of 4, or --cpu_devices=3"),
    ("--core.num_slots=3", "top_k ... num_slots=3 ... 4"),
    ("--core.hidden_size=0", "hidden_size ... at least 1 ... 0"),
    ("--core.gradient_steps=0", "gradient_steps ... at least 1 ... 0"),
    ("--core.index=lhs", "unknown index 'lhs' ... exact, lsh"),
    ("--index.num_tables=3",
     "--index.num_tables: index 'exact' ... --core.index=lsh"),
    ("--core=lstm --index.num_tables=3",
     "--index.num_tables: core 'lstm' has no index ... sam, sdnc"),
    ("--task.num_bits=-2", "num_bits=-2"),
    ("--task=mnist_parity --task.image_size=2147483647",
     "4611686014132420609 numbers ... 2147483647 ... image_size=2147483647"),
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
    ("--learning_rate=nan", "learning_rate ... finite ... nan"),
    ("--optimizer.b1=1", "b1 ... [0, 1) ... 1"),
    ("--optimizer.b2=0.99999999", "b2 ... [0, 1) ... 0.99999999"),
    ("--optimizer.eps=0", "eps ... above 0 ... 0"),
    ("--optimizer.eps=1,2,3,-1", "eps ... above 0 ... -1"),
    ("--optimizer=rmsprop --optimizer.decay=-1", "decay ... [0, 1) ... -1"),
    ("--optimizer=rmsprop --optimizer.momentum=2", "momentum ... [0, 1) ... 2"),
    ("--optimizer=rmsprop --optimizer.eps=0", "eps ... above 0 ... 0"),
    ("--optimizer=sgd --optimizer.momentum=0,.1,.2,1",
     "momentum ... [0, 1) ... 1"),
    ("--schedule=cosine --schedule.final_fraction=1.5",
     "final_fraction ... from 0 to 1 ... 1.5"),
    ("--schedule=staircase --schedule.every=0", "every ... at least 1 ... 0"),
    ("--schedule=staircase --schedule.factor=0", "factor ... above 0 ... 0"),
    ("--core=conv_lstm --core.kernel_size=2147483647",
     "kernel_size ... at most 1000 ... 2147483647"),
    ("--core=conv_lstm --core.height=2147483647",
     "height=2147483647 ... at most 2147483647"),
    ("--core.delta=1", "delta ... [0, 1) ... 1"),
    ("--core.delta=-1", "delta ... [0, 1) ... -1"),
    ("--core.index=approx --index.recall_target=2",
     "recall_target ... above 0 ... at most 1 ... 2"),
    ("--max_grad_norm=-1", "max_grad_norm ... 0 (off) or above ... -1"),
    ("--max_grad_value=-1", "max_grad_value ... 0 (off) or above ... -1"),
    ("--penalty=discrete --penalty.weight=-1", "weight >= 0 ... weight=-1"),
    ("--penalty=discrete --penalty.input_weight=-1", "input_weight=-1"),
    ("--penalty=discrete --penalty.weight=1 --penalty.start=5 --penalty.end=3",
     "start=5 ... end=3"),
    ("--penalty=discrete --penalty.weight=1 --unit=nalu",
     "penalty.weight=1: no unit ... --unit=nmu"),
    ("--penalty=discrete --penalty.input_weight=2 --core=stack --unit=inalu",
     "penalty.input_weight=2: no unit"),
    ("--penalty=discrete --unit=nmu", "penalty=discrete ... penalty.weight=0"),
    ("--penalty.weight=1",
     "--penalty.weight: penalty is 'none'; valid: discrete; add "
     "--penalty=discrete"),
    ("--penalty=discreet", "unknown penalty 'discreet' ... discrete"),
    ("--unit=nmo", "unknown unit 'nmo' ... linear, ... nmu"),
    ("--unit=nmu --unit.epsilon=1", "'nmu' ... 'epsilon' ... penalty"),
    ("--unit=nmu --unit.penalty=none", "penalty 'none' ... linear, squared"),
    ("--encoder=rnn", "unknown encoder 'rnn' ... cnn, embed, none"),
    ("--head=unit2", "unknown head 'unit2' ... unit"),
    ("--encoder=cnn", "square images ... 10"),
    ("--encoder=embed --encoder.mean=1", "'embed' ... 'mean' ... output_size"),
    ("--core=stack --core.hidden_unit=nmo", "'nmo' ... nmu"),
    ("--core=rnn --core.activation=selu", "activation 'selu' ... relu, tanh"),
    ("--parallel=pjit", "unknown parallel 'pjit' ... pmap, shard_map"),
    ("--accumulate=0", "accumulate ... at least 1 ... 0"),
    ("--accumulate=3", "accumulate=3 ... batch_size=16 ... --accumulate=2"),
    ("--accumulate=8", "batch_size=16 in accumulate=8 parts ... 4 devices ... "
     "multiple of 32, or --cpu_devices=2"),
    ("--accumulate=2 --reuse_memory", "accumulate=2 ... reuse_memory"),
    ("--accumulate=2 --rng=rbg", "accumulate=2 ... rng=rbg"),
    ("--accumulate=2 --unit=nau --penalty=discrete --penalty.input_weight=1",
     "accumulate=2 ... penalty.input_weight"),
    ("--accumulate=2 --task=minipacman --agent=config_helpers:OfNoParts",
     "accumulate=2 ... agent 'config_helpers:OfNoParts' has no DIVISION"),
    ("--rng=mersenne", "unknown rng 'mersenne' ... rbg, threefry"),
    ("--rng=rbg", "rng='rbg' ... several seeds or devices ... threefry"),
    ("--num_seeds=0", "num_seeds ... at least 1 ... 0"),
    ("--num_seeds=6", "num_seeds=6 ... 4 devices ... multiple of 4"),
    ("--num_seeds=8 --curriculum=exponential",
     "curriculum=exponential ... num_seeds=8"),
    ("--num_seeds=8 --reuse_memory", "reuse_memory=True ... num_seeds=8"),
    ("--core=lstm --reuse_memory", "reuse_memory: core 'lstm' ... sam, sdnc"),
    ("--max_minutes=-1", "max_minutes ... 0 (no limit) or above ... -1"),
    ("--max_minutes=nan", "max_minutes ... nan"),
    ("--curriculum=linear", "unknown curriculum 'linear' ... exponential"),
    ("--curriculum.start=2",
     "--curriculum.start: curriculum is 'none' ... --curriculum=exponential"),
    ("--curriculum=exponential --curriculum.start=0", "start=0"),
    ("--curriculum=exponential --curriculum.start=8 --curriculum.max_level=7",
     "start=8 ... max_level=7"),
    ("--curriculum=exponential --curriculum.max_level=2000000000",
     "2000000000"),
    ("--curriculum=exponential --curriculum.threshold=0", "threshold > 0"),
    ("--curriculum=exponential --curriculum.patience=25",
     "patience ... multiple of 10 ... 25"),
    ("--curriculum=exponential --task=omniglot --task.num_labels=7",
     "curriculum.max_level=4096 is too high ... num_labels=7"),
    ("--curriculum=exponential --task=identity --core=stack",
     "task 'identity' has no levels"),
])
def test_usage_errors(argv, words):
  with pytest.raises(UsageError) as error:
    checks.check(resolve(*argv.split()), 4)
  assert_words(str(error.value), words)


@pytest.mark.parametrize("argv, number, words", [
    ("--batch_size=18", 3, "3 of 4 devices ... batch_size=18 ... over 4"),
    ("--batch_size=7", 1, "1 of 4 devices ... batch_size=7 ... over 4"),
    ("--num_seeds=6", 3, "3 of 4 devices ... num_seeds=6 ... over 4"),
    ("--rng=rbg", 1, "1 of 4 devices ... rng=rbg"),
    ("--batch_size=16", 4, None),
    ("--num_seeds=4 --batch_size=7", 4, None),
    ("--batch_size=16 --accumulate=8", 2, "2 of 4 devices ... accumulate=8"),
    ("--num_seeds=4 --batch_size=7 --accumulate=7", 4, None),
])
def test_training_takes_as_many_devices_as_have_equal_shares(
    caplog, argv, number, words):
  config = resolve(*TINY, *argv.split())
  checks.check(config)  # Refuses them only if they are all asked for.
  if number < 4:
    with pytest.raises(UsageError, match="--cpu_devices="):
      checks.check(config, 4)
  found = build.make_layout(config).devices
  assert found == jax.local_devices()[:number]
  if words:
    (record,) = caplog.records
    assert_words(record.getMessage(), words)
  else:
    assert not caplog.records
  # An evaluation pads the last share, so only seeds must divide.
  assert len(devices.for_evaluation(config)) == (
      number if config.num_seeds > 1 else 4)


def test_own_preset_with_a_field_that_does_not_exist(monkeypatch):
  monkeypatch.setattr(config_helpers, "wrong", lambda: dict(stepz=3),
                      raising=False)
  with pytest.raises(UsageError, match="'stepz', which does not exist"):
    resolve("--preset=config_helpers:wrong")


# Objects.


def test_optimizer_has_the_rate_of_the_schedule():
  config = resolve("--optimizer=sgd", "--learning_rate=0.5", "--steps=4",
                   "--schedule=cosine", "--schedule.final_fraction=0.2",
                   "--max_grad_norm=0")
  optimizer = build.make_optimizer(config)
  gradient = jnp.ones(())
  state, moved = optimizer.init(gradient), []
  for _ in range(5):
    update, state = optimizer.update(gradient, state)
    moved.append(float(-update))
  assert moved[0] == pytest.approx(0.5)
  assert moved[2] == pytest.approx(0.3)
  assert moved[4] == pytest.approx(0.1)


def test_curriculum_and_penalty_are_members():
  config = resolve(
      "--curriculum=exponential", "--curriculum.start=3", "--unit=nmu",
      "--curriculum.patience=70", "--penalty=discrete", "--penalty.weight=7",
      "--penalty.start=11", "--penalty.end=13", "--penalty.input_weight=5")
  curriculum, penalty = (build.make_curriculum(config),
                         build.make_penalty(config))
  assert (curriculum.start, curriculum.patience) == (3, 70)
  assert (curriculum.threshold, curriculum.max_level) == (0.05, 4096)
  assert (penalty.weight, penalty.start, penalty.end,
          penalty.input_weight) == (7, 11, 13, 5)
  assert build.make_curriculum(resolve()) is None
  assert build.make_penalty(resolve()) is None


def test_trainer_of_one_seed_and_of_many():
  config = resolve(*TINY)
  task = build.make_task(config)
  assert task.num_bits == 3
  assert list(build.make_trainer(config, task).seeds) == [0]
  config = resolve(*TINY, "--num_seeds=8", "--seed=5")
  trainer = build.make_trainer(config, task)
  assert list(trainer.seeds) == [*range(5, 13)]
  assert trainer.learner.batch_size == 8
  few = build.make_trainer(resolve(*TINY), task, jax.local_devices()[:2])
  assert few.layout.num_parts == 2


def test_model_takes_other_arguments_of_the_core():
  config = resolve("--core.num_slots=11", "--core.hidden_size=7")
  task = build.make_task(config)

  def sizes(**core_args):
    model = build.make_model(config, task, **core_args)
    state = jax.eval_shape(lambda: model.initial_state({}, 2))
    return {size for x in jax.tree.leaves(state) for size in x.shape}

  assert 11 in sizes()
  assert 13 in sizes(num_slots=13)
  assert 11 not in sizes(num_slots=13)


def test_equal_networks_are_one_model(monkeypatch):
  def model(*argv, **core_args):
    config = resolve(*TINY, *argv)
    return build.make_model(config, build.make_task(config), **core_args)

  first = model()
  assert model("--learning_rate=0.5", "--seed=3") is first
  others = [model("--core.hidden_size=8"), model("--task.num_bits=4"),
            model("--unit=nau"), model("--precision=bfloat16"),
            model(num_layers=2)]
  # Own code may change under the same name.
  lstm = CORES.get("lstm")
  monkeypatch.setitem(
      CORES._members, "lstm", functools.wraps(lstm)(lambda **kw: lstm(**kw)))
  others.append(model())
  assert len({id(each) for each in (first, *others)}) == 1 + len(others)


# Numbers that JAX would cut off.

_INTEGERS = [2**31, 2**40, 2**63, 2**70, -1]


def number_flags(of_type):
  """Yields (flag, fields, arguments) for every flag of this type."""
  for name, value in config_lib.default_config().items():
    if type(value) is of_type:
      yield name, lambda x, name=name: ({name: x}, {})
  for kind, registry in members.REGISTRIES.items():
    for member in registry:
      for argument in registry.arguments(member).values():
        if members.flag_type(argument) is of_type:
          yield f"{kind}.{argument.name}", functools.partial(
              given, kind, member, argument.name)


def given(kind, member, name, value):
  arguments = {name: value} if name else {}
  if kind == "index":
    return {}, {"core": {"index": member}, "index": arguments}
  fields = {"core": "lstm"} if kind == "unit" else {}  # It has a read-out.
  if kind == "agent":
    fields = {"task": "time_tracking"}
  if member == "gymnax":
    arguments = {"path": "test_adapters:OldEnv"} | arguments
  return fields | {kind: member}, {kind: arguments}


def refusal(fields, arguments=types.MappingProxyType({})):
  """Returns the line that refuses a run; None if it is taken."""
  try:
    checks.check(config_lib.resolve(None, fields, arguments))
  except UsageError as error:
    return str(error)
  return None


@pytest.mark.parametrize("flag, setting", [*number_flags(int)])
def test_integers_are_refused_or_used(flag, setting):
  for value in _INTEGERS:
    line = refusal(*setting(value))
    if flag == "seed" and value == 2**31:
      assert line is None  # It trains what no other seed does.
      continue
    assert line is not None
    assert_words(line, f"{flag.split('.')[-1]} ... {value}")


@pytest.mark.parametrize("flag, setting", [*number_flags(float)])
def test_floats_are_finite_in_float32(flag, setting):
  for value in (math.nan, math.inf, -math.inf, 1e39, 1e-50):
    line = refusal(*setting(value))
    assert line is not None
    assert_words(line, f"{flag} must be ... {value}")


def test_a_seed_is_no_other_seed():
  def key(seed):
    return jax.random.key_data(jax.random.key(seed)).tolist()

  assert key(2**32) == key(0)
  assert key(-1) == key(2**32 - 1)  # So these two are refused.
  assert key(2**32 - 1) == [0, 2**32 - 1]
  assert refusal({"seed": 2**32 - 1}) is None
  assert refusal({"seed": 2**32 - 5, "num_seeds": 5}) is None
  assert_words(refusal({"seed": 2**32}),
               "seed ... 4294967295 ... 4294967296")
  assert_words(refusal({"seed": 2**32 - 4, "num_seeds": 5}),
               "num_seeds=5 ... last seed ... 4294967295, got 4294967296")


def test_stored_config_is_strict_json(tmp_path):
  config = resolve()
  config.max_minutes = float("nan")
  with pytest.raises(ValueError, match="JSON"):
    config_lib.save(config, tmp_path)
  assert not list(tmp_path.iterdir())
