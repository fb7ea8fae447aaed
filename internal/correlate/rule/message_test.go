package rule

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNativeMessages(t *testing.T) {
	// Sends are of p to q, receives of q.
	send := native("send", spanOf{"kind": "producer", "scope.peer.id": "q"})
	receive := native("receive", spanOf{"kind": "consumer", "scope.process.id": "q"})
	arrive := receive.with("scope.message.phase", "arrived")
	call := native("call", spanOf{"scope.process.id": "q"})
	id, hash := "messaging.message.id", "scope.message.hash"
	for name, c := range map[string]struct {
		spans []spanOf
		want  []string
	}{
		"by id": {
			[]spanOf{send.with(id, "m"), receive.with(id, "m"), receive.with(id, "n")},
			[]string{"1 -> 2 message_flow message_id 1"},
		},
		"by id, to whom is not said": {
			[]spanOf{native("send", spanOf{id: "m"}), arrive.with(id, "m")},
			[]string{"1 -> 2 message_flow message_id 1"},
		},
		"to another process": {
			[]spanOf{send.with(id, "m"), receive.with(id, "m").with("scope.process.id", "r")}, nil,
		},
		"to another node": {
			[]spanOf{
				send.with(id, "m").with("scope.peer.node", "far"),
				receive.with(id, "m"),
				receive.with(id, "m").with("resource:service.instance.id", "far"),
			},
			[]string{"1 -> 3 message_flow message_id 1"},
		},
		"to another service": {
			[]spanOf{
				send.with(id, "m").with("scope.peer.service", "shop"),
				receive.with(id, "m"),
				receive.with(id, "m").with("resource:service.name", "shop"),
			},
			[]string{"1 -> 3 message_flow message_id 1"},
		},
		"by id, through the mailbox": {
			[]spanOf{send.with(id, "m"), arrive.with(id, "m"), receive.with(id, "m"), call.with(id, "n")},
			[]string{"1 -> 2 message_flow message_id 1", "2 -> 3 message_flow message_id 1"},
		},
		"by id, effects first": {
			[]spanOf{call.with(id, "m"), send.with(id, "m").with("at", 1)},
			[]string{"2 -> 1 message_flow message_id 1"},
		},
		"an id that two senders use": {
			[]spanOf{
				send.with(id, "m").with("scope.process.id", "x"), send.with(id, "m"),
				receive.with(id, "m").with("scope.peer.id", "x"), receive.with(id, "m").with("scope.peer.id", "p"),
			},
			[]string{"1 -> 3 message_flow message_id 1", "2 -> 4 message_flow message_id 1"},
		},
		"an id that two senders use, through the mailbox": {
			[]spanOf{
				send.with(id, "m").with("scope.process.id", "x"), send.with(id, "m"),
				arrive.with(id, "m").with("scope.peer.id", "p"), arrive.with(id, "m").with("scope.peer.id", "x"),
				receive.with(id, "m").with("scope.peer.id", "p"), receive.with(id, "m").with("scope.peer.id", "x"),
			},
			[]string{"2 -> 3 message_flow message_id 1", "1 -> 4 message_flow message_id 1", "3 -> 5 message_flow message_id 1", "4 -> 6 message_flow message_id 1"},
		},
		"an id that a sender uses for two receivers": {
			[]spanOf{
				send.with(id, "m").with("scope.peer.id", "r"), send.with(id, "m"), receive.with(id, "m").with("scope.peer.id", "p"),
				receive.with(id, "m").with("scope.peer.id", "p").with("scope.process.id", "r"),
			},
			[]string{"2 -> 3 message_flow message_id 1", "1 -> 4 message_flow message_id 1"},
		},
		"to whom is not said, from whom is": {
			[]spanOf{native("send", spanOf{id: "m"}), arrive.with(id, "m").with("scope.peer.id", "p"), receive.with(id, "m").with("scope.peer.id", "p").with("scope.process.id", "r")},
			[]string{"1 -> 2 message_flow message_id 1", "1 -> 3 message_flow message_id 1"},
		},
		"from whom is told at the end only": {
			[]spanOf{send.with(id, "m"), arrive.with(id, "m"), receive.with(id, "m").with("scope.peer.id", "p")},
			[]string{"1 -> 2 message_flow message_id 1", "2 -> 3 message_flow message_id 1"},
		},
		"an id from another sender": {
			[]spanOf{send.with(id, "m"), receive.with(id, "m").with("scope.peer.id", "x")}, nil,
		},
		"equal messages from another sender": {
			[]spanOf{send.with(hash, "h"), receive.with(hash, "h").with("scope.peer.id", "x"), receive.with(hash, "h").with("scope.peer.id", "p")},
			[]string{"1 -> 3 message_flow equal_messages 1"},
		},
		"equal messages, through the mailbox, from whom is told": {
			[]spanOf{
				send.with(hash, "h"), arrive.with(hash, "h").with("scope.peer.id", "p"), receive.with(hash, "h").with("scope.peer.id", "p"),
			},
			[]string{"1 -> 2 message_flow equal_messages 1", "2 -> 3 message_flow equal_messages 1"},
		},
		"equal messages": {
			[]spanOf{send.with(hash, "h"), send.with(hash, "h"), receive.with(hash, "h"), receive.with(hash, "h"), receive.with(hash, "h")},
			[]string{"1 -> 3 message_flow equal_messages 1", "2 -> 4 message_flow equal_messages 1"},
		},
		"equal messages through the mailbox": {
			[]spanOf{send.with(hash, "h"), arrive.with(hash, "h").with("scope.peer.id", "p"), call.with(hash, "h")},
			[]string{"1 -> 2 message_flow equal_messages 1", "2 -> 3 message_flow equal_messages 1"},
		},
		"equal messages to nobody": {
			[]spanOf{native("send", spanOf{hash: "h"}), receive.with(hash, "h")}, nil,
		},
		"a single message, of which nothing is known": {
			[]spanOf{arrive, call},
			[]string{"1 -> 2 message_flow single_message 0.9"},
		},
		"a single message, taken": {
			[]spanOf{arrive.with(id, "m"), receive},
			[]string{"1 -> 2 message_flow single_message 0.9"},
		},
		"two messages, of which nothing is known": {[]spanOf{arrive, arrive, call}, nil},
		"one of two messages that is known": {
			[]spanOf{arrive.with(id, "m"), arrive, call.with(id, "m"), call},
			[]string{"1 -> 3 message_flow message_id 1", "2 -> 4 message_flow single_message 0.9"},
		},
		"a hash that is known leaves the mailbox": {
			[]spanOf{arrive.with(hash, "h"), arrive, call.with(hash, "h"), call},
			[]string{"1 -> 3 message_flow equal_messages 1", "2 -> 4 message_flow single_message 0.9"},
		},
		"a call in another handles nothing": {[]spanOf{arrive, call.with("parent", true)}, nil},
		"a call in another that handles":    {[]spanOf{arrive.with(id, "m"), call.with(id, "m").with("parent", true)}, []string{"1 -> 2 message_flow message_id 1"}},
		"a signal in the mailbox is a message": {
			[]spanOf{arrive.with("scope.signal", "down").with("scope.peer.id", "z"), call},
			[]string{"1 -> 2 message_flow single_message 0.9"},
		},
		"a signal is handled by who bears its hash": {
			[]spanOf{arrive.with(hash, "h").with("scope.signal", "exit").with("scope.peer.id", "z"), arrive, call.with(hash, "h"), call},
			[]string{"1 -> 3 message_flow equal_messages 1", "2 -> 4 message_flow single_message 0.9"},
		},
		"a signal is taken by its hash": {
			[]spanOf{arrive.with(hash, "h").with("scope.signal", "exit").with("scope.peer.id", "z"), receive.with(hash, "h").with("scope.signal", "exit").with("scope.peer.id", "z")},
			[]string{"1 -> 2 message_flow equal_messages 1"},
		},
		"a signal that was taken is none": {
			[]spanOf{send.with(id, "m"), receive.with(id, "m").with("scope.signal", "down").with("scope.peer.id", "z")}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, edges(t, compile(t), c.spans...))
		})
	}
}

// Who says whose message it got gets no other's. How sure that is where several
// send the same is the engine's to say.
func TestEqualMessagesOfTheSenderThatIsTold(t *testing.T) {
	send := native("send", spanOf{"scope.peer.id": "q", "scope.message.hash": "h"})
	arrive := native("receive", spanOf{"scope.process.id": "q", "scope.message.hash": "h", "scope.message.phase": "arrived", "scope.peer.id": "p"})
	got := edges(t, compile(t), send.with("scope.process.id", "x"), send, arrive)
	require.Len(t, got, 1)
	require.Contains(t, got[0], "2 -> 3 message_flow equal_messages ")
}

// A message of which neither its id nor its receiver is known cannot be found.
func TestMessagesThatCannotBeFound(t *testing.T) {
	require.Empty(t, extract(t, compile(t), native("send", spanOf{"scope.message.hash": "h"}), native("send", spanOf{"scope.peer.id": "q"}))[0].Ops)
}

func TestMessagingIDs(t *testing.T) {
	for name, c := range map[string]struct {
		cause, effect spanOf
		found         bool
	}{
		"now": {
			spanOf{"kind": "producer", "messaging.system": "servicebus", "messaging.destination.name": "orders", "messaging.operation.type": "send", "messaging.message.id": "m"},
			spanOf{"kind": "consumer", "messaging.system": "servicebus", "messaging.destination.name": "orders", "messaging.operation.type": "process", "messaging.message.id": "m"},
			true,
		},
		"clients, ids of other types": {
			spanOf{"kind": "client", "messaging.system": "x", "messaging.destination.name": "d", "messaging.operation.type": "send", "messaging.message.id": 5},
			spanOf{"kind": "client", "messaging.system": "x", "messaging.destination.name": "d", "messaging.operation.type": "receive", "messaging.message.id": "5"},
			true,
		},
		"the kinds alone": {
			spanOf{"kind": "producer", "messaging.system": "x", "messaging.destination": "d", "messaging.message_id": "m"},
			spanOf{"kind": "consumer", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m"},
			true,
		},
		"the Node SDK's amqplib": {
			spanOf{"kind": "producer", "messaging.system": "rabbitmq", "messaging.destination": "", "messaging.rabbitmq.routing_key": "work", "messaging.message_id": "m"},
			spanOf{"kind": "consumer", "messaging.system": "rabbitmq", "messaging.destination": "", "messaging.rabbitmq.routing_key": "work", "messaging.message_id": "m", "messaging.operation": "process"},
			true,
		},
		"RabbitMQ's exchange, older": {
			spanOf{"kind": "producer", "messaging.system": "rabbitmq", "messaging.destination.name": "", "messaging.rabbitmq.destination.routing_key": "work", "messaging.message.id": "m", "messaging.operation": "publish"},
			spanOf{"kind": "consumer", "messaging.system": "rabbitmq", "messaging.destination.name": "work", "messaging.message.id": "m", "messaging.operation": "deliver"},
			true,
		},
		"RabbitMQ now": {
			spanOf{"kind": "producer", "messaging.system": "rabbitmq", "messaging.destination.name": "ex:created", "messaging.operation.type": "send", "messaging.message.id": "m"},
			spanOf{"kind": "consumer", "messaging.system": "rabbitmq", "messaging.destination.name": "ex:created:billing", "messaging.operation.type": "process", "messaging.message.id": "m"},
			true,
		},
		"colons elsewhere": {
			spanOf{"kind": "producer", "messaging.system": "x", "messaging.destination.name": "a:b", "messaging.message.id": "m"},
			spanOf{"kind": "consumer", "messaging.system": "x", "messaging.destination.name": "a:b:c", "messaging.message.id": "m"},
			false,
		},
		"other system": {
			spanOf{"kind": "producer", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m"},
			spanOf{"kind": "consumer", "messaging.system": "y", "messaging.destination.name": "d", "messaging.message.id": "m"},
			false,
		},
		"other destination": {
			spanOf{"kind": "producer", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m"},
			spanOf{"kind": "consumer", "messaging.system": "x", "messaging.destination.name": "e", "messaging.message.id": "m"},
			false,
		},
		"no destination": {
			spanOf{"kind": "producer", "messaging.system": "x", "messaging.message.id": "m"},
			spanOf{"kind": "consumer", "messaging.system": "x", "messaging.message.id": "m"},
			false,
		},
		"settled": {
			spanOf{"kind": "producer", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m"},
			spanOf{"kind": "client", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m", "messaging.operation.type": "settle"},
			false,
		},
		"a client that does not say what it does": {
			spanOf{"kind": "producer", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m"},
			spanOf{"kind": "client", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m"},
			false,
		},
		"not a messaging kind": {
			spanOf{"kind": "producer", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m"},
			spanOf{"kind": "internal", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m", "messaging.operation.type": "process"},
			false,
		},
		"native ones have their own": {
			spanOf{"kind": "producer", "messaging.system": "scope", "messaging.destination.name": "d", "messaging.message.id": "m"},
			spanOf{"kind": "consumer", "messaging.system": "scope", "messaging.destination.name": "d", "messaging.message.id": "m"},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := []string(nil)
			if c.found {
				want = []string{"1 -> 2 message_flow messaging_id 1"}
			}
			require.Equal(t, want, edges(t, compile(t), c.cause, c.effect))
		})
	}
}

func TestMessagingOffsets(t *testing.T) {
	send := spanOf{
		"kind": "producer", "messaging.system": "kafka", "messaging.destination.name": "orders",
		"messaging.destination.partition.id": "3", "messaging.kafka.offset": 42,
	}
	process := spanOf{
		"kind": "consumer", "messaging.system": "kafka", "messaging.destination": "orders", "messaging.operation": "process",
		"messaging.kafka.partition": 3, "messaging.kafka.message.offset": 42,
	}
	s := compile(t)
	found := []string{"1 -> 2 message_flow messaging_offset 1"}
	require.Equal(t, found, edges(t, s, send, process))
	require.Equal(t, found, edges(t, s, send.with("messaging.kafka.offset", 0), process.with("messaging.kafka.message.offset", 0)))
	require.Empty(t, edges(t, s, send, process.with("messaging.kafka.partition", 4)))
	require.Empty(t, edges(t, s, send, process.with("messaging.kafka.message.offset", 43)))
	require.Empty(t, edges(t, s, send, process.with("messaging.destination", "carts")))
	require.Empty(t, edges(t, s, send.with("messaging.kafka.offset", nil), process.with("messaging.kafka.message.offset", nil)))
}

func TestMessagingRedelivery(t *testing.T) {
	good := spanOf{
		"kind": "consumer", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m",
		"messaging.operation.type": "process", "resource:service.name": "billing",
	}
	bad := good.with("error", true)
	s := compile(t)
	require.Equal(t, []string{"1 -> 2 error_propagation messaging_redelivery 1"}, edges(t, s, bad, good))
	require.Empty(t, edges(t, s, good, bad), "success came before the failure")
	require.Empty(t, edges(t, s, bad, bad))
	require.Empty(t, edges(t, s, bad, good.with("resource:service.name", "mail")))
	require.Empty(t, edges(t, s, bad, good.with("messaging.operation.type", "receive")))
	require.Empty(t, edges(t, s, bad, good.with("messaging.message.id", "n")))
	early, late := good.with("resource:host.name", "a").with("at", 1), bad.with("resource:host.name", "b").with("at", 2)
	require.Empty(t, edges(t, s, late, early), "whatever the clocks")
	require.Empty(t, edges(t, s, early, late), "whatever the clocks")

	record := good.with("messaging.message.id", nil).with("messaging.kafka.partition", 1).with("messaging.kafka.offset", 7)
	require.Equal(t, []string{"1 -> 2 error_propagation messaging_retry 1"}, edges(t, s, record.with("error", true), record))
	require.Empty(t, edges(t, s, record.with("error", true), record.with("messaging.kafka.offset", 8)))
	require.Empty(t, edges(t, s, record.with("error", true).with("resource:host.name", "a").with("at", 2), record.with("resource:host.name", "b").with("at", 1)))
	require.Equal(t, []string{"2 -> 3 error_propagation messaging_redelivery 1"}, edges(t, s, bad, bad, good), "the last failure")
}
