// Readers on azeventhubs at the Event-Hubs-compatible endpoint of a hub, one case each.
//
//	eventhubs CASE ENDPOINT [ARGUMENT...]
//
// EVENT_HUBS_CONNECTION_STRING says what is read, ENDPOINT (host:port) where; SSL_CERT_FILE names the CA. The last line
// is {"received":…,"ok":true}, and the exit code 0 or 1.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

type run struct {
	ctx       context.Context
	endpoint  string
	arguments []string
	received  atomic.Int64
	seen      map[string]any
}

var cases = map[string]func(*run) error{
	"cut":          cut,
	"latest":       latest,
	"owner-levels": ownerLevels,
	"positions":    positions,
	"processors":   processors,
	"properties":   properties,
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	r := &run{ctx: ctx, endpoint: os.Args[2], arguments: os.Args[3:], seen: map[string]any{}}
	err := cases[os.Args[1]](r)
	r.seen["received"], r.seen["ok"] = r.received.Load(), err == nil
	if err != nil {
		r.seen["error"] = err.Error()
	}
	line, _ := json.Marshal(r.seen)
	fmt.Println(string(line))
	if err != nil {
		os.Exit(1)
	}
}

func ptr[T any](value T) *T { return &value }

// client reports the first refusal.
func (r *run) client() (*azeventhubs.ConsumerClient, error) {
	return r.clientWith(azeventhubs.RetryOptions{MaxRetries: -1})
}

func (r *run) clientWith(retry azeventhubs.RetryOptions) (*azeventhubs.ConsumerClient, error) {
	host, _, err := net.SplitHostPort(r.endpoint)
	if err != nil {
		return nil, err
	}
	return azeventhubs.NewConsumerClientFromConnectionString(
		os.Getenv("EVENT_HUBS_CONNECTION_STRING"), "", azeventhubs.DefaultConsumerGroup,
		&azeventhubs.ConsumerClientOptions{
			CustomEndpoint: r.endpoint,
			// The SDK takes the name for SNI from the connection string, with its port.
			TLSConfig:    &tls.Config{ServerName: host},
			RetryOptions: retry,
		})
}

// cut reads a number of events of a partition, in order and each once, while connections are cut: the SDK makes others. The
// arguments are the partition and the number.
func cut(r *run) error {
	var count int64
	if _, err := fmt.Sscan(r.arguments[1], &count); err != nil {
		return err
	}
	client, err := r.clientWith(azeventhubs.RetryOptions{MaxRetries: 5, RetryDelay: 100 * time.Millisecond})
	if err != nil {
		return err
	}
	defer client.Close(context.Background())
	partition, err := client.NewPartitionClient(r.arguments[0], &azeventhubs.PartitionClientOptions{
		StartPosition: azeventhubs.StartPosition{Earliest: ptr(true)},
	})
	if err != nil {
		return err
	}
	defer partition.Close(context.Background())
	for next := int64(0); next < count; {
		events, err := partition.ReceiveEvents(r.ctx, 1, nil)
		if err != nil {
			return fmt.Errorf("behind event %d: %w", next, err)
		}
		for _, event := range events {
			if event.SequenceNumber != next {
				return fmt.Errorf("event %d came, not %d", event.SequenceNumber, next)
			}
			next++
			r.received.Add(1)
		}
	}
	return nil
}

// properties are those of the entity and of each partition.
func properties(r *run) error {
	client, err := r.client()
	if err != nil {
		return err
	}
	defer client.Close(r.ctx)
	entity, err := client.GetEventHubProperties(r.ctx, nil)
	if err != nil {
		return err
	}
	r.seen["name"], r.seen["created"] = entity.Name, entity.CreatedOn
	var partitions []map[string]any
	for _, id := range entity.PartitionIDs {
		of, err := client.GetPartitionProperties(r.ctx, id, nil)
		if err != nil {
			return err
		}
		if of.EventHubName != entity.Name || of.PartitionID != id {
			return fmt.Errorf("partition %s is said to be %s of %s", id, of.PartitionID, of.EventHubName)
		}
		partitions = append(partitions, map[string]any{
			"first": of.BeginningSequenceNumber, "last": of.LastEnqueuedSequenceNumber, "empty": of.IsEmpty,
		})
		r.received.Add(1)
	}
	r.seen["partitions"] = partitions
	return nil
}

// read takes that many events from a position.
func (r *run) read(options azeventhubs.PartitionClientOptions, count int) ([]*azeventhubs.ReceivedEventData, error) {
	client, err := r.client()
	if err != nil {
		return nil, err
	}
	defer client.Close(r.ctx)
	reader, err := client.NewPartitionClient(r.arguments[0], &options)
	if err != nil {
		return nil, err
	}
	defer reader.Close(r.ctx)
	var events []*azeventhubs.ReceivedEventData
	for len(events) < count {
		some, err := reader.ReceiveEvents(r.ctx, count-len(events), nil)
		if err != nil {
			return nil, err
		}
		events = append(events, some...)
	}
	r.received.Add(int64(len(events)))
	return events, nil
}

// positions begin at each kind of place, with the event there and without. The arguments are a partition and how many
// events it has.
func positions(r *run) error {
	var count int64
	if _, err := fmt.Sscan(r.arguments[1], &count); err != nil {
		return err
	}
	all, err := r.read(azeventhubs.PartitionClientOptions{StartPosition: azeventhubs.StartPosition{Earliest: ptr(true)}}, int(count))
	if err != nil {
		return err
	}
	for number, event := range all {
		if event.SequenceNumber != int64(number) || string(event.Body) != fmt.Sprintf(`{"number":%d}`, number) {
			return fmt.Errorf("event %d is %d with %q", number, event.SequenceNumber, event.Body)
		}
	}
	at := all[count/2]
	for _, inclusive := range []bool{true, false} {
		first := at.SequenceNumber + 1
		if inclusive {
			first--
		}
		// Of events that came at the same time, all or none.
		after := int64(0)
		for after < count && (all[after].EnqueuedTime.Before(*at.EnqueuedTime) ||
			!inclusive && all[after].EnqueuedTime.Equal(*at.EnqueuedTime)) {
			after++
		}
		for name, from := range map[string]struct {
			position azeventhubs.StartPosition
			first    int64
		}{
			"sequence number": {azeventhubs.StartPosition{SequenceNumber: &at.SequenceNumber, Inclusive: inclusive}, first},
			"offset":          {azeventhubs.StartPosition{Offset: &at.Offset, Inclusive: inclusive}, first},
			"enqueued time":   {azeventhubs.StartPosition{EnqueuedTime: at.EnqueuedTime, Inclusive: inclusive}, after},
		} {
			if from.first == count {
				return fmt.Errorf("all events came at the same time")
			}
			events, err := r.read(azeventhubs.PartitionClientOptions{StartPosition: from.position}, int(count-from.first))
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for number, event := range events {
				if event.SequenceNumber != from.first+int64(number) {
					return fmt.Errorf("%s (inclusive: %v): event %d came, not %d", name, inclusive, event.SequenceNumber, from.first+int64(number))
				}
			}
		}
	}
	return nil
}

// latest sees only events that come from now on; somebody has to send them.
func latest(r *run) error {
	client, err := r.client()
	if err != nil {
		return err
	}
	defer client.Close(r.ctx)
	before, err := client.GetPartitionProperties(r.ctx, r.arguments[0], nil)
	if err != nil {
		return err
	}
	events, err := r.read(azeventhubs.PartitionClientOptions{StartPosition: azeventhubs.StartPosition{Latest: ptr(true)}}, 5)
	if err != nil {
		return err
	}
	for number, event := range events {
		if event.SequenceNumber <= before.LastEnqueuedSequenceNumber {
			return fmt.Errorf("event %d was there before", event.SequenceNumber)
		}
		if number > 0 && event.SequenceNumber != events[number-1].SequenceNumber+1 {
			return fmt.Errorf("event %d follows %d", event.SequenceNumber, events[number-1].SequenceNumber)
		}
	}
	return nil
}

// ownerLevels has a reader pushed out by one with a higher level, which then keeps lower ones out.
func ownerLevels(r *run) error {
	client, err := r.client()
	if err != nil {
		return err
	}
	defer client.Close(r.ctx)
	read := func(level *int64) (*azeventhubs.PartitionClient, error) {
		reader, err := client.NewPartitionClient(r.arguments[0], &azeventhubs.PartitionClientOptions{
			OwnerLevel: level, StartPosition: azeventhubs.StartPosition{Earliest: ptr(true)}, Prefetch: -1,
		})
		if err != nil {
			return nil, err
		}
		return reader, r.readOn(reader)
	}
	lost := func(who string, err error) error {
		var refused *azeventhubs.Error
		if !errors.As(err, &refused) || refused.Code != azeventhubs.ErrorCodeOwnershipLost {
			return fmt.Errorf("%s: %w, not an ownership that is lost", who, err)
		}
		return nil
	}
	// The SDK has a code for a link that was attached only.
	refused := func(who string, err error) error {
		if err == nil || !strings.Contains(err.Error(), "amqp:link:stolen") {
			return fmt.Errorf("%s: %w, not a refusal", who, err)
		}
		return nil
	}
	first, err := read(ptr(int64(1)))
	if err != nil {
		return fmt.Errorf("the first: %w", err)
	}
	second, err := read(ptr(int64(2)))
	if err != nil {
		return fmt.Errorf("the second: %w", err)
	}
	// There is more to read, and not for it.
	if err := lost("the first, pushed out", r.readOn(first)); err != nil {
		return err
	}
	_, err = read(ptr(int64(1)))
	if err := refused("a lower level", err); err != nil {
		return err
	}
	_, err = read(nil)
	if err := refused("no level", err); err != nil {
		return err
	}
	if err := r.readOn(second); err != nil {
		return fmt.Errorf("the second, which stays: %w", err)
	}
	third, err := read(ptr(int64(2)))
	if err != nil {
		return fmt.Errorf("the same level: %w", err)
	}
	if err := lost("the second, pushed out", r.readOn(second)); err != nil {
		return err
	}
	return r.readOn(third)
}

func (r *run) readOn(reader *azeventhubs.PartitionClient) error {
	events, err := reader.ReceiveEvents(r.ctx, 5, nil)
	r.received.Add(int64(len(events)))
	return err
}
