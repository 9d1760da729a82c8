"""Writes streamer/client/records.py from the published schemas: `python -m tests.client.generate_records`.

A reader must not break where a later minor version adds a value or a field, so the types say what a field is and
not which values it may have.
"""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any, cast

from streamer import schemas

Schema = dict[str, Any]

TARGET = Path(__file__).parents[2] / "streamer" / "client" / "records.py"
ORDER = ("agent-state-changed", "agent-state", "feed-status", "rejected-record")
HEAD = '"""The records as a consumer reads them, generated from the published schemas; their fields: docs/events.md."""'
NAMES = {"group": "Group", "state_since": "StateSince"}
"""Definitions that keep a class of their own; `AgentState` tells more of a seat than an event's group."""


def tolerant(schema: Any, definitions: Schema, title: str) -> Schema:
    """What a field is, without what limits its values; definitions are put in where they are used."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return tolerant(definitions[name], definitions, NAMES.get(name) or name)
    if "$ref" in str(schema.get("allOf")):
        both: list[Schema] = [*schema["allOf"], {**schema, "allOf": []}]
        parts = [tolerant(part, definitions, title) for part in both]
        properties = {name: field for part in parts for name, field in part.get("properties", {}).items()}
        required = [name for part in parts for name in part.get("required", [])]
        return {**parts[0], "title": title, "properties": properties, "required": required}
    kept: Schema = {}
    if "anyOf" in schema:
        kept["anyOf"] = [tolerant(part, definitions, title) for part in schema["anyOf"]]
    if "type" in schema:
        kept["type"] = schema["type"]
    if "format" in schema:
        kept["format"] = schema["format"]
    if "items" in schema:
        kept["items"] = tolerant(schema["items"], definitions, "Seat")
    if "properties" in schema:
        kept["title"] = title
        kept["description"] = _sentence(schema.get("description", f"{title}, see docs/events.md"))
        kept["required"] = schema.get("required", [])
        kept["properties"] = {
            name: tolerant(part, definitions, "".join(word.title() for word in name.split("_")))
            for name, part in schema["properties"].items()
        }
    return kept


def _sentence(text: str) -> str:
    first = text.partition(". ")[0].rstrip(".")
    return (first if len(first) < 105 else first.rpartition(", ")[0]) + "."


def combined() -> Schema:
    """One schema whose definitions are all records."""
    records: Schema = {}
    for name in ORDER:
        schema = schemas.load(name)
        title = cast(str, schema["title"])
        records[title] = tolerant(schema, schema.get("$defs", {}), title)
    return {"$defs": records}


def generated() -> str:
    """The module's text."""
    from datamodel_code_generator import generate
    from datamodel_code_generator.enums import DataModelType, InputFileType
    from datamodel_code_generator.format import DatetimeClassType, Formatter, PythonVersion

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = generate(
            json.dumps(combined()),
            input_file_type=InputFileType.JsonSchema,
            output_model_type=DataModelType.MsgspecStruct,
            target_python_version=PythonVersion.PY_311,
            output_datetime_class=DatetimeClassType.Datetime,
            use_standard_collections=True,
            use_union_operator=True,
            use_schema_description=True,
            use_title_as_name=True,
            reuse_model=True,
            disable_timestamp=True,
            formatters=[Formatter.RUFF_CHECK, Formatter.RUFF_FORMAT],
        )
    body = cast(str, text).partition("\n\n")[2].replace("\nModel: TypeAlias = Any\n", "")
    body = re.sub(r"Annotated\[(\w+), Meta\([^)]*\)\]", r"\1", body).replace("Meta, ", "")
    body = re.sub(r"from typing import .*\n\n", "\n", body).replace("(Struct):", "(Struct, frozen=True, gc=False):")
    return HEAD + "\n\n" + re.sub(r'"""\n    (.*)\n    """', r'"""\1"""', body).rstrip() + "\n"


if __name__ == "__main__":
    TARGET.write_text(generated(), "utf-8")
