"""The files of a batch: rows in, results out, in any of the formats that people have."""

from __future__ import annotations

from .columns import InferredColumns, Kind
from .file_input import STDIN, FileInput, InputReader
from .file_inputs import FileInputs, matching_files
from .formats import FORMATS, WRITTEN_FORMATS, Compression, Format, kind_of
from .result_record import AnswerSchema, RowResult, error_record
from .rows import LINE_FIELD, BadRow, Row, RowReader, position_of
from .writers import JsonlWriter, Layout, ResultWriter, rejected_record, result_writer

__all__ = [
    "FORMATS",
    "LINE_FIELD",
    "STDIN",
    "WRITTEN_FORMATS",
    "AnswerSchema",
    "BadRow",
    "Compression",
    "FileInput",
    "FileInputs",
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
    "matching_files",
    "position_of",
    "rejected_record",
    "result_writer",
]
