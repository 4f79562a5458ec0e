"""lm-eval, the model behind it, and every reply kept on disk."""
