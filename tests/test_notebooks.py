"""The notebooks run from top to bottom, and are stored without outputs."""

import pathlib

import jupyter_client
import nbclient
import nbformat
import pytest
from jupyter_client import kernelspec

NOTEBOOKS = pathlib.Path(__file__).parents[1] / "notebooks"

# Notebook -> how many pictures it shows.
IMAGES = {"arithmetic.ipynb": 3, "tour.ipynb": 3}

# Notebook -> replacement of its cell tagged "parameters", for a shorter run.
SHORTER = {"arithmetic.ipynb": "steps = 20", "tour.ipynb": "steps = 40"}

every_notebook = pytest.mark.parametrize("name", sorted(IMAGES))


def read(name):
  notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
  nbformat.validate(notebook)
  return notebook


def code_cells(notebook):
  return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def kernel_manager(tmp_path, monkeypatch):
  """Starts this interpreter; ignores the user's kernels and profiles."""
  monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
  monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
  # The test may hold the memory of an accelerator, so the kernel runs on CPUs.
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  # No directories. The only kernel is then ipykernel's own "python3", which is
  # `sys.executable`.
  specs = kernelspec.KernelSpecManager(kernel_dirs=[])
  return jupyter_client.AsyncKernelManager(
      kernel_name="python3", kernel_spec_manager=specs)


def test_every_notebook_is_tested():
  assert sorted(IMAGES) == sorted(p.name for p in NOTEBOOKS.glob("*.ipynb"))


@every_notebook
def test_runs_quietly_and_shows_its_pictures(name, kernel_manager):
  notebook = read(name)
  if name in SHORTER:
    (parameters,) = (cell for cell in code_cells(notebook)
                     if "parameters" in cell.metadata.get("tags", ()))
    parameters.source = SHORTER[name]
  client = nbclient.NotebookClient(
      notebook, km=kernel_manager, timeout=600,
      resources={"metadata": {"path": str(NOTEBOOKS)}})
  client.execute(cleanup_kc=True)
  outputs = [output for cell in code_cells(notebook)
             for output in cell.outputs]
  assert not [output.text for output in outputs
              if output.get("name") == "stderr"]
  images = [output for output in outputs
            if "image/png" in output.get("data", ())]
  assert len(images) == IMAGES[name]


@every_notebook
def test_is_stored_without_outputs(name):
  for cell in code_cells(read(name)):
    assert not cell.outputs, cell.source
    assert cell.execution_count is None, cell.source


@every_notebook
def test_has_the_header_that_colab_reads(name):
  metadata = read(name).metadata
  assert metadata.kernelspec.name == "python3"
  assert metadata.colab.name == name


@every_notebook
def test_cells_are_short(name):
  for cell in code_cells(read(name)):
    assert len(cell.source.splitlines()) < 20, cell.source
