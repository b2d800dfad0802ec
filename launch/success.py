"""What many seeds of one run show: success rates with their intervals.

The way of scoring is that of "Measuring Arithmetic Extrapolation Performance"
(Madsen, Johansen, 2019, arXiv 1910.01888), and, for `scaled_score`, that of
"Neural Arithmetic Logic Units" (Trask et al. 2018, arXiv 1808.00508).

Letters: E evaluations, S seeds.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib import figure
from scipy import stats

from launch import plots

# Scores from here on say no more than that it went wrong.
MAX_SCORE = 999


class Outcomes(NamedTuple):
  """What became of each seed.

  Attributes:
    solved: `[S]` bool.
    solved_at: `[S]`, the first step at which it was evaluated as solved; NaN if
      it never was.
    sparsity_error: `[S]`, how far its weights are from discrete ones.
  """

  solved: np.ndarray
  solved_at: np.ndarray
  sparsity_error: np.ndarray


class Estimate(NamedTuple):
  """A number with its 95 % confidence interval."""

  value: float
  low: float
  high: float


class Summary(NamedTuple):
  """Statistics over seeds; of those that solved it, but for the rate.

  Attributes:
    successes: seeds that solved it.
    trials: seeds.
    rate: their ratio, with Wilson's interval.
    solved_at_median: NaN without any success.
    solved_at: the mean; NaN as well.
    sparsity_error: the mean; NaN as well.
  """

  successes: int
  trials: int
  rate: Estimate
  solved_at_median: float
  solved_at: Estimate
  sparsity_error: Estimate


def judge(steps: np.ndarray, validation: np.ndarray, test: np.ndarray,
          threshold: float, sparsity_error: np.ndarray) -> Outcomes:
  """Which seeds solved the task, and when.

  A seed is judged at the evaluation, of all, with the lowest error on the range
  that it was trained on, as in the papers' public code. An error that is not a
  number is none below the threshold.

  Args:
    steps: `[E]`, of the evaluations.
    validation: `[E, S]`, errors on the range of the training.
    test: `[E, S]`, errors on that of the test.
    threshold: of the test, the task's `solved_below`.
    sparsity_error: `[E, S]`.
  """
  best = best_evaluations(validation), np.arange(test.shape[1])
  below = test < threshold
  solved_at = np.where(below.any(0), np.asarray(steps)[below.argmax(0)], np.nan)
  return Outcomes(below[best], solved_at, sparsity_error[best])


def best_evaluations(validation: np.ndarray) -> np.ndarray:
  """At which evaluation a seed is judged, `[S]`.

  Args:
    validation: `[E, S]`, errors on the range of the training.
  """
  return np.argmin(np.nan_to_num(validation, nan=np.inf), axis=0)


def upper_bound(errors: np.ndarray) -> float:
  """What the mean of a reference's errors is below, with 99 % confidence.

  By Student's t, as the threshold of "Neural Arithmetic Units" (Madsen and
  Johansen, 2020, arXiv 2001.05016), section 4.3; their code has 8 degrees of
  freedom for 10 seeds, here it is one less than seeds.

  Args:
    errors: `[S]`, of at least two seeds.
  """
  errors = np.asarray(errors, np.float64)
  spread = errors.std(ddof=1) / len(errors) ** 0.5
  return float(errors.mean() + stats.t.ppf(0.99, len(errors) - 1) * spread)


def summarise(outcomes: Outcomes) -> Summary:
  """The statistics over seeds."""
  solved = np.asarray(outcomes.solved)
  successes, trials = int(solved.sum()), solved.size
  solved_at = np.asarray(outcomes.solved_at)[solved]
  return Summary(
      successes, trials, wilson(successes, trials),
      float(np.median(solved_at)) if successes else np.nan,
      mean_of(solved_at), mean_of(np.asarray(outcomes.sparsity_error)[solved]))


def wilson(successes: int, trials: int) -> Estimate:
  """A rate with Wilson's 95 % interval."""
  low, high = stats.binomtest(successes, trials).proportion_ci(method="wilson")
  return Estimate(successes / trials, float(low), float(high))


def mean_of(values: np.ndarray) -> Estimate:
  """A mean with its 95 % interval, by the bootstrap.

  Notes:
    The paper has the profile likelihood of a gamma distribution for steps, and
    of a beta distribution for sparsity errors. The bootstrap needs neither.

  Args:
    values: `[S]`. With one there is no interval, with none no mean: NaN; and so
      where one is NaN, such as the sparsity error of a network without units.
  """
  values = np.asarray(values, np.float64)
  if np.isnan(values).any():
    return Estimate(np.nan, np.nan, np.nan)
  if values.size < 2:
    return Estimate(float(values[0]) if values.size else np.nan, np.nan, np.nan)
  interval = stats.bootstrap(
      (values,), np.mean, method="percentile", n_resamples=2_000,
      rng=np.random.default_rng(0)).confidence_interval
  return Estimate(float(values.mean()), float(interval.low),
                  float(interval.high))


def scaled_score(errors: npt.ArrayLike, random_errors: npt.ArrayLike) -> float:
  """The NALU paper's score: 0 is perfect, 100 as bad as before the training.

  Args:
    errors: `[S]`, mean squared errors of trained networks, or one of them.
    random_errors: `[S]`, of networks of the same kind at their random start.

  Returns:
    The ratio of the means, in per cent; infinite if an error is not a number.
  """
  score = 100 * np.asarray(errors).mean() / np.asarray(random_errors).mean()
  return float(np.nan_to_num(score, nan=np.inf))


def format_score(score: float) -> str:
  """A scaled score as in the paper's Table 1."""
  return f"{score:.1f}" if score <= MAX_SCORE else f">{MAX_SCORE}"


def format_table(rows: Mapping[str, Summary]) -> str:
  """The summaries as lines of a table, as the papers print them.

  Args:
    rows: label -> summary; a run, or a range.
  """
  header = ("", "success", "95 % interval", "solved at: median",
            "mean", "sparsity error")
  cells = [header]
  for label, row in rows.items():
    cells.append((
        label, f"{row.successes}/{row.trials} = {row.rate.value:.0%}",
        f"{row.rate.low:.0%} to {row.rate.high:.0%}",
        _number(row.solved_at_median), _estimate(row.solved_at),
        _estimate(row.sparsity_error)))
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  return "\n".join("  ".join(
      cell.ljust(width) for cell, width in zip(line, widths, strict=True)
  ).rstrip() for line in cells)


def _number(value: float) -> str:
  return "-" if np.isnan(value) else f"{value:.2g}"


def _estimate(estimate: Estimate) -> str:
  value, low, high = map(_number, estimate)
  return value if low == "-" else f"{value} ({low} to {high})"


def success_curve(runs: Mapping[str, Mapping[str, tuple[int, int]]],
                  path: pathlib.Path, title: str = "") -> None:
  """Draws success rates, with Wilson's intervals, against what was tested.

  Args:
    runs: label of a run -> label of a range (or a length), in their order ->
      successes and trials. All runs have the same ranges.
    path: the PNG to write.
    title: above the picture.

  Raises:
    ValueError: the runs were not tested on the same ranges.
  """
  ranges: Sequence[str] = list(next(iter(runs.values())))
  for label, run in runs.items():
    if list(run) != ranges:
      raise ValueError(f"{label} was tested on {', '.join(run)}, the first run "
                       f"on {', '.join(ranges)}")
  fig = figure.Figure(figsize=(7, 4), layout="constrained")
  axis = fig.subplots()
  for number, (label, run) in enumerate(runs.items()):
    rates = [wilson(*counts) for counts in run.values()]
    value, low, high = map(np.array, zip(*rates, strict=True))
    # Side by side, or equal rates hide each other.
    place = np.arange(len(ranges)) + 0.06 * (number - (len(runs) - 1) / 2)
    trials = next(iter(run.values()))[1]
    # Rounding may put an end on the wrong side of 0 or 1 successes in all.
    axis.errorbar(place, value, np.maximum([value - low, high - value], 0),
                  fmt="o-", capsize=3, color=f"C{number}",
                  label=f"{label} ({trials} seeds)")
  axis.set_xticks(range(len(ranges)), [name.replace("_", "\n")
                                       for name in ranges])
  axis.set_ylim(-0.03, 1.03)
  axis.set_ylabel("success rate")
  axis.grid(alpha=0.3)
  plots.name_lines(fig, axis)
  fig.suptitle(title)
  fig.savefig(path, dpi=120)
