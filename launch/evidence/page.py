"""Makes RESULTS.md of the experiments and their files of results."""

import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from launch.evidence import results, tables
from launch.evidence.experiment import Cell, Experiment, Figure
from launch.runs import tables as run_tables

FILE = "RESULTS.md"
README = "README.md"
PAPERS = "docs/papers.md"
# The experiments of README's table, which stands between these two lines.
AT_A_GLANCE = (
    "sam_figure1", "sam_figure7", "sam_figure2_copy",
    "sam_figure3_associative_recall", "rmc_nth_farthest_small", "rmc_boxworld",
    "nalu_figure5_time", "nau_nmu_mul")
_BEGIN, _END = "<!-- results -->\n", "<!-- end of results -->"
_HEAD = f"""# Results

This page is made of `results/*.json` and of `launch/evidence/catalogue` by

```sh
python -m launch.reproduce --page
```

Each number was printed by the command that stands in its section. Numbers in
parentheses are published ones. Up to {tables.MAX_LISTED} seeds are listed; more
are a median and, in brackets, the lowest and highest value. Success rates have
95 % intervals in brackets.

## From the papers to here

"Budget" is the share of the paper's training episodes that ours had; "?" where
the paper does not tell them.
"""


def render(experiments: Iterable[Experiment], folder: pathlib.Path) -> str:
  """Returns the content of RESULTS.md.

  Args:
    experiments: in the order of the page.
    folder: of results.

  Raises:
    ValueError: a file of results has another form.
  """
  experiments = list(experiments)
  entries = {experiment.name: results.measured(folder, experiment.name)
             for experiment in experiments}
  parts = [_HEAD.strip(), _overview(experiments, entries)]
  parts += [_section(experiment, entries[experiment.name], folder)
            for experiment in experiments if entries[experiment.name]]
  return "\n\n".join(parts) + "\n"


def _overview(experiments, entries: Mapping[str, Sequence[results.Entry]]
              ) -> str:
  lines = [["", "published", "here", "budget", "how"]]
  for experiment in experiments:
    found = entries[experiment.name]
    title = (f"[{experiment.title}](#{_anchor(experiment.title)})" if found
             else experiment.title)
    lines.append([title, *headline(experiment, found),
                  budget(experiment, found), _how(experiment)])
  return run_tables.markdown(lines)


def at_a_glance(readme: str, experiments: Mapping[str, Experiment],
                folder: pathlib.Path) -> str:
  """Returns README with a new table of results.

  Args:
    readme: its old content.
    experiments: name -> experiment.
    folder: of results.
  """
  lines = [["", "published", "here"]]
  for name in AT_A_GLANCE:
    experiment = experiments[name]
    found = results.measured(folder, name)
    lines.append([f"[{experiment.title}]({FILE}#{_anchor(experiment.title)})",
                  *headline(experiment, found)])
  before, rest = readme.split(_BEGIN)
  return f"{before}{_BEGIN}{run_tables.markdown(lines)}\n{_END}" + (
      rest.split(_END)[1])


def with_links(text: str, experiments: Mapping[str, Experiment],
               folder: pathlib.Path) -> str:
  """Returns a page whose names of experiments link to their sections.

  Args:
    text: its old content; names stand in backticks, in the last column of
      tables.
    experiments: name -> experiment.
    folder: of results; an experiment without any has no section.
  """
  def linked(match):
    name = match["linked"] or match["plain"]
    if name not in experiments:
      return match[0]
    if not results.measured(folder, name):
      return f"`{name}`"
    return f"[`{name}`](results.md#{_anchor(experiments[name].title)})"

  name = r"\[`(?P<linked>\w+)`\]\([^)]*\)|`(?P<plain>\w+)`"
  return re.sub(r"[^|\n]*\|$", lambda cell: re.sub(name, linked, cell[0]), text,
                flags=re.MULTILINE)


def headline(experiment: Experiment, found: Sequence[results.Entry]
             ) -> tuple[str, str]:
  """Returns the published numbers of the headline cells, and ours.

  Args:
    experiment: whose cells they are.
    found: entries of its file.
  """
  cells = list(experiment.headline) or experiment.cells()[:1]
  values = tables.ours(experiment, found)
  published = [f"{_cell(cell)} {tables.value_text(experiment.published[cell])}"
               for cell in cells if cell in experiment.published]
  measured = _by_row({cell: values[cell] for cell in cells if cell in values})
  nothing = ": ".join(["not yet", experiment.missing] if experiment.missing
                      else ["not yet"])
  return ("; ".join(published) or "-",
          "; ".join(measured) or nothing)


def _by_row(values: Mapping[Cell, str]) -> list[str]:
  """Returns a text for each cell, and one for all seeds of a row."""
  texts: dict[str, list[str]] = {}
  for cell, value in values.items():
    of_a_seed = cell.column.startswith("seed ")
    texts.setdefault(f"{cell.row}:" if of_a_seed else _cell(cell), []
                     ).append(value)
  return [f"{name} {', '.join(each)}" for name, each in texts.items()]


def _cell(cell: Cell) -> str:
  return ", ".join(part for part in cell if part) + ":"


def budget(experiment: Experiment, entries: Sequence[results.Entry]) -> str:
  """Returns the share of the paper's episodes that the longest run had."""
  episodes = [entry.episodes for entry in (
      results.best(list(entries), piece.name) for piece in experiment.pieces)
      if entry is not None]
  if not episodes or not max(episodes):
    return ""
  if experiment.paper_episodes is None:
    return "?"
  return f"{max(episodes) / experiment.paper_episodes:.2g}"


def _how(experiment) -> str:
  return "" if experiment.missing else f"`--experiment={experiment.name}`"


def _section(experiment, entries, folder) -> str:
  parts = [f"## {experiment.title}",
           f"Source: {experiment.source.rstrip('.')}.",
           f"Numbers: {experiment.measures}.",
           tables.table(experiment, entries)]
  parts += [_picture(figure, folder) for figure in experiment.figures
            if (folder / figure.file).exists()]
  if experiment.note:
    parts.append(experiment.note.strip())
  parts.append(_runs(experiment, entries))
  return "\n\n".join(parts)


def _picture(figure: Figure, folder: pathlib.Path) -> str:
  return f"![{figure.caption}]({folder.name}/{figure.file})"


def _runs(experiment, entries: Sequence[results.Entry]) -> str:
  """Returns how to repeat the table, and what each run ran on."""
  lines = ["```sh",
           f"python -m launch.reproduce --experiment={experiment.name}", "```",
           "", "<details><summary>Runs</summary>", ""]
  for (where, note), several in _grouped(entries).items():
    chosen = ", ".join(f"{entry.piece}: best with {entry.chosen}"
                       for entry in several if entry.chosen)
    notes = "; ".join(part for part in (note, chosen) if part)
    lines += [f"{where}{f' ({notes})' if notes else ''}:", "", "```sh"]
    lines += [command for entry in several for command in entry.commands]
    lines += ["```", ""]
  return "\n".join([*lines, "</details>"])


def _grouped(entries: Sequence[results.Entry]
             ) -> dict[tuple[str, str], list[results.Entry]]:
  """Groups entries by what they ran on, and by their notes."""
  groups: dict[tuple[str, str], list[results.Entry]] = {}
  for entry in entries:
    groups.setdefault((_where(entry), entry.note), []).append(entry)
  return groups


def _where(entry: results.Entry) -> str:
  machine, versions = entry.machine, entry.versions
  device = machine["accelerator"] or f"{machine['cores']} x {machine['cpu']}"
  return (f"{entry.date}, commit {entry.commit}, {device}, {machine['load']}, "
          f"JAX {versions['jax']}, Python {versions['python']}")


def _anchor(title: str) -> str:
  """Returns the anchor that GitHub gives a heading."""
  kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
  return kept.replace(" ", "-")
