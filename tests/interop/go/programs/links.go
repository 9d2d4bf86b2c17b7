package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/go-amqp"
)

// window is how many messages a sender or a receiver has in flight.
const window = 500

func (r *run) connect() *amqp.Conn {
	return take(amqp.Dial(r.ctx, r.url, nil))
}

func (r *run) session() *amqp.Session {
	return take(r.connect().NewSession(r.ctx, nil))
}

// cuttable returns a connection and a function that resets it.
func (r *run) cuttable() (*amqp.Conn, func()) {
	where := take(url.Parse(r.url))
	socket := take(net.Dial("tcp", where.Host)).(*net.TCPConn)
	stream := net.Conn(socket)
	if where.Scheme == "amqps" {
		stream = tls.Client(socket, &tls.Config{ServerName: where.Hostname()})
	}
	conn := take(amqp.NewConn(r.ctx, stream, &amqp.ConnOptions{HostName: where.Hostname()}))
	return conn, func() {
		must(socket.SetLinger(0))
		must(socket.Close())
	}
}

// login is with the user and the password that are its arguments, and not with others.
func login(r *run) {
	user, password := r.arguments[0], r.arguments[1]
	refused := map[string]amqp.SASLType{
		"a wrong password": amqp.SASLTypePlain(user, password+"x"),
		"another user":     amqp.SASLTypePlain(user+"x", password),
		"nobody":           amqp.SASLTypeAnonymous(),
	}
	for who, sasl := range refused {
		if _, err := amqp.Dial(r.ctx, r.url, &amqp.ConnOptions{SASLType: sasl}); err == nil {
			fail("%s is let in", who)
		}
	}
	conn := take(amqp.Dial(r.ctx, r.url, &amqp.ConnOptions{SASLType: amqp.SASLTypePlain(user, password)}))
	session := take(conn.NewSession(r.ctx, nil))
	r.send(r.sender(session, "login"), numbered(0, 10)...)
	receiver := r.receiver(session, "login", 10)
	for number := range 10 {
		r.accept(receiver, r.want(receiver, number))
	}
	must(conn.Close())
}

func (r *run) sender(session *amqp.Session, address string) *amqp.Sender {
	return take(session.NewSender(r.ctx, address, nil))
}

func (r *run) receiver(session *amqp.Session, address string, credit int32) *amqp.Receiver {
	return take(session.NewReceiver(r.ctx, address, &amqp.ReceiverOptions{Credit: credit}))
}

// message is the one with this number.
func message(number int) *amqp.Message {
	return amqp.NewMessage([]byte(fmt.Sprintf("message %d", number)))
}

func numberOf(message *amqp.Message) int {
	text, _, _ := strings.Cut(string(message.GetData()), "\n")
	return take(strconv.Atoi(strings.TrimPrefix(text, "message ")))
}

// send sends messages with up to a window of them in flight, and wants each accepted.
func (r *run) send(sender *amqp.Sender, messages ...*amqp.Message) {
	receipts := make(chan amqp.SendReceipt, window)
	wait := start(func() {
		for receipt := range receipts {
			switch state := take(receipt.Wait(r.ctx)).(type) {
			case *amqp.StateAccepted:
				r.accepted.Add(1)
			default:
				fail("the outcome is %T %v", state, state)
			}
		}
	})
	func() {
		defer close(receipts)
		for _, message := range messages {
			receipts <- take(sender.SendWithReceipt(r.ctx, message, nil))
			r.sent.Add(1)
		}
	}()
	wait()
}

func numbered(first, count int) []*amqp.Message {
	var messages []*amqp.Message
	for number := first; number < first+count; number++ {
		messages = append(messages, message(number))
	}
	return messages
}

// fill puts that many messages into a queue.
func (r *run) fill(address string, count int) {
	session := r.session()
	r.send(r.sender(session, address), numbered(0, count)...)
	must(session.Close(r.ctx))
}

func (r *run) receive(receiver *amqp.Receiver) *amqp.Message {
	message := take(receiver.Receive(r.ctx, nil))
	r.received.Add(1)
	return message
}

func (r *run) accept(receiver *amqp.Receiver, message *amqp.Message) {
	must(receiver.AcceptMessage(r.ctx, message))
}

// want receives the message with this number.
func (r *run) want(receiver *amqp.Receiver, number int) *amqp.Message {
	message := r.receive(receiver)
	if found := numberOf(message); found != number {
		fail("message %d came, not %d", found, number)
	}
	return message
}

// rest takes all that a queue has, by a drain, and returns the numbers in their order.
func (r *run) rest(address string) []int {
	session := r.session()
	receiver := r.receiver(session, address, -1)
	var numbers []int
	for {
		must(receiver.IssueCredit(window))
		// go-amqp forgets credit that is still to be written when a drain is asked for
		time.Sleep(50 * time.Millisecond)
		must(receiver.DrainCredit(r.ctx, nil))
		before := len(numbers)
		for message := receiver.Prefetched(); message != nil; message = receiver.Prefetched() {
			r.received.Add(1)
			numbers = append(numbers, numberOf(message))
			r.accept(receiver, message)
		}
		if len(numbers) == before {
			break
		}
	}
	must(session.Close(r.ctx))
	return numbers
}

// empty wants nothing left in a queue.
func (r *run) empty(address string) {
	if rest := r.rest(address); len(rest) > 0 {
		fail("%d messages are left in %s: %v", len(rest), address, rest)
	}
}

// once is what has come, each once.
type once struct {
	mutex sync.Mutex
	seen  map[int]bool
}

func (o *once) add(message *amqp.Message) {
	number := numberOf(message)
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if o.seen == nil {
		o.seen = map[int]bool{}
	}
	if o.seen[number] {
		fail("message %d came twice", number)
	}
	o.seen[number] = true
}

func (o *once) count() int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return len(o.seen)
}

// all wants exactly the numbers from 0.
func (o *once) all(count int) {
	for number := range count {
		if !o.seen[number] {
			fail("message %d did not come", number)
		}
	}
	if len(o.seen) != count {
		fail("%d messages came, not %d", len(o.seen), count)
	}
}
