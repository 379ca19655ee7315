"""What the simulator answers: texts, tool calls and typed values, made by rule."""
