"""Tests statistics over seeds, and their tables."""

import numpy as np
import pytest

from launch.runs import statistics, tables


@pytest.mark.parametrize("successes, trials", [
    (0, 100), (31, 100), (98, 100), (100, 100), (3, 7)])
def test_wilson(successes, trials):
  rate, z = successes / trials, 1.959963984540054
  centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
  radius = z / (1 + z**2 / trials) * np.sqrt(
      rate * (1 - rate) / trials + z**2 / (4 * trials**2))
  np.testing.assert_allclose(
      statistics.wilson(successes, trials),
      (rate, centre - radius, centre + radius), atol=1e-12)


def test_wilson_is_that_of_the_paper():
  # Table 1 of Neural Arithmetic Units: 31 % +10/-8 and 98 % +1/-5.
  for successes, above, below in ((31, 10, 8), (98, 1, 5), (14, 8, 5)):
    rate = statistics.wilson(successes, 100)
    assert round(100 * (rate.high - rate.value)) == above
    assert round(100 * (rate.value - rate.low)) == below


def test_seeds_are_judged_at_their_best_validation():
  steps = np.array([10, 20, 30])
  nan = np.nan
  validation = np.array([[1, 3, nan, 9, 1], [2, 2, nan, 9, 2], [3, 1, 5, 9, 3]])
  test = np.array([[8, 8, 8, nan, 1], [8, 1, 1, nan, 9], [1, 2, 3, nan, 1]])
  sparsity = np.arange(15.).reshape(3, 5)
  outcomes = statistics.judge(steps, validation, test, 2.5, sparsity)
  # The first seed is solved at the last step, but validates best at step 10.
  np.testing.assert_array_equal(outcomes.solved,
                                [False, True, False, False, True])
  np.testing.assert_array_equal(outcomes.solved_at, [30, 20, 20, nan, 10])
  np.testing.assert_array_equal(outcomes.sparsity_error, [0, 11, 12, 3, 4])


def test_all_evaluations_are_chosen_from():
  steps = np.arange(1, 504)
  validation = np.full((503, 1), 2.)
  validation[[2, 50], 0] = 1, 1.5
  test = np.full((503, 1), 9.)
  test[2] = 0
  sparsity = steps[:, None]
  outcomes = statistics.judge(steps, validation, test, 1, sparsity)
  assert outcomes.solved[0]
  assert outcomes.solved_at[0] == outcomes.sparsity_error[0] == 3
  later = statistics.judge(steps[3:], validation[3:], test[3:], 1, sparsity[3:])
  assert not later.solved[0]
  assert later.sparsity_error[0] == 51


def test_summary_is_of_the_solved_seeds():
  outcomes = statistics.Outcomes(
      np.array([True, False, True, True]), np.array([100., 1, 500, 300]),
      np.array([0.1, 9, 0.2, 0.3]))
  summary = statistics.summarise(outcomes)
  assert (summary.successes, summary.trials) == (3, 4)
  assert summary.rate == statistics.wilson(3, 4)
  assert summary.solved_at_median == 300
  np.testing.assert_allclose(summary.solved_at.value, 300)
  np.testing.assert_allclose(summary.sparsity_error.value, 0.2)
  assert 100 <= summary.solved_at.low < 300 < summary.solved_at.high <= 500


def test_no_success_and_one():
  nothing = statistics.summarise(statistics.Outcomes(
      np.zeros(3, bool), np.full(3, np.nan), np.ones(3)))
  assert nothing.rate.value == 0
  assert nothing.rate.high > 0.5
  assert np.isnan([nothing.solved_at_median, *nothing.solved_at,
                   *nothing.sparsity_error]).all()
  one = statistics.summarise(statistics.Outcomes(
      np.array([False, True]), np.array([np.nan, 70]), np.ones(2)))
  assert one.solved_at.value == one.solved_at_median == 70
  assert np.isnan(one.solved_at[1:]).all()


def test_the_interval_of_a_mean_covers_it():
  rng = np.random.default_rng(0)
  covered = []
  for _ in range(60):
    low, high = statistics.mean_of(rng.gamma(4, 100, size=50))[1:]
    covered.append(low < 400 < high)
  assert 50 <= sum(covered) < 60
  assert statistics.mean_of(np.full(5, 7.)) == (7, 7, 7)


def test_scaled_score():
  assert statistics.scaled_score([1, 3], [10, 30]) == 10
  assert statistics.scaled_score([0, 0], [10, 30]) == 0
  assert statistics.scaled_score([1, np.nan], [10, 30]) == np.inf
  assert statistics.scaled_score([1, 3], [0, 0]) == np.inf
  assert statistics.scaled_score([0, 0], [0, 0]) == np.inf
  assert [tables.format_score(x) for x in (0.04, 96.13, 999, 1e30, np.inf)
          ] == ["0.0", "96.1", "999.0", ">999", ">999"]


def test_table():
  table = tables.success_table({
      "NMU on mul": statistics.Summary(
          98, 100, statistics.wilson(98, 100), 1.4e6,
          statistics.Estimate(1.5e6, 1.4e6, 1.6e6),
          statistics.Estimate(4.2e-7, 2.9e-7, 6.1e-7)),
      "NALU": statistics.summarise(statistics.Outcomes(
          np.zeros(100, bool), np.full(100, np.nan), np.ones(100)))})
  header, first, second = table.split("\n")
  assert first.split("  ")[0] == "NMU on mul"
  assert first.index("98/100 = 98%") == header.index("success")
  assert first.index("93% to 99%") == header.index("95 %")
  assert "1.4e+06" in first
  assert "4.2e-07 (2.9e-07 to 6.1e-07)" in first
  assert second.split() == ["NALU", "0/100", "=", "0%", "0%", "to", "4%",
                            "-", "-", "-"]


def test_one_number_for_many_seeds():
  over_seeds, nan = statistics.over_seeds, np.nan
  for name, values, expected in (
      ("mse", [3.5], 3.5), ("mse", [1., 2., 7.], 2), ("mse", [nan, 2., 7.], 7),
      ("mse", [nan, nan, 7.], np.inf), ("solved", [1., 0., 0., 0.], .25),
      ("extrapolation/solved", [1., 1., 0., 0.], .5),
      ("accuracy", [nan, .2, .7], .2),
      ("qa1/accuracy", [nan, nan, .7], -np.inf),
      ("return", [nan, -3., 5.], -3)):
    assert over_seeds(name, np.array(values)) == expected
  for values in ([nan], [nan, nan, nan]):  # Not infinite: none is a number.
    assert np.isnan(over_seeds("mse", np.array(values)))
  assert isinstance(over_seeds("level", np.array([4, 8, 16])), int)
  assert tables.format_value(over_seeds("level", np.array([16384]))) == "16384"


def test_lines_and_bands():
  values = np.array([[1., np.nan, 5.], [3., np.nan, np.inf], [8., np.nan, 1.]])
  low, middle, high = statistics.band(values)
  assert [x.filled(-1).tolist() for x in (low, middle, high)] == [
      [1, -1, 1], [3, -1, 3], [8, -1, 5]]
  low, middle, high = statistics.quartiles(values[:, [0, 2]])
  np.testing.assert_allclose([low, middle, high], [[2, 2], [3, 3], [5.5, 4]])
  assert statistics.mean_and_median(np.array([1., 2., 6.])) == (3, 2)
  assert statistics.mean_and_median(values[:, 1]) == (np.inf, np.inf)


def test_align():
  lines = [["model", "rate"], ["here", "123"], ["a", ""]]
  assert tables.align(lines).splitlines() == [
      "model  rate", " here   123", "    a"]
  assert tables.align(lines, left=True).splitlines() == [
      "model  rate", "here   123", "a"]
