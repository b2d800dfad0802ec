"""The maths of `RMC`: pure functions of parameters, inputs and memory.

Here a *row* is a vector `[..., D]` of the memory or of the input, as in the
paper, and not the number of a slot.
"""
