package workload

import (
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// Config says how large and how unlucky the shop is. Rates are probabilities,
// 0 to 1.
type Config struct {
	Seed uint64
	// Start is where the virtual clock begins.
	Start time.Time
	// Orders is how many orders come in before the shop closes; 0: no end.
	Orders int
	// OrdersPerSecond is the mean rate of the virtual clock.
	OrdersPerSecond float64
	// Nodes is how many nodes each service has, at least 1.
	Nodes int
	// PaymentWorkers is how many payment processes a node supervises.
	PaymentWorkers int

	OutOfStock     float64 // of reservations
	Declined       float64 // of charges
	PaymentCrash   float64 // of charges: the worker dies, its supervisor respawns it
	DeliveryFails  float64 // of deliveries to the shipping queue: delivered again
	MailServerDown float64 // of mails: the server is lost, and found again
}

// DefaultConfig is a shop in which something goes wrong with about one order
// in five.
func DefaultConfig() Config {
	return Config{
		Seed:            1,
		Start:           time.Unix(1_700_000_000, 0),
		OrdersPerSecond: 2,
		Nodes:           2,
		PaymentWorkers:  3,
		OutOfStock:      0.04,
		Declined:        0.06,
		PaymentCrash:    0.05,
		DeliveryFails:   0.05,
		MailServerDown:  0.02,
	}
}

// Validate says which field holds what it may not.
func (c Config) Validate() error {
	for _, rate := range []struct {
		name  string
		value float64
	}{
		{"OutOfStock", c.OutOfStock}, {"Declined", c.Declined}, {"PaymentCrash", c.PaymentCrash},
		{"DeliveryFails", c.DeliveryFails}, {"MailServerDown", c.MailServerDown},
	} {
		if !(rate.value >= 0 && rate.value <= 1) {
			return fmt.Errorf("%s: %v is no probability (0 to 1)", rate.name, rate.value)
		}
	}
	switch {
	case c.Orders < 0:
		return fmt.Errorf("%s: %d is negative (0 means without end)", "Orders", c.Orders)
	case !(c.OrdersPerSecond > 0):
		return fmt.Errorf("%s: %v must be above 0", "OrdersPerSecond", c.OrdersPerSecond)
	case c.Nodes < 1:
		return fmt.Errorf("%s: %d must be at least 1", "Nodes", c.Nodes)
	case c.PaymentWorkers < 1:
		return fmt.Errorf("%s: %d must be at least 1", "PaymentWorkers", c.PaymentWorkers)
	}
	return nil
}

// EventsPerOrder is about how many events one order of DefaultConfig makes.
const EventsPerOrder = 90

// Step is one event together with the truth about it.
type Step struct {
	Event event.Event
	// Span is the id of the event whose span this event belongs to: of a
	// return its call's, of every other event its own.
	Span string
	// Parent is the event whose span is the parent of this event's, "" for
	// the first of a trace.
	Parent string
	// Activity is the event that began the activity (the trace) in which this
	// one lies; its own id for one that began it or lies outside any.
	Activity string
	// Causes are the events that led to this one, its parent among them.
	Causes []Cause
	// Undecided are the types of which nobody could say, from what is told,
	// whether and by what this event was caused.
	Undecided []causal.Type
	// Ends says that the process is done with what it was doing, until its
	// next message.
	Ends bool
}

// Cause is one causal edge that ends at the step which holds it.
type Cause struct {
	Type causal.Type
	ID   string // the event that caused it
	// SpansOnly marks what only spans with a duration and a status of their
	// own can tell: a delivery that failed, and a later one that did not.
	SpansOnly bool
}
