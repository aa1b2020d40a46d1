// An upstream service in Go: ask for a file, then send its rows.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type export struct {
	client *kgo.Client
	prefix string
	id     string
}

// send returns when the message is acknowledged.
func (e export) send(ctx context.Context, topic string, message map[string]any) error {
	message["export_id"] = e.id
	value, err := json.Marshal(message)
	if err != nil {
		return err
	}
	record := &kgo.Record{Topic: e.prefix + "." + topic, Key: []byte(e.id), Value: value}
	return e.client.ProduceSync(ctx, record).FirstErr()
}

func (e export) rows(ctx context.Context) error {
	for seq := 0; seq < 10; seq++ {
		rows := make([][]any, 100)
		for n := range rows {
			rows[n] = []any{seq*100 + n, "12.50"}
		}
		if err := e.send(ctx, "records", map[string]any{"seq": seq, "rows": rows}); err != nil {
			return err
		}
	}
	last := map[string]any{"seq": 10, "rows": [][]any{}, "last": true, "total_rows": 1000}
	return e.send(ctx, "records", last)
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	// By default franz-go is idempotent, so a retry neither repeats nor reorders batches, and chooses
	// partitions by murmur2 as Java does. All producers of the two topics must use one partitioner, so
	// that a request and its batches share a partition number.
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(setting("SLUICE_BOOTSTRAP_SERVERS", "127.0.0.1:9092"), ",")...),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	name := make([]byte, 4)
	rand.Read(name)
	orders := export{client, setting("SLUICE_TOPIC_PREFIX", "export"), "orders-" + hex.EncodeToString(name)}
	// The request first, acknowledged; then the batches in order.
	err = orders.send(ctx, "requests", map[string]any{
		"type":    "export.requested",
		"format":  "csv",
		"columns": []any{"id", map[string]any{"key": "amount", "header": "Amount (EUR)"}},
		"user":    "alice",
	})
	if err != nil {
		return err
	}
	if err := orders.rows(ctx); err != nil {
		// Best effort: without it the export ends as timed_out.
		orders.send(ctx, "requests", map[string]any{"type": "export.cancel_requested"})
		return err
	}
	fmt.Printf("%s: 1000 rows sent\n", orders.id)
	return nil
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
