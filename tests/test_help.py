"""--list, --describe and the help of flags."""

import inspect

import pytest
from absl import flags
from config_helpers import parsed

from launch import experiments
from launch.configs import config as config_lib
from launch.configs import help as help_lib
from launch.configs import members
from launch.configs.docstrings import formulas
from rmc_nalu_sam import Registry
from rmc_nalu_sam.registry import Argument

MEMBERS = [(kind, member) for kind, registry in members.REGISTRIES.items()
           for member in registry]


class First:
  """Is the first. Further sentences are not listed.

  With an equation.

  Notes:
    It is of no use.
  """

  def __init__(self, size: int = 3, kind: str | None = None):
    """Constructs it.

    Args:
      size: Size of it. A further sentence.
      kind: Kind of it.

    Raises:
      ValueError: The size is odd.
    """


class Second:
  """Is the second."""

  def __init__(self, size: int = 5, kind: str | None = None):
    """Constructs it.

    Args:
      size: Another size.
      kind: Kind of it
    """


REGISTRY = Registry("thing", {"first": First, "second": Second})


def one_line(text):
  return " ".join(text.split())


def owners(name):
  return [(member, REGISTRY.arguments(member)[name]) for member in REGISTRY]


def test_help_of_a_flag():
  assert help_lib.flag_help("thing", owners("size")) == (
      "first: Size of it. second: Another size. Default: 3 (first); 5 "
      "(second).")
  assert help_lib.flag_help("thing", owners("kind")) == (
      "first: Kind of it. second: Kind of it. Default: None (first, second)."
  ) or help_lib.flag_help("thing", owners("kind")) == (
      "Kind of it. Default: None (first, second).")


def test_help_of_a_flag_of_many_members_is_short():
  many = [(f"m{i}", Argument("x", int, inspect.Parameter.empty, f"Text {i}."))
          for i in range(7)]
  text = help_lib.flag_help("thing", many)
  assert "m2: Text 2." in text
  assert "Text 3" not in text
  assert "More: --describe=thing:NAME." in text
  assert "none, it is required (m0, m1, m2, m3, m4, m5, m6)" in text


@pytest.mark.parametrize("kind, member", MEMBERS)
def test_each_argument_of_a_member_is_documented(kind, member):
  for name, argument in members.REGISTRIES[kind].arguments(member).items():
    assert argument.help, f"{kind} {member}: {name}"
  assert members.REGISTRIES[kind].summary(member)


def test_list_names_everything_with_a_sentence():
  text = help_lib.list_all()
  assert all(len(line) <= help_lib.WIDTH for line in text.splitlines())
  for kind in members.REGISTRIES:
    flag = "--core.index" if kind == "index" else f"--{kind}"
    assert f"\n{flag}=NAME\n" in "\n" + text
  flat = one_line(text)
  for kind, member in MEMBERS:
    summary = members.REGISTRIES[kind].summary(member)
    assert f" {member} {one_line(summary)}" in flat
  for name in experiments.preset_names():
    assert f" {name} {members.PRESETS.summary(name)}" in flat


def test_list_tells_what_a_name_stands_for():
  flat = one_line(help_lib.list_all())
  assert "With kind='nmu'." in flat


def test_formulas_are_for_a_terminal():
  text = inspect.cleandoc(r"""Computes :math:`\hat W`.

    .. math::

      y_t &= \frac{a_{t-1}}{b}, \quad b = \sqrt{d_k} \\
      W &= \tanh(\hat W) \odot \sigma(\mathrm{LN}(x)) \text{ if } x

    After it.
    """)
  assert formulas.plain(text) == inspect.cleandoc("""Computes W\u0302.

      y_t = (a_{t-1}) / (b), b = √(d_k)
      W = tanh(W\u0302) ⊙ σ(LN(x)) if x

    After it.
    """)


@pytest.mark.parametrize("kind, member", MEMBERS)
def test_describe_a_member(kind, member):
  text = help_lib.describe(f"{kind}:{member}")
  for part in ("\\", ":math:", ".. math::", "Example:", ">>>"):
    assert part not in text
  flat = one_line(text)
  arguments = members.REGISTRIES[kind].arguments(member)
  for argument in arguments.values():
    # An argument that takes an object is for Python only.
    dashes = "--" if members.flag_type(argument) else " "
    assert f"{dashes}{kind}.{argument.name} " in flat
    assert one_line(argument.help.rstrip(".")) in flat
    if isinstance(argument.default, (int, float, str)):
      assert f"default {argument.default!r}" in flat
  assert ("Arguments:" in text) == bool(arguments)
  assert "Args:" not in text
  assert "Attributes:" not in text


def test_describe_rmc():
  text = help_lib.describe("rmc")
  assert text.startswith("--core=rmc\n")
  assert "Santoro" in text
  assert "--core.num_slots" in text
  assert "(int; default 8)" in one_line(text)
  assert "(int or None; default None)" in one_line(text)


def test_describe_tells_valid_values():
  assert "valid: approx, exact, lsh)" in one_line(help_lib.describe("sam"))
  assert "valid: true, false)" in one_line(help_lib.describe("sam"))
  assert "gated_nau_nmu" in help_lib.describe("stack")


@pytest.mark.parametrize("name", experiments.preset_names())
def test_describe_a_preset(name):
  text = help_lib.describe(f"preset:{name}")
  preset = experiments.load_preset(name)
  assert text.startswith(f"--preset={name}\n")
  assert "Paper: " in text
  assert "Data: " in text
  values = text[text.index("\nValues:\n"):]
  assert f"--steps={preset['steps']}\n" in values
  for core, arguments in preset["core_args"].items():
    assert f"with --core={core}: " in values
    for argument, value in arguments.items():
      assert f"--core.{argument}={value}" in values
  for unit in preset.get("unit_settings", {}):
    assert f"with --unit={unit}:\n" in values


@pytest.mark.parametrize("name, kinds", [
    ("none", ("encoder", "head")), ("babi", ("task", "preset")),
    ("catbabi", ("task", "preset"))])
def test_describe_all_kinds_of_a_name(name, kinds):
  text = help_lib.describe(name)
  assert text == "\n\n".join(
      help_lib.describe(f"{kind}:{name}") for kind in kinds)


def test_describe_a_preset_by_its_name_alone():
  text = help_lib.describe("sam_copy")
  assert "with --optimizer=adam: --optimizer.learning_rate=0.002" in text
  assert "arXiv 1610.09027" in text


@pytest.mark.parametrize("name, words", [
    ("rmz", "unknown name; did you mean 'rmc'? --list"),
    ("core:rmz", "unknown core 'rmz'; did you mean 'rmc'?"),
    ("my_package.parts:Core", "--describe=core:my_package.parts:Core"),
])
def test_describe_refuses(name, words):
  with pytest.raises(ValueError) as error:
    help_lib.describe(name)
  assert words in str(error.value)
  assert "\n" not in str(error.value)


def test_describe_of_a_users_own():
  text = help_lib.describe(f"core:{__name__}:First")
  assert text == """--core=NAME:First

Is the first. Further sentences are not listed.

With an equation.

Notes:
  It is of no use.

Arguments:
  --core.size         Size of it. A further sentence. (int; default 3)
  --core.kind         Kind of it. (str or None; default None)""".replace(
      "NAME", __name__)


@pytest.mark.parametrize("flag, status, words", [
    ("--list", 0, "--core=NAME"), ("--describe=sam_copy", 0, "Paper:"),
    ("--describe=rmz", config_lib.EXIT_USAGE, "did you mean 'rmc'?")])
def test_flags_print_and_exit(flag, status, words, capsys):
  costs: list[str] = []
  with parsed(flag), pytest.raises(SystemExit) as exit_status:
    help_lib.handle_help_flags(costs.append)
  assert exit_status.value.code == status
  out, err = capsys.readouterr()
  assert words in (err if status else out)
  assert not (out if status else err)
  assert costs == (["sam_copy"] if flag == "--describe=sam_copy" else [])


def test_programs_go_on_without_these_flags():
  with parsed():
    help_lib.handle_help_flags(lambda name: None)
    assert not flags.FLAGS.list
