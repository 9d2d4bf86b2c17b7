// Plays the scenarios of `amqp-conformance client` with go-amqp: go_driver URL ADDRESS SCENARIO COUNT.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/Azure/go-amqp"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(url, address, scenario, counted string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	count, err := strconv.Atoi(counted)
	if err != nil {
		return err
	}
	conn, err := amqp.Dial(ctx, url, &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		return err
	}
	if scenario == "idle" {
		select {
		case <-time.After(time.Duration(count) * time.Second):
		case <-conn.Done():
		}
		return conn.Close()
	}
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	scenarios := map[string]func(context.Context, *amqp.Session, string, int) error{
		"send": send, "receive": receive, "request": request,
	}
	play, ok := scenarios[scenario]
	if !ok {
		return errors.Join(errors.New("go-amqp has no "+scenario), conn.Close())
	}
	return errors.Join(play(ctx, session, address, count), conn.Close())
}

func send(ctx context.Context, session *amqp.Session, address string, count int) error {
	sender, err := session.NewSender(ctx, address, nil)
	if err != nil {
		return err
	}
	for number := range count {
		if err := sender.Send(ctx, amqp.NewMessage([]byte(fmt.Sprintf("message %d", number))), nil); err != nil {
			return err
		}
	}
	return sender.Close(ctx)
}

func receive(ctx context.Context, session *amqp.Session, address string, count int) error {
	receiver, err := session.NewReceiver(ctx, address, &amqp.ReceiverOptions{Credit: int32(count)})
	if err != nil {
		return err
	}
	for range count {
		message, err := receiver.Receive(ctx, nil)
		if err != nil {
			return err
		}
		if err := receiver.AcceptMessage(ctx, message); err != nil {
			return err
		}
	}
	return receiver.Close(ctx)
}

func request(ctx context.Context, session *amqp.Session, address string, count int) error {
	sender, err := session.NewSender(ctx, address, nil)
	if err != nil {
		return err
	}
	receiver, err := session.NewReceiver(ctx, "", &amqp.ReceiverOptions{DynamicAddress: true})
	if err != nil {
		return err
	}
	replyTo := receiver.Address()
	for number := range count {
		message := amqp.NewMessage([]byte("request"))
		message.Properties = &amqp.MessageProperties{MessageID: uint64(number), ReplyTo: &replyTo}
		if err := sender.Send(ctx, message, nil); err != nil {
			return err
		}
		response, err := receiver.Receive(ctx, nil)
		if err != nil {
			return err
		}
		if err := receiver.AcceptMessage(ctx, response); err != nil {
			return err
		}
	}
	return nil
}
