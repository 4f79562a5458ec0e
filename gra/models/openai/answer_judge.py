"""Decides what a server's answer means: a reply, a permanent refusal of the request, a fault worth a retry, or an
unusable server.

An error in a body with status 200 is treated like the HTTP status that it names (error_body.py).
"""

from __future__ import annotations

from gra.errors import ServerError
from gra.models.base import Reply, Request
from gra.models.openai.error_body import money_spent
from gra.models.openai.http_client import Answer, Fault
from gra.models.openai.http_retry import retry_after
from gra.models.openai.logprob_support import NO_LOGPROBS, REMEDY
from gra.models.openai.server_probe import Probe
from gra.models.openai.server_state import InFlightCall
from gra.models.openai.wire import ErrorBody, Malformed, NoLogprobs, reply_from, said

_REFUSED = (400, 413, 422)  # the request is refused permanently
_PASSING = (408, 409, 425, 429)  # worth a retry, like all 5xx
_PERMANENT = (401, 402, 403, 404)  # the model is refused permanently at this server


class Forbidden(Exception):
    """The server refuses this request, and perhaps every request to the model. To find out, the caller sends the model
    a short question. If the server answers this question, only the original request is refused.

    `status`: 403 if the API key may not be used for the model, or may not be used for this request. It is 402 if the
    server sent HTTP 400 or 429 with an error message about missing credit. Either the account has no credit, or the
    message only quotes words from a prompt about money.
    """

    def __init__(self, words: str, status: int = 403):
        super().__init__(words)
        self.status = status


class AnswerJudge:
    """Decides what a server's answers mean. `probe`: the object that removes the API key from texts and makes the error
    messages."""

    def __init__(self, probe: Probe):
        self._probe = probe

    def judge(self, call: InFlightCall, request: Request, answer: Answer) -> Reply:
        """Return the reply that a server's answer contains. If the server refuses the request permanently, the reply
        has an `error`.

        Raises Fault if a retry may succeed. Raises Forbidden if the server refuses the model or only this request.
        Raises ServerError if the model cannot be used at this server.
        """
        status = answer.status
        if status != 200:
            words = f"HTTP {status}: {self._probe.redact(said(answer.body))}"
            if money_spent(status, answer.body[:2000].decode("utf-8", "replace")):
                raise Forbidden(words, 402)
        else:
            try:
                return reply_from(answer.body, request.choices, request.forced)
            except NoLogprobs:
                what = f"{NO_LOGPROBS}: its reply holds none"
                raise self._probe.unusable(call.server.url, request.model, what, remedy=REMEDY) from None
            except ErrorBody as error:
                words, status = self._probe.redact(str(error)), error.code or 0
                if status not in (*_REFUSED, *_PERMANENT, 429) and status < 500:
                    raise Fault("body", words) from None
            except Malformed as error:
                raise Fault("body", self._probe.redact(str(error))) from None
        if status in _REFUSED:
            return Reply("", finish="error", error=words)
        if status >= 500 or status in _PASSING:
            raise Fault("busy" if status == 429 else "status", words, retry_after(answer.headers))
        if status == 403:
            raise Forbidden(words)
        raise self._probe.unusable(call.server.url, request.model, words, status)

    def cannot(self, url: str, model: str, what: str, remedy: str) -> ServerError:
        """Return the error for a model at `url` that cannot do what the run needs. `what`: what the model cannot do.
        `remedy`: what the user can do about it."""
        return self._probe.unusable(url, model, what, remedy=remedy)
