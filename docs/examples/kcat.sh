#!/bin/sh
# An export by hand, with kcat 1.7 alone: a request, two batches, the event.
set -eu
kafka=${SLUICE_BOOTSTRAP_SERVERS:-127.0.0.1:9092}
prefix=${SLUICE_TOPIC_PREFIX:-export}
id=${1:-kcat-$(date +%s)}

# One message a line. kcat's own partitioner is another than that of Java, kafkajs and Sluice's
# tools, and all producers of the two topics must use one. It ends when all is acknowledged.
send() {
  kcat -P -b "$kafka" -t "$prefix.$1" -k "$id" -X partitioner=murmur2_random -X enable.idempotence=true
}

send requests <<END
{"type": "export.requested", "export_id": "$id", "format": "csv", "columns": ["id", "amount"]}
END
send records <<END
{"export_id": "$id", "seq": 0, "rows": [[1, "12.50"], {"id": 2, "amount": "9.99"}]}
{"export_id": "$id", "seq": 1, "rows": [], "last": true, "total_rows": 2}
END

# Read all that is committed, until ours is among it.
until kcat -C -q -e -b "$kafka" -t "$prefix.completions" -o beginning \
  -X isolation.level=read_committed -f '%k %h\n%s\n' | grep -A 1 "^$id "; do
  sleep 1
done
