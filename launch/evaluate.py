"""Evaluates a trained run, also at levels that it was not trained at.

  python -m launch.evaluate --workdir=/tmp/copy --levels=10,20,40

Prints a table on stdout and writes evaluation.json into the workdir. Without
--levels it evaluates: episodes as in training, if they are of several levels;
the highest level (with a curriculum, the one reached), twice and four times it,
where the task allows; and the task's variants for extrapolation. The column
`guess` is the main metric of guessing. Arguments of the core and of its index
may change, such as the size of a memory: --core.num_slots=256. For a run of
many seeds the table shows medians, and the share of seeds that solved the task.
A sweep has a table for each value; the best one by validation is marked.

Neither --cpu_devices nor --batch_size changes the episodes. The sums over them
are in another order, so the last digits of a number may differ. A text is read
in --batch_size rows, and the first words of a row have no context: published
numbers are those of --batch_size=1.

  python -m launch.evaluate --workdir=/tmp/numbers --show=5

also prints five episodes with the answers, for tasks of text: episodes of the
last row, by the best seed (of the best value of a sweep).

  python -m launch.evaluate --workdir=/tmp/words --dynamic --cache=3785

also scores the texts of a language model in other ways, a row each: --dynamic
adapts the network to what it has read, --cache makes words likelier that
followed similar outputs, and --contexts=25,100 starts the network anew after so
many tokens. --dynamic and --cache read a text in one row.

  python -m launch.evaluate --workdir=/tmp/pacman --episodes=100

plays 100 episodes with an agent that draws its actions. An environment is
evaluated as trained, or at the --levels that are given. One episode of the task
as trained is filmed: episode.gif, and some of its steps in episode.png.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from launch.configs import endings, numbers, text_flags
from launch.configs import flags as flags_lib
from launch.pictures import film
from launch.runs import evaluation, evaluation_table, reporting

FLAGS = flags.FLAGS
_CHANGES = ("core", "index")  # Whose arguments may differ from training.
# What --help shows of the flags.
_COMMON = ("workdir", "levels", "episodes", "batch_size", "recall", "show",
           "dynamic", "cache", "contexts", "data_dir", "cpu_devices")


def main(argv: Sequence[str]) -> None:
  """Runs the program."""
  del argv
  flags_lib.apply_device_flags()
  reporting.quiet_libraries()
  workdir = pathlib.Path(FLAGS.workdir).expanduser().absolute()
  result = evaluation.evaluate(
      workdir, numbers.integers("levels", FLAGS.levels, 1), FLAGS.episodes,
      flags_lib.member_overrides(_CHANGES), FLAGS.data_dir, FLAGS.show,
      FLAGS.batch_size, FLAGS.recall, FLAGS.cache_dir, text_flags.options())
  print(_title(result))
  print(evaluation_table.format_table(result), flush=True)
  for line in result.get("examples", ()):
    print(line)
  # Last, so that a full disk does not cost the table.
  evaluation.write(workdir, result)
  film.draw_run(workdir)


def _title(result) -> str:
  more = (f" and the {result['num_seeds'] - 1} after it"
          if result["num_seeds"] > 1 else "")
  return (f"{result['core']} on {result['task']} after {result['step']} "
          f"updates, seed {result['seed']}{more}")


def run() -> None:
  """Runs the program with the flags of the command line."""
  flags.DEFINE_string("workdir", None, "Folder of the run.", required=True)
  flags.DEFINE_list("levels", [], "Levels to evaluate at (lengths, numbers of "
                    "items or classes).")
  flags.DEFINE_integer("episodes", 512, "Episodes at each level.",
                       lower_bound=1, upper_bound=numbers.MAX_INT)
  flags.DEFINE_integer("batch_size", None, "Episodes at once, over all "
                       "devices. Changes neither the episodes nor, but for the "
                       "last digits, the numbers. Of a text, the number of "
                       "rows: each starts without a context. Default: that of "
                       "training.",
                       lower_bound=1, upper_bound=numbers.MAX_INT)
  flags.DEFINE_boolean("recall", False, "Adds the column index_recall: the "
                       "share of exact search's words that the core's index "
                       "finds, over one episode at each level. Takes the time "
                       "of an exact search.")
  flags.DEFINE_string("data_dir", None, "Folder of the files of tasks with "
                      "real data. Default: the one used in training.")
  flags.DEFINE_string("cache_dir", None, "Folder for real data in the form in "
                      "which a task needs them. Default: as in training.")
  flags.DEFINE_integer("show", 0, "Number of episodes to print with the "
                       "answers, for tasks of text.", lower_bound=0,
                       upper_bound=numbers.MAX_INT)
  text_flags.define()
  flags_lib.define_member_flags(_CHANGES)
  flags_lib.define_device_flags()
  flags.adopt_module_key_flags(flags_lib)
  flags.adopt_module_key_flags(text_flags)
  endings.run(main, "--batch_size, --levels, --show, --cache, --contexts, "
              "--dynamic_segment, or --core.num_slots",
              common=_COMMON, parse_flags=flags_lib.parse)


if __name__ == "__main__":
  run()
