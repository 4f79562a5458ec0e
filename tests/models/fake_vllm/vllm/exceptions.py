class VLLMClientError(Exception):
    """Not a ValueError, in newer versions."""


class VLLMValidationError(VLLMClientError):
    pass
