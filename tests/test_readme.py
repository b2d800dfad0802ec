"""README's Python snippets run as they stand, one after the other."""

import pathlib
import re

import pytest

import tasks
from rmc_nalu_sam import CORES, UNITS

README = pathlib.Path(__file__).parents[1] / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_snippets_run_in_order(capsys):
  assert len(SNIPPETS) == 5
  namespace: dict = {}
  for number, snippet in enumerate(SNIPPETS):
    code = compile(snippet, f"README snippet {number}", "exec")
    exec(code, namespace)
    if "unrolled.outputs.shape" in snippet and "print" in snippet:
      assert capsys.readouterr().out == "(50, 8, 8)\n"
    if "BoxWorld" in snippet:
      assert capsys.readouterr().out == "(5, 5, 6) 0.0 False\n"
  # The text's claims about the last two snippets hold.
  jax, jnp, hk = (namespace[name] for name in ("jax", "jnp", "hk"))
  apply = hk.transform(namespace["forward"])
  shapes = jax.eval_shape(apply.init, jax.random.key(0), jnp.zeros([7, 3, 5]))
  assert any("nalu" in name for name in shapes)
  model = namespace["model"]
  small = model.with_core_args(num_slots=64)
  params = small.init(jax.random.key(0), namespace["inputs"])
  state = jax.eval_shape(lambda: model.initial_state(params, 8))
  gradients, new = jax.eval_shape(
      namespace["gradient"], params, state, namespace["inputs"])
  assert jax.tree.structure(gradients) == jax.tree.structure(params)
  assert jax.tree.map(lambda x: x.shape, new) == jax.tree.map(
      lambda x: x.shape, state)


def test_first_screen_has_two_commands():
  """One command trains a model, and one runs the tests."""
  screen = README.read_text().split("## ")[0]
  commands = re.findall(r"```sh\n(.*?)```", screen, re.DOTALL)
  assert len(commands) == 2
  assert "launch.train" in commands[0]
  assert "pytest" in commands[1]


@pytest.mark.parametrize("link", re.findall(
    r"\]\(([^)#:]+)\)", README.read_text()))
def test_linked_files_exist(link):
  assert (README.parent / link).exists()


def test_all_cores_units_and_tasks_are_listed():
  text = README.read_text()
  for registry in (CORES, UNITS, tasks.TASKS):
    for name in registry:
      assert f"`{name}`" in text, name
