"""A language model of random weights, for a llama.cpp server: `python tiny_model.py FILE`.

Runs in the environment of that server. Its answers are noise, of whichever form a grammar gives them; it prefers the
marks that end a JSON value, so that they end soon.
"""

from __future__ import annotations

import string
import sys

import numpy as np
from gguf import GGUFWriter, TokenType  # type: ignore[import-not-found,unused-ignore]

CONTEXT, WIDTH, HEADS, INNER = 4096, 32, 4, 64
SPECIAL = ("<unk>", "<s>", "</s>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))  # the tokenizer of llama needs them all
CHARACTERS = tuple("▁" + string.ascii_letters + string.digits + string.punctuation)
# How much likelier a token is than the noise makes it.
LIKELY = {'"': 9.0, "}": 8.0, "]": 8.0, ":": 7.0, ",": 4.0, "</s>": 6.0, "7": 3.0}


def write(path: str) -> None:
    """Write the model as a GGUF file."""
    tokens = (*SPECIAL, *BYTES, *CHARACTERS)
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    kinds = (TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL)
    writer.add_token_types([*kinds, *[TokenType.BYTE] * len(BYTES), *[TokenType.NORMAL] * len(CHARACTERS)])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, weights in _weights(tokens).items():
        writer.add_tensor(f"{name}.weight", weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _weights(tokens: tuple[str, ...]) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(1)

    def random(*shape: int) -> np.ndarray:
        return noise.normal(0, 0.02, shape)

    embedding, output = random(len(tokens), WIDTH), random(len(tokens), WIDTH)
    # The first number of every state is the same large one, and so its weight in the output is a token's likelihood.
    embedding[:, 0] = 1.0
    output[:, 0] = [LIKELY.get(token, 0.0) / np.sqrt(WIDTH) for token in tokens]
    square = {f"blk.0.attn_{name}": random(WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
    return {
        "token_embd": embedding,
        "output": output,
        "output_norm": np.ones(WIDTH),
        "blk.0.attn_norm": np.ones(WIDTH),
        "blk.0.ffn_norm": np.ones(WIDTH),
        "blk.0.ffn_gate": random(INNER, WIDTH),
        "blk.0.ffn_up": random(INNER, WIDTH),
        "blk.0.ffn_down": random(WIDTH, INNER),
        **square,
    }


if __name__ == "__main__":
    write(sys.argv[1])
