"""Says which measurement of how many runs."""

import sys
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

import tqdm

_T = TypeVar("_T")


def counted(items: Collection[_T], name: Callable[[_T], str] = str,
            passes: bool = False) -> Iterator[_T]:
  """Yields items, and prints the progress on stderr.

  On a terminal it draws a bar, elsewhere it prints a line for each item.

  Args:
    items: what is to be measured.
    name: names an item for people.
    passes: whether the items are parts of a larger measurement: then they are
      shown on a terminal alone, below the larger one.
  """
  with tqdm.tqdm(total=len(items), file=sys.stderr, dynamic_ncols=True,
                 disable=None, leave=not passes,
                 bar_format="{n_fmt}/{total_fmt}|{bar:10}| {desc}") as bar:
    for number, item in enumerate(items, 1):
      bar.set_description_str(f"measuring {number} of {len(items)}: "
                              f"{name(item)}")
      if bar.disable and not passes:
        print(f"measuring {number} of {len(items)}: {name(item)}",
              file=sys.stderr, flush=True)
      yield item
      bar.update()
