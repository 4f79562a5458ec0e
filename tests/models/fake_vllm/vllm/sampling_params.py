from dataclasses import dataclass


@dataclass
class StructuredOutputsParams:
    json: dict


@dataclass
class SamplingParams:
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = 16
    seed: int | None = None
    structured_outputs: StructuredOutputsParams | None = None

    def __post_init__(self):
        assert self.max_tokens is None or self.max_tokens >= 1
