// A downstream service in Go: do something about each export that has ended.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
)

type event struct {
	Type     string `json:"type"`
	ExportID string `json:"export_id"`
	Rows     int    `json:"rows"`
	Location string `json:"location"`
	Message  string `json:"message"`
}

// handled has what this process has handled, the latest 1,000 at least; after a crash an event may come
// again all the same.
var handled, before = map[string]bool{}, map[string]bool{}

// tell does what the service is for, here a line. If it fails, the event comes again.
func tell(e event) error {
	if e.Type == "export.completed" {
		fmt.Printf("%s: %d rows in %s\n", e.ExportID, e.Rows, e.Location)
	} else {
		fmt.Printf("%s: %s, %s\n", e.ExportID, e.Type, e.Message)
	}
	return nil
}

func handle(record *kgo.Record) error {
	id := ""
	for _, header := range record.Headers {
		if header.Key == "ce_id" {
			id = string(header.Value)
		}
	}
	if handled[id] || before[id] {
		return nil
	}
	var e event
	if err := json.Unmarshal(record.Value, &e); err != nil {
		return err
	}
	if err := tell(e); err != nil {
		return err
	}
	handled[id] = true
	if len(handled) == 1000 {
		handled, before = map[string]bool{}, handled
	}
	return nil
}

func run(ctx context.Context) error {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(setting("SLUICE_BOOTSTRAP_SERVERS", "127.0.0.1:9092"), ",")...),
		kgo.ConsumeTopics(setting("SLUICE_TOPIC_PREFIX", "export")+".completions"),
		kgo.ConsumerGroup("mailer-go"),
		// Aborted events are left out.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		// No partition moves while its events are handled.
		kgo.BlockRebalanceOnPoll(),
	)
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance() // leaves the group, so others go on at once
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		for records := fetches.RecordIter(); !records.Done(); {
			record := records.Next()
			if err := handle(record); err != nil {
				return err
			}
			if err := client.CommitRecords(context.Background(), record); err != nil {
				return err
			}
		}
		client.AllowRebalance()
	}
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
