"""Flags of `launch.evaluate` for other ways to score a text."""

from absl import flags

from launch.configs import numbers
from launch.configs.config import UsageError
from launch.learning.text import evaluators as text_evaluators

FLAGS = flags.FLAGS


def options() -> text_evaluators.Options:
  """Returns the other ways to score a text, from flags.

  Raises:
    UsageError: a number is not valid.
  """
  for name in ("dynamic_learning_rate", "dynamic_decay", "cache_sharpness",
               "cache_weight"):
    try:
      numbers.check(f"--{name}", FLAGS[name].value)
    except ValueError as error:
      raise UsageError(str(error)) from None
  dynamic = text_evaluators.Dynamic(
      FLAGS.dynamic_learning_rate, FLAGS.dynamic_decay, FLAGS.dynamic_segment,
      FLAGS.dynamic_windows)
  cache = text_evaluators.Cache(
      FLAGS.cache, FLAGS.cache_sharpness, FLAGS.cache_weight)
  return text_evaluators.Options(
      dynamic if FLAGS.dynamic else None, cache if FLAGS.cache else None,
      numbers.integers("contexts", FLAGS.contexts, 1))


def define() -> None:
  """Defines the flags of `options`."""
  dynamic, cache = text_evaluators.Dynamic(), text_evaluators.Cache()
  flags.DEFINE_boolean("dynamic", False, "Adds rows of dynamic evaluation "
                       "(Krause et al., 2018): the network takes a step on "
                       "each piece of a text after scoring it.")
  flags.DEFINE_float("dynamic_learning_rate", dynamic.learning_rate, "Of the "
                     "steps of --dynamic.", lower_bound=0)
  flags.DEFINE_float("dynamic_decay", dynamic.decay, "Of --dynamic: back to "
                     "the trained parameters.", lower_bound=0)
  flags.DEFINE_integer("dynamic_segment", dynamic.segment, "Tokens between two "
                       "steps of --dynamic.", lower_bound=1,
                       upper_bound=numbers.MAX_INT)
  flags.DEFINE_integer("dynamic_windows", dynamic.max_windows, "Windows of the "
                       "training text on which --dynamic measures the size of "
                       "gradients; 0: all.", lower_bound=0,
                       upper_bound=numbers.MAX_INT)
  flags.DEFINE_integer("cache", 0, "Adds rows of a continuous cache (Grave et "
                       "al., 2016) of so many words; 0: none.", lower_bound=0,
                       upper_bound=numbers.MAX_INT)
  flags.DEFINE_float("cache_sharpness", cache.sharpness, "Of --cache: factor "
                     "of the similarity of outputs.", lower_bound=0)
  flags.DEFINE_float("cache_weight", cache.weight, "Of --cache: its share.",
                     lower_bound=0, upper_bound=1)
  flags.DEFINE_list("contexts", [], "Adds rows of a network that starts anew "
                    "after so many tokens.")
