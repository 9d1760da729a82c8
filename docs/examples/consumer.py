"""Prints every event once, and says what is missing. pip install 'aiokafka[lz4]'; KAFKA and TOPIC say where."""

import asyncio
import json
import os

from aiokafka import AIOKafkaConsumer


async def main() -> None:
    consumer = AIOKafkaConsumer(
        os.environ.get("TOPIC", "agent-state-changed"),
        bootstrap_servers=os.environ.get("KAFKA", "localhost:9092"),
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    last: dict[str, tuple[str, int]] = {}
    async with consumer:
        async for record in consumer:
            try:
                event = json.loads(record.value)
                key, number = f"{event['source']}/{event['extension']}", (event["epoch"], event["sequence"])
                state, since = event["current"]["state"], event["current"]["since"]
            except (TypeError, ValueError, KeyError):
                print(f"UNREADABLE {record.topic}[{record.partition}]@{record.offset}", flush=True)
                continue
            before = last.get(key, (number[0], 0))
            if number <= before:
                continue  # a repeat
            expected = before[1] + 1 if before[0] == number[0] else 1
            if number[1] != expected:
                print(f"MISSING {key} {expected} to {number[1] - 1}", flush=True)
            last[key] = number
            print(key, state, "since", since, flush=True)


asyncio.run(main())
