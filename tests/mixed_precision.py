"""Haiku's usual mixed-precision policies, and types of matrix products.

The output type of a policy may differ from its compute type. Haiku casts the
result of every method to the output type, so a step must not go on computing
with the result of a method.
"""

import haiku as hk
import jmp
import pytest

every_output = pytest.mark.parametrize("output", ["bfloat16", "float32"])


def bfloat16_policy(module, output):
  """Returns a context in which modules of exactly this class use bfloat16."""
  return hk.mixed_precision.push_policy(module, jmp.get_policy(
      f"params=float32,compute=bfloat16,output={output}"))


def products(jaxpr):
  """Returns the operands and the result of each matrix product."""
  return [[v.aval for v in (*e.invars, *e.outvars)]
          for j in subjaxprs(jaxpr) for e in j.eqns
          if e.primitive.name == "dot_general"]


def subjaxprs(jaxpr):
  """Returns a jaxpr and all those within it."""
  jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
  yield jaxpr
  for equation in jaxpr.eqns:
    for value in equation.params.values():
      for part in value if isinstance(value, tuple | list) else [value]:
        part = getattr(part, "jaxpr", part)
        if hasattr(part, "eqns"):
          yield from subjaxprs(part)
