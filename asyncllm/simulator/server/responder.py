"""The answer to one request, as it is composed and sent, for faults to change."""

from __future__ import annotations

from collections.abc import Mapping

from ..answers.composition import compose
from ..answers.conversation import CHARS_PER_TOKEN, ChatRequest, InvalidRequestError
from ..answers.json_values import as_number
from ..formats.provider_format import ErrorDetails, ProviderFormat, chunk_chars
from .latency import Pace
from .raw_response import RawResponse, Reply
from .routes import MALFORMED


class Responder:
    """Composes and sends the answer to one request.

    Attributes:
        chat: The request; None for requests that are no chat.
        pace: The speed of the answer; None for all at once.
        cached: The prompt tokens written to and read from the cache.
        headers: Further headers of the answer.
    """

    def __init__(self, response: RawResponse, format_: ProviderFormat, reply: Reply | None = None) -> None:
        self.response = response
        response.request_id_header = format_.request_id_header
        self.format = format_
        self.chat: ChatRequest | None = None
        self.pace: Pace | None = None
        self.cached: tuple[int, int] = (0, 0)
        self.headers: list[tuple[bytes, bytes]] = []
        self._reply = reply

    @property
    def prompt_tokens(self) -> int:
        """The tokens of the prompt; 0 when there is none."""
        return self.chat.prompt_tokens if self.chat else 0

    def reply(self) -> Reply:
        """Compose the answer, without sending it.

        Raises:
            InvalidRequestError: A schema or a script is not one that an answer can be made for.
        """
        if self._reply is None:
            assert self.chat is not None
            try:
                self._reply = self._composed(self.chat)
            except MALFORMED as problem:
                raise InvalidRequestError(f"no answer can be made for this request: {problem!r}") from None
        return self._reply

    def add_to_script(self, script: Mapping[str, object]) -> None:
        """Add to the script of the request, and drop an answer that is composed already."""
        if self.chat is not None:
            self.chat.script = {**self.chat.script, **script}
            self._reply = None

    def _composed(self, chat: ChatRequest) -> Reply:
        answers = compose(chat)
        reply = Reply(headers=self.headers, tokens=sum(answer.tokens for answer in answers))
        if chat.stream:
            reply.content_type = self.format.stream_type
            reply.events = self.format.events(chat, answers, self.cached)
            reply.done = self.format.done
            reply.event_tokens = max(1, chunk_chars(chat) // CHARS_PER_TOKEN)
            reply.events_per_write = max(1, int(as_number(chat.script.get("events_per_write", reply.events_per_write))))
        else:
            reply.body = self.format.plain(chat, answers, self.cached)
        return reply

    async def answer(self) -> None:
        """Send the answer as it should be."""
        await self.response.send(self.reply(), self.pace)

    async def refuse(self, error: ErrorDetails, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        """Send an error in the provider's own words."""
        status, body = self.format.error(error)
        await self.response.send(Reply(status=status, body=body, headers=self.headers + (headers or [])))
