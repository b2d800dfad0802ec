import numpy as np
import pytest

from launch import success


@pytest.mark.parametrize("successes, trials", [
    (0, 100), (31, 100), (98, 100), (100, 100), (3, 7)])
def test_wilson(successes, trials):
  rate, z = successes / trials, 1.959963984540054
  centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
  radius = z / (1 + z**2 / trials) * np.sqrt(
      rate * (1 - rate) / trials + z**2 / (4 * trials**2))
  np.testing.assert_allclose(
      success.wilson(successes, trials),
      (rate, centre - radius, centre + radius), atol=1e-12)


def test_wilson_is_that_of_the_paper():
  # Table 1 of Neural Arithmetic Units: 31 % +10/-8 and 98 % +1/-5.
  for successes, above, below in ((31, 10, 8), (98, 1, 5), (14, 8, 5)):
    rate = success.wilson(successes, 100)
    assert round(100 * (rate.high - rate.value)) == above
    assert round(100 * (rate.value - rate.low)) == below


def test_seeds_are_judged_at_their_best_validation():
  steps = np.array([10, 20, 30])
  nan = np.nan
  validation = np.array([[1, 3, nan, 9, 1], [2, 2, nan, 9, 2], [3, 1, 5, 9, 3]])
  test = np.array([[8, 8, 8, nan, 1], [8, 1, 1, nan, 9], [1, 2, 3, nan, 1]])
  sparsity = np.arange(15.).reshape(3, 5)
  outcomes = success.judge(steps, validation, test, 2.5, sparsity)
  # The first is solved at last, but validation would have taken another.
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
  outcomes = success.judge(steps, validation, test, 1, sparsity)
  assert outcomes.solved[0]
  assert outcomes.solved_at[0] == outcomes.sparsity_error[0] == 3
  later = success.judge(steps[3:], validation[3:], test[3:], 1, sparsity[3:])
  assert not later.solved[0]
  assert later.sparsity_error[0] == 51


def test_summary_is_of_the_solved_seeds():
  outcomes = success.Outcomes(
      np.array([True, False, True, True]), np.array([100., 1, 500, 300]),
      np.array([0.1, 9, 0.2, 0.3]))
  summary = success.summarise(outcomes)
  assert (summary.successes, summary.trials) == (3, 4)
  assert summary.rate == success.wilson(3, 4)
  assert summary.solved_at_median == 300
  np.testing.assert_allclose(summary.solved_at.value, 300)
  np.testing.assert_allclose(summary.sparsity_error.value, 0.2)
  assert 100 <= summary.solved_at.low < 300 < summary.solved_at.high <= 500


def test_no_success_and_one():
  nothing = success.summarise(success.Outcomes(
      np.zeros(3, bool), np.full(3, np.nan), np.ones(3)))
  assert nothing.rate.value == 0
  assert nothing.rate.high > 0.5
  assert np.isnan([nothing.solved_at_median, *nothing.solved_at,
                   *nothing.sparsity_error]).all()
  one = success.summarise(success.Outcomes(
      np.array([False, True]), np.array([np.nan, 70]), np.ones(2)))
  assert one.solved_at.value == one.solved_at_median == 70
  assert np.isnan(one.solved_at[1:]).all()


def test_the_interval_of_a_mean_covers_it():
  rng = np.random.default_rng(0)
  covered = []
  for _ in range(60):
    low, high = success.mean_of(rng.gamma(4, 100, size=50))[1:]
    covered.append(low < 400 < high)
  assert 50 <= sum(covered) < 60
  assert success.mean_of(np.full(5, 7.)) == (7, 7, 7)


def test_scaled_score():
  assert success.scaled_score([1, 3], [10, 30]) == 10
  assert success.scaled_score([0, 0], [10, 30]) == 0
  assert success.scaled_score([1, np.nan], [10, 30]) == np.inf
  assert [success.format_score(x) for x in (0.04, 96.13, 999, 1e30, np.inf)
          ] == ["0.0", "96.1", "999.0", ">999", ">999"]


def test_table():
  table = success.format_table({
      "NMU on mul": success.Summary(
          98, 100, success.wilson(98, 100), 1.4e6,
          success.Estimate(1.5e6, 1.4e6, 1.6e6),
          success.Estimate(4.2e-7, 2.9e-7, 6.1e-7)),
      "NALU": success.summarise(success.Outcomes(
          np.zeros(100, bool), np.full(100, np.nan), np.ones(100)))})
  header, first, second = table.split("\n")
  assert first.split("  ")[0] == "NMU on mul"
  assert first.index("98/100 = 98%") == header.index("success")
  assert first.index("93% to 99%") == header.index("95 %")
  assert "1.4e+06" in first
  assert "4.2e-07 (2.9e-07 to 6.1e-07)" in first
  assert second.split() == ["NALU", "0/100", "=", "0%", "0%", "to", "4%",
                            "-", "-", "-"]


def test_success_curve(tmp_path):
  runs = {"nmu": {"[2, 6]": (0, 10), "[6, 18]": (7, 10)},
          "nalu": {"[2, 6]": (10, 10), "[6, 18]": (0, 10)}}
  path = tmp_path / "curve.png"
  success.success_curve(runs, path, "mul")
  assert path.read_bytes().startswith(b"\x89PNG")
  assert path.stat().st_size > 5_000
  runs["nalu"] = {"[2, 6]": (0, 10)}
  with pytest.raises(ValueError, match=r"nalu was tested on \[2, 6\], the"):
    success.success_curve(runs, path)
