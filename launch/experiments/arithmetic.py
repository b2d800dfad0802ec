"""Arithmetic on sums of 100 numbers (Madsen and Johansen 2020, 2001.05016).

The paper's: two layers, hidden size 2, batches of 128, Adam at 1e-3, 5,000,000
updates, and a penalty on weights that are not discrete, whose weight grows
late; 100 seeds a unit and operation. A network that multiplies has a layer that
adds below (`hidden_unit`).

  python -m launch.train --task=arithmetic --unit=nmu --operation=mul \
    --num_seeds=100 --cpu_devices=2 --workdir=runs/nmu-mul

The paper evaluates every 1,000 updates on 10,000 episodes; here it is every
10,000 on 1,024.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "arithmetic"
  config.core = "stack"
  config.core_args = {"stack": dict(num_layers=2, hidden_size=2)}
  config.unit = "nau"
  multiplication = dict(penalty_weight=10., penalty_start=1_000_000,
                        penalty_end=2_000_000)
  config.unit_settings = {
      "gated_nau_nmu": multiplication,
      "linear": dict(unit_args={"linear": dict(w_init="glorot")}),
      "nau": dict(penalty_weight=0.01, penalty_start=5_000,
                  penalty_end=50_000),
      "nmu": multiplication | _above("nau"),
      "nac_mul": _above("nac"),
      "nac_mul_nmu": multiplication | _above("nau"),
      "nac_mul_sigmoid": _above("nac"),
  }
  config.steps = 5_000_000
  config.batch_size = 128
  config.learning_rate = 1e-3
  config.max_grad_norm = 0.
  config.log_every = 10_000
  config.eval_every = 10_000
  config.eval_episodes = 1_024
  config.checkpoint_every = 100_000
  return config


def _above(unit):
  return dict(core_args={"stack": dict(hidden_unit=unit)})
