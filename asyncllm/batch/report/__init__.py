"""What a journal tells about a batch: as figures, as a page, as text."""

from __future__ import annotations

from .figures import Figures, figures

__all__ = ["Figures", "figures"]
