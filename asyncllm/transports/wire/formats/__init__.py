"""The formats that the wire speaks: bodies of requests written, answers and chunks read into the chat-completions form.

A format knows nothing of connections, statuses or timeouts, and makes no decision about which requests the wire serves.
"""
