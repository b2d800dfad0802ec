"""Bars and lines of progress, and the costs that --describe tells."""

import io
import re

import numpy as np
import pytest
from launch_helpers import make_trainer, run, tiny_config

import tasks
from launch import experiments, train
from launch.configs import build
from launch.configs import config as config_lib
from launch.runs.job import cost
from launch.runs.progress import bar, counting
from tasks.text import store


def drawn(total, columns, *states):
  """Returns what a bar of so many columns drew, one text a drawing."""
  file = io.StringIO()
  shown = bar.Bar(total, 0, file=file, disable=False, dynamic_ncols=False,
                  ncols=columns)
  for state in states:
    shown.show(state)
  shown.close()
  return [text.rstrip("\n") for text in file.getvalue().split("\r")]


@pytest.mark.parametrize("preset", experiments.preset_names())
def test_bar_fits_80_columns(preset):
  config = config_lib.resolve(preset, {}, {})
  task = build.make_task(config, is_prepared=False)  # Without its files.
  # A text's score needs its vocabulary.
  metric = (store.METRICS[task.tokens] if isinstance(task, tasks.Text)
            else task.score.main_metric)
  levels = {"level": "16384"} if config.curriculum != "none" else {}
  state = bar.State(
      config.steps - 1, config.steps,
      {metric: "-1.234e-05", **levels, "loss": "1.234e+05"},
      rate=1 / 123.4, left=150_000.)
  last = drawn(config.steps, 80, state)[-1]
  assert len(last) <= 80
  assert f"{config.steps - 1}/{config.steps}|" in last
  assert f"41:40:00 left, {metric}=-1.234e-05" in last
  assert not levels or "level=16384" in last


def test_an_agents_bar_has_returns_lengths_and_frames():
  state = bar.State(
      199_950, 200_000, {"return": "245.2", "length": "516.2"}, rate=10.4,
      left=150_000., frames=1280)
  assert drawn(200_000, 80, state)[-1].endswith(
      "41:40:00 left, return=245.2, length=516.2, 13,312 frames/s")


def test_narrow_bars_leave_out_whole_fields():
  state = bar.State(9, 20, {"bits_wrong": "1.5", "level": "4", "loss": ".1"},
                    rate=68.9, left=61.)
  fields = ["1:01 left", "bits_wrong=1.5", "level=4", "68.9 updates/s",
            "loss=.1"]
  seen = set()
  for columns in range(8, 90):
    last = drawn(20, columns, state)[-1]
    assert len(last) <= columns
    beside = last.partition("| ")[2]
    shown = beside.split(", ") if beside else []
    assert shown == fields[:len(shown)]
    seen.add(len(shown))
  assert seen == set(range(6))


def test_bar_tells_that_it_compiles():
  states = (bar.State(0, 9, doing=bar.COMPILING), bar.State(3, 9))
  texts = drawn(9, 80, *states)
  (number,) = {i for i, text in enumerate(texts)
               if text.endswith("| compiling")}
  assert texts[number].startswith("0/9|")
  assert texts[-1].startswith("3/9|")


def test_a_resumed_bar_has_the_pace_of_this_launch():
  pace = bar.Pace()
  assert pace.left(100) is None
  pace.add(10, 5.)
  assert (pace.rate, pace.left(100)) == (2., 50.)
  for _ in range(30):
    pace.add(10, 10.)
  assert pace.rate == pytest.approx(1., rel=1e-3)


@pytest.mark.parametrize("seconds, text", [
    (0, "0:00"), (61, "1:01"), (3600, "1:00:00"), (172799, "47:59:59"),
    (180000, "2 days 2 h")])
def test_clock(seconds, text):
  assert bar.clock(seconds) == text


def test_measurements_are_counted(capsys):
  assert list(counting.counted(["a", "b"], str.upper)) == ["a", "b"]
  assert capsys.readouterr().err == (
      "measuring 1 of 2: A\nmeasuring 2 of 2: B\n")
  assert list(counting.counted(["a"], passes=True)) == ["a"]
  assert capsys.readouterr().err == ""


SMALL = ["--core=lstm", "--core.hidden_size=1000", "--task.max_length=2",
         "--steps=777"]


def test_describe_tells_what_a_preset_costs(capsys, monkeypatch):
  monkeypatch.setattr(cost, "SECONDS", 0.)
  monkeypatch.setattr(cost, "_SHORT", 0.)
  assert run(train, "--describe=sam_copy", *SMALL) == 0
  out, err = capsys.readouterr()
  assert err == "compiling an update to measure it ...\n"
  assert all(len(line) <= 80 for line in out.splitlines())
  last = " ".join(out[out.index("\nHere (4 x cpu"):].split())
  found = re.fullmatch(
      r"Here \(4 x cpu\): (\S+) (M|G)B of memory on each device for arrays, "
      r"and about \S+ \w+ for 777 updates, \S+ \w+ each\. Compilation, "
      r"evaluations and pictures come on top\.", last)
  assert found, last
  # Adam: parameters and two means; gradients are there at the same time.
  parameters = 4 * 1000 * (1000 + 8 + 1) * 4
  size = float(found[1]) * {"M": 1e6, "G": 1e9}[found[2]]
  assert 3 * parameters < size < 8 * parameters


def test_memory_is_that_of_the_compiled_program():
  config = tiny_config(num_devices=4)
  trainer = make_trainer(config)
  program = cost.Program(trainer, None, 1)
  compiled, call = trainer.compiled(program._state, None, 1)
  analysis = compiled.memory_analysis()
  assert analysis.temp_size_in_bytes > 0
  assert program.memory > analysis.temp_size_in_bytes
  states = cost.state_bytes(trainer)
  assert 0 < states < program.memory < 30 * states
  assert (np.asarray(call(program._state).train.step) == 1).all()


@pytest.mark.parametrize("fields, words", [
    (dict(task="omniglot", data_dir="/nowhere"), "time unknown: .*/nowhere"),
    (dict(core="sam", core_args=dict(num_slots=2**28, word_size=64, top_k=1)),
     r"\d GB of memory on each .*, time unknown: the states alone are more "
     "than the 1 GB of a device")])
def test_what_cannot_be_measured_is_told(monkeypatch, fields, words):
  monkeypatch.setattr(cost, "_memory_of", lambda device: 1e9)
  if "data_dir" in fields:
    fields = fields | dict(task_args={})
  config = tiny_config(**{"reuse_memory": False} | fields)
  text = cost.describe(config, cost.measure(config), "here")
  assert re.search(words, " ".join(text.split())), text
