"""May a published schema change in this way? Compares an older JSON Schema with the current one.

Two readers must not break:

- one coded against the older schema who meets what we write now: a required field may not become optional or
  disappear, and no type, enum, pattern or bound of a known field may be *widened*;
- one coded against the current schema who meets what is still in the topic: no field may become required, and
  nothing may be *narrowed*.

What remains free is what both ignore: a new optional field, with any rules about itself, and annotations.
Source of the rules: the contract ("rename or drop none"), and records that stay in the topics for 30 days.

What the schemas say is compared, not all that they could mean: a rule put in other words is reported. `$ref`
is followed within a schema; a keyword that this module does not know may not change at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, cast

Schema = dict[str, Any]

EVERY_TYPE = ("array", "boolean", "integer", "null", "number", "object", "string")
LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
OPEN = ("items", "additionalProperties", "propertyNames")
"""Keywords with one schema for all parts of a value; without it every part is allowed."""
ONE = (*OPEN, "contains", "not", "if", "then", "else")
SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
BY_NAME = ("properties", "patternProperties", "dependentSchemas")
SHAPES: dict[str, type | tuple[type, ...]] = {
    "type": (str, list),
    **dict.fromkeys(("required", "enum", *SEVERAL), list),
    **dict.fromkeys(BY_NAME, dict),
    **dict.fromkeys((*LOWER, *UPPER), (int, float)),
}
WALKED = {"type", "enum", "const", "required", "properties", "allOf", "anyOf", *OPEN}
"""Keywords that are compared part by part; all others as a whole."""
SILENT = {"$schema", "$id", "$defs", "$comment", "title", "description", "examples", "default", "deprecated"}
"""Keywords that do not decide which records are valid."""
NEVER: Schema = {"not": {}}
WIDER = "readers of the older schema do not expect that"
NARROWER = "records already written may break that"


class NotASchema(ValueError):
    """A document does not have the shape of a JSON Schema; the message says where."""


def compare(old: Schema, new: Schema) -> list[str]:
    """Whatever in `new` breaks a reader of `old`, or a reader of `new` who meets records written under `old`.

    Each message names the schema (its title), the path of the field and what changed; none means compatible.
    Raises `NotASchema` where one of the two does not have the shape of a schema.
    """
    title = new.get("title") or old.get("title") or "schema"
    found = _walk(_plain(old, old, ()), _plain(new, new, ()), _Place(), None)
    return [f"{title}: {message}" for message in dict.fromkeys(found)]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a record a part of the schema speaks, and under which condition."""

    path: str = ""
    where: str = ""

    def field(self, name: str) -> _Place:
        return replace(self, path=f"{self.path}.{name}" if self.path else name)

    def within(self, keyword: str) -> _Place:
        return replace(self, path=self.path + "[]" if keyword == "items" else f"{self.path}<{keyword}>")

    def when(self, word: str, condition: Schema) -> _Place:
        limits = {name: _values(rule) for name, rule in condition.get("properties", {}).items()}
        texts = [f"{name} is {_listed(values)}" for name, values in limits.items() if values]
        return replace(self, where=f"{self.where} {word} {' and '.join(texts) or _short(condition)}".strip())

    def says(self, what: str, reader: str) -> str:
        return f"{self.path or '(record)'}{f' ({self.where})' if self.where else ''}: {what}; {reader}"


def _plain(schema: Any, root: Schema, followed: tuple[str, ...]) -> Schema:
    """The schema with `$ref` put in, annotations left out, and all rules with `if` directly in `allOf`."""
    if isinstance(schema, bool):
        return {} if schema else NEVER
    if not isinstance(schema, dict):
        raise NotASchema(f"{_short(schema)} stands where a schema should")
    given = cast(Schema, schema)
    plain: Schema = {}
    for keyword, value in given.items():
        texts = cast(list[Any], value if keyword in ("type", "required") and isinstance(value, list) else [])
        if not isinstance(value, SHAPES.get(keyword, object)) or any(not isinstance(t, str) for t in texts):
            raise NotASchema(f"{keyword} is {_short(value)}")
        if keyword in ONE:
            plain[keyword] = _plain(value, root, followed)
        elif keyword in SEVERAL:
            plain[keyword] = [_plain(part, root, followed) for part in cast(list[Any], value)]
            if keyword == "allOf":
                lifted = (part["allOf"] if part.keys() == {"allOf"} else [part] for part in plain[keyword])
                plain[keyword] = [rule for rules in lifted for rule in rules]
        elif keyword in BY_NAME:
            parts = cast(Schema, value).items()
            plain[keyword] = {name: _plain(part, root, followed) for name, part in parts}
        elif keyword not in SILENT and keyword != "$ref" and not keyword.startswith("x-"):
            plain[keyword] = value
    if "if" in plain:
        rule = {keyword: plain.pop(keyword) for keyword in ("if", "then", "else") if keyword in plain}
        plain["allOf"] = [*plain.get("allOf", []), rule]
    reference = given.get("$ref")
    if reference is None:
        return plain
    if reference in followed:  # a schema that contains itself: compared by name from here on
        return plain | {"$ref": reference}
    target = _plain(_target(reference, root), root, (*followed, reference))
    if plain.keys() & target.keys():
        return plain | {"allOf": [*plain.get("allOf", []), target]}
    return target | plain


def _target(reference: Any, root: Schema) -> Any:
    """What a `$ref` points to; only pointers into the same document can be followed."""
    part: Any = root
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise NotASchema(f"$ref {_short(reference)} does not point into the same document")
    for step in reference.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(part, dict) or key not in part:
            raise NotASchema(f"$ref {reference} points to nothing")
        part = cast(Schema, part)[key]
    return part


def _walk(old: Schema, new: Schema, at: _Place, base: Schema | None) -> Iterator[str]:
    """Every difference that matters.

    `base` is the older description of the value where `old` and `new` are only rules about it, else None: a
    rule about a field that `base` does not have harms nobody.
    """
    if old == new:
        return
    if NEVER in (old, new):
        yield at.says("is now forbidden", NARROWER) if new == NEVER else at.says("is now allowed", WIDER)
        return
    if {"anyOf"} in (old.keys(), new.keys()):
        was, now = (part["anyOf"] if part.keys() == {"anyOf"} else [part] for part in (old, new))
        yield from _alternatives(was, now, at, base)
        return
    yield from _limits(old, new, at)
    yield from _fields(old, new, at, base)
    for keyword in OPEN:
        part = base.get(keyword, {}) if base is not None else None
        yield from _walk(old.get(keyword, {}), new.get(keyword, {}), at.within(keyword), part)
    about = old if base is None else base
    if "anyOf" in old and "anyOf" in new:
        yield from _alternatives(old["anyOf"], new["anyOf"], at, about)
    elif "anyOf" in old or "anyOf" in new:
        yield at.says("anyOf added", NARROWER) if "anyOf" in new else at.says("anyOf removed", WIDER)
    yield from _rules(old.get("allOf", []), new.get("allOf", []), at, about)


def _limits(old: Schema, new: Schema, at: _Place) -> Iterator[str]:
    """Types, values, bounds, and every keyword that is compared as a whole."""
    before, after = _types(old), _types(new)
    if after - before:
        yield at.says(f"type widened from {_type(old)} to {_type(new)}", WIDER)
    if before - after:
        yield at.says(f"type narrowed from {_type(old)} to {_type(new)}", NARROWER)
    known, allowed = _values(old), _values(new)
    if known is not None and allowed is None:
        yield at.says(f"is no longer limited to {_listed(known)}", WIDER)
    elif known is None and allowed is not None:
        yield at.says(f"is now limited to {_listed(allowed)}", NARROWER)
    elif known is not None and allowed is not None:
        if allowed - known:
            yield at.says(f"may now also be {_listed(allowed - known)}", WIDER)
        if known - allowed:
            yield at.says(f"may no longer be {_listed(known - allowed)}", NARROWER)
    for keyword in sorted((old.keys() | new.keys()) - WALKED):
        was, now = old.get(keyword), new.get(keyword)
        if was == now:
            continue
        what = f"{keyword} changed from {_short(was)} to {_short(now)}"
        looser, tighter = was is not None, now is not None
        if was is not None and now is not None and keyword in (*LOWER, *UPPER):
            tighter = (now > was) is (keyword in LOWER)
            looser = not tighter
        if looser:
            yield at.says(what, WIDER)
        if tighter:
            yield at.says(what, NARROWER)


def _fields(old: Schema, new: Schema, at: _Place, base: Schema | None) -> Iterator[str]:
    """Fields that came, went, changed, or whose presence is promised differently."""
    before, after = set(old.get("required", [])), set(new.get("required", []))
    for name in sorted(before - after):
        yield at.field(name).says("is no longer required", WIDER)
    for name in sorted(after - before):
        yield at.field(name).says("became required", NARROWER)
    fields, current = old.get("properties", {}), new.get("properties", {})
    for name in [*fields, *(name for name in current if name not in fields)]:
        place = at.field(name)
        if base is not None:
            known = _field(base, name)
            if name in fields or known is not None:
                yield from _walk(fields.get(name, {}), current.get(name, {}), place, known or {})
        elif name not in current:
            yield place.says("was removed", WIDER)
        elif name in fields:
            yield from _walk(fields[name], current[name], place, None)
        elif old.get("additionalProperties", {}) != {}:
            yield place.says("was added where other fields are not free", WIDER)


def _alternatives(old: list[Schema], new: list[Schema], at: _Place, base: Schema | None) -> Iterator[str]:
    """`anyOf`: equal alternatives belong together, then those of the same type."""
    gone = [part for part in old if part not in new]
    came = [part for part in new if part not in old]
    for part in list(gone):
        match = next((other for other in came if _types(other) == _types(part)), None)
        if match is not None:
            gone.remove(part)
            came.remove(match)
            yield from _walk(part, match, at, base)
    for part in came:
        yield at.says(f"may now also be {_type(part)}: {_short(part)}", WIDER)
    for part in gone:
        yield at.says(f"may no longer be {_type(part)}: {_short(part)}", NARROWER)


def _rules(old: list[Schema], new: list[Schema], at: _Place, base: Schema) -> Iterator[str]:
    """`allOf`: rules with the same `if` belong together, the others in their order."""
    plain = ([part for part in rules if "if" not in part] for rules in (old, new))
    for was, now in zip_longest(*plain, fillvalue=Schema()):
        yield from _walk(was, now, at, base)
    conditions = [part["if"] for part in (*old, *new) if "if" in part]
    for index, condition in enumerate(conditions):
        if condition in conditions[:index]:
            continue
        about_new_field = any(_field(base, name) is None for name in condition.get("required", []))
        for branch, word in (("then", "where"), ("else", "unless")):
            if branch == "else" or not about_new_field:  # no older record has the new field
                was, now = (_branch(rules, condition, branch) for rules in (old, new))
                yield from _walk(was, now, at.when(word, condition), base)


def _branch(rules: list[Schema], condition: Schema, branch: str) -> Schema:
    """What all rules under one condition ask for together."""
    parts = [rule[branch] for rule in rules if rule.get("if") == condition and branch in rule]
    return parts[0] if len(parts) == 1 else {"allOf": parts} if parts else {}


def _field(schema: Schema, name: str) -> Schema | None:
    """How a schema describes one of its fields, wherever it does; None where it does not."""
    if name in schema.get("properties", {}):
        return schema["properties"][name]
    parts = [part for keyword in ("anyOf", "oneOf", "allOf") for part in schema.get(keyword, [])]
    parts += [schema[branch] for branch in ("then", "else") if branch in schema]
    return next((found for part in parts if (found := _field(part, name)) is not None), None)


def _types(schema: Schema) -> frozenset[str]:
    named = schema.get("type", EVERY_TYPE)
    names = frozenset([named] if isinstance(named, str) else named)
    return names | {"integer"} if "number" in names else names


def _type(schema: Schema) -> str:
    named = schema.get("type", "anything")
    return named if isinstance(named, str) else " or ".join(named)


def _values(schema: Schema) -> frozenset[str] | None:
    """The values that `const` or `enum` allow, as JSON (in which 1 and true differ); None where any is."""
    lists = [[schema["const"]] if "const" in schema else None, schema.get("enum")]
    found = [{json.dumps(value, sort_keys=True) for value in given} for given in lists if given is not None]
    return frozenset(found[0].intersection(*found[1:])) if found else None


def _listed(values: frozenset[str]) -> str:
    return " or ".join(sorted(values))


def _short(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value, sort_keys=True)
    return text if len(text) <= 80 else f"{text[:77]}..."
