"""The JSON-Schema-Test-Suite through `extract`, in both schema modes: each case of draft 2020-12 about an object.

`python -m benchmarks.schema_suite FOLDER` takes a checkout of the suite, json-schema-org/JSON-Schema-Test-Suite.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jsonschema import Draft202012Validator

from asyncllm import AsyncLLM, ExtractionError
from asyncllm.simulator import Fault, Simulator

DRAFT = Path("tests", "draft2020-12")
MODES = ("json_schema", "tools")
End = Literal["right", "refused by TypeError", "wrong"]


class Case(NamedTuple):
    """A case of the suite.

    Attributes:
        name: The file, the description of the schema, and that of the instance.
        schema: The schema.
        instance: The instance.
        valid: Whether it is valid.
    """

    name: str
    schema: Any
    instance: Mapping[str, object]
    valid: bool


def cases(folder: Path) -> Iterator[Case]:
    """Yield the cases whose instance is an object."""
    for file in sorted((folder / DRAFT).rglob("*.json")):
        for group in json.loads(file.read_text()):
            for test in group["tests"]:
                if isinstance(test["data"], dict):
                    name = f"{file.stem}: {group['description']}: {test['description']}"
                    yield Case(name, group["schema"], test["data"], test["valid"])


async def ending(llm: AsyncLLM, simulator: Simulator, case: Case, mode: str) -> tuple[End, str]:
    """Return how a case ends, and why where it ends wrong.

    It is wrong as well when the provider is asked for a form that a valid instance does not have.
    """
    before = simulator.seen.requests
    try:
        simulator.faults(Fault("answer", text="no JSON"))
        await llm.extract(case.schema, "?", structured_mode=mode)
    except TypeError as error:
        return (
            ("wrong", f"{error}, after sending") if simulator.seen.requests > before else ("refused by TypeError", "")
        )
    except ExtractionError:
        pass
    except Exception as error:
        return "wrong", repr(error)
    asked = _asked_schema(simulator.seen.bodies[-1])
    is_wrapped = list(asked.get("properties", ())) == asked.get("required") == ["value"]
    answer = {"value": case.instance} if is_wrapped else case.instance
    if case.valid and not Draft202012Validator(asked).is_valid(_completed(asked, answer)):
        return "wrong", f"asked for {json.dumps(asked)}"
    simulator.faults(Fault("answer", text=json.dumps(answer)))
    try:
        value = await llm.extract(case.schema, "?", structured_mode=mode)
    except ExtractionError as error:
        return ("wrong", str(error)) if case.valid else ("right", "")
    except Exception as error:
        return "wrong", repr(error)
    return ("right", "") if case.valid and value == case.instance else ("wrong", f"taken as {value!r}")


def _asked_schema(body: Mapping[str, Any]) -> dict[str, Any]:
    if "tools" in body:
        parameters: dict[str, Any] = body["tools"][0]["function"]["parameters"]
        return parameters
    schema: dict[str, Any] = body["response_format"]["json_schema"]["schema"]
    return schema


def _completed(asked: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer with the fields that a strict schema wants though the type does not."""
    only = {name: part.get("enum", [None])[0] for name, part in asked["properties"].items() if isinstance(part, dict)}
    return {**{name: only.get(name) for name in asked.get("required", ())}, **answer}


async def main(folder: Path) -> None:
    """Print how many cases end in which way, and those that end wrong."""
    counts: Counter[str] = Counter()
    with Simulator() as simulator:
        client = AsyncLLM(model="openai/gpt-4o-mini", base_url=simulator.url, api_key="sk-any", max_reasks=0)
        async with client as llm:
            for case in cases(folder):
                for mode in MODES:
                    end, why = await ending(llm, simulator, case, mode)
                    counts[end] += 1
                    if end == "wrong":
                        print(f"{mode}: {case.name}: {why}")
    print(
        f"{counts.total()} cases",
        *(f"{counts[end]} {end}" for end in ("right", "refused by TypeError", "wrong")),
        sep=", ",
    )
    sys.exit(bool(counts["wrong"]))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
