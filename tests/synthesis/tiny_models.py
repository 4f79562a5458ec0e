"""Tiny models made on the spot: real formats, meaningless words."""

from __future__ import annotations

from pathlib import Path

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_tiny_chat_model(
    folder: Path, *, vocabulary: int = 400, positions: int = 4096, seed: int = 0, template: bool = True
) -> Path:
    """A random two-layer Llama (head size 32) and a byte-level BPE trained on the spot, saved in `folder`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=marks, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(
        [f"The answer to {a} plus {b} is {a + b}; is that so?" for a in range(40) for b in range(40)], trainer
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHAT_TEMPLATE if template else None
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        tie_word_embeddings=False,
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_brief(folder: Path) -> None:
    """Bias the model in `folder` so that it writes few words: letters and words, now and then a space, and soon a quote or its end
    token. One dimension of its states is made constant, so that the head's weights for it act as the bias it does not have."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 6.0
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.mul_(0.02)[0] = 0.0
            layer.mlp.down_proj.weight.mul_(0.02)[0] = 0.0
        model.lm_head.weight.mul_(0.2)
        for token, place in tokenizer.get_vocab().items():
            word = token.removeprefix("\u0120")  # a space before it, in byte-level vocabularies
            likely = (1.0 if word == token else 0.2) if word.isascii() and word.isalpha() else 0.0
            model.lm_head.weight[place, 0] = {'"': 1.4, "<|im_end|>": 1.4, "?": 1.0}.get(token, likely)
    model.save_pretrained(folder)
