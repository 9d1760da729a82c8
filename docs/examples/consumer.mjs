// Prints every event once, and says what is missing. npm install kafkajs lz4-napi; KAFKA and TOPIC say where.
import kafkajs from "kafkajs";
import { decompressFrame } from "lz4-napi";

const { Kafka, CompressionCodecs, CompressionTypes, logLevel } = kafkajs;
CompressionCodecs[CompressionTypes.LZ4] = () => ({ decompress: decompressFrame });

const { KAFKA = "localhost:9092", TOPIC = "agent-state-changed", GROUP = "example-node" } = process.env;
const consumer = new Kafka({ brokers: [KAFKA], logLevel: logLevel.ERROR }).consumer({ groupId: GROUP });
const last = new Map();

await consumer.connect();
await consumer.subscribe({ topic: TOPIC, fromBeginning: true }); // kafkajs reads committed records unless told otherwise
await consumer.run({
  eachMessage: async ({ topic, partition, message }) => {
    let event, key, state, since;
    try {
      event = JSON.parse(message.value.toString());
      key = `${event.source}/${event.extension}`;
      ({ state, since } = event.current);
    } catch {
      console.log(`UNREADABLE ${topic}[${partition}]@${message.offset}`);
      return;
    }
    const { epoch, sequence } = event;
    const before = last.get(key) ?? { epoch, sequence: 0 };
    if (epoch < before.epoch || (epoch === before.epoch && sequence <= before.sequence)) return; // a repeat
    const expected = epoch === before.epoch ? before.sequence + 1 : 1;
    if (sequence !== expected) console.log(`MISSING ${key} ${expected} to ${sequence - 1}`);
    last.set(key, { epoch, sequence });
    console.log(`${key} ${state} since ${since}`);
  },
});
