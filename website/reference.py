"""Pages of the reference that are written from the code: `python -m website.reference`.

The fields of a profile, the commands, the ranges of dependencies, and the JSON Schema of config.toml.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import tomli
import typer
from packaging.requirements import Requirement

from asyncllm import cli
from asyncllm.config import FieldDoc, describe_fields
from asyncllm.config.schema import config_schema

from .marks import replace_between

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SCHEMA = DOCS / "config.schema.json"
FIELDS = DOCS / "reference" / "fields.md"
COMMANDS = DOCS / "reference" / "commands.md"
VERSIONS = DOCS / "versions.md"
HELP_WIDTH = 88  # characters: as wide as code is beside both side bars
_HEADING = "| field, variable | meaning | type | default | example |"
RANGES = ("litellm", "aiohttp", "anyio", "pydantic", "instructor", "openai", "httpx")

# A value of each field, as it would be in config.toml.
EXAMPLES = {
    "model": '"openai/gpt-5-mini"',
    "api_key": '"..."',
    "api_key_env": '"OPENAI_API_KEY"',
    "base_url": '"http://127.0.0.1:8000/v1"',
    "api_version": '"2024-10-21"',
    "custom_llm_provider": '"openai"',
    "extra_headers": '{ X-Team = "search" }',
    "aws_access_key_id": '"..."',
    "aws_secret_access_key": '"..."',
    "aws_session_token": '"..."',
    "aws_region_name": '"eu-central-1"',
    "aws_profile_name": '"production"',
    "aws_role_name": '"arn:aws:iam::123456789012:role/llm"',
    "aws_session_name": '"asyncllm"',
    "aws_external_id": '"..."',
    "aws_web_identity_token": '"..."',
    "aws_sts_endpoint": '"https://sts.eu-central-1.amazonaws.com"',
    "aws_bedrock_runtime_endpoint": '"https://bedrock.example.org"',
    "temperature": "0.2",
    "top_p": "0.9",
    "top_k": "40",
    "seed": "17",
    "stop": '["END"]',
    "reasoning_effort": '"low"',
    "safety_settings": '{ HARM_CATEGORY_HARASSMENT = "BLOCK_NONE" }',
    "extra_body": "{ min_p = 0.05 }",
    "max_output_tokens": "4096",
    "max_input_tokens": "100_000",
    "timeout": "120",
    "connect_timeout": "10",
    "first_token_timeout": "300",
    "idle_timeout": "15",
    "deadline": "600",
    "num_retries": "8",
    "retry_min_wait": "0.5",
    "retry_max_wait": "30",
    "retry_multiplier": "2",
    "fallbacks": '["backup"]',
    "limits_url": '"redis://limits.internal:6379/0"',
    "max_concurrency": "200",
    "max_queue": "400",
    "tenant_max_concurrency": "10",
    "tenant_max_queue": "20",
    "tenant_requests_per_minute": "60",
    "tenant_budget_usd": "5.0",
    "requests_per_minute": "500",
    "tokens_per_minute": "200_000",
    "adaptive": "true",
    "budget_usd": "20.0",
    "input_cost_per_token": "0.000003",
    "output_cost_per_token": "0.000015",
    "cached_input_cost_per_token": "0.0000003",
    "cache": '"answers.sqlite"',
    "cache_mode": '"refresh"',
    "cache_ttl": "86_400",
    "cache_max_bytes": "500_000_000",
    "drop_params": "false",
    "disable_vision": "true",
    "caching_prompt": "true",
    "custom_tokenizer": '"Qwen/Qwen3-8B"',
    "structured_mode": '"tools"',
    "max_reasks": "1",
    "transport": '"wire"',
    "call_log": '"calls.sqlite"',
    "call_log_max_bytes": "500_000_000",
    "call_log_max_age": "90",
    "log_prompts": "true",
}


def fields() -> str:
    """Return a table of each group of fields."""
    groups: dict[str, list[FieldDoc]] = {}
    for doc in describe_fields():
        groups.setdefault(doc.group, []).append(doc)
    lines: list[str] = []
    for group, docs in groups.items():
        lines += [f"\n## {group.capitalize()}\n", _HEADING, "|---|---|---|---|---|"]
        for doc in docs:
            kind = type_of(doc.name) + (f" ({doc.unit})" if doc.unit else "")
            names = f"`{doc.name}`<br>`LLM_{doc.name.upper()}`"
            lines.append(f"| {names} | {doc.description} | {kind} | {doc.default} | `{EXAMPLES[doc.name]}` |")
    return "\n".join(lines)


def type_of(name: str) -> str:
    """Return the type of a field in words, as its schema has it."""
    definitions = config_schema()["definitions"]
    schema = definitions["profile"]["properties"][name]  # type: ignore[index]  # ours
    options = schema.get("anyOf", [schema])
    return " or ".join(_in_words(option) for option in options)


def _in_words(schema: dict[str, object]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])  # type: ignore[attr-defined]  # a list
    words = {"array": "list", "object": "table", "boolean": "`true`, `false`"}
    kind = str(schema["type"])
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
    limits = [f"{sign} {schema[key]}" for key, sign in bounds.items() if key in schema]
    return ", ".join([words.get(kind, kind), *limits])


def commands() -> str:
    """Return the help of the program and of each command."""
    program = typer.main.get_command(cli.app)
    context = typer.Context(program, info_name="asyncllm", terminal_width=HELP_WIDTH)
    parts = [_help("asyncllm", program.get_help(context))]
    for name in program.list_commands(context):  # type: ignore[attr-defined]  # it is a group
        command = program.get_command(context, name)  # type: ignore[attr-defined]
        inner = typer.Context(command, info_name=name, parent=context, terminal_width=HELP_WIDTH)
        parts.append(_help(name, command.get_help(inner)))
    return "\n".join(parts)


def _help(name: str, text: str) -> str:
    text = re.sub(r"[ \t]+$", "", text.strip(), flags=re.MULTILINE)
    return f"## {name}\n\n```text\n{text}\n```\n"


def ranges() -> str:
    """Return the rows of the dependencies whose versions matter."""
    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = {need.name: need for need in map(Requirement, project["dependencies"])}
    lock = (ROOT / "constraints-run.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)", lock, re.MULTILINE))
    rows = ["| library | accepted | in the lock file |", "|---|---|---|"]
    for name in RANGES:
        bounds = ", ".join(sorted(map(str, known[name].specifier), key=lambda bound: bound[0], reverse=True))
        rows.append(f"| {name} | `{bounds}` | {pinned[name]} |")
    return "\n".join(rows)


def schema() -> str:
    """Return the JSON Schema of config.toml, as it is committed."""
    return json.dumps(config_schema(), indent=2) + "\n"


if __name__ == "__main__":
    replace_between(FIELDS, "fields", fields())
    replace_between(COMMANDS, "commands", commands())
    replace_between(VERSIONS, "ranges", ranges())
    SCHEMA.write_text(schema(), encoding="utf-8")
