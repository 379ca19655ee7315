"""The report of a journal: its figures, as a page and as text."""

from __future__ import annotations

from .figures import Figures, figures

__all__ = ["Figures", "figures"]
