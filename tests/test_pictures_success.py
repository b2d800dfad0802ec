"""Tests the picture of success rates."""

import pytest

from launch.pictures import success


def test_success_curve(tmp_path):
  runs = {"nmu": {"[2, 6]": (0, 10), "[6, 18]": (7, 10)},
          "nalu": {"[2, 6]": (10, 10), "[6, 18]": (0, 10)}}
  path = tmp_path / "curve.png"
  success.draw(runs, path, "mul")
  assert path.read_bytes().startswith(b"\x89PNG")
  assert path.stat().st_size > 5_000
  runs["nalu"] = {"[2, 6]": (0, 10)}
  with pytest.raises(ValueError, match=r"nalu was tested on \[2, 6\], the"):
    success.draw(runs, path)
