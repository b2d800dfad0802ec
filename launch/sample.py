"""Continues a text by a trained run, and prints it as it comes.

  python -m launch.sample --workdir=/tmp/text --prompt="The king" \\
      --num_tokens=200 --temperature=0.8 --seed=1

The prompt is printed first, as the network reads it. The same seed, prompt and
rules print the same text, and more tokens only continue it. No data are needed:
the vocabulary lies in the run's folder. For a run of many seeds the best one
(of the best value of a sweep) writes.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from launch.configs import endings, numbers
from launch.configs import flags as flags_lib
from launch.configs.config import UsageError
from launch.runs import reporting
from launch.texts import continuing
from launch.texts.drawing import Rule

FLAGS = flags.FLAGS


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  del argv
  flags_lib.apply_device_flags()
  reporting.quiet_libraries()
  workdir = pathlib.Path(FLAGS.workdir).expanduser().absolute()
  pieces = continuing.sample(
      workdir, FLAGS.prompt, FLAGS.num_tokens, _rule(), FLAGS.seed)
  is_begun = False
  try:
    for piece in pieces:
      print(piece, end="", flush=True)
      is_begun = True
  finally:
    if is_begun:  # Also after Ctrl-C: its message has a line of its own.
      print(flush=True)


def _rule() -> Rule:
  """Returns how to draw, from flags.

  Raises:
    UsageError: a number is not valid.
  """
  try:
    return Rule(FLAGS.temperature, FLAGS.top_k, FLAGS.top_p)
  except ValueError as error:
    raise UsageError(f"--{error}") from None


def run() -> None:
  """Runs the program with the flags of the command line."""
  flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
  flags.DEFINE_string("prompt", "\n", "Text to continue. Default: the end of a "
                      "line.")
  flags.DEFINE_integer("num_tokens", 200, "Tokens to draw: words, characters "
                       "or bytes, as in training.", lower_bound=0,
                       upper_bound=numbers.MAX_INT)
  flags.DEFINE_float("temperature", 1., "Divides the log-probabilities: below "
                     "1 the text is more likely; 0 takes the most likely token "
                     "each time.")
  flags.DEFINE_integer("top_k", 0, "Draws among that many of the most likely "
                       "tokens; 0 for all.", upper_bound=numbers.MAX_INT)
  flags.DEFINE_float("top_p", 1., "Draws among the fewest of the most likely "
                     "tokens whose probabilities sum up to this number; 1 for "
                     "all.")
  flags.DEFINE_integer("seed", 0, "Seed of the drawing.", lower_bound=0,
                       upper_bound=numbers.MAX_SEED)
  flags_lib.define_device_flags()
  flags.adopt_module_key_flags(flags_lib)
  endings.run(main, "the size of --prompt", parse_flags=flags_lib.parse)


if __name__ == "__main__":
  run()
