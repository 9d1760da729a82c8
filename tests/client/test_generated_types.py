"""Types for TypeScript and Java are made from the schemas as docs/schemas.md says, and read every example."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from tests.conftest import without
from tests.docs.pages import ROOT, Block, blocks, commands
from tests.kafka_distribution import KafkaUnobtainable, find_java, run_maven
from tests.sample_records import KINDS, examples

MAIN = """
import com.example.records.*;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import java.io.*;

public class Main {
    public static void main(String[] arguments) throws Exception {
        MAPPER
        mapper.disable(SerializationFeature.WRITE_DATES_AS_TIMESTAMPS);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String type = mapper.readTree(line).get("type").asText();
            Object record = mapper.readValue(line, Class.forName("com.example.records." + type));
            out.println(mapper.writeValueAsString(record));
        }
        System.out.println(mapper.readValue(UNKNOWN, AgentStateChanged.class).getChange());
    }

    static final String UNKNOWN = "{\\"type\\": \\"AgentStateChanged\\", \\"change\\": \\"added\\", \\"more\\": [1]}";
}
"""


def block(language: str, beginning: str = "") -> Block:
    """The page's block in that language."""
    (found,) = (b for b in blocks(language) if b.page.name == "schemas.md" and b.text.startswith(beginning))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's directory, with the schemas in it."""
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    return tmp_path


def test_typescript_types_are_made_and_used(folder: Path, node_modules: Path) -> None:
    """By the page's commands and program, strictly; a field that is not in the schema does not compile."""
    program = block("typescript").text
    (folder / "reader.ts").write_text(program)

    def run(command: str) -> subprocess.CompletedProcess[str]:
        name, *arguments = re.sub(r"^npx --package \S+ ", "", command).split()
        return subprocess.run(
            [node_modules / ".bin" / name, *arguments], cwd=folder, capture_output=True, text=True, check=False
        )

    make, compile_ = commands(block("console", "npx"))
    for command in (make, compile_):
        done = run(command)
        assert done.returncode == 0, done.stdout + done.stderr
    (folder / "field.ts").write_text(program.replace("previous_duration_s", "previous_duration"))
    (folder / "value.ts").write_text(program.replace('"talking"', '"walking"'))
    wrong = run(compile_.replace("reader.ts", "field.ts value.ts")).stdout
    assert re.findall(r"^(\w+\.ts)\(", wrong, re.MULTILINE) == ["field.ts", "value.ts"]


def test_java_types_are_made_and_read_every_example(folder: Path, request: pytest.FixtureRequest) -> None:
    """By the page's pom and mapper: each example comes back as it was, and an unknown value is null."""
    (folder / "pom.xml").write_text(block("xml").text)
    main = folder / "src" / "main" / "java" / "Main.java"
    main.parent.mkdir(parents=True)
    main.write_text(MAIN.replace("MAPPER", block("java").text))
    try:
        java = find_java()
        run_maven(["compile", "dependency:copy-dependencies", "-DoutputDirectory=libs"], folder, java)
    except KafkaUnobtainable as error:
        without(request.config, "tools", str(error))
    sent = [record for kind in KINDS for record in examples(kind)]
    done = subprocess.run(
        [java, "-XX:TieredStopAtLevel=1", "-cp", "target/classes:libs/*", "Main"],
        cwd=folder,
        input="".join(json.dumps(record) + "\n" for record in sent),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *lines, unknown = done.stdout.splitlines()
    assert unknown == "null"
    for record, line in zip(sent, lines, strict=True):
        assert comparable(json.loads(line)) == comparable(record)


def comparable(part: Any) -> Any:
    """Without fields that are null, which Java leaves out, and without the zeros at a moment's end."""
    if isinstance(part, dict):
        return {name: comparable(v) for name, v in cast(dict[str, Any], part).items() if v is not None}
    if isinstance(part, list):
        return [comparable(item) for item in cast(list[Any], part)]
    return re.sub(r"(\.\d*?)0+Z$", r"\1Z", part) if isinstance(part, str) else part
