"""Tests metrics.jsonl and TensorBoard's files."""

import json
import re

import numpy as np
import pytest
from launch_helpers import board_events, board_values
from tensorboardX import record_writer

from launch.runs import reporting

METRICS = {"loss": np.array([0.5]), "bits_wrong": np.array([3.0])}


def read_events(workdir):
  """Returns (tag, step) -> value, and the steps from which all is void."""
  found = {(tag, step): value.simple_value
           for tag, step, value in board_values(workdir)}
  return found, [event.step for event in board_events(workdir)
                 if event.HasField("session_log")]


def report(workdir, steps, first_step=0):
  reporter = reporting.Reporter(workdir, first_step, 100, "bits_wrong")
  for step in steps:
    reporter.train(step, METRICS | {"loss": np.array([step / 8])})
    reporter.evaluation(step, METRICS)
  reporter.close()


def test_no_file_no_records(tmp_path):
  assert reporting.read_records(tmp_path) == []


def test_what_is_written_is_read(tmp_path):
  report(tmp_path, [2, 4])
  records = reporting.read_records(tmp_path)
  assert [(r["step"], r["split"]) for r in records] == [
      (2, "train"), (2, "eval"), (4, "train"), (4, "eval")]
  assert [r["loss"] for r in records] == [0.25, 0.5, 0.5, 0.5]
  assert [r["bits_wrong"] for r in records] == [3] * 4
  # Only training records have a speed.
  assert [r.get("steps_per_second", 0) > 0 for r in records] == [
      True, False, True, False]


@pytest.mark.parametrize("torn", ['{"step": 6, "spl', '{', '{"step": 6}x'])
def test_torn_last_line_is_left_out(tmp_path, torn):
  report(tmp_path, [2, 4])
  whole = reporting.read_records(tmp_path)
  with (tmp_path / "metrics.jsonl").open("a") as file:
    file.write(torn)
  assert reporting.read_records(tmp_path) == whole
  # Later records are not affected.
  report(tmp_path, [6], first_step=4)
  after = reporting.read_records(tmp_path)
  assert after[:4] == whole
  assert [r["step"] for r in after] == [2, 2, 4, 4, 6, 6]


def test_a_lost_future_is_cut(tmp_path):
  report(tmp_path, [2, 4, 6])
  kept = reporting.read_records(tmp_path)[:4]
  report(tmp_path, [8], first_step=4)
  records = reporting.read_records(tmp_path)
  assert records[:4] == kept
  assert [r["step"] for r in records] == [2, 2, 4, 4, 8, 8]
  assert not list(tmp_path.glob("*.tmp"))


def test_seconds_are_those_of_all_starts(tmp_path):
  report(tmp_path, [2, 4, 6])
  seconds = [record["seconds"] for record in reporting.read_records(tmp_path)]
  assert 0 < seconds[0] < seconds[-1] < 60
  assert seconds == sorted(seconds)
  records = reporting.read_records(tmp_path)
  records[3]["seconds"] = 1000
  (tmp_path / "metrics.jsonl").write_text(
      "".join(json.dumps(record) + "\n" for record in records))
  # Records after step 4 are lost, with their time.
  report(tmp_path, [6], first_step=4)
  seconds = [record["seconds"] for record in reporting.read_records(tmp_path)]
  assert seconds[3] == 1000 < seconds[4] < seconds[5] < 1060


def test_whole_numbers_are_shown_in_full(tmp_path, capsys):
  reporter = reporting.Reporter(tmp_path, 0, 100, "bits_wrong")
  assert reporter.seconds == 0
  reporter.train(2, METRICS | {"level": np.array([16384])})
  reporter.evaluation(2, METRICS | {"level": np.array([16384])})
  assert reporter.seconds == reporting.read_records(tmp_path)[-1]["seconds"] > 0
  reporter.close()
  assert "bits_wrong=3 level=16384 loss=0.5 " in capsys.readouterr().err


def strict(text):
  """Reads JSON as other languages do."""
  def refuse(name):
    raise ValueError(f"{name} is not JSON")
  return json.loads(text, parse_constant=refuse)


def test_numbers_that_are_not_finite_are_strict_json(tmp_path):
  values = np.array([np.nan, np.inf, -np.inf, 1.5])
  reporter = reporting.Reporter(tmp_path, 0, 100, "bits_wrong")
  reporter.train(2, METRICS | {"loss": values})
  reporter.evaluation(2, METRICS | {"loss": np.array([np.nan])})
  reporter.close()
  path = tmp_path / "metrics.jsonl"
  lines = [strict(line) for line in path.read_text().splitlines()]
  assert lines[0]["loss"] == ["NaN", "Infinity", "-Infinity", 1.5]
  records = reporting.read_records(tmp_path)
  np.testing.assert_array_equal(records[0]["loss"], values)
  assert np.isnan(records[1]["loss"])
  report(tmp_path, [4], first_step=2)  # Resuming rewrites the lines.
  assert [strict(line) for line in path.read_text().splitlines()][:2] == lines


def test_records_of_older_versions_are_read(tmp_path):
  (tmp_path / "metrics.jsonl").write_text(
      '{"step": 2, "split": "eval", "loss": [NaN, -Infinity, 1.5]}\n')
  record, = reporting.read_records(tmp_path)
  np.testing.assert_array_equal(record["loss"], [np.nan, -np.inf, 1.5])


def test_records_are_in_the_file_at_once(tmp_path):
  reporter = reporting.Reporter(tmp_path, 0, 100, "bits_wrong")
  reporter.train(2, METRICS)
  line = json.loads((tmp_path / "metrics.jsonl").read_text())
  assert line["step"] == 2
  reporter.close()


def test_tensorboard_can_read_it(tmp_path):
  report(tmp_path, [2, 4])
  events, _ = read_events(tmp_path)
  assert events["train/loss", 2] == 0.25
  assert events["train/loss", 4] == 0.5
  assert events["eval/bits_wrong", 4] == 3
  assert events["train/steps_per_second", 4] > 0
  # A resumed run marks the later events as void.
  report(tmp_path, [6], first_step=2)
  events, purged = read_events(tmp_path)
  assert events["eval/loss", 6] == 0.5
  assert purged == [3]


def test_full_disk_is_reported_and_all_is_closed(tmp_path, monkeypatch):
  """The run's own thread raises the error; it would wait for another thread."""
  full = open("/dev/full", "wb")  # noqa: SIM115
  monkeypatch.setattr(record_writer, "open_file", lambda path: full)
  reporter = reporting.Reporter(tmp_path, 0, 100, "bits_wrong")
  with pytest.raises(OSError, match="No space left on device"):
    reporter.evaluation(2, METRICS)
  with pytest.raises(OSError, match="No space left on device"):
    reporter.close()
  assert reporter._file.closed and full.closed


def test_progress_is_shown_without_a_terminal(tmp_path, capsys):
  reporter = reporting.Reporter(tmp_path, 0, 100, "bits_wrong")
  reporter.doing("compiling")
  reporter.train(2, METRICS | {"loss": np.array([.25])})
  reporter.doing("evaluating")
  reporter.evaluation(2, METRICS | {"level": np.array([4])})
  reporter.train(4, METRICS)
  reporter.close()
  err = capsys.readouterr().err
  assert all(character.isprintable() for character in err.replace("\n", ""))
  first, *records = err.splitlines()
  assert first == "step 0/100  compiling"
  times = r"  \d:\d\d elapsed, \S+ updates/s, \d+:\d\d left"
  for line, shown in zip(records, (
      "2/100  bits_wrong=3 loss=0.25", "2/100  eval_bits_wrong=3",
      "4/100  bits_wrong=3 loss=0.5"), strict=True):
    assert re.fullmatch(f"step {shown}{times}", line), line


def test_progress_of_an_agent(tmp_path, capsys):
  reporter = reporting.Reporter(tmp_path, 0, 100, "return", frames=1280)
  reporter.train(2, {"loss": np.array([.5]), "return": np.array([245.2]),
                     "length": np.array([516.2])})
  reporter.close()
  assert re.fullmatch(
      r"step 2/100  return=245.2 length=516.2  \d:\d\d elapsed, [\d,]+ "
      r"frames/s, \d+:\d\d left\n", capsys.readouterr().err)


def test_minutes_may_end_a_run_before_its_steps(tmp_path, capsys):
  for limit in (0, 30):
    reporter = reporting.Reporter(
        tmp_path, 0, 10**9, "bits_wrong", max_seconds=limit)
    reporter.train(1, METRICS | {"compile_seconds": np.array([1e9]),
                                 "step_seconds": np.array([10.])})
    reporter.close()
  # 10 s an update: compilation does not count.
  unlimited, limited = capsys.readouterr().err.splitlines()
  assert unlimited.endswith(" 10 s/update, 115740 days 17 h left")
  assert limited.endswith((" 0:29 left", " 0:30 left"))


def test_many_seeds_are_lists(tmp_path, capsys):
  reporter = reporting.Reporter(tmp_path, 0, 100, "bits_wrong")
  reporter.train(2, {"loss": np.array([1., np.nan, 3.])})
  reporter.evaluation(2, {"loss": np.array([1., 2., 6.]),
                          "solved": np.array([0., 0., 1.])})
  reporter.close()
  first, second = reporting.read_records(tmp_path)
  np.testing.assert_array_equal(first["loss"], [1, np.nan, 3])
  assert second["loss"] == [1, 2, 6]
  assert isinstance(first["steps_per_second"], float)
  events, _ = read_events(tmp_path)
  assert events["eval/loss", 2] == 2
  first, second = capsys.readouterr().err.splitlines()
  assert "  loss=3  " in first  # NaN counts as the worst value.
  assert "  eval_solved=0.3333  " in second
