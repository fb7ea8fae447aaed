package scopereceiver

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/elastic/go-freelru"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// nobody is the ring's client for what the receiver does on its own account.
const nobody = 0

// clientOf returns whom a request is counted for when the ring is shared: who
// sent it and the service it is about. So neither many services behind one
// address nor one service on many addresses are taken for one client; a client
// that puts several services into one request counts as the first.
func clientOf(ctx context.Context, service string) uint64 {
	var room [128]byte
	b := appendSender(room[:0], client.FromContext(ctx))
	b = append(b, service...)
	return max(nobody+1, xxh3.Hash(b))
}

// senders remembers which client used a connection last, so that one whose
// service stands in a body can be told before the body is read. The key is the
// address of the connection's other end. Safe for concurrent use.
type senders struct {
	of *freelru.SyncedLRU[string, uint64]
}

// maxSenders are remembered, by last use.
const maxSenders = 4096

func newSenders() *senders {
	// NewSynced fails only for a capacity of 0 or a missing hash.
	of, err := freelru.NewSynced[string, uint64](maxSenders, func(s string) uint32 { return uint32(xxh3.HashString(s)) })
	if err != nil {
		panic(err)
	}
	return &senders{of}
}

// last returns nobody where it is not known.
func (s *senders) last(from string) uint64 {
	id, _ := s.of.Get(from)
	return id
}

func (s *senders) sent(from string, id uint64) {
	if s.last(from) != id {
		s.of.Add(from, id)
	}
}

// The kinds of senders: no address is taken for a name.
const (
	senderName    = 'n'
	senderIP      = 'i'
	senderAddress = 'a'
)

// appendSender appends who is at the other end: its name if it had to say
// that, else its address without the port, which changes with each connection.
func appendSender(b []byte, info client.Info) []byte {
	if name := authenticated(info.Auth); name != "" {
		return appendText(append(b, senderName), name)
	}
	if ip := ipOf(info.Addr); ip.IsValid() {
		b16 := ip.As16()
		return append(append(b, senderIP), b16[:]...)
	}
	if info.Addr != nil {
		return appendText(append(b, senderAddress), info.Addr.String())
	}
	return appendText(append(b, senderAddress), "")
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// authenticated returns what the authenticators of the Collector call a
// client: a token's subject, or the user name of a password.
func authenticated(auth client.AuthData) string {
	if auth == nil {
		return ""
	}
	for _, attribute := range []string{"subject", "username"} {
		if name, ok := auth.GetAttribute(attribute).(string); ok && name != "" {
			return name
		}
	}
	return ""
}

func ipOf(addr net.Addr) netip.Addr {
	var ip net.IP
	switch a := addr.(type) {
	case *net.TCPAddr:
		ip = a.IP
	case *net.IPAddr:
		ip = a.IP
	}
	parsed, _ := netip.AddrFromSlice(ip)
	return parsed
}

// firstService is the service of the first resource of td.
func firstService(td ptrace.Traces) string {
	if td.ResourceSpans().Len() == 0 {
		return ""
	}
	name, ok := td.ResourceSpans().At(0).Resource().Attributes().Get("service.name")
	if !ok {
		return ""
	}
	return name.AsString()
}
