"""Typed answers: exactly the type that was asked for, with instructor's prompts and re-asks.

The prompts are made once for each type and mode; an answer is read into the user's own type; and every attempt is an
ordinary call, with its limits, retries and deadline.
"""

from .extraction import Check, Extraction, Reask, extract
from .items import ItemStream, OnInvalid, SkippedItem
from .prompting import Prepared, choose_mode, prepared, weakest_mode
from .schema.answer_type import list_of, type_name
from .streams import PartialStream

__all__ = [
    "Check",
    "Extraction",
    "ItemStream",
    "OnInvalid",
    "PartialStream",
    "Prepared",
    "Reask",
    "SkippedItem",
    "choose_mode",
    "extract",
    "list_of",
    "prepared",
    "type_name",
    "weakest_mode",
]
