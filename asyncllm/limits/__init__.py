"""Places, rates, money: what a request must have before it is sent."""

from __future__ import annotations

from .admission import Admission, Bucket, Places, Rate, admit, shared_bucket
from .budget import Budget

__all__ = ["Admission", "Bucket", "Budget", "Places", "Rate", "admit", "shared_bucket"]
