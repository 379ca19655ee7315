"""The files of a batch: rows in, results out, in any of the formats that people have."""

from __future__ import annotations

from .columns import InferredColumns, Kind
from .file_input import STDIN, FileInput, InputReader
from .formats import FORMATS, Compression, Format, kind_of
from .result_record import AnswerSchema, RowResult, error_record
from .rows import LINE_FIELD, BadRow, Row, RowReader
from .writers import JsonlWriter, Layout, ResultWriter, rejected_record, result_writer

__all__ = [
    "FORMATS",
    "LINE_FIELD",
    "STDIN",
    "AnswerSchema",
    "BadRow",
    "Compression",
    "FileInput",
    "Format",
    "InferredColumns",
    "InputReader",
    "JsonlWriter",
    "Kind",
    "Layout",
    "ResultWriter",
    "Row",
    "RowReader",
    "RowResult",
    "error_record",
    "kind_of",
    "rejected_record",
    "result_writer",
]
