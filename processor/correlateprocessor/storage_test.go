package correlateprocessor

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

var errRefused = errors.New("the disk is full")

// memory is a storage extension whose contents outlive its clients.
type memory struct {
	component.StartFunc
	component.ShutdownFunc
	mu     sync.Mutex
	values map[string][]byte
	refuse bool // all calls
	open   int  // clients
	asked  []string
}

var _ storage.Extension = (*memory)(nil)

// memoryID is the id under which a memory is listed.
var memoryID = component.MustNewID("memory")

func newMemory() *memory { return &memory{values: map[string][]byte{}} }

// newHub returns a hub with a store of its own.
func newHub() *hubtest.Hub { return hubtest.NewHub(storetest.NewModel(time.Now)) }

func (m *memory) GetClient(_ context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse {
		return nil, errRefused
	}
	m.open++
	m.asked = append(m.asked, kind.String()+" "+id.String()+" "+name)
	return &memoryClient{memory: m}, nil
}

func (m *memory) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *memory) contents() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.values)
}

type memoryClient struct {
	memory *memory
	dead   bool // as in a process that was killed: nothing is done any more
}

func (c *memoryClient) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

func (c *memoryClient) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

func (c *memoryClient) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

func (c *memoryClient) Batch(_ context.Context, ops ...*storage.Operation) error {
	m := c.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse {
		return errRefused
	}
	for _, op := range ops {
		switch {
		case op.Type == storage.Get:
			op.Value = bytes.Clone(m.values[op.Key])
		case c.dead:
		case op.Type == storage.Set:
			m.values[op.Key] = bytes.Clone(op.Value)
		default:
			delete(m.values, op.Key)
		}
	}
	return nil
}

func (c *memoryClient) Close(context.Context) error {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	c.memory.open--
	return nil
}
