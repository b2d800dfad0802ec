"""Reads `tokenizer.json`, the format of Hugging Face's tokenizers."""

import json
from typing import Any


def read(text: str) -> Any:
  """Returns the tokenizer of a file with this content.

  Raises:
    ValueError: it is not valid, or the package is not installed.
  """
  try:
    import tokenizers  # Optional.
  except ImportError as error:
    raise ValueError(f"a tokenizer's file needs the package tokenizers "
                     f"({error}); pip install -e '.[tokenizers]'") from error
  try:
    return tokenizers.Tokenizer.from_str(text)
  except Exception as error:  # The library has no error of its own.
    raise ValueError(f"is no tokenizer.json: {error}") from error


def unknown_token(text: str) -> str | None:
  """Returns the token for unknown words of a valid file, if it has one."""
  model = json.loads(text)["model"]
  if (number := model.get("unk_id")) is not None:  # Unigram.
    return model["vocab"][number][0]
  return model.get("unk_token")
