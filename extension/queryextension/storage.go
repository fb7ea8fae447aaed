package queryextension

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
)

// stateName is the file in the store's folder in which other components keep
// their state. The store leaves alone what it has not named itself.
const stateName = "state.db"

var _ storage.Extension = (*queryExtension)(nil)

// GetClient implements storage.Extension. One client of a name can be open at
// a time: two that write the same keys would destroy each other's state.
func (e *queryExtension) GetClient(_ context.Context, kind component.Kind, id component.ID, name string) (storage.Client, error) {
	client, err := e.state.client(fmt.Sprintf("%s\x00%s\x00%s", kind, id, name))
	if err != nil {
		return nil, fmt.Errorf("state of %s %q in %q: %w", kind, id, e.state.path, err)
	}
	return client, nil
}

// stateFile is the file with the state of other components, a bucket for each
// client. It is opened, and made, for its first client.
type stateFile struct {
	path   string
	logger *zap.Logger

	mu     sync.Mutex
	db     *bolt.DB
	closed bool
	inUse  map[string]bool // buckets
}

func newStateFile(directory string, logger *zap.Logger) *stateFile {
	return &stateFile{path: filepath.Join(directory, stateName), logger: logger, inUse: map[string]bool{}}
}

func (s *stateFile) client(bucket string) (*stateClient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the extension is shut down")
	}
	if s.inUse[bucket] {
		return nil, errors.New("it is in use already: a component in several pipelines has an instance in each, and each that keeps state needs an id of its own, such as correlate/second")
	}
	if s.db == nil {
		db, err := s.open()
		if err != nil {
			return nil, err
		}
		s.db = db
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte(bucket))
		return err
	})
	if err != nil {
		return nil, err
	}
	s.inUse[bucket] = true
	return &stateClient{file: s, db: s.db, bucket: bucket}, nil
}

// open opens the file; one that is damaged is put aside, so that what is lost
// is old state and not the service.
func (s *stateFile) open() (*bolt.DB, error) {
	db, err := openState(s.path)
	if err == nil || !damaged(err) {
		return db, err
	}
	aside := s.path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(s.path, aside); err != nil {
		return nil, err
	}
	s.logger.Error("The file with the state of components is damaged: it is put aside, and they begin without their state",
		zap.String("file", s.path), zap.String("aside", aside), zap.Error(err))
	return openState(s.path)
}

// damaged reports whether what open met lies in the file's contents: all but
// what the system refused, and a lock that another process holds.
func damaged(err error) bool {
	var refused syscall.Errno
	return !errors.As(err, &refused) && !errors.Is(err, berrors.ErrTimeout)
}

// openState opens the file and looks at every key in it. bbolt trusts what it
// reads, so damage shows as an error, a panic, or a fault in mapped memory.
func openState(path string) (_ *bolt.DB, err error) {
	var file *os.File
	var db *bolt.DB
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if found := recover(); found != nil {
			err = fmt.Errorf("cannot be read: %v", found)
		}
		if err != nil && db != nil {
			err = errors.Join(err, db.Close())
		} else if err != nil && file != nil {
			_ = file.Close() // releases the lock where bbolt did not
		}
	}()
	db, err = bolt.Open(path, 0o600, &bolt.Options{
		Timeout:      time.Second,
		FreelistType: bolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	})
	if err != nil {
		return nil, err
	}
	return db, db.View(func(tx *bolt.Tx) error {
		info, err := file.Stat()
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("has %d bytes, %d are missing", info.Size(), tx.Size()-info.Size())
		}
		return tx.ForEach(func(_ []byte, bucket *bolt.Bucket) error {
			return bucket.ForEach(func(_, _ []byte) error { return nil })
		})
	})
}

// close ends all clients. What they call later fails.
func (s *stateFile) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

func (s *stateFile) release(bucket string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.inUse, bucket)
}

// stateClient is one component's part of the file. What it writes is on disk
// when the call returns.
type stateClient struct {
	file   *stateFile
	db     *bolt.DB
	bucket string
	closed atomic.Bool
}

// Get implements storage.Client.
func (c *stateClient) Get(ctx context.Context, key string) ([]byte, error) {
	op := storage.GetOperation(key)
	err := c.Batch(ctx, op)
	return op.Value, err
}

// Set implements storage.Client.
func (c *stateClient) Set(ctx context.Context, key string, value []byte) error {
	return c.Batch(ctx, storage.SetOperation(key, value))
}

// Delete implements storage.Client.
func (c *stateClient) Delete(ctx context.Context, key string) error {
	return c.Batch(ctx, storage.DeleteOperation(key))
}

// Batch implements storage.Client: all of it is done, or nothing.
func (c *stateClient) Batch(ctx context.Context, ops ...*storage.Operation) error {
	if c.closed.Load() {
		return errors.New("the client is closed")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	transaction := c.db.View
	for _, op := range ops {
		if op.Type != storage.Get {
			transaction = c.db.Update
		}
	}
	return transaction(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte(c.bucket))
		for _, op := range ops {
			var err error
			switch op.Type {
			case storage.Get:
				op.Value = bytes.Clone(bucket.Get([]byte(op.Key)))
			case storage.Set:
				err = bucket.Put([]byte(op.Key), op.Value)
			case storage.Delete:
				err = bucket.Delete([]byte(op.Key))
			default:
				err = fmt.Errorf("unknown operation %d", op.Type)
			}
			if err != nil {
				return fmt.Errorf("key %q: %w", op.Key, err)
			}
		}
		return nil
	})
}

// Close implements storage.Client; another client of the name can be made
// then.
func (c *stateClient) Close(context.Context) error {
	if !c.closed.Swap(true) {
		c.file.release(c.bucket)
	}
	return nil
}
