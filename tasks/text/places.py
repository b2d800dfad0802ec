"""Finds the files of a text in a folder, as people have them."""

import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tasks.data import prepared
from tasks.text import known

SPLITS = ("train", "validation", "test")

PACKED = (".xz", ".gz", ".bz2")
_WORD_OF = {"train": "train", "training": "train", "valid": "validation",
            "validation": "validation", "val": "validation",
            "dev": "validation", "test": "test"}
_SPLIT = re.compile(rf"(?:(.*)[._-])?({'|'.join(_WORD_OF)})(?:[._-](.*))?")
# A file without a split in its name is a text if it ends so.
_ENDINGS = (".txt", ".text", ".xml", ".raw", ".tokens")
_NOTES = re.compile(r"(readme|license|licence|notes|changelog)(\..*)?", re.I)


class Source(NamedTuple):
  """Holds where a text lies.

  Attributes:
    label: its name in messages.
    parts: split -> files, read one after the other; empty for the others.
    whole: one file that is to be cut into splits, or None.
    folder: of a data set prepared by TensorFlow Datasets, or None.
  """

  label: str
  parts: Mapping[str, tuple[pathlib.Path, ...]] = {}
  whole: pathlib.Path | None = None
  folder: pathlib.Path | None = None


def find(data_dir: str | None, name: str) -> Source:
  """Finds a text.

  Args:
    data_dir: folder of the files.
    name: what to read if there are several: the prefix of the files, or a
      folder below. It may be the name of a data set in `known.KNOWN`, which is
      also found under its usual names. Empty if there is only one.

  Raises:
    FileNotFoundError: there is none, several, or a split is missing.
  """
  help_ = known.help_of(name)
  given = _folder_of(data_dir, name)
  found = _named(given, name) if name else _only(given)
  if found is None:
    raise FileNotFoundError(
        f"no text {name or 'with train, valid and test files'} in "
        f"--data_dir={data_dir}; there: {_listed(given)}; {help_}")
  for split in SPLITS if found.parts else ():
    if split not in found.parts:
      raise FileNotFoundError(
          f"{found.label} in --data_dir={data_dir} has no {split} split, "
          f"only {', '.join(found.parts)}; there: {_listed(given)}; {help_}")
  return found


def _folder_of(data_dir: str | None, name: str) -> pathlib.Path:
  """Returns the folder of the files; raises as `find`."""
  help_ = known.help_of(name)
  if data_dir is None:
    what = known.KNOWN[name].title if name in known.KNOWN else "a text"
    raise FileNotFoundError(f"{what} needs --data_dir: {help_}")
  given = pathlib.Path(os.path.expanduser(data_dir))
  if not given.is_dir():
    raise FileNotFoundError(f"--data_dir={data_dir} is no folder; {help_}")
  return given


def _only(folder: pathlib.Path) -> Source | None:
  """Returns the only text of a folder, or None if there is none."""
  if prepared_one := prepared.find(folder):
    return Source(folder.name, folder=prepared_one)
  split, single = _groups(folder), _singles(folder)
  found = list((split or single).values())
  if len(found) > 1:
    raise FileNotFoundError(
        f"--data_dir={folder} holds several texts; choose one with "
        f"--task.name={'|'.join(split | single)}")
  return found[0] if found else None


def _named(folder: pathlib.Path, name: str) -> Source | None:
  """Returns the text with a name, in a folder or below it."""
  names = known.names_of(name)
  for one in names:
    texts = _groups(folder) | _singles(folder)
    if one in texts:
      return texts[one]
    if (folder / one).is_dir() and (found := _only(folder / one)):
      return found
  for one in names:
    if _same(folder.name, one) and (found := _only(folder)):
      return found
  # A data set of its own, in files without a name.
  return _groups(folder).get("train") if name in known.KNOWN else None


def _same(folder: str, name: str) -> bool:
  """Returns whether a folder's name is that of a data set, or begins so."""
  return re.fullmatch(rf"{re.escape(name)}([._-].*)?", folder) is not None


def _groups(folder: pathlib.Path) -> dict[str, Source]:
  """Returns the texts whose files or folders are named after splits.

  The name of a text is what stands before the split; without that, what stands
  behind it; without either, 'train'.
  """
  found = _files_of_splits(folder)
  prefixes = [prefix for prefix, _ in found]
  sources = {}
  for (prefix, ending), parts in sorted(found.items()):
    name = prefix if prefixes.count(prefix) == 1 else ".".join(
        word for word in (prefix, ending) if word)
    sources[name or "train"] = Source(name or folder.name, {
        split: parts[split] for split in SPLITS if split in parts})
  return sources


def _files_of_splits(folder: pathlib.Path) -> dict[
    tuple[str, str], dict[str, tuple[pathlib.Path, ...]]]:
  """Maps what stands before and behind a split to the files of each split."""
  found: dict[tuple[str, str], dict[str, tuple[pathlib.Path, ...]]] = {}
  for path in _unpacked_first(folder):
    match = _SPLIT.fullmatch(_stem(path)[0])
    if not match:
      continue
    files = tuple(sorted(_texts(path))) if path.is_dir() else (path,)
    ending = "" if path.is_dir() else (match[3] or "")
    if files and (path.is_dir() or _is_text(ending)):
      parts = found.setdefault((match[1] or "", ending), {})
      parts.setdefault(_WORD_OF[match[2]], files)
  return found


def _is_text(ending: str) -> bool:
  return not ending or f".{ending.rpartition('.')[2]}" in _ENDINGS


def _singles(folder: pathlib.Path) -> dict[str, Source]:
  """Returns the texts that are one file."""
  whole = {one for data in known.KNOWN.values() for one in data.names}
  found: dict[str, Source] = {}
  for path in _unpacked_first(folder):
    name, ending = _stem(path)
    stem = name.removesuffix(ending)
    if path.is_file() and not _SPLIT.fullmatch(name) and (
        not _NOTES.fullmatch(name)) and (ending or name in whole):
      found.setdefault(stem, Source(path.name, whole=path))
  return found


def _stem(path: pathlib.Path) -> tuple[str, str]:
  """Returns a file's name without what packed it, and its ending of a text."""
  name = path.name
  if path.suffix in PACKED:
    name = name.removesuffix(path.suffix)
  ending = pathlib.PurePath(name).suffix
  return name, ending if ending in _ENDINGS else ""


def _texts(folder: pathlib.Path) -> Iterable[pathlib.Path]:
  names = set()
  for path in _unpacked_first(folder):
    name, ending = _stem(path)
    if path.is_file() and ending and name not in names:
      names.add(name)
      yield path


def _unpacked_first(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns what a folder holds, a file before the same one packed."""
  return sorted((path for path in folder.iterdir()
                 if not path.name.startswith(".")),
                key=lambda path: (path.suffix in PACKED, path.name))


def _listed(folder: pathlib.Path) -> str:
  """Returns the names of a folder's texts."""
  below = [path.name for path in sorted(folder.iterdir())
           if path.is_dir() and (_groups(path) or _singles(path)
                                 or prepared.find(path))]
  names = [*_groups(folder), *_singles(folder), *below]
  shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
  return shown or "no texts"
