"""What is known of bAbI v1.2 before its files are read: words and sizes.

A task's sizes are static, and its data are not there when it is made. So the
vocabulary and the bounds of a story stand here. `tests/test_babi_data.py`
compares them with the files.
"""

from collections.abc import Mapping
from typing import NamedTuple

MARK = "-"  # Stands where an answer is asked for.
# 156 words, and the symbols that the DNC's authors count as words.
_WORDS = """
    - . ? a above afraid after afternoon afterwards and antoine apple are
    back bathroom bedroom before below bernhard bigger bill blue bored box
    brian carrying cat cats chest chocolate chocolates cinema color
    container daniel did discarded do does down dropped e east either emily
    evening fit fits following football fred frog from garden gave gertrude
    get give go got grabbed gray green greg hallway handed he how hungry in
    inside is jason jeff jessica john journeyed julie julius kitchen left
    lily lion longer many mary maybe mice milk morning mouse moved n no none
    north not nothing objects of office one or pajamas park passed picked
    pink put received rectangle red rhino right s sandra school she sheep
    south sphere square suitcase sumit swan than that the then there they
    thirsty this three tired to took travelled triangle two up w was went
    west what where white who why will winona wolf wolves yann yellow yes
    yesterday you"""
VOCABULARY: tuple[str, ...] = tuple(_WORDS.split())

# Questions in a file, by the folder's name and the split.
NUM_QUESTIONS: Mapping[str, Mapping[str, int]] = {
    "en": {"train": 1_000, "test": 1_000},
    "en-10k": {"train": 10_000, "test": 1_000},
}


class Facts(NamedTuple):
  """Holds the sizes of one of the 20 tasks.

  Attributes:
    longest: steps of the longest story, in any file.
    num_stories: stories of the test file.
    most_answers: largest number of answer words in a story.
    answers: answer -> how often it is right among the 1,000 test questions. An
      answer of several words has commas.
  """

  longest: int
  num_stories: int
  most_answers: int
  answers: Mapping[str, int]


# Number of the task, then the fields of `Facts`. Task 3's training file was
# seen only in part, with 1,397 steps at most; there is room for more.
_TABLE = """
1 93 200 5 garden 187 office 182 bedroom 171 kitchen 157 hallway 154 bathroom 149
2 582 200 5 garden 187 bathroom 175 bedroom 167 kitchen 165 hallway 160 office 146
3 2000 200 5 garden 215 bathroom 185 hallway 167 bedroom 154 kitchen 146 office 133
4 24 1000 1 bathroom 177 hallway 176 kitchen 171 garden 167 bedroom 156 office 153
5 820 200 5 mary 189 fred 188 bill 164 apple 137 jeff 129 milk 98 football 95
6 191 200 5 no 503 yes 497
7 361 200 5 one 488 none 468 two 42 three 2
8 388 200 13 nothing 336 milk 207 apple 204 football 186 football,apple 18 apple,football 11 apple,milk 10 milk,football 10 milk,apple 9 football,milk 7 apple,football,milk 1 football,apple,milk 1
9 109 200 5 no 638 yes 362
10 124 200 5 no 437 yes 413 maybe 150
11 101 200 5 hallway 187 bedroom 171 kitchen 170 garden 164 office 155 bathroom 153
12 112 200 5 hallway 189 bathroom 179 kitchen 169 bedroom 163 garden 152 office 148
13 111 200 5 bedroom 183 garden 179 bathroom 172 office 159 hallway 154 kitchen 153
14 156 200 5 office 177 kitchen 176 cinema 171 bedroom 162 school 162 park 152
15 72 250 4 wolf 341 mouse 239 cat 213 sheep 207
16 47 1000 1 green 257 white 256 gray 251 yellow 236
17 128 125 8 yes 520 no 480
18 249 199 9 no 531 yes 469
19 53 1000 2 s,w 93 n,w 92 n,n 92 w,s 90 e,n 88 n,e 85 s,e 83 e,e 81 w,n 80 e,s 79 s,s 71 w,w 66
20 161 93 12 kitchen 180 tired 161 bored 159 hungry 157 thirsty 152 bedroom 97 garden 94
"""  # noqa: E501


def _parse(table: str) -> dict[int, Facts]:
  facts = {}
  for line in table.strip().splitlines():
    number, longest, stories, answers, *counts = line.split()
    facts[int(number)] = Facts(
        int(longest), int(stories), int(answers),
        dict(zip(counts[::2], map(int, counts[1::2]), strict=True)))
  return facts


FACTS: Mapping[int, Facts] = _parse(_TABLE)

_ALL = "all"


def numbers_of(tasks: str) -> tuple[int, ...]:
  """Returns the numbers of some tasks.

  Args:
    tasks: such as '1' or '1,2,3', or 'all'.

  Raises:
    ValueError: it is of another form, or names a task twice.
  """
  if tasks == _ALL:
    return tuple(FACTS)
  valid, names = [str(number) for number in FACTS], tasks.split(",")
  for name in names:
    if name not in valid:
      raise ValueError(f"tasks={tasks!r}: {name!r} is not a number of a task; "
                       f"valid: {_ALL}, or some of {', '.join(valid)} with "
                       "commas between them")
  if len(set(names)) < len(names):
    raise ValueError(f"tasks={tasks!r} names a task twice")
  return tuple(map(int, names))
