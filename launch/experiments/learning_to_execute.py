"""Learning to execute (Santoro et al. 2018, 1806.01822, section 4.2), small.

--task.operation is one of addition, control, program, copy, reverse, double.
Numbers of up to 2 digits, not nested, and gradients clipped to norm 1: for two
cores. Table 1 of the paper is at 5 digits, nested twice, for RMC with:
--task.max_length=5 --task.max_nesting=2 --core.num_slots=4 --core.num_heads=4
--core.head_size=64 --batch_size=128 --max_grad_norm=0 --steps=200000
--eval_episodes=12800; what it reports is the highest
`hardest/character_accuracy` in metrics.jsonl (`launch.plot` prints and draws it
with --metric=hardest/character_accuracy). In the place of the core's arguments,
for its LSTM --core=lstm --core.hidden_size=1024 (or 2048), and for its DNC
--core=dnc --core.num_slots=80 --core.word_size=64 --core.num_read_heads=4
--core.hidden_size=256 (or 128, 512). (For memorising, its DNC had a controller
without a state, which there is none of here.) The released code also lets the
learning rate fall, from 1e-4 to 8e-5 at least.

Slots that are narrower learn later: see RESULTS.md.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "learning_to_execute"
  config.task_args = {"learning_to_execute": dict(
      operation="addition", max_length=2, max_nesting=1)}
  config.core = "rmc"
  config.core_args = {
      "rmc": dict(num_slots=2, head_size=64, num_heads=4, gate_style="memory"),
      "lstm": dict(hidden_size=256, num_layers=2),
      "dnc": dict(hidden_size=128, num_layers=2, num_slots=32, word_size=32,
                  num_read_heads=1),
      "sam": dict(hidden_size=128, num_slots=64, num_heads=2, top_k=4),
  }
  config.unit = "mlp"
  config.unit_args = {"mlp": dict(hidden_size=256, num_layers=4)}
  config.steps = 20_000
  config.eval_every = 1_000
  config.eval_episodes = 2048
  config.batch_size = 64
  config.learning_rate = 1e-3
  return config
