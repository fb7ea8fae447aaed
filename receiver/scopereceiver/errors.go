package scopereceiver

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/otelscope/otelscope/internal/permanent"
	"github.com/otelscope/otelscope/internal/ring"
	"github.com/otelscope/otelscope/internal/store"
)

var (
	errShutdown = errors.New("the receiver is shutting down")
	errWorker   = errors.New("the worker failed before the request was handled")
	errTimeout  = errors.New("the pipeline did not answer in time")
	errLetters  = errors.New("dead letters cannot be written")
)

// refusal is what a client is told: send it again, or never.
type refusal struct {
	code   codes.Code // ResourceExhausted and Unavailable: again; InvalidArgument: never
	reason string
	after  time.Duration // for retries, at least 1 s
}

// refuse turns an error of the ring or of the pipeline into a refusal.
func refuse(err error) refusal {
	var tooLarge *ring.TooLargeError
	if errors.As(err, &tooLarge) || permanent.Is(err) {
		return refusal{code: codes.InvalidArgument, reason: err.Error()}
	}
	r := refusal{code: codes.Unavailable, reason: err.Error(), after: retryAfter(err)}
	if errors.Is(err, ring.ErrFull) || errors.Is(err, ring.ErrDropped) || errors.Is(err, errBusy) || status.Code(err) == codes.ResourceExhausted {
		r.code = codes.ResourceExhausted
	}
	if errors.Is(err, ring.ErrClosed) {
		r.reason = errShutdown.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		r.reason = errTimeout.Error()
	}
	return r
}

// retryAfter is what the pipeline asks for, at least a second; clients that
// were refused together come back spread over as long again.
func retryAfter(err error) time.Duration {
	wait := max(time.Second, asked(err))
	seconds := int64((wait + time.Second - 1) / time.Second)
	return time.Duration(seconds+rand.Int64N(seconds+1)) * time.Second
}

// asked is for how long the pipeline wants to be left alone, 0 if it does not
// say.
func asked(err error) time.Duration {
	wait := time.Duration(0)
	var unavailable *store.UnavailableError
	if errors.As(err, &unavailable) {
		wait = unavailable.RetryAfter
	}
	if s, ok := status.FromError(err); ok {
		for _, detail := range s.Details() {
			if info, ok := detail.(*errdetails.RetryInfo); ok {
				wait = max(wait, info.GetRetryDelay().AsDuration())
			}
		}
	}
	return wait
}

// asStatus is the refusal as the otlp receiver's servers pass it on, with
// RetryInfo, without which clients drop what was refused as exhausted.
func (r refusal) asStatus() error {
	s := status.New(r.code, r.reason)
	if r.after > 0 {
		if detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(r.after)}); err == nil {
			s = detailed
		}
	}
	return s.Err()
}
