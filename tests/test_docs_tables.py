"""The tables of docs/papers.md and docs/which_memory.md name what exists."""

import importlib
import pathlib
import re

import jax
import jax.numpy as jnp
import pytest

from launch.configs import members
from launch.evidence import page
from launch.evidence.selection import EXPERIMENTS
from rmc_nalu_sam import CORES, make_model

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def rows(page):
  lines = (DOCS / page).read_text().splitlines()
  cells = [[cell.strip() for cell in line.split("|")[1:-1]]
           for line in lines if line.startswith("| ")]
  return [row for row in cells if row[0] not in ("core", "in the paper")]


def names(text):
  return re.findall("`([^`]+)`", text)


def resolve(path):
  parts = path.split(".")
  for number in range(len(parts), 0, -1):
    try:
      found = importlib.import_module(".".join(parts[:number]))
    except ModuleNotFoundError:
      continue
    for part in parts[number:]:
      found = getattr(found, part)
    return found
  raise AssertionError(path)


@pytest.mark.parametrize("row", rows("papers.md"), ids=lambda row: row[0])
def test_papers_name_code_presets_and_experiments(row):
  _, code, presets, experiments = row
  for name in names(code):
    assert resolve(name) is not None
  assert set(names(presets)) <= set(members.PRESETS)
  assert set(names(experiments)) <= set(EXPERIMENTS)
  assert names(code + presets + experiments)


def test_experiments_with_results_link_to_them():
  text = (DOCS / "papers.md").read_text()
  assert text == page.with_links(text, EXPERIMENTS, DOCS.parent / "results")
  assert "[`sam_figure1`](results.md#time-and-memory-" in text


def test_each_table_and_figure_of_the_papers_is_named():
  """Experiments that repeat a numbered table or figure have their line."""
  text = (DOCS / "papers.md").read_text()
  numbered = [name for name in EXPERIMENTS
              if re.match(r"(sam|rmc|nalu)_(figure|table)\d+", name)]
  assert len(numbered) > 20
  for name in numbered:
    if not name.endswith("_reads"):  # A variant of ours.
      assert f"`{name}`" in text, name


def state_size(name, **core_args):
  model = make_model(name, 8, **core_args)
  params = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros([3, 1, 10]))
  state = jax.eval_shape(lambda params: model.initial_state(params, 1), params)
  return f"{sum(leaf.size for leaf in jax.tree.leaves(state)):,}"


@pytest.mark.parametrize("row", rows("which_memory.md"),
                         ids=lambda row: row[0])
def test_sizes_of_states(row):
  cores = [name for name in names(row[0]) if name in CORES]
  sizes = re.findall(r"(?:(?:128|4,096): )?([\d,]*\d)(?:;|$)", row[1])
  for position, core in enumerate(cores):
    args = dict(hidden_size=100)
    if core in ("rmc", "stack", "unit_rnn"):
      args = {}
    elif core == "conv_lstm":
      continue  # Its state depends on the picture.
    if "4,096:" in row[1]:
      index = dict(index="lsh") if "lsh" in row[0] else {}
      assert sizes == [
          state_size(core, num_slots=slots, word_size=32, **args, **index)
          for slots in (128, 4096)]
    else:
      assert sizes[position] == state_size(core, **args)


def test_every_core_is_compared():
  compared = {name for row in rows("which_memory.md") for name in names(row[0])}
  assert set(CORES) <= compared
  named = {name for row in rows("which_memory.md")
           for name in names(row[3] + row[4])}
  assert named - set(CORES) <= set(EXPERIMENTS)
