"""Writes a card as a page of Markdown."""

import pathlib
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from launch.cards import facts
from launch.runs import tables

# By `trained` of a figure.
_BEYOND = {True: "", False: ", beyond training", None: ", a variant"}
_PARTS = ("core", "encoder", "head", "unit")


def render(card: Mapping[str, Any]) -> str:
  """Returns the page of a card, from `facts.of_run` or a pretrained network."""
  parts = [f"# {card['name']}", card["about"], "## What", _what(card),
           "## Data", _data(card), "## Budget", _budget(card["training"]),
           "## To do it again", _commands(card), "## Figures", _figures(card)]
  if card.get("pictures"):
    parts += ["## Pictures", "\n\n".join(
        f"![{pathlib.PurePath(path).stem}]({urllib.parse.quote(path)})"
        for path in card["pictures"])]
  parts += ["## Limits", "\n".join(f"- {text}" for text in card["limits"])]
  return "\n\n".join(parts) + "\n"


def _what(card):
  network, task = card["network"], card["task"]
  lines = [["", "", "arguments"], ["task", f"`{task['name']}`: {task['about']}",
                                   _arguments(task["args"])]]
  for kind in _PARTS:
    part = network[kind]
    about = f"`{part['name']}`" + (
        f": {network['about']}" if kind == "core" else "")
    lines.append([kind, about, _arguments(part["args"])])
  lines += [["parameters", f"{network['num_parameters']:,}", ""],
            ["precision", network["precision"], ""]]
  return tables.markdown(lines)


def _arguments(args: Mapping[str, Any]) -> str:
  return ", ".join(f"{name}={value}" for name, value in args.items()) or "-"


def _data(card):
  text = f"{card['data'][:1].upper()}{card['data'][1:]}."
  return f"{text} Licence: {card['licence']}." if "licence" in card else text


def _budget(training: Mapping[str, Any]) -> str:
  """Returns what the training cost, and on what."""
  seeds, seconds = training["seeds"], training["seconds"]
  versions = ", ".join(f"{name} {value}"
                       for name, value in training["versions"].items())
  lines = [["", ""],
           ["updates", f"{training['updates']:,}, with batches of "
            f"{training['batch_size']}"],
           ["seeds", str(seeds[0]) if len(seeds) == 1 else
            f"{seeds[0]} to {seeds[-1]}"]]
  lines += [[name, ", ".join(map(str, values))]
            for name, values in training["sweep"].items()]
  lines += [["time", _time(seconds)], ["date", training["date"]],
            ["machine", training["machine"] or "not recorded"],
            ["commit", training["commit"] or "not recorded"],
            ["versions", versions or "not recorded"]]
  return tables.markdown(lines)


def _time(seconds: float | None) -> str:
  if seconds is None:
    return "not recorded"
  return f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.0f} s"


def _commands(card):
  lines = [f"{card['training']['command']} --workdir=runs/{card['name']}",
           *filter(None, [card.get("export")])]
  return "\n".join(["```sh", *lines, "```"])


def _figures(card):
  figures: Sequence[Mapping[str, Any]] = card["figures"]
  spread = any(each["low"] is not None for each in figures)
  names = ["value", "low", "high", "guess"] if spread else ["value", "guess"]
  titles = dict(value="median" if spread else "value", low="lowest",
                high="highest", guess="guessing")
  lines = [["on", "metric", *(titles[name] for name in names)]]
  lines += [[facts.describe_level(each["on"]) + _BEYOND[each["trained"]],
             each["metric"], *(tables.format_value(each[name]) for name in
                               names)] for each in figures]
  return "\n\n".join([f"Measured {card['measured']}.", tables.markdown(lines),
                      *_published(card)])


def _published(card):
  if not card.get("results"):
    return []
  return [f"Other runs of this experiment: `{card['results']}`."]
