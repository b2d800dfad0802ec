"""Published tables as they are typed, and the form of files of results."""

import json
import math

import pytest

from launch.evidence import grid, results
from launch.evidence.catalogue import EXPERIMENTS
from launch.evidence.experiment import Cell


def test_a_typed_table_becomes_cells():
  cells = grid.table(("a", "b"), ("x", "y", "z"), """
      1.5 >999 -
      -2 3e4 0
      """)
  assert cells == {
      Cell("a", "x"): 1.5, Cell("a", "y"): ">999", Cell("b", "x"): -2,
      Cell("b", "y"): 3e4, Cell("b", "z"): 0}
  assert grid.table(("a",), ("x", "y"), "7 -", unit=" %") == {
      Cell("a", "x"): "7 %"}


@pytest.mark.parametrize("text", ["1 2", "1 2 3\n4 5", "1 2 3\n4 5 6\n7 8 9"])
def test_a_typed_table_has_a_number_for_every_cell(text):
  with pytest.raises(ValueError):
    grid.table(("a", "b"), ("x", "y", "z"), text)


def test_a_file_has_a_line_for_all_seeds(tmp_path):
  experiment = next(each for each in EXPERIMENTS.values() if each.pieces)
  entry = results.Entry(
      piece=experiment.pieces[0].name, scale="small", commands=["python"],
      commit="abc", date="2026-11-29",
      machine=dict(cpu="a", cores=2, accelerator=None, load="nothing else"),
      versions=dict(python="3.11", jax="0.10.2", rmc_nalu_sam="0.1.0"),
      seeds=list(range(211)), updates=3, episodes=6, seconds=None,
      metrics={"mse": 210 * [0.123456] + [math.nan],
               "mae": 211 * [math.inf], "score": {"mean": 1.}})
  path = results.save(tmp_path, experiment, [entry])
  lines = path.read_text().splitlines()
  assert [line.count(",") for line in lines if "0.123456" in line] == [211]
  content = json.loads(path.read_text())
  assert content["runs"][0]["seeds"] == entry.seeds
  assert content["published"] == results.published(experiment)
  (loaded,) = results.load(tmp_path, experiment.name)
  assert loaded.metrics["mae"] == entry.metrics["mae"]
  assert math.isnan(loaded.metrics["mse"][-1])
