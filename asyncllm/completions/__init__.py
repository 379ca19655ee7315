"""Answers: whole, streamed and assembled, with their usage and the record of the call.

What asks for them lives in `pipeline`; typed answers live in `structured`.
"""
