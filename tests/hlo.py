"""Finds the arrays that a compiled program, or each step of its loops, writes.

An instruction inside a fusion allocates nothing. The outputs of a fusion do,
unless its root updates one of its own operands in place.
"""

import re
from typing import NamedTuple

_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_ENTRY = re.compile(r"^ENTRY %?([\w.\-]+) ", re.MULTILINE)
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_SHAPE = re.compile(r"\b[a-z]+\d*(?:e\d+m\d+\w*)?\[([\d,]*)\]")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)="
    r"%?([\w.\-]+)|branch_computations=\{([^}]*)\}")
_NAME = re.compile(r"%([\w.\-]+)")

# These instructions pass buffers on.
_FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "while", "call",
         "conditional", "optimization-barrier", "constant"}
_IN_PLACE = {"scatter", "dynamic-update-slice"}


class Instruction(NamedTuple):
  name: str
  is_root: bool
  opcode: str
  sizes: list[int]  # Elements of each array that it returns.
  operands: list[str]
  called: list[str]
  text: str


def parse(text: str) -> dict[str, dict[str, Instruction]]:
  """Returns the computations of a module: for each, instructions by name."""
  computations, current = {}, None
  for line in text.splitlines():
    if match := _COMPUTATION.match(line):
      current = computations.setdefault(match[1], {})
    elif current is not None and (match := _INSTRUCTION.match(line)):
      instruction = _parse_instruction(match[2], bool(match[1]), match[3])
      current[instruction.name] = instruction
  return computations


def writes_in_loops(text: str, size: int, counts_branches: bool = True
                    ) -> tuple[list[str], list[str]]:
  """Finds the instructions that write at least `size` elements at every step.

  Args:
    text: of a compiled program.
    size: in elements.
    counts_branches: whether those in branches of a conditional count.

  Returns:
    Instructions that update an array in place, and those that make a new one.
  """
  computations = parse(text)
  loops = [called for c in computations.values() for i in c.values()
           if i.opcode == "while" for called in i.called]
  assert len(loops) >= 4, "expected a forward and a backward loop"
  through = ("while", "call") + ("conditional",) * counts_branches
  return _writes(computations, loops, size, through)


def writes(text: str, size: int) -> tuple[list[str], list[str]]:
  """Does the same as `writes_in_loops`, for the whole program."""
  return _writes(parse(text), _ENTRY.findall(text), size)


def products_in_loops(text: str) -> list[list[list[int]]]:
  """Returns the shapes of the results of matrix products, for each loop."""
  computations = parse(text)
  return [
      [_sides(i.text) for name in _reachable(computations, loop.called, None)
       for i in computations[name].values() if i.opcode == "dot"]
      for c in computations.values() for loop in c.values()
      if loop.opcode == "while"]


def _sides(text):
  return [int(side) for side in _SHAPE.search(text)[1].split(",")]


def _writes(computations, names, size,
            through=("while", "call", "conditional")):
  in_place, new = [], []
  for name in _reachable(computations, names, through):
    for instruction in computations[name].values():
      if max(instruction.sizes, default=0) < size or (
          instruction.opcode in _FREE):
        continue
      kept = _is_in_place(instruction, computations, size)
      (in_place if kept else new).append(instruction.text)
  return in_place, new


def _parse_instruction(name, is_root, rest):
  end = _closing(rest, 0) if rest.startswith("(") else rest.index(" ")
  result, rest = rest[:end], rest[end:].lstrip()
  opcode = rest[:rest.index("(")]
  end = _closing(rest, len(opcode))
  operands, attributes = rest[len(opcode):end], rest[end:]
  called = [n for one, several in _CALLED.findall(attributes)
            for n in ([one] if one else re.findall(r"[\w.\-]+", several))]
  return Instruction(name, is_root, opcode, _sizes(result),
                     _NAME.findall(operands), called,
                     f"{result} {name} = {opcode}{operands}")


def _closing(text, start):
  """Returns the index after the parenthesis that closes the one at `start`."""
  depth = 0
  for i in range(start, len(text)):
    depth += (text[i] == "(") - (text[i] == ")")
    if not depth:
      return i + 1
  raise ValueError(f"unbalanced: {text}")


def _sizes(text):
  sizes = []
  for dims in _SHAPE.findall(text):
    size = 1
    for dim in filter(None, dims.split(",")):
      size *= int(dim)
    sizes.append(size)
  return sizes


def _reachable(computations, names, through):
  """Returns the computations that `names` reach by the opcodes `through`.

  If `through` is None, all opcodes count, including fusions.
  """
  pending, seen = list(names), set()
  while pending:
    name = pending.pop()
    if name in seen:
      continue
    seen.add(name)
    pending += [called for i in computations[name].values()
                if through is None or i.opcode in through
                for called in i.called]
  return sorted(seen)


def _is_in_place(instruction, computations, size):
  if instruction.opcode in _IN_PLACE:
    return True
  if instruction.opcode != "fusion":
    return False
  body = computations[instruction.called[0]]
  (root,) = [i for i in body.values() if i.is_root]
  outputs = ([body[n] for n in root.operands] if root.opcode == "tuple"
             else [root])
  return all(_updates_a_parameter(i, body) for i in outputs
             if max(i.sizes) >= size)


def _updates_a_parameter(instruction, body):
  instruction = _behind_bitcasts(instruction, body)
  if instruction.opcode not in _IN_PLACE:
    return False
  target = _behind_bitcasts(body[instruction.operands[0]], body)
  return target.opcode == "parameter"


def _behind_bitcasts(instruction, body):
  while instruction.opcode == "bitcast":
    instruction = body[instruction.operands[0]]
  return instruction
