// A downstream service in Node: do something about each export that has ended.
const { Kafka, logLevel } = require("kafkajs");

const brokers = (process.env.SLUICE_BOOTSTRAP_SERVERS ?? "127.0.0.1:9092").split(",");
const topic = `${process.env.SLUICE_TOPIC_PREFIX ?? "export"}.completions`;

// What this process has handled; after a crash an event may come again all the same.
const REMEMBERED = 1000;
const handled = new Set();

async function tell(event) {
  if (event.type === "export.completed") {
    console.log(`${event.export_id}: ${event.rows} rows in ${event.location}`);
  } else {
    console.log(`${event.export_id}: ${event.type}, ${event.message}`);
  }
}

async function eachMessage({ partition, message }) {
  const id = message.headers.ce_id?.toString();
  if (id && !handled.has(id)) {
    await tell(JSON.parse(message.value.toString())); // if this throws, the event comes again
    handled.add(id);
    if (handled.size > REMEMBERED) handled.delete(handled.values().next().value);
  }
  const offset = (BigInt(message.offset) + 1n).toString();
  await consumer.commitOffsets([{ topic, partition, offset }]);
}

// Aborted events are left out: kafkajs reads committed messages only, by default.
const consumer = new Kafka({ clientId: "mailer", brokers, logLevel: logLevel.ERROR }).consumer({
  groupId: "mailer-node",
  readUncommitted: false,
});

async function main() {
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => consumer.disconnect()); // it finishes the event in hand
  }
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({ autoCommit: false, eachMessage });
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
