// Programs on go-amqp for a broker of queues by address, one case each.
//
//	programs CASE URL [ARGUMENT...]
//
// The URL is amqp:// or amqps://; SSL_CERT_FILE names the CA. The last line is
// {"sent":…,"accepted":…,"received":…,"ok":true}, and the exit code 0 or 1.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// run is one case: where the broker is, and what was counted.
type run struct {
	ctx                      context.Context
	url                      string
	arguments                []string
	sent, accepted, received atomic.Int64
}

var cases = map[string]func(*run){
	"batches":         batches,
	"browse":          browse,
	"cut-short":       cutShort,
	"drain":           drain,
	"durable-refused": durableRefused,
	"durable-taken":   durableTaken,
	"dynamic":         dynamic,
	"expired":         expired,
	"given-up":        givenUp,
	"isolated":        isolated,
	"large":           large,
	"links":           links,
	"login":           login,
	"long-work":       longWork,
	"many":            many,
	"max-size":        maxSize,
	"modified":        modified,
	"reject":          reject,
	"reject-second":   rejectSecond,
	"resets":          resets,
	"selector":        selector,
	"settled":         settled,
}

// limit is the longest that a case takes.
const limit = 150 * time.Second

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r := &run{ctx: ctx, url: os.Args[2], arguments: os.Args[3:]}
	// A call that hangs although its context has ended.
	time.AfterFunc(limit+10*time.Second, func() { r.report(fmt.Errorf("no end within %v", limit)) })
	r.report(attempt(func() { cases[os.Args[1]](r) }))
}

// report prints what was counted and ends the program.
func (r *run) report(err error) {
	seen := map[string]any{
		"sent": r.sent.Load(), "accepted": r.accepted.Load(), "received": r.received.Load(), "ok": err == nil,
	}
	if err != nil {
		seen["error"] = err.Error()
	}
	line, _ := json.Marshal(seen)
	fmt.Println(string(line))
	if err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// failure is what a case panics with.
type failure struct{ error }

func fail(format string, values ...any) {
	panic(failure{fmt.Errorf(format, values...)})
}

// must ends the case unless err is nil.
func must(err error) {
	if err != nil {
		panic(failure{err})
	}
}

func take[T any](value T, err error) T {
	must(err)
	return value
}

// attempt returns the failure that work ends with.
func attempt(work func()) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			found, ok := reason.(failure)
			if !ok {
				panic(reason)
			}
			err = found.error
		}
	}()
	work()
	return nil
}

// start runs work beside the case; the function that it returns waits for its end and fails as it did.
func start(work func()) (wait func()) {
	done := make(chan error, 1)
	go func() { done <- attempt(work) }()
	return func() { must(<-done) }
}
