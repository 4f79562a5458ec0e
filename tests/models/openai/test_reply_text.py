"""Which part of a model's text is its answer: reasoning and control tokens in every known form, and what only speaks of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra.models.openai.reply_text import CALL, CONTROL, NO_ANSWER, THOUGHT, UNSURE, answer_of

CASES = [
    ("<think>hm</think>\n\nyes", "yes"),
    ("\n<think>\n</think>yes <think>no</think>", "yes"),
    ("hm, then\n</think>\nyes", "yes"),
    ("<think>cut off", ""),
    ("Use <think> tags", "Use <think> tags"),
    ("plain", "plain"),
    ("[THINK]a[/THINK]b", "b"),
    ("<thinking>a</thinking>\nb", "b"),
    ("<thought>a</thought>b", "b"),
    (
        "<|channel|>analysis<|message|>We need<|end|><|start|>assistant<|channel|>final<|message|>Paris.<|return|>",
        "Paris.",
    ),
    ("<|channel|>analysis We need <|channel|>final Paris.", "Paris."),
    ("<|channel|>analysis<|message|>We need", ""),
    ("analysisWe need to answer.assistantfinalParis.", "Paris."),
    ("analysis of the data shows x", "analysis of the data shows x"),
    ("Sure! <think>hm</think> Paris.", "Sure!  Paris."),
    ("Sure.\n<think>hm\nhm</think>\nParis.", "Sure.\n\nParis."),
    ("Paris.<|im_end|>\n<|im_start|>user\nNext", "Paris."),
    ("Paris.</s>", "Paris."),
    ("Paris.<|eot_id|><|start_header_id|>user", "Paris."),
    ("Paris.<end_of_turn>\n<start_of_turn>user\n", "Paris."),
    ("<s>old</s> new", "<s>old</s> new"),
    ("Use <s>old</s> for strike.", "Use <s>old</s> for strike."),
    ("<s> Paris </s>", "Paris"),
    ("The <|im_end|> token marks", ""),
    ('tok = "<|im_end|>"', ""),
    ("<|im_start|>assistant\nParis<|im_end|>", "Paris"),
    ("<think>a</think><answer>b</answer>", "b"),
    ("```html\n<think>x</think>\n```\nok", "```html\n<think>x</think>\n```\nok"),
    ("```python\nx=1\n<|im_end|>", "```python\nx=1"),
    ("```python\nx=1\n<|im_end|>\n<|im_start|>user\n```python\ny\n```\n", "```python\nx=1"),
    ("a <| b |> c", "a <| b |> c"),
    ("<think>a<think>b</think>c</think>d", "d"),
    ("<think>a</think>b</think>c", "c"),
    ("<think>let me write </think> first? no.</think>c", "c"),
    ("<|START_THINKING|>x<|END_THINKING|><|START_RESPONSE|>Paris<|END_RESPONSE|>", "Paris"),
    ("<|begin_of_thought|>x<|end_of_thought|>\n\n<|begin_of_solution|>Paris<|end_of_solution|>", "Paris"),
    ('{"a": "<think>hm</think>Write"}', '{"a": "Write"}'),
    ('{"a": "x"}<|im_end|>', '{"a": "x"}'),
    ("<think>\n\n</think>\n\n", ""),
    ("4<|endoftext|>Human: what", "4"),
    ("The answer is 4. <|im_end|> more", "The answer is 4."),
    ("[INST] next", ""),
    ("Answer [/INST] next", "Answer"),
    ("4 [INST] What is 5? [/INST] 5", "4"),
    ("<｜begin▁of▁sentence｜>Paris<｜end▁of▁sentence｜><｜User｜>hi", "Paris"),
    ("Use `<think>` and `</think>` for x", "Use `<think>` and `</think>` for x"),
    ("◁think▷a◁/think▷b", "b"),
    ("<reflection>ok</reflection>Paris", "Paris"),
    ("Paris<|im_end|>", "Paris"),
    ("Paris <|end|>", "Paris"),
    ("Paris <|end|>\n", "Paris"),
    ("Paris <|end|><|user|>hi", "Paris"),
    ("Let me think <think> hmm </think> 4", ""),
    ("Paris\n<|user|>\nNext?", "Paris"),
    ("Paris </s> <s>[INST] q [/INST]", "Paris"),
    ('<think time="3">hm</think>Paris.', "Paris."),  # reasoning in the forms of more models
    ("<antThinking>hm</antThinking>Paris.", "Paris."),
    ("<think/>Paris.", "Paris."),
    ("&lt;think&gt;hm&lt;/think&gt;Paris.", "Paris."),
    ("Here is my thought process:\nHm.\nHere is my response:\nParis.", "Paris."),  # Granite 3.2
    ("Here's my thought process:\nHm, cut off", ""),
    (
        '<details type="reasoning" done="true">\n<summary>Thought</summary>\nhm\n</details>\nParis.',
        "Paris.",
    ),  # Open WebUI
    ("commentaryI'll look.assistantfinalParis.", "Paris."),
    ("<think>hm</think>\n<answer>\nParis.", "Paris."),  # Hunyuan, its end tag a stop word
    ("<|inner_prefix|>hm<|inner_suffix|>Paris.<|assistant_end|>", "Paris."),  # Apertus
    ("<|think|>hm<|end|><|begin|>assistant<|content|>Paris.<|end|>", "Paris."),  # Solar
    ("<think>hm</think><|begin_of_box|>Paris.<|end_of_box|>", "Paris."),  # GLM: the box is part of the answer
    ("The answer is <|begin_of_box|>4<|end_of_box|>.", "The answer is 4."),
    ("<|im_assistant|>assistant<|im_middle|>Paris.<|im_end|>", "Paris."),  # Kimi
    ("Paris.<seed:eos><seed:bos>user\nNext", "Paris."),
    ("Paris.[e~[\n]~b]user\nNext", "Paris."),  # MiniMax
    ("Paris.</longcat_s>", "Paris."),
    ("Paris.<|plamo:op|>user", "Paris."),
    ("Paris.<TOKENS_UNUSED_1>", "Paris."),
    ("Paris.[TOOL_RESULTS]x", "Paris."),
    ("Paris.<pad><pad><pad>", "Paris."),
    ("<pad> Paris.</s>", "Paris."),
    ("Paris.[PAD][PAD]", "Paris."),
    ("Unknown words become <unk>", "Unknown words become <unk>"),
    ("Here is my response to the letter.", "Here is my response to the letter."),
    ("Thinking...\nHm.\n...done thinking.\n\nParis.", "Paris."),  # Ollama
    ("<analysis>hm</analysis>\nParis.", "Paris."),
    ("<analysis>hm</analysis>\n<summary>x</summary>", "<analysis>hm</analysis>\n<summary>x</summary>"),
    ("assistantfinalParis.", "Paris."),
    ("< think >hm</ think >Paris.", "Paris."),
    ("Paris.[EOT]", "Paris."),
    ("[Start] -> Load -> [End]", "[Start] -> Load -> [End]"),
    ("The list ends.\n[ANALYSIS] It is short.", "The list ends.\n[ANALYSIS] It is short."),
    ("[REASONING] Sums are commutative. [ANSWER] 4", "[REASONING] Sums are commutative. [ANSWER] 4"),
]


@pytest.mark.parametrize(("text", "left"), CASES)
def test_the_answer(text: str, left: str) -> None:
    assert answer_of(text).text == left


def test_what_was_cut_and_why_there_is_none() -> None:
    assert answer_of("<think>a</think>b<|im_end|>").cut == (CONTROL, THOUGHT)
    assert answer_of("<think>a").fault == NO_ANSWER
    assert answer_of("<|channel|>analysis<|message|>hm").fault == NO_ANSWER
    assert answer_of("The <|im_end|> token marks the end.").fault == UNSURE
    assert answer_of("b").cut == ()


def test_reasoning_can_be_part_of_the_answer() -> None:
    assert answer_of("<think>a</think>b<|im_end|>\n<|im_start|>user", thoughts=False).text == "<think>a</think>b"


TOKENS = """
    <|im_end|> </s> <|eot_id|> <|end_of_text|> <end_of_turn> <|end|> <|endoftext|> <|eom_id|> <|user|> <|im_start|>
    <|return|> [INST] <｜end▁of▁sentence｜> <|END_OF_TURN_TOKEN|> [|endofturn|] <|role_end|> <eos>
    <|a_token_of_tomorrow|> <|im_end> <im_end|> <im_end> <|im_start>user <eot_id> <end_of_text> <endoftext> <unused1>
""".split()


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("after", ["", "\n", "user\nAnd now?", "\n<|im_start|>user\nAnd now?\n```python\nx\n```"])
@pytest.mark.parametrize("answer", ["Paris.", "Use it:\n\n```python\nprint(1)\n```", "It is 4", "```python\nprint(1)"])
def test_everything_from_a_turn_end_on_is_cut(token: str, after: str, answer: str) -> None:
    assert answer_of(answer + token + after).text == answer


PAIRS = [
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("◁think▷", "◁/think▷"),
    ("<Think>", "</Think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel>thought", "<channel|>"),
    ("<reflection>", "</reflection>"),
    ("[REASONING]", "[/REASONING]"),
    ("[THINKING]", "[/THINKING]"),
    ("<thought_process>", "</thought_process>"),
    ("<chain_of_thought>", "</chain_of_thought>"),
    ("<inner_thoughts>", "</inner_thoughts>"),
    ("<internal_monologue>", "</internal_monologue>"),
    ("<reflect>", "</reflect>"),
    ("<|think_start|>", "<|think_end|>"),
    ("<|begin_of_thinking|>", "<|end_of_thinking|>"),
    ("<|start_of_reasoning|>", "<|end_of_reasoning|>"),
    ("<|thought|>", "<|/thought|>"),
    ("<｜begin▁of▁think｜>", "<｜end▁of▁think｜>"),
]


@pytest.mark.parametrize(("begin", "end"), PAIRS)
@pytest.mark.parametrize("frame", ["{}Paris.", "\n{}\n\nParis.", "{}{}Paris.", "{}\nParis.\n{}"])
def test_every_block_is_cut_wherever_it_stands(begin: str, end: str, frame: str) -> None:
    assert answer_of(frame.replace("{}", f"{begin}\nHm, London?\nNo.\n{end}")).text == "Paris."
    if begin not in ("[REASONING]", "[THINKING]"):  # alone they can be headings
        assert answer_of(f"{begin}\nHm, London? No, it").fault == NO_ANSWER


@pytest.mark.parametrize("token", ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<start_of_turn>"])
def test_the_beginning_of_a_token_at_the_very_end_is_cut(token: str) -> None:
    for length in range(2 if token[1] == "|" else token.index("of_") + 3, len(token)):
        assert answer_of(f"Paris.{token[:length]}").text == "Paris."
    assert answer_of("It is x <|").text == "It is x <|"  # an operator


INVENTED = [
    "\n### Human: And Germany?\n### Assistant: Berlin.",
    "### Human: And Germany?### Assistant: Berlin.",
    "\n### Human: And Germany?",
    "\n\n### Instruction:\nName the capital.\n\n### Response:\nBerlin.",
    "\n\n### End",
    "\n### User:\nNext\n\n### Assistant:\n.",
    "\nUSER: And Germany?\nASSISTANT: Berlin.",
    "\n\nHuman: And Germany?\n\nAssistant: Berlin.",
    "\nUser: Go on\nBot: No",
    "\n<human>: Next\n<bot>: Berlin.",
    "assistant\n\nParis again.",
    "user\n\nAnd Germany?assistant\n\nBerlin.",
    "\nuser\nNext?\nmodel\nParis again",
    "\n\nuser: And Germany?\nassistant: Berlin.",
    "\n\nHUMAN: And Germany?\n\nASSISTANT: Berlin.",
    "\n\n**User:** And Germany?\n\n**Assistant:** Berlin.",
    "\n[USER]: And Germany?\n[ASSISTANT]: Berlin.",
    "\nGPT4 Correct User: And Germany?\nGPT4 Correct Assistant: Berlin.",
    "\nInstruct: Name it.\nOutput: Berlin.",
    "\n\n### Input:\nGermany\n\n### Response:\nBerlin.",
]


@pytest.mark.parametrize("more", INVENTED)
@pytest.mark.parametrize(
    "answer",
    [
        "The capital is Paris.",
        '{"a": "x"}',
        "Use it:\n\n```python\nprint(1)\n```",
        "<think>hm</think>Paris.",
        "### Response:\nA.",
    ],
)
def test_an_invented_next_turn_in_plain_words_is_cut(answer: str, more: str) -> None:
    if answer.endswith("```") and not more.startswith("\n"):
        return  # an end of a fence stands alone on its line
    found = answer_of(answer + more)
    assert found.text == answer.removeprefix("<think>hm</think>").removeprefix("### Response:\n")
    assert CONTROL in found.cut


@pytest.mark.parametrize(
    "text",
    [
        "Here is a dialogue.\n\nUser: Hi\nAssistant: Hello",
        "User: Hi.\nAssistant: Hello.\nUser: Bye.\nAssistant: Bye.",
        "Anna: It rains.\nUser: Where?\nAssistant: Here.",
        "Two roles of a system, as follows.\n\nUser: a person, without rights",
        "Fill in this template:\n\n### Instruction: what to do",
        "### User: Anna\nmay log in\n### Admin: Ben\nmay do all",
        '```python\nP = """\nx.\n### Human: {q}\n### Assistant: """\n```',
        "user\nmodel\nassistant",
        "Ask the assistant\n\nor me.",
        "Dear Sir.\n\nQuestion: what?\nAnswer: this.",
        "I ended it.\n\n### Ending\nAll is well.",
    ],
)
def test_dialogues_and_headings_that_were_meant_stay(text: str) -> None:
    assert answer_of(text).text == text


@pytest.mark.parametrize(
    "call",
    [
        '<tool_call>\n{"name": "search"}\n</tool_call>',
        "<function=search>{}</function>",
        '[TOOL_CALLS][{"name": "search"}]',
        "<|python_tag|>search(x)<|eom_id|>",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>search",
        "<|tool_calls_section_begin|>x",
        "<tool_call>\n<function=search>",
    ],
)
def test_what_is_said_before_a_tool_is_called_is_no_answer(call: str) -> None:
    assert answer_of(f"Let me look that up.\n{call}").fault == CALL
    if call[1] in "tf":
        assert answer_of(f"It is written so:\n\n```\n{call}\n```").fault is None


@given(st.text(st.characters(exclude_characters="<[◁｜")))
def test_a_text_without_marks_is_left_alone(text: str) -> None:
    assert answer_of(text).text == text or text.lstrip().startswith("analysis")


@given(
    st.lists(
        st.sampled_from(
            [
                "<think>",
                "</think>",
                "a ",
                "\n",
                "```",
                "`",
                "<|im_end|>",
                "</s>",
                "<s>",
                "<|channel|>",
                "final",
                "<|message|>",
                '"',
                "analysis",
                "[INST]",
                "b.",
            ]
        )
    ).map("".join)
)
def test_any_mixture_gives_an_answer_without_template_tokens_or_none(text: str) -> None:
    answer = answer_of(text)
    assert (answer.text == "") if answer.fault else ("<|im_end|>" not in answer.text)
