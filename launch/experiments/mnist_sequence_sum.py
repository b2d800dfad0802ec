"""Sequential MNIST, sums (Madsen and Johansen 2020, arXiv 2001.05016, 4.3).

Running sums of ten digits: their task, network and accumulating cell, for two
cores: fewer and smaller batches, a falling learning rate, gradients of at most
norm 1, and a penalty of less weight and that sets in earlier. Theirs, 1000
epochs of 5,500 series:

  --batch_size=64 --steps=86000 --lr_schedule=constant --max_grad_norm=0 \
    --penalty_weight=10 --penalty_start=10000 --penalty_end=100000

R_z keeps what the cell does not look at yet from going astray.

Their criterion of a success is the error of a network whose cell adds exactly:

  for run in solved=--unit.solved nau= nac=--unit=nac
  do python -m launch.train --preset=mnist_sequence_sum --num_seeds=10 \
    --data_dir=$data ${run#*=} --workdir=runs/sum/${run%%=*}
  done
  python -m launch.compare --reference=runs/sum/solved runs/sum/n??
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "mnist_sequence_sum"
  config.core = "unit_rnn"
  config.unit = "nau"
  config.core_args = {
      "unit_rnn": dict(hidden_size=1),
      "lstm": dict(hidden_size=100),
  }
  config.encoder_args = {"cnn": dict(output_size=1, torch_init=True)}
  config.unit_settings = {
      "nac": dict(input_penalty_weight=1.),
      "nau": dict(penalty_weight=0.01, penalty_start=1_000, penalty_end=5_000,
                  input_penalty_weight=1.),
  }
  config.steps = 10_000
  config.eval_every = 2_500
  config.eval_episodes = 64
  config.batch_size = 16
  config.learning_rate = 1e-3
  config.lr_schedule = "cosine"
  return config
