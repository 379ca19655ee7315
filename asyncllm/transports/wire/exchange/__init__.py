"""HTTP exchanges on connections of aiohttp's pool, without aiohttp's session.

Pool, DNS, proxies, TLS and the parser stay aiohttp's. Left out are `ClientSession._request`, `ClientRequest.send` and
`ClientResponse`, which take two thirds of the CPU of a small request: head and body are written in one piece, the
parsed answer is read from the connection (`direct`), and the chunks of an event stream are unframed as they arrive
(`chunks`).
"""

from .direct import LOST, READ_BUFFER_BYTES, DirectExchange, is_supported
from .interface import Body, Response

__all__ = ["LOST", "READ_BUFFER_BYTES", "Body", "DirectExchange", "Response", "is_supported"]
