"""The pages of all pretrained networks: docs/pretrained.md and those below."""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from launch.cards import export, facts, page
from launch.configs.environment import ROOT
from launch.runs import strict_json, tables
from tasks.data import replacing

DOCS = ROOT / "docs"
_TABLE = re.compile(r"(<!-- table -->\n).*?(<!-- end -->)", re.DOTALL)


def cards(folder: pathlib.Path = export.FOLDER) -> dict[str, dict[str, Any]]:
  """Returns the cards of all pretrained networks, by name."""
  return {path.stem: strict_json.loads(path.read_text("utf-8"))
          for path in sorted(folder.glob("*.json"))}


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns the table of all networks, with the first figure of each.

  Args:
    found: the cards, by name.
  """
  lines = [["name", "what it does", "core", "parameters", "figure", "guessing",
            "results"]]
  for name, card in found.items():
    first, network = card["figures"][0], card["network"]
    lines.append([
        f"[`{name}`](pretrained/{name}.md)", card["about"],
        f"`{network['label']}`", f"{network['num_parameters']:,}",
        f"{first['metric']} {tables.format_value(first['value'])} "
        f"({facts.describe_level(first['on'])})",
        tables.format_value(first["guess"]),
        f"`{card['results']}`" if card["results"] else "-"])
  return tables.markdown(lines)


def pages(docs: pathlib.Path = DOCS) -> dict[pathlib.Path, str]:
  """Returns the content of every page, by its path.

  Args:
    docs: folder of `pretrained.md`, whose text around the table is kept.
  """
  found, main = cards(), docs / "pretrained.md"
  text = _TABLE.sub(lambda match: f"{match[1]}{table(found)}\n{match[2]}",
                    main.read_text("utf-8"))
  return {main: text} | {docs / "pretrained" / f"{name}.md": page.render(card)
                         for name, card in found.items()}


def write(docs: pathlib.Path = DOCS) -> list[pathlib.Path]:
  """Writes every page; returns their paths."""
  found = pages(docs)
  (docs / "pretrained").mkdir(exist_ok=True)
  for path, text in found.items():
    replacing.replace_text(path, text)
  return list(found)
