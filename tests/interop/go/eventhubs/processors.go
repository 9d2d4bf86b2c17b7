package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
)

// store keeps checkpoints and ownerships in memory.
type store struct {
	mutex       sync.Mutex
	checkpoints map[string]azeventhubs.Checkpoint
	ownerships  map[string]azeventhubs.Ownership
	claims      int
}

func (s *store) ClaimOwnership(_ context.Context, wanted []azeventhubs.Ownership, _ *azeventhubs.ClaimOwnershipOptions) ([]azeventhubs.Ownership, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var claimed []azeventhubs.Ownership
	for _, ownership := range wanted {
		current, found := s.ownerships[ownership.PartitionID]
		if found && (ownership.ETag == nil || *ownership.ETag != *current.ETag) {
			continue
		}
		s.claims++
		tag := azcore.ETag(strconv.Itoa(s.claims))
		ownership.ETag, ownership.LastModifiedTime = &tag, time.Now().UTC()
		s.ownerships[ownership.PartitionID] = ownership
		claimed = append(claimed, ownership)
	}
	return claimed, nil
}

func (s *store) ListCheckpoints(context.Context, string, string, string, *azeventhubs.ListCheckpointsOptions) ([]azeventhubs.Checkpoint, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var all []azeventhubs.Checkpoint
	for _, checkpoint := range s.checkpoints {
		all = append(all, checkpoint)
	}
	return all, nil
}

func (s *store) ListOwnership(context.Context, string, string, string, *azeventhubs.ListOwnershipOptions) ([]azeventhubs.Ownership, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var all []azeventhubs.Ownership
	for _, ownership := range s.ownerships {
		all = append(all, ownership)
	}
	return all, nil
}

func (s *store) SetCheckpoint(_ context.Context, checkpoint azeventhubs.Checkpoint, _ *azeventhubs.SetCheckpointOptions) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.checkpoints[checkpoint.PartitionID] = checkpoint
	return nil
}

// log is what the processors have seen.
type log struct {
	mutex sync.Mutex
	// by partition and sequence number, how often
	seen map[string]map[int64]int
	// which processors saw something
	by    map[string]int
	total int
	err   error
}

func (l *log) failed(err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.err == nil {
		l.err = err
	}
}

func (l *log) add(name, partition string, events []*azeventhubs.ReceivedEventData) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.seen[partition] == nil {
		l.seen[partition] = map[int64]int{}
	}
	for _, event := range events {
		if l.seen[partition][event.SequenceNumber]++; l.seen[partition][event.SequenceNumber] == 1 {
			l.total++
		}
		l.by[name]++
	}
}

func (l *log) state() (total int, by map[string]int, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	by = map[string]int{}
	for name, count := range l.by {
		by[name] = count
	}
	return l.total, by, l.err
}

// process runs a processor until the context ends, with a checkpoint behind every batch.
func (r *run) process(ctx context.Context, name string, shared *store, log *log) error {
	client, err := r.client()
	if err != nil {
		return err
	}
	defer client.Close(context.Background())
	processor, err := azeventhubs.NewProcessor(client, shared, &azeventhubs.ProcessorOptions{
		UpdateInterval:        300 * time.Millisecond,
		LoadBalancingStrategy: azeventhubs.ProcessorStrategyGreedy,
		StartPositions: azeventhubs.StartPositions{
			Default: azeventhubs.StartPosition{Earliest: ptr(true)},
		},
	})
	if err != nil {
		return err
	}
	var partitions sync.WaitGroup
	partitions.Go(func() {
		for partition := processor.NextPartitionClient(ctx); partition != nil; partition = processor.NextPartitionClient(ctx) {
			partitions.Go(func() {
				defer partition.Close(context.Background())
				if err := r.partition(ctx, name, partition, log); err != nil {
					log.failed(fmt.Errorf("%s, partition %s: %w", name, partition.PartitionID(), err))
				}
			})
		}
	})
	err = processor.Run(ctx)
	partitions.Wait()
	return err
}

func (r *run) partition(ctx context.Context, name string, partition *azeventhubs.ProcessorPartitionClient, log *log) error {
	next := int64(-1)
	for ctx.Err() == nil {
		waiting, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		events, err := partition.ReceiveEvents(waiting, 10, nil)
		cancel()
		var lost *azeventhubs.Error
		switch {
		case errors.As(err, &lost) && lost.Code == azeventhubs.ErrorCodeOwnershipLost:
			return nil
		case err != nil && waiting.Err() == nil:
			return err
		case len(events) == 0:
			continue
		}
		for _, event := range events {
			if next >= 0 && event.SequenceNumber != next {
				return fmt.Errorf("event %d came, not %d", event.SequenceNumber, next)
			}
			next = event.SequenceNumber + 1
		}
		r.received.Add(int64(len(events)))
		log.add(name, partition.PartitionID(), events)
		if err := partition.UpdateCheckpoint(context.Background(), events[len(events)-1], nil); err != nil {
			return err
		}
	}
	return nil
}

// processors share the partitions, and one takes over from the other where its checkpoints say. The argument is how many
// events there are in the first half; more have to come until there are twice as many.
func processors(r *run) error {
	var half int
	if _, err := fmt.Sscan(r.arguments[0], &half); err != nil {
		return err
	}
	shared := &store{checkpoints: map[string]azeventhubs.Checkpoint{}, ownerships: map[string]azeventhubs.Ownership{}}
	log := &log{seen: map[string]map[int64]int{}, by: map[string]int{}}
	wait := func(until func(total int, by map[string]int) bool) error {
		for {
			total, by, err := log.state()
			if err != nil || until(total, by) {
				return err
			}
			select {
			case <-r.ctx.Done():
				return fmt.Errorf("%d events were seen, by %v", total, by)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	var running sync.WaitGroup
	begin := func(name string) context.CancelFunc {
		ctx, cancel := context.WithCancel(r.ctx)
		running.Go(func() {
			if err := r.process(ctx, name, shared, log); err != nil {
				log.failed(fmt.Errorf("%s: %w", name, err))
			}
		})
		return cancel
	}
	stopFirst := begin("first")
	defer stopFirst()
	if err := wait(func(_ int, by map[string]int) bool { return by["first"] > 0 }); err != nil {
		return err
	}
	stopSecond := begin("second")
	defer stopSecond()
	if err := wait(func(total int, by map[string]int) bool { return total >= half && by["second"] > 0 }); err != nil {
		return err
	}
	stopFirst()
	if err := wait(func(total int, _ map[string]int) bool { return total >= 2*half }); err != nil {
		return err
	}
	stopSecond()
	running.Wait()
	_, by, err := log.state()
	r.seen["by"], r.seen["distinct"] = by, log.total
	if err != nil {
		return err
	}
	for id, seen := range log.seen {
		for number := range int64(len(seen)) {
			if seen[number] == 0 {
				return fmt.Errorf("event %d of partition %s was not seen", number, id)
			}
		}
	}

	// Where there are checkpoints at the end, a further processor finds nothing.
	before, _, _ := log.state()
	stopThird := begin("third")
	time.Sleep(2 * time.Second)
	stopThird()
	running.Wait()
	if _, by, err := log.state(); err != nil || by["third"] > 0 {
		return fmt.Errorf("the third saw %d events of %d again (%v)", by["third"], before, err)
	}
	return nil
}
