"""Tests launch.benchmark: what it writes, refuses and reports."""

import dataclasses
import json
import time

import numpy as np
import pytest
from launch_helpers import run
from test_launch_plot import colourful

from launch import benchmark, benchmarks
from launch.benchmarks import (
  arithmetic,
  index_recall,
  long_sequence,
  measure,
  products,
  report,
  scaling,
)
from launch.configs import config as config_lib

SMALL = dict(hidden_size=3, word_size=2)
# Few models, so that little is compiled.
TINY = {"NTM": ("ntm", dict(num_heads=1)),
        "SAM lsh": ("sam", dict(num_heads=1, top_k=2, index="lsh"))}


@pytest.fixture
def tiny(monkeypatch):
  """Makes the suites use few and small models."""
  monkeypatch.setattr(scaling, "COMMON", SMALL)
  # `sam_scaling` compares with both SAMs.
  monkeypatch.setattr(scaling, "SAM_MODELS", TINY)


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
  monkeypatch.setattr(measure, "TURN", 0.)


@pytest.fixture
def counted(monkeypatch):
  """Makes programs compile nothing and need 100 bytes per step and slot."""
  made = []

  class Program:
    def __init__(self, case):
      made.append(case)
      self.case = case
      self.memory = measure.Memory(
          state=1000, other=100 * case.num_steps * case.num_slots)

    def prepare(self):
      pass

    def run(self):
      return self.case.num_slots * self.case.num_steps * {
          "NTM": 1e-3, "SAM lsh": 1e-4}[self.case.label]

    def release(self):
      pass

  monkeypatch.setattr(measure, "peak_growth", lambda run: 7)
  monkeypatch.setattr(measure, "Program", Program)
  monkeypatch.setattr(scaling, "SAM_MODELS", TINY)
  return made


def measured(tmp_path, *argv, suite="sam_scaling"):
  """Returns the results that the program writes."""
  assert run(benchmark, f"--suite={suite}", f"--output={tmp_path}", *argv) == 0
  return json.loads((tmp_path / "benchmark.json").read_text())


@pytest.mark.slow
def test_table_numbers_and_picture(tiny, tmp_path, capsys):
  result = measured(tmp_path / "new", "--sizes=8,16", "--repeats=1",
                    "--batch_size=2")
  assert result["suite"] == "sam_scaling"
  assert set(result["machine"]) == {"device", "cpu", "python", "jax"}
  assert [(row["num_slots"], row["model"]) for row in result["rows"]] == [
      (size, model) for size in (8, 16) for model in TINY]
  for row in result["rows"]:
    assert 0 < row["time"]["low"] <= row["time"]["median"]
    assert row["time"]["turns"] == 1
    assert row["time"]["batch"] == 2
    memory = row["memory"]
    assert memory["num_steps"] == 100
    assert memory["total"] == memory["state"] + memory["other"]
    assert min(memory["state"], memory["other"]) > 0
    assert memory["process"] is None or memory["process"] >= 0
    assert row["time"]["memory"] > 0
    assert ("times_faster" in row) == (row["model"] != "NTM")
  # The NTM's memory over time grows with the slots.
  small, large = (row["memory"]["other"] for row in result["rows"]
                  if row["model"] == "NTM")
  assert large > small
  assert colourful(tmp_path / "new" / "benchmark.png", 0.4) > 100
  out = capsys.readouterr().out.splitlines()
  table = report.format_table(result).splitlines()
  assert out[-len(table):] == table
  assert result["machine"]["device"] in out[-len(table) - 1]


def test_one_size_has_no_picture(counted, tmp_path):
  result = measured(tmp_path, "--sizes=8")
  assert [case.num_steps for case in counted] == [100] * 4
  assert not (tmp_path / "benchmark.png").exists()
  times = [row["time"] for row in result["rows"]]
  assert [t["median"] for t in times] == pytest.approx([8e-3, 8e-4])
  assert result["rows"][1]["times_faster"] == pytest.approx(10)
  assert result["rows"][1]["times_less_memory"] == pytest.approx(1)
  assert [row["memory"]["process"] for row in result["rows"]] == [7, 7]
  assert [row["time"]["memory"] for row in result["rows"]] == 2 * [
      1000 + 100 * 100 * 8]


def test_some_models_at_a_batch_size(counted, tmp_path):
  result = measured(tmp_path, "--sizes=8", "--models=SAM lsh",
                    "--batch_size=5")
  (row,) = result["rows"]
  assert row["model"] == "SAM lsh"
  assert [case.batch_size for case in counted] == [1, 5]
  assert row["time"]["batch"] == 5
  assert "times_faster" not in row  # There is nothing to compare it with.


def test_unknown_models(counted, tmp_path, capsys):
  status = run(benchmark, "--suite=sam_scaling", f"--output={tmp_path}",
               "--models=SAM,NTM")
  assert status == config_lib.EXIT_USAGE
  assert capsys.readouterr().err == (
      "error: unknown model 'SAM'; valid: NTM, SAM lsh\n")
  assert counted == []


def test_fewer_steps_where_memory_is_short(counted, tmp_path, capsys):
  limit = (1500 + 100 * 8 * 10) / 2**30  # Ten steps of 8 slots.
  result = measured(tmp_path, "--sizes=8,800", f"--memory_limit={limit:.12f}")
  small, large = result["rows"][1], result["rows"][3]
  assert small["time"]["num_steps"] == 10
  assert large["time"].startswith("does not fit: one step needs 0.0 GiB")
  assert isinstance(large["memory"], dict)  # The compiler reports it.
  assert "times_faster" not in large
  out = capsys.readouterr().out
  assert f"800 SAM lsh: {large['time']}" in out
  assert (tmp_path / "benchmark.png").exists()


def test_time_limit_is_reported(counted, tmp_path, capsys):
  result = measured(tmp_path, "--sizes=8,16", "--time_limit=0")
  assert counted == []
  for row in result["rows"]:
    assert row["time"] == row["memory"] == (
        "not run: the time limit was reached")
  assert "16 NTM: not run: the time limit" in capsys.readouterr().out


@pytest.mark.parametrize("suite, least, sizes", [
    ("sam_scaling", 4, "3"), ("sam_scaling", 4, "8,x"), ("sdnc", 4, "8,-4"),
    ("long_sequence", 4, "8.5"), ("rmc", 1, "0")])
def test_bad_sizes(counted, tmp_path, capsys, suite, least, sizes):
  output = tmp_path / "out"
  status = run(benchmark, f"--suite={suite}", f"--output={output}",
               f"--sizes={sizes}")
  assert status == config_lib.EXIT_USAGE == 2
  assert capsys.readouterr().err == (
      f"error: --sizes takes integers of at least {least} and at most "
      f"2147483647, got {sizes}\n")
  assert not output.exists()
  assert counted == []


@pytest.mark.parametrize("below", ["", "below"])
def test_output_that_cannot_be_written(counted, tmp_path, capsys, below):
  file = tmp_path / "file"
  file.write_text("kept")
  status = run(benchmark, "--suite=sam_scaling", f"--output={file / below}")
  assert status == config_lib.EXIT_USAGE
  (line,) = capsys.readouterr().err.splitlines()
  assert line.startswith(f"error: cannot write to --output={file / below}: ")
  assert file.read_text() == "kept"
  assert counted == []


def test_suites_are_those_of_the_flag(tmp_path, capsys):
  called = []

  def suite(options):
    called.append(options)
    return dict(rows=[], title="", memory_key="total")

  defaults = benchmarks.Options(sizes=[], models=[])
  asked = dict(sizes=[8], repeats=3, time_limit=9, memory_limit=2**29,
               num_steps=7, models=["a", "b"], batch_size=5, records="c",
               data_dir="d")
  flags_of = dict(asked, sizes="8", memory_limit=".5", models="a,b")
  for name, (_, options) in benchmarks.SUITES.items():
    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(benchmarks, "SUITES",
                    {name: benchmarks.Suite(suite, options)})
      assert measured(tmp_path, *(
          f"--{option}={flags_of[option]}" for option in options),
          suite=name)["suite"] == name
    assert called.pop() == dataclasses.replace(
        defaults, **{option: asked[option] for option in options})
  assert run(benchmark, "--suite=none", f"--output={tmp_path}"
             ) == config_lib.EXIT_USAGE
  assert set(benchmarks.SUITES) == {
      "arithmetic", "collectives", "devices", "environments", "index_recall",
      "language", "long_sequence", "rmc", "sam_scaling", "sampling", "sdnc"}


@pytest.mark.parametrize("suite, flag, valid", [
    ("arithmetic", "--sizes=8", "--repeats"),
    ("arithmetic", "--time_limit=600", "--repeats"),  # Even its default.
    ("long_sequence", "--models=SAM lsh", "--sizes, --repeats, --num_steps"),
    ("rmc", "--batch_size=2", "--sizes, --repeats, --time_limit, --models"),
    ("language", "--batch_size=2",
     "--sizes, --repeats, --time_limit, --models"),
    ("sampling", "--sizes=8", "--repeats, --time_limit"),
    ("sdnc", "--num_steps=3", "--sizes, --repeats, --time_limit, "
     "--memory_limit, --models, --batch_size")])
def test_flags_that_a_suite_does_not_take(tmp_path, capsys, suite, flag, valid):
  output = tmp_path / "out"
  status = run(benchmark, f"--suite={suite}", f"--output={output}", flag)
  assert status == config_lib.EXIT_USAGE
  assert capsys.readouterr().err == (
      f"error: --suite={suite} does not take {flag.partition('=')[0]}; "
      f"valid: {valid}\n")
  assert not output.exists()


def test_long_sequence_is_of_one_size(tmp_path, capsys):
  status = run(benchmark, "--suite=long_sequence", f"--output={tmp_path}",
               "--sizes=8,16")
  assert status == config_lib.EXIT_USAGE
  assert "takes one size, got 8, 16\n" in capsys.readouterr().err


def fail_at(monkeypatch, num_slots, error):
  """Makes programs with `num_slots` slots fail."""
  program = measure.Program

  def make(case):
    if case.num_slots == num_slots:
      raise error
    return program(case)

  monkeypatch.setattr(measure, "Program", make)


@pytest.mark.parametrize("error", [
    KeyboardInterrupt(), RuntimeError("no memory"), ValueError("no shape")])
def test_what_was_measured_is_not_lost(
    counted, monkeypatch, tmp_path, capsys, error):
  fail_at(monkeypatch, 16, error)
  argv = ("--suite=sam_scaling", f"--output={tmp_path}", "--sizes=8,16")
  if isinstance(error, ValueError):
    assert run(benchmark, *argv) == config_lib.EXIT_USAGE
  elif isinstance(error, KeyboardInterrupt):
    assert run(benchmark, *argv) == 130
  else:
    with pytest.raises(type(error)):
      run(benchmark, *argv)
  out, err = capsys.readouterr()
  result = json.loads((tmp_path / "benchmark.json").read_text())
  assert [row["num_slots"] for row in result["rows"]] == [8, 8]
  assert result["rows"][1]["times_faster"] == pytest.approx(10)
  assert report.format_table(result) in out
  assert ("error: no shape" in err) == isinstance(error, ValueError)


def test_a_full_disk_does_not_cost_the_table(counted, tmp_path, capsys):
  (tmp_path / "benchmark.json").symlink_to("/dev/full")
  assert run(benchmark, "--suite=sam_scaling", f"--output={tmp_path}",
             "--sizes=8") == config_lib.EXIT_USAGE
  out, err = capsys.readouterr()
  assert "times faster" in out
  assert err.splitlines()[-1] == (
      f"error: cannot write to --output={tmp_path}: [Errno 28] No space left "
      "on device")


@pytest.mark.parametrize("suite, function", [
    ("rmc", "_rows"), ("sampling", "_row")])
def test_suites_report_as_they_go(monkeypatch, suite, function):
  time_of = dict(median=1., low=1., high=1., turns=1)
  row = dict(preset="", args={}, update=time_of, draw=time_of, share=1.,
             size="", model="matmul", time=time_of, flops=1.)
  results = iter([[row] if suite == "rmc" else row])  # Only one result.
  monkeypatch.setattr(getattr(benchmarks, suite), function,
                      lambda *_: next(results))
  told = []
  with pytest.raises(StopIteration):
    benchmarks.SUITES[suite].run(benchmarks.Options(
        report=lambda result: told.append(len(result["rows"]))))
  assert told == [1]


def test_arithmetic_reports_every_turn(monkeypatch):
  updates = iter([1, 1])
  monkeypatch.setattr(arithmetic, "_torch_program", lambda: lambda: 1)
  monkeypatch.setattr(arithmetic, "_jax_program",
                      lambda num_seeds: lambda: next(updates))
  told = []
  with pytest.raises(StopIteration):
    arithmetic.arithmetic(benchmarks.Options(
        repeats=2, report=lambda result: told.append(result["rows"])))
  (rows,) = told
  assert [row["turns"] for row in rows] == [1, 1, 1]


@pytest.mark.parametrize("models, suite", [
    (scaling.SAM_MODELS, "sam_scaling"), (scaling.SDNC_MODELS, "sdnc")])
def test_sizes_and_models_of_the_suites(monkeypatch, models, suite):
  """Every model also accepts its arguments."""
  seen = []

  def note(models, sizes, options, memory_steps):
    seen.extend(sizes)
    return dict(rows=[dict(num_slots=size, model=model, time="", memory="")
                      for size in sizes for model in models])

  monkeypatch.setattr(scaling, "_scaling", note)
  result = benchmarks.SUITES[suite].run(benchmarks.Options())
  assert seen == sorted(seen)
  assert len(result["rows"]) == len(seen) * len(models)
  for label, model in models.items():
    case = scaling._case(label, model, 64, 2, 3)
    assert case.num_slots == 64
    if case.core == products.CORE:
      continue
    measure.rmc_nalu_sam.make_model(
        case.core, measure.OUTPUT_SIZE, **dict(case.core_args))


def test_format_table():
  time_of = dict(num_steps=10, low=.001, high=.004)
  rows = [
      dict(num_slots=1024, model="NTM", time=dict(time_of, median=.002),
           memory=dict(other=3 * 2**20, process=5 * 2**20)),
      dict(num_slots=1024, model="SAM",
           time=dict(num_steps=1, median=.001, memory=7 * 2**20),
           memory=dict(other=2**19), times_faster=2.2, times_less_memory=6),
      dict(num_slots=4096, model="NTM", time="too large", memory="no room"),
  ]
  table = report.format_table(
      dict(rows=rows, title="memory of it", memory_key="other"))
  assert [" ".join(line.split()) for line in table.splitlines()] == [
      "slots model ms a step spread steps in all MiB process times faster "
      "times less memory",
      "1,024 NTM 2 1 to 4 10 3 5",
      "1,024 SAM 1 1 7 0.5 2 6",
      "4,096 NTM - -",
      "in all: MiB of the timed program, the memory itself included",
      "MiB: memory of it, as the compiler reports it",
      "process: MiB by which the process grew during the run",
      "4,096 NTM: too large"]
  ends = [line.index(name) + len(name) for line, name in zip(
      table.splitlines(), ("model", "NTM", "SAM", "NTM"), strict=False)]
  assert len(set(ends)) == 1  # The columns are aligned.


def test_format_table_of_its_own():
  table = report.format_table(dict(
      table=[["model", "rate"], ["here", "123"]], title="a second", rows=[]))
  assert table.splitlines() == ["model  rate", " here   123", "a second"]


@pytest.mark.parametrize("core", ["sam", "dnc"])
def test_a_prepared_memory_is_full(monkeypatch, core):
  """The arrays of the memory are found by name in any core."""
  args = TINY["SAM lsh"][1] if core == "sam" else {}
  case = measure.Case("", core, tuple((SMALL | args | dict(
      num_slots=16)).items()), 2, 3)
  program = measure.Program(case)
  started = []
  monkeypatch.setattr(measure.Program, "run",
                      lambda self: started.append(self._state))
  program.prepare()
  access = started[0].access
  assert (np.asarray(access.memory) != 0).all()
  if core == "sam":
    after, before = map(np.asarray, access.usage)
    assert (np.sort(after) == np.arange(17)).all()
    assert (np.take_along_axis(before, after, 1) == np.arange(17)).all()
    assert (after[0, :16] != np.arange(1, 17)).any()
    buckets = np.asarray(access.index.buckets)
    assert buckets.min() >= 0 and buckets.max() < 16


@pytest.mark.parametrize("has_torch", [True, False])
def test_arithmetic(monkeypatch, tmp_path, capsys, has_torch):
  """Rates count all seeds; PyTorch's row reports if it is not installed."""
  def torch_program():
    if not has_torch:
      raise ImportError
    return lambda: 1

  monkeypatch.setattr(arithmetic, "_torch_program", torch_program)
  monkeypatch.setattr(arithmetic, "_jax_program", lambda num_seeds: lambda: 1)
  # The programs' turns take 1, 2, 4, ... seconds.
  clock = iter(x for n in range(9) for x in (0., 2.**n))
  monkeypatch.setattr(arithmetic.time, "perf_counter", lambda: next(clock))
  rows = measured(tmp_path, "--repeats=1", suite="arithmetic")["rows"]
  assert [row.get("updates_per_second") for row in rows] == [
      100., .5, .25 if has_torch else None]
  assert [row.get("times_pytorch") for row in rows] == (
      [400., 2., 1.] if has_torch else [None] * 3)
  assert (measure.ABSENT in capsys.readouterr().out) != has_torch


@pytest.mark.parametrize("num_seeds", [
    pytest.param(1, marks=pytest.mark.slow), 4])
def test_arithmetic_trains(num_seeds):
  assert arithmetic._jax_program(num_seeds)() > 0


def test_programs_take_turns(monkeypatch):
  calls = []

  class Program:
    def __init__(self, label, seconds):
      self.case = measure.Case(label, "", (), 1, 2)
      self.seconds = iter(seconds)

    def run(self):
      calls.append(self.case.label)
      return next(self.seconds)

  def interleaved(deadline):
    return measure.interleaved(
        [Program("a", [2., 8., 4.]), Program("b", [6., 6., 6.])], 3, deadline)

  assert interleaved(time.monotonic() + 1000) == dict(
      a=dict(median=2, low=1, high=4, turns=3),
      b=dict(median=3, low=3, high=3, turns=3))
  assert calls == ["a", "b"] * 3
  monkeypatch.setattr(measure, "TURN", 9.)
  calls.clear()
  # A turn is two calls: 2 and 8 seconds for a, 6 and 6 seconds for b. A call
  # has two steps.
  assert interleaved(time.monotonic() - 1) == dict(
      a=dict(median=2.5, low=2.5, high=2.5, turns=1),
      b=dict(median=3, low=3, high=3, turns=1))
  assert calls == ["a", "a", "b", "b"]
  monkeypatch.setattr(measure, "TURN", 0.)
  # Each program runs once, even after the deadline.
  assert interleaved(time.monotonic() - 1)["a"] == dict(
      median=1, low=1, high=1, turns=1)


def test_long_sequence(monkeypatch, tmp_path, capsys):
  monkeypatch.setattr(long_sequence, "COMMON", SMALL)
  result = measured(tmp_path, "--num_steps=5", "--sizes=64", "--repeats=1",
                    suite="long_sequence")
  (row,) = result["rows"]
  assert row["num_slots"] == 64
  assert row["time"]["num_steps"] == row["memory"]["num_steps"] == 5
  assert row["time"]["median"] == pytest.approx(row["time"]["seconds"] / 5)
  assert row["memory"]["process_peak"] >= row["memory"]["process_before"] > 0
  assert not (tmp_path / "benchmark.png").exists()
  assert "memory of the whole pass" in capsys.readouterr().out


def test_program_with_a_loss_that_is_not_finite():
  program = object.__new__(measure.Program)
  program.case = measure.Case("NTM", "ntm", (), 1, 1)
  program._params = program._inputs = program._state = ()
  program.compiled = lambda *args: (float("nan"), (), ())
  with pytest.raises(FloatingPointError, match="NTM: loss nan"):
    program.run()


def test_products_of_queries_and_rows():
  case = measure.Case("", products.CORE, tuple(dict(
      num_slots=1024, word_size=3, num_heads=2).items()), 5, 7)
  program = products.Products(case)
  assert program.memory.state == 5 * 1024 * 3 * 4
  # The products are computed, though only some of them are used.
  assert program.memory.other >= 5 * 1024 * 2 * 4
  program.prepare()
  assert program.run() > 0
  program.release()


def test_growth_of_the_process():
  size = 2**26
  # Pages count once they are written.
  grown = measure.peak_growth(lambda: np.ones(size, np.uint8).copy())
  if grown is None:
    pytest.skip("this system does not report a process's peak")
  assert 1.5 * size < grown < 4 * size
  assert measure.peak_growth(lambda: None) < size


def test_index_recall(tmp_path, capsys, monkeypatch):
  """On a record of far words, exact search's rows are found."""
  rng = np.random.default_rng(0)
  words = rng.normal(size=(23, 1, 7)).astype(np.float32)
  written = np.arange(23)[:, None]
  order = np.argsort(-(words[:, 0] / np.linalg.norm(words[:, 0], axis=1)[
      :, None]) @ words[-1, 0])[:4]
  np.savez(tmp_path / "record.npz", written=written, words=words,
           queries=words[:, 0], found=np.tile(order, (23, 1)))
  monkeypatch.setattr(index_recall, "CASES", ({}, dict(num_turned=0)))
  result = measured(tmp_path, f"--records={tmp_path}", "--sizes=31",
                    "--repeats=1", suite="index_recall")
  assert [row["arguments"] for row in result["rows"]] == [{}, {"num_turned": 0}]
  assert all(0 < row["recall"] <= 1 for row in result["rows"])
  assert "num_turned=0" in capsys.readouterr().out


def test_index_recall_needs_records(tmp_path, capsys):
  assert run(benchmark, "--suite=index_recall", f"--output={tmp_path}") == 2
  assert "--records= holds no record" in capsys.readouterr().err
