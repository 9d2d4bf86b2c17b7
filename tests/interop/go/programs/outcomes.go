package main

import (
	"time"

	"github.com/Azure/go-amqp"
)

// rejection is an error with info of several types.
func rejection() *amqp.Error {
	return &amqp.Error{
		Condition:   "example:colour",
		Description: "not that",
		Info:        map[string]any{"reason": "colour", "code": int32(7)},
	}
}

// reject rejects every third message with info: the link goes on, and what was rejected is in the queue that the first
// argument names.
func reject(r *run) {
	rejectOn(r, amqp.ReceiverSettleModeFirst, "reject")
}

// rejectSecond is the same on a link of mode second, where the broker has to settle what was rejected.
func rejectSecond(r *run) {
	rejectOn(r, amqp.ReceiverSettleModeSecond, "reject-second")
}

func rejectOn(r *run, mode amqp.ReceiverSettleMode, address string) {
	const count = 30
	r.fill(address, count)
	receiver := take(r.session().NewReceiver(r.ctx, address, &amqp.ReceiverOptions{
		Credit: 10, SettlementMode: &mode,
	}))
	var rejected []int
	for number := range count {
		message := r.want(receiver, number)
		if number%3 == 0 {
			must(receiver.RejectMessage(r.ctx, message, rejection()))
			rejected = append(rejected, number)
		} else {
			r.accept(receiver, message)
		}
	}
	must(receiver.Close(r.ctx))
	r.empty(address)
	dead := r.receiver(r.session(), r.arguments[0], 10)
	for _, number := range rejected {
		r.accept(dead, r.want(dead, number))
	}
	must(dead.Close(r.ctx))
	r.empty(r.arguments[0])
}

func deliveryCount(message *amqp.Message) uint32 {
	if message.Header == nil {
		return 0
	}
	return message.Header.DeliveryCount
}

func wantCount(message *amqp.Message, count uint32) {
	if found := deliveryCount(message); found != count {
		fail("message %d has delivery-count %d, not %d", numberOf(message), found, count)
	}
}

// modified releases and modifies: delivery-counts, annotations, and what may not come back to a link.
func modified(r *run) {
	r.fill("modified", 4)
	session := r.session()
	receiver := r.receiver(session, "modified", 4)
	var held []*amqp.Message
	for number := range 4 {
		message := r.want(receiver, number)
		wantCount(message, 0)
		held = append(held, message)
	}
	must(receiver.ReleaseMessage(r.ctx, held[0]))
	released := r.want(receiver, 0)
	wantCount(released, 0)
	r.accept(receiver, released)

	options := amqp.ModifyMessageOptions{DeliveryFailed: true, Annotations: amqp.Annotations{"x-opt-why": "late"}}
	must(receiver.ModifyMessage(r.ctx, held[1], &options))
	failed := r.want(receiver, 1)
	wantCount(failed, 1)
	if why := failed.Annotations["x-opt-why"]; why != "late" {
		fail("the annotation is %v", why)
	}
	r.accept(receiver, failed)

	must(receiver.ModifyMessage(r.ctx, held[2], &amqp.ModifyMessageOptions{DeliveryFailed: true, UndeliverableHere: true}))
	other := r.receiver(session, "modified", 4)
	elsewhere := r.want(other, 2)
	wantCount(elsewhere, 1)
	r.accept(other, elsewhere)

	// What a link held when it went comes to another, and not as if for the first time.
	must(receiver.Close(r.ctx))
	again := r.want(other, 3)
	if again.Header != nil && again.Header.FirstAcquirer {
		fail("message 3 came as if for the first time")
	}
	r.accept(other, again)
	must(other.Close(r.ctx))
	r.empty("modified")
}

func durable(number int) *amqp.Message {
	message := message(number)
	message.Header = &amqp.MessageHeader{Durable: true, Priority: 4}
	return message
}

// durableRefused wants durable messages refused with a reason, and the link to go on.
func durableRefused(r *run) {
	session := r.session()
	sender := r.sender(session, "durable")
	for number := range 10 {
		r.send(sender, message(number))
		receipt := take(sender.SendWithReceipt(r.ctx, durable(100+number), nil))
		r.sent.Add(1)
		state, ok := take(receipt.Wait(r.ctx)).(*amqp.StateRejected)
		if !ok || state.Error == nil || state.Error.Condition != amqp.ErrCondPreconditionFailed {
			fail("the outcome is %T %+v", state, state)
		}
	}
	receiver := r.receiver(session, "durable", 10)
	for number := range 10 {
		r.accept(receiver, r.want(receiver, number))
	}
	must(receiver.Close(r.ctx))
	r.empty("durable")
}

// durableTaken is at a broker that takes them.
func durableTaken(r *run) {
	session := r.session()
	r.send(r.sender(session, "taken"), durable(0), durable(1))
	receiver := r.receiver(session, "taken", 10)
	for number := range 2 {
		message := r.want(receiver, number)
		if message.Header == nil || !message.Header.Durable {
			fail("message %d is not durable any more", number)
		}
		r.accept(receiver, message)
	}
}

// expired sends messages whose time is over before they are asked for.
func expired(r *run) {
	session := r.session()
	short := message(100)
	short.Header = &amqp.MessageHeader{TTL: time.Millisecond, Priority: 4}
	r.send(r.sender(session, "expired"), message(0), short, message(1))
	time.Sleep(100 * time.Millisecond)
	receiver := r.receiver(session, "expired", 10)
	for number := range 2 {
		r.accept(receiver, r.want(receiver, number))
	}
	must(receiver.Close(r.ctx))
	r.empty("expired")
}
