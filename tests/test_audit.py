""".ci/audit fails for a known vulnerability, and not for want of a network."""

import json
import subprocess
import sys

import pytest
from launch_helpers import ROOT

SOUND = {"name": "jax", "version": "1", "vulns": []}
BAD = {"name": "old", "version": "2", "vulns": [
    {"id": "PYSEC-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "own", "skip_reason": "not found on PyPI"}


def of(*packages):
  return json.dumps({"dependencies": packages})


@pytest.mark.parametrize("stdout, stderr, status, words", [
    (of(SOUND, UNKNOWN), "", 0, "0 of 1 packages have known vulnerabilities; "
                                "1 are unknown"),
    (of(SOUND, BAD), "", 1, "old 2 has PYSEC-1; mended in 3"),
    (of(UNKNOWN), "", 0, "not done, the service of advisories knows none of 1"),
    (of(), "", 0, "knows none of 0"),
    ("", "ERROR: x\nConnectionError: no route", 0,
     "not done, pip-audit got no advisories: ConnectionError: no route"),
    ("", "", 0, "got no advisories: no output"),
])
def test_what_pip_audit_says(tmp_path, stdout, stderr, status, words):
  program = tmp_path / "pip-audit"
  program.write_text(f"#!{sys.executable}\nimport sys\n"
                     f"sys.stdout.write({stdout!r})\n"
                     f"sys.stderr.write({stderr!r})\nsys.exit(1)\n")
  program.chmod(0o755)
  check(program, status, words)


def test_not_installed(tmp_path):
  check(tmp_path / "none", 0, "not done, ")


def check(program, status, words):
  done = subprocess.run([sys.executable, ROOT / ".ci" / "audit", program],
                        capture_output=True, text=True, check=False)
  assert (done.returncode, done.stderr) == (status, "")
  assert words in done.stdout
  assert all(line.startswith("audit: ") for line in done.stdout.splitlines())


def test_ci_runs_it():
  assert ".ci/audit .venv/bin/pip-audit" in (ROOT / ".ci" / "run").read_text()
