"""Statistics over the seeds of a run, and over runs that differ in their seed.

All of them are here. Four kinds answer four questions:

- `over_seeds`: one number a metric, for a table or a progress bar (the median,
  or the share of seeds that solved the task);
- `band` and `quartiles`: a line and the area around it, for a picture;
- `judge` and `summarise`: success rates and their confidence intervals, as in
  "Measuring Arithmetic Extrapolation Performance" (Madsen and Johansen, 2019,
  arXiv 1910.01888);
- `scaled_score`: the score of "Neural Arithmetic Logic Units" (Trask et al.,
  2018, arXiv 1808.00508).

Letters: E evaluations, S seeds, V variants of a task.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # It imports `stats`, which takes long, at the first use.

# Last parts of the names of metrics that grow as a network learns: shares of
# right answers, and returns. The others are errors.
_GROW = ("accuracy", "solved", "gem", "arrived", "on_time", "return")


class Outcomes(NamedTuple):
  """Represents the result of each seed on one variant of a task.

  Attributes:
    solved: `[S]` bool.
    solved_at: `[S]`, the first step at which the seed's error was below the
      threshold; NaN if there is none.
    sparsity_error: `[S]`, the distance of the weights from discrete values.
  """

  solved: np.ndarray
  solved_at: np.ndarray
  sparsity_error: np.ndarray


class Estimate(NamedTuple):
  """Represents a number with its 95 % confidence interval."""

  value: float
  low: float
  high: float


class Summary(NamedTuple):
  """Represents statistics over seeds; all but the rate are of solved seeds.

  Attributes:
    successes: number of seeds that solved the task.
    trials: number of seeds.
    rate: successes / trials, with Wilson's interval.
    solved_at_median: median of `solved_at`; NaN without a success.
    solved_at: mean of `solved_at`; NaN without a success.
    sparsity_error: mean of `sparsity_error`; NaN without a success.
  """

  successes: int
  trials: int
  rate: Estimate
  solved_at_median: float
  solved_at: Estimate
  sparsity_error: Estimate


def grows(name: str) -> bool:
  """Returns whether a higher value of this metric is a better one.

  Args:
    name: of a metric, with or without parts before it, as in `qa1/accuracy`.
  """
  return name.endswith(_GROW)


def over_seeds(name: str, values: np.ndarray) -> float | int:
  """Returns one number for a metric of all seeds.

  Args:
    name: of the metric.
    values: `[S]`.

  Returns:
    The value itself if S is 1. Otherwise the mean (the share of seeds) for
    `solved`, the sum for `skipped` updates, and the median for other metrics;
    the median counts NaN as the worst value, and is NaN if all values are. A
    metric of integers stays an integer.
  """
  values = np.asarray(values)
  if values.size == 1:
    return values.item()
  if name.split("/")[-1] == "solved":
    return float(np.mean(values))
  if name == "skipped":
    return int(np.sum(values))
  if np.isnan(values).all():
    return np.nan
  worst = -np.inf if grows(name) else np.inf
  middle = np.median(np.nan_to_num(values.astype(float), nan=worst))
  return int(middle) if values.dtype.kind in "iu" else float(middle)


def band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns the lowest, median and highest finite value of each column.

  Args:
    values: `[S, E]`.

  Returns:
    Three masked arrays `[E]`; a column without a finite value is masked.
  """
  finite = np.ma.masked_invalid(values)
  return finite.min(0), np.ma.median(finite, axis=0), finite.max(0)


def quartiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns first quartile, median and third quartile of the finite values.

  Args:
    values: `[S, V]`; each column has at least one finite value.

  Returns:
    Three arrays `[V]`.
  """
  finite = np.where(np.isfinite(values), values, np.nan)
  low, middle, high = np.nanquantile(finite, [.25, .5, .75], axis=0)
  return low, middle, high


def mean_and_median(values: np.ndarray) -> tuple[float, float]:
  """Returns the mean and the median over seeds, with NaN as the worst value.

  Args:
    values: `[S]`.
  """
  values = np.nan_to_num(values, nan=np.inf)
  return float(values.mean()), float(np.median(values))


def judge(steps: np.ndarray, validation: np.ndarray, test: np.ndarray,
          threshold: float, sparsity_error: np.ndarray) -> Outcomes:
  """Returns which seeds solved the task, and when.

  A seed is judged at the evaluation with its lowest error on the training
  range, as in the papers' public code. A NaN error is not below the threshold.

  Args:
    steps: `[E]`, updates done at each evaluation.
    validation: `[E, S]`, errors on the training range.
    test: `[E, S]`, errors on the test range.
    threshold: upper bound of the test error of a success; `task.solved_below`.
    sparsity_error: `[E, S]`.
  """
  best = best_evaluations(validation), np.arange(test.shape[1])
  below = test < threshold
  solved_at = np.where(below.any(0), np.asarray(steps)[below.argmax(0)], np.nan)
  return Outcomes(below[best], solved_at, sparsity_error[best])


def best_evaluations(validation: np.ndarray) -> np.ndarray:
  """Returns the index `[S]` of the evaluation at which each seed is judged.

  Args:
    validation: `[E, S]`, errors on the training range.
  """
  return np.argmin(np.nan_to_num(validation, nan=np.inf), axis=0)


def upper_bound(errors: npt.ArrayLike) -> float:
  """Returns the upper 99 % confidence bound of the mean of errors.

  Uses Student's t, as the threshold of "Neural Arithmetic Units" (Madsen and
  Johansen, 2020, arXiv 2001.05016), section 4.3.

  Args:
    errors: `[S]`, of a reference; S is at least 2.

  Notes:
    The paper's code uses 8 degrees of freedom for 10 seeds; this uses S - 1.
  """
  errors = np.asarray(errors, np.float64)
  spread = errors.std(ddof=1) / len(errors) ** 0.5
  quantile = scipy.stats.t.ppf(0.99, len(errors) - 1)
  return float(errors.mean() + quantile * spread)


def summarise(outcomes: Outcomes) -> Summary:
  """Returns the statistics of `outcomes` over seeds."""
  solved = np.asarray(outcomes.solved)
  successes, trials = int(solved.sum()), solved.size
  solved_at = np.asarray(outcomes.solved_at)[solved]
  return Summary(
      successes, trials, wilson(successes, trials),
      float(np.median(solved_at)) if successes else np.nan,
      mean_of(solved_at), mean_of(np.asarray(outcomes.sparsity_error)[solved]))


def wilson(successes: int, trials: int) -> Estimate:
  """Returns a success rate with Wilson's 95 % interval."""
  test = scipy.stats.binomtest(successes, trials)
  low, high = test.proportion_ci(method="wilson")
  return Estimate(successes / trials, float(low), float(high))


def mean_of(values: npt.ArrayLike) -> Estimate:
  """Returns a mean with its 95 % interval, by the bootstrap.

  Args:
    values: `[S]`. A single value has no interval (NaN). An empty array, or one
      with a NaN (the sparsity error of a network without units), has no mean
      either.

  Notes:
    The paper uses the profile likelihood of a gamma distribution for steps, and
    of a beta distribution for sparsity errors. The bootstrap needs neither.
  """
  values = np.asarray(values, np.float64)
  if np.isnan(values).any():
    return Estimate(np.nan, np.nan, np.nan)
  if values.size < 2:
    return Estimate(float(values[0]) if values.size else np.nan, np.nan, np.nan)
  interval = scipy.stats.bootstrap(
      (values,), np.mean, method="percentile", n_resamples=2_000,
      rng=np.random.default_rng(0)).confidence_interval
  return Estimate(float(values.mean()), float(interval.low),
                  float(interval.high))


def scaled_score(errors: npt.ArrayLike, random_errors: npt.ArrayLike) -> float:
  """Returns the NALU paper's score: 0 is perfect, 100 is a random network.

  Args:
    errors: `[S]` or a number, mean squared errors of trained networks.
    random_errors: `[S]`, errors of the same networks before training.

  Returns:
    The ratio of the means, in per cent; infinite if an error is NaN, or if the
    errors before training are 0.
  """
  with np.errstate(divide="ignore", invalid="ignore"):
    score = 100 * np.asarray(errors).mean() / np.asarray(random_errors).mean()
  return float(np.nan_to_num(score, nan=np.inf, posinf=np.inf))
