"""Arithmetic on sums of 100 numbers: Madsen and Johansen 2020 (2001.05016)."""

from launch.experiments.merging import Preset, merge


def arithmetic() -> Preset:
  """Learns an operation on two sums of 100 numbers at the paper's size.

  Paper: Madsen and Johansen 2020, arXiv 2001.05016, section 4.1.
  Data: none.

  Notes:
    Two layers, hidden size 2, batches of 128, Adam at 1e-3, 5,000,000 updates,
    and a penalty on weights that are not discrete, whose weight grows late. A
    network that multiplies has a layer that adds below (`hidden_unit`).

      python -m launch.train --preset=arithmetic --unit=nmu --operation=mul \
        --num_seeds=100 --cpu_devices=2 --workdir=runs/nmu-mul

    The paper evaluates more often: see `arithmetic_paper`.
  """
  multiplication = _penalty(weight=10., start=1_000_000, end=2_000_000)
  return dict(
      task="arithmetic",
      core="stack",
      core_args={"stack": dict(num_layers=2, hidden_size=2)},
      unit="nau",
      unit_settings={
          "gated_nau_nmu": multiplication,
          "linear": dict(unit_args={"linear": dict(w_init="glorot")}),
          "nau": _penalty(weight=0.01, start=5_000, end=50_000),
          "nmu": multiplication | _above("nau"),
          "nac_mul": _above("nac"),
          "nac_mul_nmu": multiplication | _above("nau"),
          "nac_mul_sigmoid": _above("nac"),
      },
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      max_grad_norm=0.,
      steps=5_000_000,
      batch_size=128,
      log_every=10_000,
      eval_every=10_000,
      eval_episodes=1_024,
      checkpoint_every=100_000,
  )


def arithmetic_paper() -> Preset:
  """Learns an operation on two sums of 100 numbers, 100 seeds at once.

  Paper: Madsen and Johansen 2020, arXiv 2001.05016, section 4.1.
  Data: none.

  Notes:
    Evaluates every 1,000 updates on 10,000 episodes, as the paper does.
    Everything else is as in `arithmetic`.
  """
  return merge(arithmetic(), dict(
      num_seeds=100, eval_every=1_000, eval_episodes=10_000))


def _penalty(**arguments):
  return dict(penalty="discrete", penalty_args={"discrete": arguments})


def _above(unit):
  return dict(core_args={"stack": dict(hidden_unit=unit)})
