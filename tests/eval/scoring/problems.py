"""Programming problems of our own in the schemas of HumanEval and MBPP, with right solutions of the shapes that those have."""

from __future__ import annotations

from typing import Any


def _function(head: str, body: str, test: str, before: str = "") -> dict[str, Any]:
    name = head.partition("(")[0]
    prompt = f'{before}def {head}:\n    """ Solves it.\n    >>> {name}\n    """\n'
    check = f"\n\nMETADATA = {{}}\n\n\ndef check(candidate):\n    {test}\n"
    return {"task_id": name, "prompt": prompt, "canonical_solution": body, "test": check, "entry_point": name}


FUNCTIONS = [
    _function("twice(n: int) -> int", "    return 2 * n\n", "assert candidate(4) == 8"),
    _function(
        "nearest(xs: List[float]) -> float",
        "    return min(xs, key=abs)\n",
        "assert candidate([3.0, -1.0]) == -1.0",
        "from typing import List\n\n\n",
    ),
    _function(
        "evens(xs)",
        "    found = []\n    for x in xs:\n        if x % 2 == 0:\n            found.append(x)\n    return found\n",
        "assert candidate([1, 2, 4]) == [2, 4]",
    ),
    _function(
        "weight(text: str) -> int",
        "    return sum(map(value, text))\n",
        "assert candidate('ab') == 3",
        "def value(letter: str) -> int:\n    return ord(letter) - 96\n\n\n",
    ),
    _function(
        "primes(n)",
        "    def prime(k):\n        return k > 1 and all(k % d for d in range(2, k))\n\n"
        "    return [k for k in range(n) if prime(k)]\n",
        "assert candidate(8) == [2, 3, 5, 7]",
    ),
    _function(
        "root(n)", "    import math\n\n    # of the whole part\n    return math.isqrt(n)\n", "assert candidate(17) == 4"
    ),
    _function(
        "sign(x)",
        "    if x < 0:\n        return -1\n    elif x > 0:\n        return 1\n    else:\n        return 0\n",
        "assert [candidate(x) for x in (-2, 0, 5)] == [-1, 0, 1]",
    ),
    _function(
        "quoted(text)", "    return '\"\"\"' + text + \"'''\"\n", "assert candidate('a') == '\"' * 3 + 'a' + \"'\" * 3"
    ),
]
WITH_ASSERTS = [
    {"task_id": 1, "code": "def first(xs): \r\n    return xs[0] ", "test_list": ["assert first([7, 8]) == 7"]},
    {
        "task_id": 2,
        "code": "import re\ndef words(text):\n    return re.findall('[a-z]+', text)",
        "test_list": ["assert words('a, b') == ['a', 'b']", "assert words('') == []"],
        "test_imports": ["import math"],
    },
    {
        "task_id": 3,
        "code": "class Node:\n    def __init__(self, v):\n        self.v = v\ndef value(node):\n    return node.v",
        "test_list": ["assert value(Node(3)) == 3"],
    },
]
