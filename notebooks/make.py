"""Makes all notebooks alike, executes them, and stores what they show.

  python notebooks/make.py                        # Badges and set-up cells.
  python notebooks/make.py --execute              # ... and the outputs of all.
  python notebooks/make.py --execute agent.ipynb  # ... or of one.
  python notebooks/make.py --badges               # Prints a table for a page.

The source of a notebook is its .ipynb file: edit its cells in Jupyter, or with
nbformat. This program writes two things into it. The badge below the title and
the cell tagged "setup" hold the address of the repository, which stands once,
in CITATION.cff. The outputs come from an execution from top to bottom; the
metadata then hold a digest of the code, so that a test sees whether the outputs
are those of the cells. It needs the packages of the extra `test`.
"""

import argparse
import hashlib
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import jupyter_client
import nbclient
import nbformat
from jupyter_client import kernelspec

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent
KEY = "rmc_nalu_sam"  # In a notebook's metadata.

SETUP = '''\
import shutil
import sys
from importlib import metadata

REPOSITORY = "{address}"
ROOT = ".."  # The checkout, seen from its folder `notebooks`.
if "google.colab" in sys.modules:
  ROOT = "/content/checkout"
  extra = "gpu" if shutil.which("nvidia-smi") else "train"
  if "before" not in globals():  # Versions of the packages that are loaded.
    before = {{name: metadata.version(name)
              for module, names in metadata.packages_distributions().items()
              if module in sys.modules for name in names}}
  ![ -d {{ROOT}} ] || git clone --quiet --depth=1 {{REPOSITORY}} {{ROOT}}
  %pip install --quiet --editable {{ROOT}}[{{extra}}]
  if changed := [x for x in before if metadata.version(x) != before[x]]:
    sys.exit(f"{{', '.join(changed)}}: restart the runtime, then run from here")
sys.path.insert(0, ROOT)'''


def address() -> str:
  """Returns the address of the repository."""
  (found,) = re.findall(r'^repository-code: *"?([^"\s]+)',
                        (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
  return found


def badge(name: str) -> str:
  """Returns Markdown that opens a notebook on Colab."""
  service = "https://colab.research.google.com"
  path = address().removeprefix("https://github.com/")
  return (f"[![Open in Colab]({service}/assets/colab-badge.svg)]"
          f"({service}/github/{path}/blob/main/notebooks/{name})")


def paths() -> list[pathlib.Path]:
  """Returns all notebooks."""
  return sorted(FOLDER.glob("*.ipynb"))


def read(name: str) -> Any:
  """Returns a notebook; checks that it is a valid one."""
  notebook = nbformat.read(FOLDER / name, as_version=4)
  nbformat.validate(notebook)
  return notebook


def code_cells(notebook: Any) -> list[Any]:
  """Returns the cells with code."""
  return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tagged(notebook: Any, tag: str) -> Any:
  """Returns the one cell with a tag."""
  (cell,) = (cell for cell in notebook.cells
             if tag in cell.metadata.get("tags", ()))
  return cell


def make_alike(notebook: Any, name: str) -> None:
  """Writes the badge, the set-up cell and the header."""
  first = notebook.cells[0]
  title, *text = (line for line in first.source.split("\n")
                  if "colab-badge.svg" not in line)
  first.source = "\n".join(
      [title, "", badge(name), "", *"\n".join(text).strip("\n").split("\n")])
  tagged(notebook, "setup").source = SETUP.format(address=address())
  executed = notebook.metadata.get(KEY)
  notebook.metadata = nbformat.from_dict({
      "colab": {"name": name, "provenance": [], "toc_visible": True},
      "kernelspec": {"display_name": "Python 3", "language": "python",
                     "name": "python3"},
      "language_info": {"name": "python",
                        "pygments_lexer": "ipython3"}}
      | ({KEY: executed} if executed else {}))


def digest(notebook: Any) -> str:
  """Returns a digest of the code, without the set-up cell.

  So a new address of the repository asks for no execution.
  """
  setup = tagged(notebook, "setup")
  return hashlib.sha256("\0".join(
      cell.source for cell in code_cells(notebook) if cell is not setup
  ).encode()).hexdigest()[:16]


def execute(notebook: Any) -> None:
  """Runs all cells in a new process of this interpreter, on the CPU.

  Errors end it. The user's kernels play no part: the only one is ipykernel's
  own "python3", which is `sys.executable`.
  """
  manager = jupyter_client.AsyncKernelManager(
      kernel_name="python3",
      kernel_spec_manager=kernelspec.KernelSpecManager(kernel_dirs=[]))
  nbclient.NotebookClient(
      notebook, km=manager, timeout=3600, record_timing=False,
      resources={"metadata": {"path": str(FOLDER)}}).execute(cleanup_kc=True)


def outputs(notebook: Any) -> Iterator[Any]:
  """Yields the outputs of all cells."""
  for cell in code_cells(notebook):
    yield from cell.outputs


def clean(notebook: Any) -> None:
  """Removes what differs from time to time.

  That is what went to stderr, and where a printed text was cut into pieces.
  """
  for cell in code_cells(notebook):
    kept: list[Any] = []
    for output in cell.outputs:
      if output.get("name") == "stdout" and kept and (
          kept[-1].get("name") == "stdout"):
        kept[-1].text += output.text
      elif output.get("name") != "stderr":
        kept.append(output)
    cell.outputs = kept


def table() -> str:
  """Returns Markdown with the title and the badge of each notebook."""
  rows = []
  for path in paths():
    title = read(path.name).cells[0].source.split("\n")[0].removeprefix("# ")
    rows.append(f"| [{title}](notebooks/{path.name}) | {badge(path.name)} |")
  return "\n".join(["| notebook | |", "|---|---|", *rows])


def main() -> None:
  """Runs the program."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("names", nargs="*", help="Notebooks. Default: all.")
  parser.add_argument("--execute", action="store_true",
                      help="Runs the notebooks, and stores the outputs.")
  parser.add_argument("--badges", action="store_true",
                      help="Prints a table of all badges, and does no more.")
  flags = parser.parse_args()
  if flags.badges:
    print(table())
    return
  valid = [path.name for path in paths()]
  if wrong := sorted(set(flags.names) - set(valid)):
    sys.exit(f"no notebook {', '.join(wrong)}; valid: {', '.join(valid)}")
  for name in flags.names or valid:
    notebook = read(name)
    make_alike(notebook, name)
    if flags.execute:
      execute(notebook)
      clean(notebook)
      make_alike(notebook, name)
      notebook.metadata[KEY] = {"executed": digest(notebook)}
    nbformat.write(notebook, FOLDER / name)
    print(name)


if __name__ == "__main__":
  main()
