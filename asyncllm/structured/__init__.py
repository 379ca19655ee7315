"""Typed answers: exactly the type that was asked for, with instructor's prompts and re-asks.

The prompts are made once for each type and mode; an answer is read into the user's own type; and every attempt is an
ordinary call, with its limits, retries and deadline.
"""

from .extraction import Check, Extraction, Reask, extract
from .forms import TypedForms, choose_mode
from .items import ItemStream, OnInvalid, SkippedItem
from .prompting import Mode, Prepared, prepared
from .schema.answer_type import list_of, type_name
from .streams import PartialStream

__all__ = [
    "Check",
    "Extraction",
    "ItemStream",
    "Mode",
    "OnInvalid",
    "PartialStream",
    "Prepared",
    "Reask",
    "SkippedItem",
    "TypedForms",
    "choose_mode",
    "extract",
    "list_of",
    "prepared",
    "type_name",
]
