"""Language models behind one small protocol (base.py): OpenAI-compatible servers, transformers and vLLM."""
