"""Presets: what they hold, how they are documented, that each can be built."""

import ast
import inspect
import math
import pathlib

import config_helpers
import jax
import numpy as np
import pytest
from text_helpers import write as write_text

from launch import experiments
from launch.configs import build, checks, members
from launch.configs import config as config_lib
from launch.experiments.merging import merge
from tasks.data import cache

NAMES = experiments.preset_names()
SETTINGS = ("core_settings", "unit_settings")
# These papers' numbers of seeds are not multiples of 8, so 1 device is used.
# The batch of 20 is not, either.
ODD_SIZES = ("arithmetic_module_paper", "arithmetic_paper",
             "nalu_identity_paper", "wikitext2")
NUM_WORDS = 200_003


def test_there_are_presets():
  assert len(NAMES) == len(set(NAMES)) > 40
  assert {"sam_copy", "nth_farthest", "nth_farthest_paper"} <= set(NAMES)
  # Every preset of a paper's size has a small counterpart.
  for name in NAMES:
    assert name.removesuffix("_paper") in NAMES
  with pytest.raises(KeyError):
    experiments.load_preset("sam_sopy")


def test_presets_import_nothing_of_launch():
  folder = pathlib.Path(experiments.__file__).parent
  files = list(folder.glob("*.py"))
  assert len(files) > 10
  for file in files:
    for node in ast.walk(ast.parse(file.read_text())):
      if isinstance(node, ast.ImportFrom):
        assert not node.module.startswith("launch") or (
            node.module.startswith("launch.experiments"))
      assert not isinstance(node, ast.Import) or all(
          alias.name in ("inspect",) for alias in node.names)


@pytest.mark.parametrize("name", NAMES)
def test_docstring(name):
  text = inspect.getdoc(experiments.PRESETS[name])
  lines = text.splitlines()
  assert members.PRESETS.summary(name) == lines[0]
  assert lines[0].endswith(".")
  assert "\nPaper: " in text
  assert any(f"\nData: {data}" in text for data in (
      "none.", "MNIST", "Omniglot", "bAbI", "text; "))


@pytest.mark.parametrize("name", NAMES)
def test_preset_needs_the_data_that_it_names(name, tmp_path):
  config = config_helpers.resolve(f"--preset={name}")
  task = build.make_task(config, is_prepared=False)
  text = inspect.getdoc(experiments.PRESETS[name])
  if "\nData: none." in text:
    task.load("test", None)
  else:
    for folder in (None, str(tmp_path)):
      with pytest.raises((OSError, ValueError), match=r"get .*--data_dir"):
        task.prepared(folder).load("test", folder)


def all_fields(fields):
  """Yields a preset's fields, and those of its cores and units."""
  yield {name: value for name, value in fields.items() if name not in SETTINGS}
  for setting in SETTINGS:
    yield from fields.get(setting, {}).values()


@pytest.mark.parametrize("name", NAMES)
def test_fields_and_members_exist(name):
  preset = experiments.load_preset(name)
  assert preset is not experiments.load_preset(name)
  assert preset["core"] in preset["core_args"]
  assert set(preset.get("core_settings", {})) <= set(preset["core_args"])
  assert set(preset.get("unit_settings", {})) <= set(
      members.REGISTRIES["unit"])
  assert set(preset.get("task_args", {})) <= {preset["task"]}
  for fields in all_fields(preset):
    assert set(fields) <= set(config_lib.default_config())
    for field, of_members in fields.items():
      if field.endswith("_args"):
        registry = members.REGISTRIES[field.removesuffix("_args")]
        for member, arguments in of_members.items():
          assert member in registry
          assert set(arguments) <= set(registry.arguments(member))


VARIANTS = [
    (name, f"--core={core}")
    for name in NAMES for core in experiments.load_preset(name)["core_args"]
] + [(name, f"--unit={unit}") for name in NAMES
     for unit in experiments.load_preset(name).get("unit_settings", {})]


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> list[str]:
  """Returns flags for a text with as many words as the presets' softmaxes need.
  """
  folder = tmp_path_factory.mktemp("texts")
  words = " ".join(f"w{i}" for i in range(NUM_WORDS - 2))
  write_text(folder / "data", {
      "train": f"{words} <unk>\n", "valid": "w1 w2\n", "test": "w3 w4\n"})
  return [f"--data_dir={folder / 'data'}", f"--cache_dir={folder / 'cache'}"]


# Kinds of what a network is made of.
OF_NETWORKS = {"core", "encoder", "head", "index", "unit"}


@pytest.fixture(scope="module")
def shapes() -> dict[str, tuple[int, ...]]:
  """Maps a network to the shape of its outputs."""
  return {}


def shape_of_outputs(model, inputs):
  def answers(key, inputs):
    params = model.init(key, inputs[:1])
    state = model.initial_state(params, 2)
    return model.unroll(params, None, inputs, state).outputs

  return jax.eval_shape(answers, jax.random.key(0), inputs).shape


@pytest.mark.parametrize("name, flag", VARIANTS)
def test_preset_is_built(name, flag, texts, shapes):
  """The model's output has the task's shape; nothing is compiled."""
  needs_texts = experiments.load_preset(name)["task"] == "text"
  config = config_helpers.resolve(
      f"--preset={name}", flag, *(texts if needs_texts else []))
  checks.check(config, 1 if name in ODD_SIZES else 8)
  task = build.make_task(config)
  if needs_texts:
    assert task.output_size in (NUM_WORDS, 18)  # Or characters.
  model = build.make_learner(config, task).model
  num_steps = getattr(task, "num_steps", 3)  # An environment has no number.
  inputs = jax.ShapeDtypeStruct(
      (num_steps, 2, *task.input_spec.shape), task.input_spec.dtype)
  # Many presets differ in their task alone, and have the same network.
  network = repr((inputs, task.output_size, [
      (name, value) for name, value in config.items()
      if name.split("_")[0] in OF_NETWORKS]))
  if network not in shapes:
    shapes[network] = shape_of_outputs(model, inputs)
  assert shapes[network] == (num_steps, 2, task.output_size)


@pytest.mark.slow
def test_the_papers_language_model_does_updates(texts):
  config = config_helpers.resolve(
      "--preset=wikitext103_rmc", "--batch_size=1", *texts)
  task = build.make_task(config)
  trainer = build.make_trainer(config, task, jax.local_devices()[:1])
  with cache.placed_in(config.cache_dir):
    data = trainer.put_data(task.load("train", config.data_dir))
  state = trainer.put(trainer.initial_state())
  losses = []
  for _ in range(2):
    state, metrics = trainer.train(state, data, 1)
    losses.append(metrics["loss"])
  # The text has each word once. The adaptive softmax guesses the cluster of a
  # rare one among its 20,000 frequent ones, then the word within the cluster.
  guess = np.log(20_000) + np.log(NUM_WORDS - 40_000)
  assert losses[0] == pytest.approx(guess, rel=.2)
  assert np.isfinite(losses[1])


# Preset, flags -> fields of the resulting config that are the paper's.
PAPERS = [
    ("nth_farthest_paper", "", dict(
        task_args=dict(num_objects=8, num_dims=16), batch_size=1600,
        max_grad_norm=0., steps=1_000_000,
        core_args=dict(num_slots=8, num_heads=8, head_size=32),
        optimizer_args=dict(learning_rate=1e-4))),
    ("nth_farthest_paper", "--core=lstm", dict(
        core_args=dict(hidden_size=2048))),
    ("nth_farthest_paper", "--core=dnc", dict(
        core_args=dict(num_slots=8, word_size=128, hidden_size=128,
                       num_layers=2, num_read_heads=1))),
    ("wikitext103_rmc", "", dict(
        task_args=dict(name="wikitext103", tokens="words", num_steps=100,
                       vocabulary_from="train"),
        core_args=dict(num_slots=1, num_heads=4, head_size=625,
                       attention_mlp_layers=5),
        encoder_args=dict(output_size=512, dropout=.5), batch_size=384,
        optimizer_args=dict(learning_rate=1e-3), max_grad_norm=.1)),
    ("learning_to_execute_paper", "", dict(
        task_args=dict(operation="addition", max_length=5, max_nesting=2),
        core_args=dict(num_slots=4, num_heads=4, head_size=64,
                       gate_style="memory"),
        batch_size=128, max_grad_norm=0., steps=200_000,
        eval_episodes=12_800)),
    ("learning_to_execute_paper", "--core=lstm", dict(
        core_args=dict(hidden_size=1024, num_layers=2))),
    ("learning_to_execute_paper", "--core=dnc", dict(
        core_args=dict(num_slots=80, word_size=64, num_read_heads=4,
                       hidden_size=256, num_layers=2))),
    ("curriculum_copy_paper", "", dict(
        core_args=dict(hidden_size=100, num_slots=2_000_000, num_heads=1,
                       top_k=4, index="lsh"), reuse_memory=True)),
    ("curriculum_associative_recall_wide", "", dict(
        task_args=dict(num_bits=32, item_length=3), reuse_memory=True,
        curriculum_args=dict(start=4, max_level=10_000))),
    ("curriculum_priority_sort_paper", "--core=ntm", dict(
        core_args=dict(hidden_size=100, num_slots=64, num_heads=2),
        reuse_memory=False)),
    ("sam_copy_paper", "", dict(
        core_args=dict(hidden_size=100, num_slots=128, num_heads=4, top_k=4),
        optimizer="rmsprop", optimizer_args=dict(learning_rate=1e-5),
        batch_size=8)),
    ("babi_paper", "", dict(
        task_args=dict(tasks="all", max_length=None), steps=500_000,
        core_args=dict(hidden_size=256, num_slots=256, word_size=64,
                       num_heads=4, top_k=4))),
    ("catbabi_paper", "", dict(
        batch_size=32, steps=50_000, encoder="tokens", head="softmax",
        encoder_args=dict(output_size=256),
        optimizer="adam", optimizer_args=dict(learning_rate=1e-3),
        core_args=dict(hidden_size=256, num_slots=256, num_heads=4,
                       top_k=4))),
    ("catbabi_paper", "--core=lstm", dict(core_args=dict(hidden_size=256))),
    ("sam_omniglot_paper", "", dict(
        task_args=dict(num_classes=5, min_classes=5, image_size=20),
        steps=100_000)),
    ("omniglot_curriculum_paper", "", dict(
        task_args=dict(num_classes=4, min_classes=4, num_labels=500,
                       image_size=20),
        curriculum_args=dict(start=4, threshold=0.7, max_level=500),
        core_args=dict(hidden_size=100, num_slots=2**14, num_heads=1, top_k=4,
                       index="lsh"), reuse_memory=True)),
    ("omniglot_curriculum_paper", "--core=dam", dict(
        core_args=dict(hidden_size=100, num_slots=128, num_heads=1),
        reuse_memory=False)),
    ("mnist_sequence_sum_paper", "", dict(
        batch_size=64, steps=86_000, schedule="constant", max_grad_norm=0.,
        penalty_args=dict(weight=10., start=10_000, end=100_000,
                          input_weight=1.))),
    ("mnist_sequence_sum_paper", "--unit=nac", dict(
        penalty_args=dict(input_weight=1.))),
    ("mnist_sequence_product_paper", "", dict(
        batch_size=64, steps=388_000, schedule="constant", max_grad_norm=0.,
        penalty_args=dict(weight=10., start=10_000, end=100_000,
                          input_weight=1.))),
    ("mnist_counting_paper", "", dict(task_args=dict(min_length=10))),
    ("mnist_addition_paper", "", dict(
        task_args=dict(min_length=10), encoder_args=dict(output_size=1))),
    ("mnist_parity_paper", "", dict(
        encoder_args=dict(hidden_size=500, output_layer=False),
        steps=100_000)),
    ("arithmetic_paper", "", dict(
        num_seeds=100, eval_every=1_000, eval_episodes=10_000)),
    ("arithmetic_module_paper", "", dict(num_seeds=25)),
    ("arithmetic_module_division", "", dict(
        unit="real_npu", penalty_args=dict(weight=1e-7, start=0, end=20_000))),
    ("language_numbers_paper", "--unit=nac", dict(
        core_args=dict(hidden_size=1024))),
    ("language_numbers_paper", "", dict(core_args=dict(hidden_size=10))),
    ("nalu_identity_paper", "", dict(num_seeds=100, steps=10_000)),
    ("boxworld_paper", "", dict(
        task_args=dict(solution_length=5, num_forward=5, grid_size=12,
                       max_steps=120, view=5),
        core_args=dict(num_slots=4, num_heads=4, head_size=64,
                       gate_style="memory"),
        agent_args=dict(unroll_length=40, entropy_cost=.005))),
    ("minipacman_paper", "", dict(task_args=dict(view=5))),
    ("time_tracking_paper", "", dict(task_args=dict(cell_pixels=11))),
]


@pytest.mark.parametrize("name, flag, wanted", PAPERS)
def test_sizes_of_the_papers(name, flag, wanted):
  config = config_helpers.resolve(f"--preset={name}", *flag.split())
  found = config.to_dict()
  assert {field: found[field] for field in wanted} == wanted


@pytest.mark.parametrize("name, num_labels", [
    ("omniglot_curriculum", 100), ("omniglot_curriculum_paper", 500)])
def test_omniglot_s_curriculum(name, num_labels):
  """SAM can keep every step, and images may be seen as images."""
  config = config_helpers.resolve(f"--preset={name}")
  last = build.make_task(config).at_level(config.curriculum_args.max_level)
  assert last.num_classes == last.num_labels == num_labels
  assert last.num_steps <= config.core_args.num_slots
  text = " ".join(inspect.getdoc(experiments.PRESETS[name]).split())
  flags = ("--task.image_size=20", "--encoder=cnn",
           f"--encoder.num_passed={num_labels}")
  assert flags[-1] in text
  config = config_helpers.resolve(f"--preset={name}", *flags)
  checks.check(config, 1)
  with pytest.raises(config_lib.UsageError, match="num_passed=99 of them"):
    checks.check(config_helpers.resolve(
        f"--preset={name}", *flags[:-1], "--encoder.num_passed=99"), 1)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] * (name in (
        "boxworld", "boxworld_paper", "boxworld_viewport", "minipacman",
        "minipacman_paper", "minipacman_viewport", "time_tracking_paper")))
    for name in NAMES if experiments.load_preset(name)["task"] in (
        "boxworld", "minipacman", "time_tracking")])
def test_the_torso_sees_the_whole_picture(name):
  config = config_helpers.resolve(f"--preset={name}", "--core=stack")
  task = build.make_task(config)
  model = build.make_model(config, task, hidden_size=32)
  inputs = jax.random.normal(jax.random.key(0), (1, 64, task.input_size))
  params = model.init(jax.random.key(1), inputs)
  state = model.initial_state(params, 64)
  gradient = jax.grad(lambda inputs: model.unroll(
      params, None, inputs, state).outputs.sum())(inputs)
  size = math.prod(task.image_shape)
  seen = (gradient[0, :, :size] != 0).any(0).reshape(task.image_shape)
  assert seen.any((1, 2)).all()
  assert seen.any((0, 2)).all()


def test_every_preset_of_a_paper_has_a_test_of_its_sizes():
  tested = {name for name, *_ in PAPERS}
  missing = {name for name in NAMES if name.endswith("_paper")} - tested
  # These presets differ from the copy preset in the task alone.
  assert missing == {
      "curriculum_associative_recall_paper", "sam_associative_recall_paper",
      "sam_priority_sort_paper"}


def test_merge():
  first = dict(a=1, b=dict(c=2, d=dict(e=3)))
  merged = merge(first, dict(b=dict(c=5, d=dict(f=7)), g=dict(h=11)))
  assert merged == dict(a=1, b=dict(c=5, d=dict(e=3, f=7)), g=dict(h=11))
  merged["b"]["d"]["e"] = 13
  assert first == dict(a=1, b=dict(c=2, d=dict(e=3)))
