"""Google's Gemini API: generateContent and streamGenerateContent.

`requests` combines the conversions: `messages` (with `parts`), `parameters` (with `tools`, `schemas` and `thinking`, by
the `capabilities` of a model); `answers` (with `candidates` and `usage`) and `events` read what comes back.
"""

from .requests import GeminiFormat, GeminiRequest, open_format

__all__ = ["GeminiFormat", "GeminiRequest", "open_format"]
