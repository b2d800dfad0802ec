"""How activations extrapolate: Figure 1 of the NALU paper (1808.00508).

A network of three hidden layers of 8 learns the identity on -5 to 5, and is
asked for it from -20 to 20; 10,000 updates, and 100 networks as in the paper:

  for activation in tanh relu elu
  do python -m launch.train --preset=nalu_identity --num_seeds=100 \
    --unit.activation=$activation --workdir=runs/identity/$activation
  done
  python -m launch.plot --x=variants --output=identity.png runs/identity/*

An activation is one of `rmc_nalu_sam.units.linear.ACTIVATIONS`. That has those
of the figure but for PReLU, which has a parameter, and Threshold, whose two
constants the paper does not give.

The optimiser, the size of a batch and the initial weights are not given either,
and the learning rate is quoted from memory: here Adam at 1e-2, 64, and Haiku's.
The same network of units: --unit=nac and the like.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "identity"
  config.core = "stack"
  config.core_args = {"stack": dict(num_layers=4, hidden_size=8)}
  config.unit = "linear"
  config.steps = 10_000
  config.batch_size = 64
  config.learning_rate = 1e-2
  config.max_grad_norm = 0.
  config.log_every = 1_000
  config.eval_every = 2_000
  config.eval_episodes = 256
  return config
