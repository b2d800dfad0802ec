"""Whole numbers below a thousand in English words."""

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven",
          "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
          "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty",
         "ninety")

WORDS = (*_UNITS, *_TENS, "hundred", "and")
NUM_NUMBERS = 1000
MAX_WORDS = 5


def number_words(number: int) -> tuple[str, ...]:
  """Returns the words of a number: 'two', 'hundred', 'and', 'five' for 205.

  Args:
    number: in [0, 1000).

  Returns:
    At most `MAX_WORDS` of `WORDS`, with 'and' after the hundreds and no
    hyphens.

  Raises:
    ValueError: the number is out of range.
  """
  if not 0 <= number < NUM_NUMBERS:
    raise ValueError(f"need 0 <= number < {NUM_NUMBERS}, got {number}")
  hundreds, rest = divmod(number, 100)
  if hundreds:
    return (_UNITS[hundreds], "hundred",
            *(("and", *number_words(rest)) if rest else ()))
  if rest < len(_UNITS):
    return (_UNITS[rest],)
  tens, units = divmod(rest, 10)
  return (_TENS[tens - 2], *((_UNITS[units],) if units else ()))
