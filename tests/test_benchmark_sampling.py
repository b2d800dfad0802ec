"""Tests the benchmark of drawing episodes."""

import pytest

from launch import benchmarks, experiments
from launch.benchmarks import measure, sampling


def test_rows(monkeypatch):
  monkeypatch.setattr(measure, "TURN", 0.)
  monkeypatch.setattr(sampling, "UPDATES", 2)
  monkeypatch.setattr(sampling, "CASES", (
      ("learning_to_execute", dict(operation="copy")),
      ("arithmetic", dict(operation="mul"))))
  result = sampling.sampling(benchmarks.Options(repeats=2))
  assert [row["args"]["operation"] for row in result["rows"]] == ["copy", "mul"]
  for row in result["rows"]:
    assert row["share"] == pytest.approx(
        row["draw"]["median"] / row["update"]["median"])
    assert row["draw"]["median"] > 0
    assert row["update"]["turns"] == row["draw"]["turns"] == 2
  assert len(result["table"]) == 3
  assert result["table"][1][:2] == ["learning_to_execute", "operation=copy"]


def test_every_case_is_of_a_preset():
  assert {preset for preset, _ in sampling.CASES} <= set(
      experiments.preset_names())
