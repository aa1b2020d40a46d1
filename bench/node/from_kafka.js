// node from_kafka.js JOB: exports from Kafka to files, as a small Node service would make them; JOB is
// JSON with brokers, topic, group, directory, contender, extension, columns, widths, objects. Prints {"ready": true} when
// it has partitions, and {"done": EXPORT_ID, "rows": N} for each file that is whole.
//
// It does what such a service does and no more: one file per export id, offsets committed by
// themselves. Killed in between, it leaves half a file and repeats or loses rows.

'use strict';

const path = require('node:path');
const { Kafka, logLevel } = require('kafkajs');
const { load, sinkFor } = require('./sinks');

const job = JSON.parse(process.argv[2]);
const say = (what) => console.log(JSON.stringify(what));
const exportsById = new Map();

function opened(id) {
  let open = exportsById.get(id);
  if (!open) {
    const file = path.join(job.directory, `${id}.${job.extension}`);
    open = { sink: sinkFor(job.contender, { ...job, path: file }), rows: 0 };
    exportsById.set(id, open);
  }
  return open;
}

async function onMessage({ message }) {
  const batch = JSON.parse(message.value);
  const open = opened(batch.export_id);
  await open.sink.rows(batch.rows);
  open.rows += batch.rows.length;
  if (batch.last) {
    exportsById.delete(batch.export_id);
    await open.sink.end();
    say({ done: batch.export_id, rows: open.rows });
  }
}

async function main() {
  load(job.contender);
  const kafka = new Kafka({ brokers: job.brokers, logLevel: logLevel.NOTHING });
  const consumer = kafka.consumer({ groupId: job.group, maxWaitTimeInMs: 50 });
  consumer.on(consumer.events.GROUP_JOIN, () => say({ ready: true }));
  await consumer.connect();
  await consumer.subscribe({ topic: job.topic, fromBeginning: true });
  await consumer.run({ partitionsConsumedConcurrently: 4, eachMessage: onMessage });
}

main();
