"""LANGUAGE MODELS behind one small protocol (base.py): an OpenAI-compatible server, or transformers in this process."""
