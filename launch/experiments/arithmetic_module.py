"""A single unit on two numbers: the benchmark of the Primer.

"A Primer for Neural Arithmetic Logic Modules" (Mistry, Farrahi, Hare, 2022,
arXiv 2101.09530): one unit computes a + b, a - b, a * b or a / b; 50,000
updates with batches of 128, Adam at 1e-3, 25 seeds (here 32, which devices can
share), each on nine ranges:

  for range in -20,-10 -2,-1 -1.2,-1.1 -0.2,-0.1 -2,2 0.1,0.2 1,2 1.1,1.2 10,20
  do python -m launch.train --preset=arithmetic_module --unit=nmu \
    --operation=mul --task.train_range=$range --workdir=runs/module/nmu$range \
    --cpu_devices=2
  done

The range of the test follows from that of the training.

The settings of units are their public code's, but for two. The penalty on Real
NPU's and NPU's weights grows linearly to the authors' last value (for a
division: --penalty_weight=1e-7); theirs is multiplied by ten every 10,000
updates. iNALU's sets in after 10,000 updates (theirs also waits for an error
below 1); they start an iNALU anew that does not learn, and that is left out.
NMRU's are of the code of the paper that it is from (arXiv 2110.05177), with the
weight of NMU's penalty.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "arithmetic"
  config.task_args = {"arithmetic": dict(
      operation="add", input_size=2, subset_ratio=0.5, overlap_ratio=0.,
      criterion="module")}
  config.core = "stack"
  config.core_args = {"stack": dict(num_layers=1)}
  config.unit = "nau"
  late = dict(penalty_start=20_000, penalty_end=35_000)
  powers = dict(learning_rate=5e-3, penalty_weight=1e-5, penalty_start=0,
                penalty_end=20_000)
  inalu = dict(max_grad_value=0.1, penalty_weight=0.05, penalty_start=10_000,
               penalty_end=10_000)
  config.unit_settings = {
      "inalu": inalu,
      "inalu_shared": inalu,
      "naive_npu": powers,
      "nau": dict(penalty_weight=0.01) | late,
      "nmru": dict(learning_rate=1e-2, max_grad_norm=1.,
                   penalty_weight=10.) | late,
      "nmu": dict(penalty_weight=10.) | late,
      "npu": powers,
      "real_npu": powers,
  }
  config.num_seeds = 32
  config.steps = 50_000
  config.batch_size = 128
  config.learning_rate = 1e-3
  config.max_grad_norm = 0.
  config.log_every = 1_000
  config.eval_every = 1_000
  config.eval_episodes = 1_024
  config.checkpoint_every = 10_000
  return config
