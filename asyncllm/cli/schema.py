"""`asyncllm schema`: the JSON Schema of config.toml."""

from __future__ import annotations

from .settings import Settings, command_without_profile
from .terminal.exit_codes import DONE
from .terminal.output import write_json


@command_without_profile
def run(settings: Settings) -> int:
    """Write the JSON Schema of config.toml to stdout, for editors.

    Editors with Even Better TOML or Taplo check the file as it is typed, and complete its fields, when its first line
    names the schema:

    #:schema ./config.schema.json
    """
    from ..config.schema import config_schema

    write_json(config_schema())
    return DONE
