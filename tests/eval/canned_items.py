"""The benchmarks' items with their right answers, as the canned server knows them: by a piece of what they ask.

Reads the files of a `suite.data_dir` by itself and looks at prompts from outside, as a reader does: nothing here is shared with
what makes the prompts.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from canned_wordings import TABLE, Wording, chosen
from following import followed

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
FILES = {
    "gsm8k": "gsm8k/test",
    "math_chat": "math/test",
    "humaneval_chat": "humaneval/test",
    "mbpp_chat": "mbpp/full/test",
    "hellaswag_chat": "hellaswag/validation",
    "arc_challenge_chat": "arc_challenge/test",
    "gpqa_diamond_chat": "gpqa/diamond",
    "bbh_chat": "bbh/*",
    "mmlu_chat": "mmlu/test",
    "ifeval_chat": "ifeval/train",
}
_ASKED = {  # task -> where its question stands in the last message
    "gsm8k": r"Question: (.*)\nAnswer:",
    "math_chat": r"(.*)\nPlease reason step by step, and put .*",
    "humaneval_chat": r"Complete this Python function\..*?```python\n(.*)```",
    "mbpp_chat": r"(.*)\n\nReply with Python code in one code block\..*?```python\n(.*)\n```",
    "hellaswag_chat": r"(.*)\nQuestion: Which ending makes the most sense\?\nA\. (.*)\nYou may choose .*",
    "arc_challenge_chat": r"Given the following question and four.*?\\nQuestion: (.*)\\nYour response should end with .*",
    "gpqa_diamond_chat": r"Answer the following multiple choice question\..*?before answering\.\n\n(.*)\n\nA\) .*",
    "bbh_chat": r"(?:.*\n)?Q: (.*)\nA: Let's think step by step\.",
    "mmlu_chat": r"There is a single choice question about (.*)\nA\. (.*)\nLet's think step by step\..*",
    "ifeval_chat": r"(.*)",
}
_PAIRS = (("yes", "no"), ("true", "false"), ("valid", "invalid"))


@dataclass(frozen=True)
class Item:
    """`key`: what it is recognised by; `first`: the right answer of the first item that asks the same."""

    task: str
    leaf: str
    key: str
    doc: dict[str, Any]
    values: dict[str, str]
    first: str = ""

    @property
    def table(self) -> str:
        name = self.task.removesuffix("_chat")
        return {"gsm8k": "number", "arc_challenge": "arc"}.get(name, name if name in TABLE else "letter")

    def wording(self, mode: str) -> Wording:
        return chosen(self.table, self.values, self.key, mode)

    def expected(self, mode: str) -> tuple[int, int, int]:
        """Strict, tolerant, extraction of the reply to it. IFEval: -1 for what its checks are to say."""
        word = self.wording(mode)
        if self.first != self.values.get("gold", ""):  # asked twice, with two right answers: the reply is to the first
            turned = int(word.says == "wrong")
            return turned * word.extraction, turned, word.extraction
        return word.strict, word.tolerant, word.extraction


def items(folder: Path) -> dict[str, list[Item]]:
    """Task -> its items, in the order of the files (BBH: of its tasks' names); a task without files is left out."""
    firsts: dict[str, str] = {}
    found: dict[str, list[Item]] = {}
    for task, pattern in FILES.items():
        for path in sorted(p for p in folder.glob(f"{pattern}.jsonl*") if p.name.endswith((".jsonl", ".jsonl.gz"))):
            leaf = path.name.partition(".")[0] if task == "bbh_chat" else task
            text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
            for doc in map(json.loads, text.strip("\n").split("\n")):
                key, values = piece(task, doc), _values(task, doc)
                first = firsts.setdefault(key, values.get("gold", ""))
                found.setdefault(task, []).append(Item(task, leaf, key, doc, values, first))
    return found


def recognised(message: str) -> str:
    """The key of the item that a message asks, whether there is such an item or not."""
    for task, pattern in _ASKED.items():
        match = re.fullmatch(pattern, message.strip("\n"), re.DOTALL)
        if match:
            text = (
                "\n".join(match.groups()).replace("\\n", "\n")
                if task == "arc_challenge_chat"
                else "\n".join(match.groups())
            )
            return f"{task}:{_letters(text) if task == 'hellaswag_chat' else _bare(text)}"
    raise AssertionError("ifeval takes any")


def shown(message: str) -> list[str]:
    """The options as a message lists them: GPQA's, whose order is not in the file."""
    return [text.strip() for text in re.findall(r"^[A-D]\) (.*)$", message, re.MULTILINE)][-4:]


def reply(item: Item, message: str, mode: str) -> str:
    values = dict(item.values)
    if item.task == "gpqa_diamond_chat":
        values |= _choice(options := shown(message), options.index(item.doc["Correct Answer"].strip()))
    return item.wording(mode).reply.format(**values)


def piece(task: str, doc: dict[str, Any]) -> str:
    """The key of an item, from its record."""
    match task:
        case "gsm8k" | "math_chat":
            text = doc.get("question") or doc["problem"]
        case "humaneval_chat" | "ifeval_chat":
            text = doc["prompt"]
        case "mbpp_chat":
            text = "\n".join([doc["text"], *doc["test_list"]])
        case "hellaswag_chat":
            whole = "\n".join([f"{doc['ctx_a']} {doc['ctx_b']}", _listed(doc["endings"])[3:]])
            unmarked = re.sub(r"\[[^]]*\]", " ", whole)  # of WikiHow's markers
            return f"{task}:{_letters(unmarked)}"
        case "arc_challenge_chat":
            text = "\n".join([doc["question"], _listed(doc["choices"]["text"][:4])])
        case "gpqa_diamond_chat":
            text = doc["Question"]
        case "mmlu_chat":
            subject = doc["subject"].replace("_", " ")
            about = f"{subject}. Answer the question by replying A, B, C or D.\nQ: {doc['question'].strip()}"
            text = "\n".join([about, _listed(doc["choices"])[3:]])
        case _:
            text = doc["input"]
    return f"{task}:{_bare(text)}"


def made_up(folder: Path) -> None:
    """The two benchmarks that are not shared, as items of our own: math/test.jsonl and gpqa/diamond.jsonl under `folder`."""
    golds = [
        "\\frac{1}{2}",
        "-3",
        "2\\sqrt{5}",
        "x^2+2x+1",
        "\\left(1,2\\right)",
        "[0,1)",
        "90^\\circ",
        "\\text{even}",
        "1,\\!024",
        "\\frac{\\pi}{4}",
        "50\\%",
        "\\{1,2,3\\}",
        "0.25",
        "3+4i",
        "\\$18.90",
        "-\\frac{7}{3}",
        "x \\in [1, 3]",
    ]
    subjects = ("Algebra", "Geometry", "Precalculus")
    items: dict[str, list[dict[str, Any]]] = {"math/test": [], "gpqa/diamond": []}
    for n in range(3 * len(golds)):
        gold = golds[n % len(golds)]
        solution = f"By a short look at the {n} cases we find $\\boxed{{{gold}}}$."
        items["math/test"].append(
            {
                "problem": f"Made-up problem {n}: what is it?",
                "type": subjects[n % 3],
                "solution": solution,
                "answer": gold,
            }
        )
    for n in range(60):
        wrong = {
            f"Incorrect Answer {k}": f"{colour} number {n}" for k, colour in ((1, "red"), (2, "blue"), (3, "white"))
        }
        question = f"Made-up question {n}:\nwhich colour has the stone?\n"
        items["gpqa/diamond"].append(
            {"Record ID": f"rec{n}", "Question": question, "Correct Answer": f"green number {n}"} | wrong
        )
    for name, listed in items.items():
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(item) + "\n" for item in listed), encoding="utf-8")


def _bare(text: str) -> str:
    """One space for white space: that much the prompts may change."""
    return " ".join(text.split())


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _listed(texts: list[str]) -> str:
    return "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=False))


def _choice(texts: list[str], right: int) -> dict[str, str]:
    found = {"gold": LETTERS[right], "wrong": LETTERS[(right + 1) % len(texts)], "every": _listed(texts)}
    plain = [_bare(text).casefold() for text in texts]
    told = len(set(plain)) == len(plain) and len(plain[right]) > 1
    return found | ({"text": texts[right]} if told else {})


def _values(task: str, doc: dict[str, Any]) -> dict[str, str]:
    match task:
        case "gsm8k":
            gold = doc["answer"].rpartition("#### ")[2]
            return {"gold": gold, "wrong": str(int(gold.replace(",", "")) + 1), "solution": doc["answer"]}
        case "math_chat":
            return {"gold": doc["answer"], "wrong": "17", "solution": doc["solution"]}
        case "humaneval_chat":
            body = doc["canonical_solution"]
            return {"code": doc["prompt"] + body, "body": body, "name": doc["entry_point"]}
        case "mbpp_chat":
            code = doc["code"].replace("\r\n", "\n").rstrip()
            names = re.findall(r"^def (\w+)", code, re.MULTILINE)
            called = [name for name in names if re.search(rf"\b{name}\s*\(", doc["test_list"][0])]
            return {"code": code, "name": called[-1]}
        case "hellaswag_chat":
            return _choice([_bare(re.sub(r"\[[^]]*\]", " ", ending)) for ending in doc["endings"]], int(doc["label"]))
        case "arc_challenge_chat":
            right = doc["choices"]["label"].index(doc["answerKey"])
            return _choice(doc["choices"]["text"][:4], right)
        case "gpqa_diamond_chat":
            return {"gold": "?", "wrong": "?", "text": doc["Correct Answer"].strip()}
        case "mmlu_chat":
            return _choice(doc["choices"], doc["answer"])
        case "ifeval_chat":
            return {"made": followed(doc)}
    return _bbh(doc["input"], doc["target"].strip())


def _bbh(question: str, gold: str) -> dict[str, str]:
    options = re.findall(r"^\(([A-Z])\) ", question, re.MULTILINE)
    if gold.strip("()") in options:
        letters = sorted(set(options))
        other = letters[(letters.index(gold.strip("()")) + 1) % len(letters)]
        lines = [line for line in question.splitlines() if re.match(r"\([A-Z]\) ", line)]
        return {"gold": gold, "wrong": f"({other})", "every": "\n".join(lines)}
    pair = next((pair for pair in _PAIRS if gold.casefold() in pair), None)
    if pair:
        other = pair[1 - pair.index(gold.casefold())]
        wrong = other.capitalize() if gold[0].isupper() else other
        return {"gold": gold, "wrong": wrong, "every": f"It is either {wrong} or {gold}."}
    if re.fullmatch(r"-?\d+", gold):
        return {"gold": gold, "wrong": str(int(gold) + 1), "every": f"It is either {int(gold) + 1} or {gold}."}
    if re.fullmatch(r"[()\[\]{}<>\s]+", gold):
        return {"gold": gold, "wrong": f"{gold} >", "every": "It takes one kind of bracket or another."}
    return {"gold": gold, "wrong": " ".join(gold.split()[::-1]), "every": "It may be one order or another."}


def cut(source: Path, folder: Path, count: int, leaf_count: int) -> Path:
    """A `suite.data_dir` of some items from all over each file of `source`: `count` a benchmark, `leaf_count` a task of BBH; files
    that are not scored (worked examples) are linked whole."""
    scored = {path for pattern in FILES.values() for path in source.glob(f"{pattern}.jsonl.gz")}
    for path in sorted(source.rglob("*.jsonl.gz")):
        mine = folder / path.relative_to(source)
        mine.parent.mkdir(parents=True, exist_ok=True)
        if path not in scored:
            mine.symlink_to(path)
            continue
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            every = lines.readlines()
        wanted = leaf_count if path.parent.name == "bbh" else count
        mine.with_suffix("").write_text(
            "".join(every[n * len(every) // wanted] for n in range(wanted)), encoding="utf-8"
        )
    return folder
