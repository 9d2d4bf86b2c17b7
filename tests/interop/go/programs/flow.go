package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/Azure/go-amqp"
)

// batches holds 200 deliveries at a time and settles them, the last one first.
func batches(r *run) {
	const count, size = 4000, 200
	session := r.session()
	sending := start(func() { r.send(r.sender(r.session(), "batches"), numbered(0, count)...) })
	receiver := r.receiver(session, "batches", window)
	var seen once
	var held []*amqp.Message
	for seen.count() < count {
		message := r.receive(receiver)
		seen.add(message)
		if held = append(held, message); len(held) == size {
			for _, message := range slices.Backward(held) {
				r.accept(receiver, message)
			}
			held = nil
		}
	}
	sending()
	seen.all(count)
	must(receiver.Close(r.ctx))
	r.empty("batches")
}

// many sends 10,000 messages with 500 in flight and takes them on two connections.
func many(r *run) {
	const count = 10000
	sending := start(func() { r.send(r.sender(r.session(), "many"), numbered(0, count)...) })
	var seen once
	stop, cancel := context.WithCancel(r.ctx)
	defer cancel()
	consume := func() {
		receiver := r.receiver(r.session(), "many", window)
		for {
			message, err := receiver.Receive(stop, nil)
			if errors.Is(err, context.Canceled) {
				break
			}
			must(err)
			r.received.Add(1)
			seen.add(message)
			r.accept(receiver, message)
			if seen.count() == count {
				cancel()
			}
		}
		must(receiver.Close(r.ctx))
	}
	first, second := start(consume), start(consume)
	sending()
	first()
	second()
	seen.all(count)
	r.empty("many")
}

// settled sends and receives settled.
func settled(r *run) {
	const count = 2000
	mode := amqp.SenderSettleModeSettled
	session := r.session()
	sender := take(session.NewSender(r.ctx, "settled", &amqp.SenderOptions{SettlementMode: &mode}))
	receiver := take(r.session().NewReceiver(r.ctx, "settled", &amqp.ReceiverOptions{
		Credit: window, RequestedSenderSettleMode: &mode,
	}))
	sending := start(func() {
		for number := range count {
			must(sender.Send(r.ctx, message(number), nil))
			r.sent.Add(1)
		}
	})
	for number := range count {
		r.want(receiver, number)
	}
	sending()
	must(receiver.Close(r.ctx))
	r.empty("settled")
}

// drain gives credit by hand and takes it back, with messages there and without, more than there are and less.
func drain(r *run) {
	session := r.session()
	sender := r.sender(session, "drain")
	receiver := r.receiver(session, "drain", -1)
	next, waiting := 0, 0
	for round := range 30 {
		more, credit := round%4, 1+round%3
		r.send(sender, numbered(next+waiting, more)...)
		waiting += more
		must(receiver.IssueCredit(uint32(credit)))
		for range min(credit, waiting) {
			r.accept(receiver, r.want(receiver, next))
			next++
			waiting--
		}
		must(receiver.DrainCredit(r.ctx, nil))
		if extra := receiver.Prefetched(); extra != nil {
			fail("message %d came without credit", numberOf(extra))
		}
	}
	must(receiver.IssueCredit(uint32(waiting) + 1))
	for range waiting {
		r.accept(receiver, r.want(receiver, next))
		next++
	}
	// The link is left with credit, and a message that comes later uses it.
	r.send(sender, message(next))
	r.accept(receiver, r.want(receiver, next))
	must(receiver.Close(r.ctx))
	r.empty("drain")
}

// longWork takes the given seconds over each of three messages while another consumer waits for work.
func longWork(r *run) {
	seconds := take(strconv.Atoi(r.arguments[0]))
	r.fill("long", 3)
	receiver := r.receiver(r.session(), "long", 3)
	var held []*amqp.Message
	for number := range 3 {
		held = append(held, r.want(receiver, number))
	}
	other := r.receiver(r.session(), "long", window)
	ctx, cancel := context.WithTimeout(r.ctx, time.Duration(seconds)*time.Second)
	defer cancel()
	if message, err := other.Receive(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		fail("the other consumer got %v, %v", message, err)
	}
	for _, message := range held {
		r.accept(receiver, message)
	}
	must(receiver.Close(r.ctx))
	must(other.Close(r.ctx))
	r.empty("long")
}

// large sends messages of 10 MiB, in frames of several sizes.
func large(r *run) {
	const size = 10 << 20
	for number, frame := range []uint32{512, 4096, 65536, 1 << 20} {
		body := bytes.Repeat([]byte{byte(number), 1, 2, 3, 5, 7, 11}, size/7)
		body = append([]byte(fmt.Sprintf("message %d\n", number)), body...)
		if frame == 512 {
			body = body[:100000]
		}
		conn := take(amqp.Dial(r.ctx, r.url, &amqp.ConnOptions{MaxFrameSize: frame}))
		session := take(conn.NewSession(r.ctx, nil))
		receiver := r.receiver(session, "large", 1)
		r.send(r.sender(session, "large"), amqp.NewMessage(body))
		message := r.want(receiver, number)
		if !bytes.Equal(message.GetData(), body) {
			fail("message %d has changed", number)
		}
		r.accept(receiver, message)
		must(conn.Close())
	}
	r.empty("large")
}

// links has a thousand links on one connection, each of which carries messages though others come and go.
func links(r *run) {
	const pairs, each = 500, 4
	session := r.session()
	var waits []func()
	for pair := range pairs {
		waits = append(waits, start(func() {
			address := fmt.Sprintf("links.%d", pair)
			sender := r.sender(session, address)
			receiver := r.receiver(session, address, 2)
			for number := range each {
				r.send(sender, message(number))
				delivery := r.want(receiver, number)
				if pair%10 == 0 && number == 1 {
					// what it holds goes to the link that follows
					must(receiver.Close(r.ctx))
					receiver = r.receiver(session, address, 2)
					delivery = r.want(receiver, number)
				}
				r.accept(receiver, delivery)
			}
		}))
	}
	for _, wait := range waits {
		wait()
	}
	must(session.Close(r.ctx))
	for pair := 0; pair < pairs; pair += 50 {
		r.empty(fmt.Sprintf("links.%d", pair))
	}
}
