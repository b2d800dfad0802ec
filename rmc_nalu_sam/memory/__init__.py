"""Pure functions on one external memory, without a batch axis.

All modules use these words: a memory has N slots; a row is the number of a
slot (int32, in [0, N)); a word is the content of a slot (`[W]`).
"""
