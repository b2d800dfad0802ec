"""Published tables as they are typed, and the form of files of results."""

import json
import math

import pytest

from launch.evidence import collect, grid, results, tables
from launch.evidence.catalogue import EXPERIMENTS
from launch.evidence.experiment import Cell, Experiment, Piece


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


def entry_of(piece, num_seeds, metrics):
  return results.Entry(
      piece=piece, scale="small", commands=["python"], commit="abc",
      date="2026-11-29",
      machine=dict(cpu="a", cores=2, accelerator=None, load="nothing else"),
      versions=dict(python="3.11", jax="0.10.2", rmc_nalu_sam="0.1.0"),
      seeds=list(range(num_seeds)), updates=3, episodes=6, seconds=None,
      metrics=metrics)


def test_cells_of_a_printed_table_are_numbers():
  assert collect._of_table([
      ["size", "model", "tokens/s", "data", "note"],
      ["small", "lstm", "1,234", "0.5%", ""]]) == {
          "small lstm/tokens/s": {"value": 1234.},
          "small lstm/data": {"value": .005}}


def test_what_no_seed_did_has_no_number():
  solved, at = Cell("NAU", "solved"), Cell("NAU", "solved at")
  experiment = Experiment("a", "b", "c", "d", pieces=[
      Piece("nau", "", {solved: "solved", at: "solved_at"})])
  nothing = entry_of("nau", 5, {
      "solved": {"value": 0.}, "solved_at": {"median": math.nan}})
  assert set(tables.ours(experiment, [nothing])) == {solved}
  something = entry_of("nau", 5, {
      "solved": {"value": .2}, "solved_at": {"median": 3., "mean": math.nan}})
  assert set(tables.ours(experiment, [something])) == {solved, at}


def test_a_file_has_a_line_for_all_seeds(tmp_path):
  experiment = next(each for each in EXPERIMENTS.values() if each.pieces)
  entry = entry_of(experiment.pieces[0].name, 211, {
      "mse": 210 * [0.123456] + [math.nan], "mae": 211 * [math.inf],
      "score": {"mean": 1.}})
  path = results.save(tmp_path, experiment, [entry])
  lines = path.read_text().splitlines()
  assert [line.count(",") for line in lines if "0.123456" in line] == [211]
  content = json.loads(path.read_text())
  assert content["runs"][0]["seeds"] == entry.seeds
  assert content["published"] == results.published(experiment)
  (loaded,) = results.load(tmp_path, experiment.name)
  assert loaded.metrics["mae"] == entry.metrics["mae"]
  assert math.isnan(loaded.metrics["mse"][-1])
