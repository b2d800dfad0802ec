"""The notebooks run from top to bottom, and are stored with their outputs."""

import ast
import copy
import importlib.util
import pathlib
import re
import shutil
import sys
import types

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = pathlib.Path(__file__).parents[1]

# Notebook -> replacement of its cell tagged "parameters", for a shorter run.
SHORTER = {
    "agent.ipynb": "steps = 20",
    "arithmetic.ipynb": "steps = 20",
    "language.ipynb": "steps = 5\nhidden_size = 8",
    "rmc_attention.ipynb": "steps = 20\nepisodes = 128",
    "sam_scaling.ipynb":
        "num_slots = 64\nsizes = [16]\nmodels = ('SAM exact',)",
    "tour.ipynb": "steps = 40",
    "your_own.ipynb": "steps = 2",
}
# Starting a kernel takes seconds, so the tour stands for the others.
SLOW = {*SHORTER} - {"tour.ipynb"}

every_notebook = pytest.mark.parametrize("name", sorted(SHORTER))


def load_make() -> types.ModuleType:
  """Returns notebooks/make.py, which lies in no package."""
  spec = importlib.util.spec_from_file_location(
      "make", ROOT / "notebooks" / "make.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


make = load_make()


@pytest.fixture
def own_kernel(tmp_path, monkeypatch):
  """Ignores the user's kernels and profiles."""
  monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
  monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
  # The test may hold the memory of an accelerator, so the kernel runs on CPUs.
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")


def kinds(cell) -> list[str]:
  """Returns what a cell shows: streams by name, other outputs by MIME type."""
  return sorted({kind for output in cell.outputs
                 for kind in output.get("data", [output.get("name")])})


def test_every_notebook_is_tested():
  assert sorted(SHORTER) == [path.name for path in make.paths()]
  assert SHORTER.keys() >= SLOW


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW))
    for name in sorted(SHORTER)])
def test_runs_quietly_and_shows_what_is_stored(name, own_kernel):
  stored = make.read(name)
  notebook = copy.deepcopy(stored)
  make.tagged(notebook, "parameters").source = SHORTER[name]
  make.execute(notebook)
  assert not [output.text for output in make.outputs(notebook)
              if output.get("name") == "stderr"]
  shown = [kinds(cell) for cell in make.code_cells(notebook)]
  assert shown == [kinds(cell) for cell in make.code_cells(stored)]
  assert any("image/png" in each for each in shown)


@every_notebook
def test_outputs_are_those_of_the_cells(name):
  notebook = make.read(name)
  cells = make.code_cells(notebook)
  assert notebook.metadata[make.KEY] == {"executed": make.digest(notebook)}, (
      f"a cell has changed: python notebooks/make.py --execute {name}")
  assert [cell.execution_count for cell in cells] == [
      *range(1, len(cells) + 1)]
  shows = re.compile(r"^ *print\(|^plt\.show\(|^Image\(", re.MULTILINE)
  assert all(bool(cell.outputs) or not shows.search(cell.source)
             for cell in cells)
  # No errors.
  assert {output.output_type for output in make.outputs(notebook)} <= {
      "stream", "display_data", "execute_result"}
  assert not [output for output in make.outputs(notebook)
              if output.get("name") == "stderr"]


@every_notebook
def test_stored_file_is_small_and_names_no_machine(name):
  text = (make.FOLDER / name).read_text()
  assert len(text) < 700_000
  texts = re.sub(r'"image/png": "[^"]*"', "", text)
  assert len(texts) < 60_000  # The pictures are gone.
  assert not re.findall(r"/(?:tmp|home|root|work|usr|Users)/[^\\\" ]*", texts)


@every_notebook
def test_badge_and_setup_are_those_of_all(name):
  notebook = make.read(name)
  alike = copy.deepcopy(notebook)
  make.make_alike(alike, name)
  assert alike == notebook
  assert make.badge(name) in notebook.cells[0].source
  assert make.address() in make.tagged(notebook, "setup").source
  assert notebook.metadata.kernelspec.name == "python3"
  assert notebook.metadata.colab.name == name


def test_badges_elsewhere_are_those_of_the_notebooks():
  badges = {make.badge(path.name) for path in make.paths()}
  found = {page: re.findall(
      r"\[!\[[^]]*\]\(https://colab[^)]*\)\]\([^)]*\)", page.read_text())
      for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
  assert {*found[ROOT / "README.md"]} == badges
  assert {badge for of_page in found.values() for badge in of_page} <= badges


@every_notebook
def test_has_one_title_and_no_relative_link(name):
  texts = [cell.source for cell in make.read(name).cells
           if cell.cell_type == "markdown"]
  plain = [re.sub(r"```.*?```", "", text, flags=re.DOTALL) for text in texts]
  assert [len(re.findall(r"^# ", text, re.MULTILINE)) for text in plain] == [
      1, *[0] * (len(plain) - 1)]
  assert plain[0].startswith("# ")
  links = re.findall(r"\]\(([^)]*)\)", "\n".join(plain))
  assert links and all(link.startswith("https://") for link in links)


@every_notebook
def test_cells_are_short(name):
  for cell in make.code_cells(make.read(name)):
    assert len(cell.source.splitlines()) < 21, cell.source


def test_digest_is_of_the_code_without_the_setup():
  notebook = make.read("tour.ipynb")
  before = make.digest(notebook)
  notebook.cells[0].source += "x"
  make.tagged(notebook, "setup").source += "x"
  assert make.digest(notebook) == before
  make.tagged(notebook, "parameters").source += "x"
  assert make.digest(notebook) != before


def test_clean_drops_stderr_and_joins_what_was_printed():
  new = nbformat.v4
  picture = new.new_output("display_data", {"image/png": "x"})
  printed = [new.new_output("stream", name=name, text=text) for name, text in (
      ("stdout", "a res"), ("stderr", "a warning"), ("stdout", "ult"))]
  cell = new.new_code_cell("x", outputs=[*printed, picture, printed[2]])
  make.clean(new.new_notebook(cells=[cell]))
  assert [output.get("text") for output in cell.outputs] == [
      "a result", None, "ult"]


class Colab:
  """Runs the set-up cell as in a runtime of Colab, with a package in use.

  Attributes:
    commands: what the cell ran.
    installs: version of the package that pip puts in place of the present one.
    names: what the cell defines.
  """

  def __init__(self, folder: pathlib.Path, installs: str):
    self.commands, self.installs, self._folder = [], installs, folder
    self.names = {"get_ipython": lambda: self}
    (folder / "in_use.py").write_text("")
    self._write("1.0")
    # The system's Python may have another one, which is not the one in use.
    self._write("0.1", "system")

  def _write(self, version: str, place: str = "."):
    folder = self._folder / place / "in_use-0.dist-info"
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: in-use\nVersion: {version}\n")
    (folder / "top_level.txt").write_text("in_use\n")

  def system(self, command: str):
    self.commands.append(command)

  def run_line_magic(self, name: str, line: str, _stack_depth: int = 1):
    self.commands.append(f"{name} {line}")
    self._write(self.installs)

  def run_setup(self):
    source = make.tagged(make.read("tour.ipynb"), "setup").source
    code = TransformerManager().transform_cell(source)
    ast.parse(code)
    exec(compile(code, "setup", "exec"), self.names)


@pytest.fixture
def colab_of(tmp_path, monkeypatch):
  """Returns a function that makes a runtime."""
  monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("colab"))
  monkeypatch.syspath_prepend(str(tmp_path))
  monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "system")])
  monkeypatch.delitem(sys.modules, "in_use", raising=False)
  return lambda installs: Colab(tmp_path, installs)


def test_setup_asks_for_a_restart_if_a_loaded_package_changed(
    colab_of, monkeypatch):
  colab = colab_of("2.0")
  monkeypatch.setitem(sys.modules, "in_use", types.ModuleType("in_use"))
  for _ in range(2):  # It still holds if the cell is run again.
    with pytest.raises(
        SystemExit, match=r"^in-use: restart the runtime, then run from here"):
      colab.run_setup()
  assert "/content/checkout" not in sys.path


@pytest.mark.parametrize(("installs", "is_loaded", "gpu", "extra"), [
    ("2.0", False, None, "train"), ("1.0", True, "/nvidia-smi", "gpu")])
def test_setup_goes_on_otherwise(
    installs, is_loaded, gpu, extra, colab_of, monkeypatch):
  colab = colab_of(installs)
  monkeypatch.setattr(shutil, "which", {"nvidia-smi": gpu}.get)
  if is_loaded:
    monkeypatch.setitem(sys.modules, "in_use", types.ModuleType("in_use"))
  colab.run_setup()
  clone, install = colab.commands
  assert "git clone" in clone and "{REPOSITORY} {ROOT}" in clone
  assert install == "pip install --quiet --editable {ROOT}[{extra}]"
  assert colab.names["extra"] == extra
  assert f'"{extra}": ' in (ROOT / "setup.py").read_text()
  assert sys.path[0] == "/content/checkout"
