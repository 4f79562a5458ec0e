"""Language models behind one protocol (base.py): OpenAI-compatible servers, transformers and vLLM."""
