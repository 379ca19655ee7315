"""Simulated answers: texts, tool calls and typed values, made by rule."""
