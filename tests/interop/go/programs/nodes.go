package main

import (
	"bytes"
	"errors"

	"github.com/Azure/go-amqp"
)

// dynamic has replies sent to addresses that the broker makes, to a sender's and to a receiver's.
func dynamic(r *run) {
	const count = 50
	session := r.session()
	receiver := take(session.NewReceiver(r.ctx, "", &amqp.ReceiverOptions{Credit: 10, DynamicAddress: true}))
	second := take(session.NewReceiver(r.ctx, "", &amqp.ReceiverOptions{Credit: 10, DynamicAddress: true}))
	if receiver.Address() == "" || receiver.Address() == second.Address() {
		fail("the addresses are %q and %q", receiver.Address(), second.Address())
	}
	other := r.session()
	first := start(func() { r.send(r.sender(other, receiver.Address()), numbered(0, count)...) })
	then := start(func() { r.send(r.sender(other, second.Address()), numbered(count, count)...) })
	for number := range count {
		r.accept(receiver, r.want(receiver, number))
		r.accept(second, r.want(second, count+number))
	}
	first()
	then()

	sender := take(session.NewSender(r.ctx, "", &amqp.SenderOptions{DynamicAddress: true}))
	r.send(sender, numbered(0, 5)...)
	consumer := r.receiver(other, sender.Address(), 5)
	for number := range 5 {
		r.accept(consumer, r.want(consumer, number))
	}
}

func coloured(number int, colour string) *amqp.Message {
	message := message(number)
	message.ApplicationProperties = map[string]any{"colour": colour}
	return message
}

// selector takes the red messages of a queue and leaves the others; one that cannot be read is refused.
func selector(r *run) {
	const count = 30
	session := r.session()
	sender := r.sender(session, "selector")
	for number := range count {
		r.send(sender, coloured(number, []string{"red", "green", "blue"}[number%3]))
	}
	red := amqp.NewSelectorFilter("colour = 'red'")
	receiver := take(session.NewReceiver(r.ctx, "selector", &amqp.ReceiverOptions{
		Credit: 100, Filters: []amqp.LinkFilter{red},
	}))
	for number := 0; number < count; number += 3 {
		r.accept(receiver, r.want(receiver, number))
	}
	r.send(sender, coloured(count, "red"))
	r.accept(receiver, r.want(receiver, count))
	r.refused(session, amqp.NewSelectorFilter("colour = = 'red"), amqp.ErrCondInvalidField)
	must(receiver.Close(r.ctx))
	rest := r.rest("selector")
	if len(rest) != count*2/3 {
		fail("%d messages are left, not %d: %v", len(rest), count*2/3, rest)
	}
	for _, number := range rest {
		if number%3 == 0 {
			fail("red message %d is left", number)
		}
	}
}

// refused wants a link with this filter refused.
func (r *run) refused(session *amqp.Session, filter amqp.LinkFilter, why amqp.ErrCond) {
	_, err := session.NewReceiver(r.ctx, "selector", &amqp.ReceiverOptions{Filters: []amqp.LinkFilter{filter}})
	if err == nil || conditionOf(err) != why {
		fail("the answer is %v, not %s", err, why)
	}
}

// conditionOf returns the condition that the peer gave.
func conditionOf(err error) amqp.ErrCond {
	var plain *amqp.Error
	if errors.As(err, &plain) {
		return plain.Condition
	}
	var link *amqp.LinkError
	if errors.As(err, &link) && link.RemoteErr != nil {
		return link.RemoteErr.Condition
	}
	return ""
}

// browse looks at all messages of a queue twice, and takes none of them.
func browse(r *run) {
	const count = 300
	r.fill("browse", count)
	for range 2 {
		browser := take(r.session().NewReceiver(r.ctx, "browse", &amqp.ReceiverOptions{
			Credit: 100, SourceDistributionMode: amqp.SourceDistributionModeCopy,
		}))
		for number := range count {
			message := r.want(browser, number)
			r.accept(browser, message)
		}
		must(browser.Close(r.ctx))
	}
	rest := r.rest("browse")
	if len(rest) != count {
		fail("%d messages are left, not %d", len(rest), count)
	}
}

// maxSize takes small messages past a large one, which goes to a receiver without a limit.
func maxSize(r *run) {
	session := r.session()
	big := amqp.NewMessage(append([]byte("message 1\n"), bytes.Repeat([]byte("x"), 5000)...))
	r.send(r.sender(session, "max-size"), message(0), big, message(2))
	limited := take(session.NewReceiver(r.ctx, "max-size", &amqp.ReceiverOptions{Credit: 10, MaxMessageSize: 1000}))
	r.accept(limited, r.want(limited, 0))
	next, err := limited.Receive(r.ctx, nil)
	if err != nil {
		// The link is closed with an error, which says why.
		if condition := conditionOf(err); condition != amqp.ErrCondMessageSizeExceeded {
			fail("the link ended with %v", err)
		}
	} else if r.received.Add(1); numberOf(next) != 2 {
		fail("message %d came", numberOf(next))
	} else {
		r.accept(limited, next)
		must(limited.Close(r.ctx))
	}
	unlimited := r.receiver(r.session(), "max-size", 10)
	r.accept(unlimited, r.want(unlimited, 1))
	if err != nil {
		r.accept(unlimited, r.want(unlimited, 2))
	}
	must(unlimited.Close(r.ctx))
	r.empty("max-size")
}
