package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"time"

	"github.com/Azure/go-amqp"
)

// resets cuts the connection while deliveries are unsettled: they come again in their order, and what was accepted
// does not.
func resets(r *run) {
	const count, took, accepted = 400, 40, 25
	r.fill("resets", count)
	next := 0
	for round := 0; next < count; round++ {
		conn, cut := r.cuttable()
		session := take(conn.NewSession(r.ctx, nil))
		receiver := r.receiver(session, "resets", took)
		for number := next; number < min(next+took, count); number++ {
			message := r.want(receiver, number)
			if again := round > 0 && number < next+took-accepted; again && deliveryCount(message) == 0 {
				fail("message %d comes again with delivery-count 0", number)
			}
			if number < next+accepted {
				r.accept(receiver, message)
			}
		}
		next = min(next+accepted, count)
		// A frame behind the dispositions: once it is answered they have arrived.
		r.send(r.sender(session, "resets.barrier"), message(round))
		cut()
		// until the broker has seen it, the messages that follow are free to overtake
		time.Sleep(250 * time.Millisecond)
	}
	r.empty("resets")
}

// cancelled ends after that time, and for every tenth message never. It has no deadline: go-amqp gives one to the socket, and ends the connection if a write
// is not over by then.
func (r *run) cancelled(number int, after time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.ctx)
	if number%10 != 0 {
		time.AfterFunc(after, cancel)
	}
	return ctx, cancel
}

// givenUp sends messages whose context ends at any moment: what was reported as accepted is there once, nothing is
// there twice, and the link is as good as before.
func givenUp(r *run) {
	const count, workers = 2000, 20
	session := r.session()
	sender := r.sender(session, "given-up")
	random := rand.New(rand.NewSource(7))
	var mutex sync.Mutex
	known, gaveUp := map[int]bool{}, 0
	numbers := make(chan int)
	var waits []func()
	for range workers {
		waits = append(waits, start(func() {
			for number := range numbers {
				mutex.Lock()
				patience := time.Duration(random.Intn(3000)) * time.Microsecond
				mutex.Unlock()
				ctx, cancel := r.cancelled(number, patience)
				err := sender.Send(ctx, message(number), nil)
				cancel()
				r.sent.Add(1)
				mutex.Lock()
				if err == nil {
					known[number] = true
					r.accepted.Add(1)
				} else {
					gaveUp++
				}
				mutex.Unlock()
			}
		}))
	}
	for number := range count {
		numbers <- number
	}
	close(numbers)
	for _, wait := range waits {
		wait()
	}
	if gaveUp == 0 || len(known) == 0 {
		fail("%d were given up and %d accepted", gaveUp, len(known))
	}
	r.send(sender, message(count))
	known[count] = true
	seen := map[int]bool{}
	for _, number := range r.rest("given-up") {
		if seen[number] {
			fail("message %d is there twice", number)
		}
		seen[number] = true
	}
	for number := range known {
		if !seen[number] {
			fail("message %d was accepted and is not there", number)
		}
	}
	r.empty("given-up")
}

// cutShort gives up sends in the middle of a message, which go-amqp does not abort: what follows on that link makes no
// sense, and the link may end. Others of its session go on, and no message is there that was not sent whole.
func cutShort(r *run) {
	const count = 500
	session := r.session()
	sender, receiver := r.sender(session, "whole"), r.receiver(session, "whole", 100)
	random := rand.New(rand.NewSource(7))
	body := bytes.Repeat([]byte("0123456789"), 300_000)
	sending := start(func() { r.send(sender, numbered(0, count)...) })
	large := r.sender(session, "cut-short")
	known, ended := map[int]bool{}, 0
	for number := range 60 {
		message := amqp.NewMessage(append([]byte(fmt.Sprintf("message %d\n", number)), body...))
		ctx, cancel := r.cancelled(number, time.Duration(random.Intn(30))*time.Millisecond)
		err := large.Send(ctx, message, nil)
		cancel()
		r.sent.Add(1)
		var gone *amqp.LinkError
		switch {
		case err == nil:
			known[number] = true
			r.accepted.Add(1)
		case errors.As(err, &gone):
			ended++
			large = r.sender(session, "cut-short")
		}
	}
	for number := range count {
		r.accept(receiver, r.want(receiver, number))
	}
	sending()
	must(receiver.Close(r.ctx))
	r.empty("whole")
	consumer := r.receiver(r.session(), "cut-short", 5)
	r.send(r.sender(r.session(), "cut-short"), message(1000))
	var seen once
	for number := -1; number != 1000; {
		delivery := r.receive(consumer)
		if number = numberOf(delivery); number != 1000 && len(delivery.GetData()) != len(body)+len(fmt.Sprintf("message %d\n", number)) {
			fail("message %d has %d octets", number, len(delivery.GetData()))
		}
		seen.add(delivery)
		r.accept(consumer, delivery)
	}
	for number := range known {
		if !seen.seen[number] {
			fail("message %d was accepted and is not there", number)
		}
	}
	if len(known) == 0 || len(known) == 60 {
		fail("%d were accepted, and %d links ended", len(known), ended)
	}
}

// isolated has a pair of links exchange messages while others of its session are refused, fail and go.
func isolated(r *run) {
	const count = 1000
	session := r.session()
	sender, receiver := r.sender(session, "isolated"), r.receiver(session, "isolated", 100)
	done := make(chan struct{})
	failing := start(func() {
		for round := 0; ; round++ {
			select {
			case <-done:
				return
			default:
			}
			address := fmt.Sprintf("isolated.%d", round)
			_, err := session.NewReceiver(r.ctx, address, &amqp.ReceiverOptions{
				Filters: []amqp.LinkFilter{amqp.NewSelectorFilter("= =")},
			})
			if err == nil {
				fail("a selector that cannot be read is taken")
			}
			refused := r.sender(session, address)
			if err := refused.Send(r.ctx, durable(0), nil); err == nil {
				fail("a durable message is taken")
			}
			// It goes while messages are in flight to it.
			r.send(refused, numbered(0, 5)...)
			consumer := r.receiver(session, address, 5)
			r.want(consumer, 0)
			must(consumer.Close(r.ctx))
			must(refused.Close(r.ctx))
			consumer = r.receiver(session, address, 5)
			var seen once
			for range 5 {
				message := r.receive(consumer)
				seen.add(message)
				r.accept(consumer, message)
			}
			seen.all(5)
			must(consumer.Close(r.ctx))
		}
	})
	sending := start(func() { r.send(sender, numbered(0, count)...) })
	for number := range count {
		r.accept(receiver, r.want(receiver, number))
	}
	sending()
	close(done)
	failing()
	must(receiver.Close(r.ctx))
	r.empty("isolated")
}
