"""Responses that make the request again, speak of it, or leave a slot unfilled."""

from __future__ import annotations

import pytest
from test_usable import found


@pytest.mark.parametrize(
    ("asked", "said", "kind"),
    [  # the refused ones were written by real models of 0.1 to 0.5 B parameters and kept
        (
            "Create a python script that reads the file names and stores it in a variable called `filename` and writes a line.",
            "Create a python script that reads the name of a file and writes a line of text to the file.",
            "repeats_instruction",
        ),
        (
            "Write Python code for `round(numbers)`, a rounding method.",
            "Write Python code for `round(numbers)`.",
            "repeats_instruction",
        ),
        (
            "Create a Python function `sum_of_digits(num)` that sums up the digits in a number to the nearest whole number.",
            "Write a Python function `sum_of_digits(num_list)` that calculates the sum of the digits in a list of integers.",
            "repeats_instruction",
        ),
        (
            "As a helpful friend, listen to your friend's concerns and offer support.",
            "As a helpful friend, listen to your friend's concerns and offer support. It's important to be there for them.",
            "repeats_instruction",
        ),
        ("What is the mean of 3, 5 and 7?", "What is the mean of 3, 5 and 7? It is 5.", None),
        ("Describe autumn in one sentence.", "Describe autumn in one sentence.\n\nLeaves fall in red and gold.", None),
        ("Write a Python function `count_digits(num)` that counts digits.", "`count_digits(25)`", "lacks_code"),
        (
            "Write a Python function `count_name(name)` that counts the name in a string.",
            "Use `count_name` to count the name in a string.",
            "lacks_code",
        ),
        ("Write a Python function `add(a, b)`.", "def add(a, b): return a + b", None),
        ("Write a Haskell function `double(x)`.", "double x = 2 * x", None),
        ("Write a Python program `greet(name)`.", "```\nprint('hi')\n```", None),
        ("Write a Prolog program `likes(x)`.", "likes(x) :- friend(x).", None),
        ("Write a description of the function `len(x)`.", "It counts the items of x.", None),
        ("What does the function `len(x)` do? Write one sentence.", "It counts the items of x.", None),
        ("Write what the function `len(x)` does in one sentence.", "It returns the number of items of x.", None),
        (
            "Speak to a friend politely and explain why you come.",
            "Apologies, but I need to complete the instruction before I can continue. Could you please provide more context?",
            "refuses_task",
        ),
        (
            "Please write a short story about a forest.",
            "I'm sorry, but as an AI language model, I am unable to write stories or engage in imaginative scenarios.",
            "refuses_task",
        ),
        ("Write the opposite of this order: Close the door.", "Open the door.", None),
        ("Write an order to the crew of a ship.", "Turn the ship to the north, and keep the lamp lit.", None),
        ("Create a Python function that adds.", "Use a Python function of the library: `sum`.", None),
        ("Create a shopping list for the beach.", "Create a shopping list for the beach:\n\n- towels\n- water", None),
        (
            "Write a sentence that ends in a rhyme.",
            "Write a sentence that bends in time. That was one, and it rhymes.",
            None,
        ),
        ("Replace the phrase in this: at the end", "Replace the phrase in this with: at last", None),
        (
            "What is the largest planet of all?",
            "What is the largest planet is a question of size, and Jupiter wins.",
            None,
        ),
        (
            "Write a mathematics puzzle for children.",
            "The user's instruction is complete. Answer it correctly and completely.",
            "speaks_of_prompt",
        ),
        (
            "Explain: 'I am too friendly to the locals.'",
            "A situation is described, but the goal of the instruction is to clarify that he is strict.",
            "speaks_of_prompt",
        ),
        (
            "In the role of the tourist, be helpful.",
            "Your task is to assist the tourist in the hotel.",
            "speaks_of_prompt",
        ),
        ("Give an order to your crew.", "Sail on! Your task is to keep the lamp lit.", None),
        ("Design an assistant for a shop.", "It first reads the user's request, then looks up the price.", None),
        ("How do I read a manual?", "Follow each instruction in turn.", None),
    ],
)
def test_responses_that_speak_of_their_request_or_make_it_again(asked: str, said: str, kind: str | None) -> None:
    assert found("respond", said, instruction=asked) == kind


@pytest.mark.parametrize(
    ("asked", "said", "kind"),
    [
        (
            "Create an email about a lighthouse.",
            "Subject: light\n\nDear [Recipient's Name],\n\nThank you.",
            "unfilled_slot",
        ),
        (
            "Write a birthday wish for your best friend.",
            "Dear [Best Friend's Name],\nmay your house stand.",
            "unfilled_slot",
        ),
        ("Write a letter.", "Dear Ann,\nbest wishes,\n<Your Name>", "unfilled_slot"),
        ("Write a letter.", "We meet on {date} at noon.", "unfilled_slot"),
        ("Write a letter.", "Sincerely, [insert your signature]", "unfilled_slot"),
        ("Write the template of a letter.", "Dear [Name],", None),
        ("Fill in the blanks: Dear [Name],", "Dear [Name],", None),
        ("Print a greeting in Python.", "```python\nprint(f'Hello {name}')\n```", None),
        ("Greet by name in Python.", "Use `f'Hello {name}'`.", None),
        ("Name a source.", "See [my address](https://example.org) and [1].", None),
        ("Give an HTML tag.", "<title>Sea</title>", None),
        ("Write a scene.", "[The woman turns and leaves.]", None),
        ("Solve x.", "The set [0, 1] holds x.", None),
    ],
)
def test_unfilled_slots_are_a_fault_only_where_that_was_asked_for(asked: str, said: str, kind: str | None) -> None:
    assert found("respond", said, instruction=asked, slots="refuse") == kind
    assert found("respond", said, instruction=asked) is None
