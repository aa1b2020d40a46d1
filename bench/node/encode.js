// node encode.js CONTENDER MESSAGES FILE JOB: one contender, once; JOB is JSON with columns, widths,
// objects (whether rows are), and a font, if it needs one. Prints what bench.encode prints.

'use strict';

const fs = require('node:fs');
const { load, sinkFor } = require('./sinks');

function* readMessages(path) {
  const file = fs.openSync(path, 'r');
  const length = Buffer.alloc(4);
  while (fs.readSync(file, length) === length.length) {
    const message = Buffer.alloc(length.readUInt32BE());
    fs.readSync(file, message);
    yield message;
  }
  fs.closeSync(file);
}

function peakBytes() {
  const status = fs.readFileSync('/proc/self/status', 'utf8');
  return Number(/VmHWM:\s+(\d+)/.exec(status)[1]) * 1024;
}

async function main([contender, messages, path, job]) {
  load(contender);
  const cpu = process.cpuUsage();
  const begun = process.hrtime.bigint();
  const sink = sinkFor(contender, { ...JSON.parse(job), path });
  for (const message of readMessages(messages)) {
    await sink.rows(JSON.parse(message).rows);
  }
  await sink.end();
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  const { user, system } = process.cpuUsage(cpu);
  const cpuSeconds = (user + system) / 1e6;
  console.log(JSON.stringify({ seconds, cpu_seconds: cpuSeconds, peak_bytes: peakBytes() }));
}

main(process.argv.slice(2));
