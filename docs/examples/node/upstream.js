// An upstream service in Node: ask for a file, then send its rows.
const { randomUUID } = require("node:crypto");
const { Kafka, Partitioners, logLevel } = require("kafkajs");

const brokers = (process.env.SLUICE_BOOTSTRAP_SERVERS ?? "127.0.0.1:9092").split(",");
const prefix = process.env.SLUICE_TOPIC_PREFIX ?? "export";

async function main() {
  const producer = new Kafka({ clientId: "orders", brokers, logLevel: logLevel.ERROR }).producer({
    // Java's murmur2, which is also the default of kafkajs 2. All producers of the two topics must
    // use one partitioner, so that a request and its batches share a partition number.
    createPartitioner: Partitioners.DefaultPartitioner,
    idempotent: true, // a retry neither repeats nor reorders batches
  });
  const exportId = `orders-${randomUUID().slice(0, 8)}`;
  const send = (topic, message) =>
    producer.send({
      topic: `${prefix}.${topic}`,
      messages: [{ key: exportId, value: JSON.stringify({ ...message, export_id: exportId }) }],
    });

  await producer.connect();
  try {
    // The request first, acknowledged; then the batches in order.
    await send("requests", {
      type: "export.requested",
      format: "csv",
      columns: ["id", { key: "amount", header: "Amount (EUR)" }],
      user: "alice",
    });
    try {
      for (let seq = 0; seq < 10; seq += 1) {
        const rows = Array.from({ length: 100 }, (_, n) => [seq * 100 + n, "12.50"]);
        await send("records", { seq, rows });
      }
      await send("records", { seq: 10, rows: [], last: true, total_rows: 1000 });
    } catch (error) {
      await send("requests", { type: "export.cancel_requested" });
      throw error;
    }
  } finally {
    await producer.disconnect();
  }
  console.log(`${exportId}: 1000 rows sent`);
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
